/** What the CRM's contract suite needs beside the port, once for the fake and once for the client on a real server. */
import type { CallOptions, Crm, CrmResult } from '../../src/ports/crm.ts';
import type { CrmFailure } from '../../src/domain/errors.ts';
import type { SandboxAccount, SandboxAccountOptions } from '../../src/sandbox/crm/account.ts';
import type { FaultHandle, FaultSpec } from '../../src/sandbox/crm/faults.ts';
import type { SandboxMode } from '../../src/sandbox/crm/server.ts';
import type { FakeClock } from '../crm/fake-clock.ts';

export interface CrmHarness {
  readonly crm: Crm;
  /** What the CRM holds, and the people who work in it. */
  readonly account: SandboxAccount;
  /** The account's clock; it stands still until told. */
  readonly clock: FakeClock;
  fault(spec: FaultSpec): FaultHandle;
  close(): Promise<void>;
}

export interface OpenCrmOptions {
  /** Default `upstream`. */
  readonly mode?: SandboxMode;
  /** Seeded contacts; default none, and then no linked records and custom fields either. */
  readonly contacts?: number;
  readonly account?: Omit<SandboxAccountOptions, 'clock'>;
  /** How long the client waits for an answer; default long. */
  readonly timeoutMs?: number;
}
export type OpenCrm = (options?: OpenCrmOptions) => Promise<CrmHarness>;

export const EDIT: CallOptions = { lane: 'edit' };
export const BY_ID = { field: 'id', direction: 'asc' } as const;

export const valueOf = <T>(result: CrmResult<T>): T => {
  if (!result.ok) throw new Error(`${result.failure.class} ${result.failure.code}: ${result.failure.message}`);
  return result.value;
};

export const failureIn = (result: CrmResult<unknown>): CrmFailure => {
  if (result.ok) throw new Error('the call went through');
  return result.failure;
};

/** Every call of the port against contact 1, and contact 3 in the trash, with arguments that a healthy CRM accepts. */
export const EVERY_CALL: { readonly [K in keyof Crm]: (crm: Crm, options: CallOptions) => Promise<CrmResult<unknown>> } = {
  list: (crm, options) => crm.list({ order: BY_ID }, options),
  retrieve: (crm, options) => crm.retrieve(1, options),
  create: (crm, options) => crm.create({ first_name: 'Ada' }, options),
  update: (crm, options) => crm.update(1, { city: 'Oslo' }, options),
  delete: (crm, options) => crm.delete(1, options),
  search: (crm, options) => crm.search({ q: 'a' }, options),
  attach: (crm, options) => crm.attach(1, { companies: [1, 2] }, options),
  detach: (crm, options) => crm.detach(1, { companies: [1] }, options),
  sync: (crm, options) => crm.sync(1, { companies: [1] }, options),
  listTrashed: (crm, options) => crm.listTrashed({ order: BY_ID }, options),
  restore: (crm, options) => crm.restore(3, options),
  listActivities: (crm, options) => crm.listActivities(1, 1, options),
  customFields: (crm, options) => crm.customFields(options),
};
export const CALLS = Object.keys(EVERY_CALL) as readonly (keyof Crm)[];

const READS: ReadonlySet<keyof Crm> = new Set(['list', 'retrieve', 'search', 'listTrashed', 'listActivities', 'customFields']);
export const isWrite = (call: keyof Crm): boolean => !READS.has(call);

/** Runs a test on an account of its own and closes it, whatever happens. */
export const withCrm = async (open: OpenCrm, options: OpenCrmOptions, work: (harness: CrmHarness) => Promise<void>): Promise<void> => {
  const harness = await open(options);
  try {
    await work(harness);
  } finally {
    await harness.close();
  }
};

/**
 * The CRM port on a sandbox account, without HTTP, without the client and without real time. It runs the same contract suite as the client.
 *
 * A call waits twice, before the account processes it and before it is answered: whoever owns `pause` decides what happens in between, and
 * a pause that throws is a process that died there. Faults are the sandbox's own, so that both ends of the suite are scripted alike.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { AnswerMeta, CallOptions, Crm, CrmResult, FindParams, LinkIds, ListParams, SearchParams } from '../../src/ports/crm.ts';
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { Answer } from '../../src/sandbox/crm/answer.ts';
import type { CallContext } from '../../src/sandbox/crm/api.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import { createFaultScript, decide, type FaultHandle, type FaultSpec } from '../../src/sandbox/crm/faults.ts';
import type { QueryTree } from '../../src/sandbox/crm/php-query.ts';
import type { SandboxMode } from '../../src/sandbox/crm/server.ts';
import { failed, failureOf } from './fake-crm-failures.ts';
import { toActivityPage, toContactPage, toCustomFields, toRecord } from './fake-crm-records.ts';

/** Where a call is. */
export interface Moment {
  readonly call: CallName;
  readonly phase: 'sent' | 'processed';
}

export interface FakeCrmOptions {
  readonly account: SandboxAccount;
  /** Default `upstream`. */
  readonly mode?: SandboxMode;
  /** Default: one turn of the event loop. */
  readonly pause?: (moment: Moment) => Promise<unknown>;
}

export interface FakeCrm extends Crm {
  /** Strikes in the order scripted. A hang ends at once, as the time-out that it would become. */
  fault(spec: FaultSpec): FaultHandle;
  clearFaults(): void;
}

/** One call as the account meets it. */
interface Request {
  readonly call: CallName;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly crmId?: number;
  readonly query?: QueryTree;
  readonly body?: unknown;
}

/** The nine public ones; every other call is a route that the mode `documented` does not have. */
const DOCUMENTED: ReadonlySet<CallName> = new Set<CallName>([
  'list',
  'retrieve',
  'create',
  'update',
  'delete',
  'search',
  'attach',
  'detach',
  'sync',
]);

const NO_ROUTE: Answer = { status: 404, body: { message: 'The route could not be found.' } };

export const createFakeCrm = ({ account, mode = 'upstream', pause = turn.bind(null) }: FakeCrmOptions): FakeCrm => {
  const faults = createFaultScript();
  const context: CallContext = { baseUrl: 'fake:/api', undocumented: mode === 'upstream' };

  const ask = async <T>(request: Request, options: CallOptions, run: () => Answer, read: (body: never) => T): Promise<CrmResult<T>> => {
    const { call, method, crmId = null, query = {}, body } = request;
    const { signal, giveUp = signal, maySend } = options;
    const isWrite = method !== 'GET';
    if (isAborted(signal)) return { ok: false, failure: failed('retry', 'aborted'), meta: null };
    await pause({ call, phase: 'sent' });
    if (maySend?.() === false) return { ok: false, failure: failed('retry', 'not_leader'), meta: null };
    if (isAborted(giveUp)) return { ok: false, failure: failed('retry', 'aborted'), meta: null };
    const served = mode === 'upstream' || DOCUMENTED.has(call);
    const id = crmId === null ? null : String(crmId);
    const fault = served ? faults.take({ call, method, path: '', id, query, body }) : null;
    const outcome = decide(fault, served ? run : () => NO_ROUTE);
    const at = account.now();
    const status = outcome.wire === 'json' ? outcome.answer.status : outcome.wire === 'html' ? outcome.status : null;
    account.calls.add({ call: served ? call : 'unknown', method, path: '', id: crmId, body, status, fault: fault?.kind ?? null, at });
    await pause({ call, phase: 'processed' });
    if (isAborted(giveUp)) return { ok: false, failure: failed(isWrite ? 'unknown' : 'retry', 'connection_reset'), meta: null };

    const meta: AnswerMeta | null =
      status === null || outcome.wire === 'truncated' ? null : { date: toSecond(at), status, appVersion: account.settings.appVersion };
    const failure = failureOf(outcome, isWrite);
    if (failure !== null || meta === null || outcome.wire !== 'json')
      return { ok: false, failure: failure ?? failed('retry', 'bad_answer'), meta };
    return { ok: true, value: read(outcome.answer.body as never), meta };
  };

  const { api } = account;
  const links = async (call: 'attach' | 'detach' | 'sync', crmId: number, ids: LinkIds, options: CallOptions) => {
    const body = linkBody(ids);
    const method = ({ attach: 'PUT', detach: 'DELETE', sync: 'POST' } as const)[call];
    const run = (): Answer => api.associate(call, idIn(crmId), body, {}, context);
    return await ask({ call, method, crmId, body }, options, run, toRecord);
  };

  return {
    fault: (spec) => faults.add(spec),
    clearFaults: () => faults.clear(),
    list: async (params, options) => {
      const query = listQuery(params);
      return await ask({ call: 'list', method: 'GET', query }, options, () => api.list(query, context), toContactPage);
    },
    search: async (params, options) => {
      const query = findQuery(params);
      const read = (rows: readonly Parameters<typeof toRecord>[0][]) => ({ records: rows.map(toRecord), bad: [] });
      return await ask({ call: 'search', method: 'GET', query }, options, () => api.search(query, context), read);
    },
    retrieve: async (crmId, options) => {
      const id = idIn(crmId);
      return await ask({ call: 'retrieve', method: 'GET', crmId }, options, () => api.retrieve(id, context), toRecord);
    },
    create: async (contact, options) => {
      const body = flat(contact);
      return await ask({ call: 'create', method: 'POST', body }, options, () => api.create(body, context), toRecord);
    },
    update: async (crmId, contact, options) => {
      const [id, body] = [idIn(crmId), flat(contact)];
      return await ask({ call: 'update', method: 'PUT', crmId, body }, options, () => api.update(id, body, context), toRecord);
    },
    delete: async (crmId, options) => {
      const id = idIn(crmId);
      return await ask(
        { call: 'delete', method: 'DELETE', crmId },
        options,
        () => api.delete(id),
        () => null,
      );
    },
    attach: async (crmId, ids, options) => await links('attach', crmId, ids, options),
    detach: async (crmId, ids, options) => await links('detach', crmId, ids, options),
    sync: async (crmId, ids, options) => await links('sync', crmId, ids, options),
    listTrashed: async (params, options) => {
      const query = listQuery(params);
      return await ask({ call: 'listTrashed', method: 'GET', query }, options, () => api.listTrashed(query, context), toContactPage);
    },
    restore: async (crmId, options) => {
      const id = idIn(crmId);
      return await ask({ call: 'restore', method: 'POST', crmId }, options, () => api.restore(id, context), toRecord);
    },
    listActivities: async (crmId, page, options) => {
      const query = { per_page: '100', ...count('page', page) };
      const run = (): Answer => api.listLinked('activities', idIn(crmId), query, context);
      return await ask({ call: 'listActivities', method: 'GET', crmId, query }, options, run, toActivityPage);
    },
    customFields: async (options) => await ask({ call: 'customFields', method: 'GET' }, options, () => api.fields(), toCustomFields),
  };
};

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

const toSecond = (at: Date): Date => new Date(Math.floor(at.getTime() / 1000) * 1000);

const idIn = (id: number): string => {
  if (!Number.isSafeInteger(id) || id < 1) throw new RangeError(`no id: ${id}`);
  return String(id);
};

const linkBody = (ids: LinkIds): LinkIds => {
  const lists = Object.entries(ids).filter(([, list]) => (list as readonly number[] | undefined) !== undefined);
  if (lists.length === 0) throw new RangeError('no kind of link');
  for (const id of lists.flatMap(([, list]) => list)) idIn(id);
  return Object.fromEntries(lists);
};

/** Custom fields stand beside the others; only they are called `cf_…`. */
const flat = ({ custom_fields: custom = {}, ...fields }: Parameters<Crm['create']>[0]): { readonly [key: string]: unknown } => ({
  ...Object.fromEntries(Object.entries(custom).filter(([name]) => name.startsWith('cf_'))),
  ...fields,
});

const count = (name: string, value: number | undefined, max = Number.MAX_SAFE_INTEGER): QueryTree => {
  if (value === undefined) return {};
  if (!Number.isSafeInteger(value) || value < 1 || value > max) throw new RangeError(`${name} out of range: ${value}`);
  return { [name]: String(value) };
};

const order = (by: ListParams['order']): QueryTree => (by === undefined ? {} : { order: [by.field, by.direction ?? []].flat().join('|') });

const searchQuery = ({ q, searchFields, searchMatch }: SearchParams): QueryTree => ({
  ...(q !== undefined && { q }),
  ...(searchFields && { search_fields: searchFields.map(({ field, operator }) => [field, operator ?? []].flat().join(':')).join(';') }),
  ...(searchMatch && { search_match: searchMatch }),
});

const findQuery = (params: FindParams): QueryTree => ({
  ...searchQuery(params),
  ...count('take', params.take),
  ...order(params.order),
  ...(params.select && { select: params.select.join(';') }),
});

const listQuery = (params: ListParams): QueryTree => ({
  ...searchQuery(params),
  ...count('per_page', params.perPage, 100),
  ...count('page', params.page),
  ...order(params.order),
  ...(params.select && { select: params.select.join(';') }),
  ...(params.with && { with: params.with.join(';') }),
  ...(params.updatedSince && { filters: changedSince(params.updatedSince) }),
});

const changedSince = (since: Date): QueryTree => {
  const query = { rule: 'updated_at', operator: 'greater_or_equal', value: `${since.toISOString().slice(0, 19)}Z` };
  return { condition: 'and', children: { 0: { type: 'rule', query } } };
};

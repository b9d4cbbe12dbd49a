/** What is written down during a run, and what is read at its end, for the judge. */
import type { Pool } from '../../src/postgres/pool.ts';
import { readSnapshot } from '../../src/postgres/snapshot.ts';
import { differences } from '../../src/sandbox/compare.ts';
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { Reign } from './leadership.ts';
import type { Ending } from './judge.ts';
import type { Souls } from './souls.ts';
import type { Progress } from './verdict.ts';

export interface Records {
  readonly sentAtMs: (value: string) => number | null;
  readonly callsMs: (crmId: number, calls: readonly CallName[]) => readonly number[];
  /** Times of this process's clock on the account's. */
  readonly toAccountMs: (reigns: readonly Reign[]) => readonly number[];
}

const texts = (value: unknown): readonly string[] => {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(texts);
};

/** Faults behind which the CRM had done what was asked. */
const PROCESSED = new Set(['reset-after', '500-after', 'hang-after', 'truncated']);

/** Every value that arrived in the CRM, and when each contact was written. */
export const keepRecords = (account: SandboxAccount): Records => {
  const sent = new Map<string, number>();
  const calls: { readonly id: number; readonly call: CallName; readonly atMs: number }[] = [];
  account.calls.onCall(({ call, method, id, body, status, fault }) => {
    const isDone = fault === null ? status !== null && status < 300 : PROCESSED.has(fault);
    if (method === 'GET' || !isDone) return;
    const atMs = performance.now();
    if (id !== null) calls.push({ id, call, atMs });
    for (const text of texts(body)) sent.set(text, atMs);
  });
  const offsetMs = account.now().getTime() - performance.now();
  return {
    sentAtMs: (value) => sent.get(value) ?? null,
    callsMs: (crmId, names) => calls.flatMap(({ id, call, atMs }) => (id === crmId && names.includes(call) ? [atMs] : [])),
    toAccountMs: (reigns) => reigns.map(({ notBeforeMs }) => notBeforeMs + offsetMs),
  };
};

const LOOK_EVERY_MS = 500;

export interface Pairs {
  once(): Promise<void>;
  stop(): Promise<void>;
}

/** Keeps the people's knowledge of who is who on the other side. */
export const followPairs = (pool: Pool, souls: Souls): Pairs => {
  const stopping = new AbortController();
  const once = async (): Promise<void> => {
    const { rows } = await pool.query<{ id: number; crm_id: number | null }>('select id, crm_id from crm.contacts');
    const byCrmId = new Map(rows.map(({ id, crm_id: crmId }) => [crmId, id]));
    const byId = new Map(rows.map(({ id, crm_id: crmId }) => [id, crmId]));
    for (const soul of souls.all) {
      // What was once paired stays so: another id later on would be a mistake, and is for the judge to see.
      if (soul.rowId === null && soul.crmId !== null) soul.rowId = byCrmId.get(soul.crmId) ?? null;
      if (soul.crmId === null && soul.rowId !== null) soul.crmId = byId.get(soul.rowId) ?? null;
    }
  };
  const done = (async () => {
    while (!stopping.signal.aborted) {
      await once().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  })();
  return {
    once,
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
};

const STATUS = `
select first_sweep_done, queue_depth::int, parked::int, held::int, unknown::int, open_conflicts::int,
  (select count(*) from sync.marks)::int as marks
from sync.status`;

const whatIsLeft = async (pool: Pool, account: SandboxAccount): Promise<readonly string[]> => {
  const [status] = (await pool.query<Record<string, unknown>>(STATUS)).rows;
  const { first_sweep_done: loaded, ...open } = status ?? {};
  if (loaded !== true) return ['no complete sweep yet'];
  const lines = Object.entries(open).flatMap(([name, count]) => (count === 0 ? [] : [`${name} ${String(count)}`]));
  return [...lines, ...differences(await readSnapshot(pool), account.contacts())];
};

/** Waits until nothing is under way, nothing waits for a person, and both sides are equal. */
export const inStep = async (pool: Pool, account: SandboxAccount, msMax: number, told: Progress = () => undefined): Promise<void> => {
  const deadlineMs = performance.now() + msMax;
  let left: readonly string[] = ['never looked'];
  while (performance.now() < deadlineMs) {
    left = await whatIsLeft(pool, account).catch((error: unknown) => [String(error)]);
    if (left.length === 0) return;
    told(`not equal yet: ${left.slice(0, 3).join('; ')}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not in step after ${msMax} ms: ${left.slice(0, 8).join('; ')}`);
};

export const readEnding = async (pool: Pool, account: SandboxAccount, souls: Souls, records: Records): Promise<Ending> => {
  const conflicts = await pool.query<{ contactId: number; field: string; text: string }>(
    `select contact_id as "contactId", field, concat_ws(' ', base::text, local::text, remote::text) as text from sync.conflicts`,
  );
  const replaced = await pool.query<{ id: number; text: string }>(
    `select contact_id as id, string_agg(old_values::text, ' ') as text from sync.change_log where old_values is not null group by contact_id`,
  );
  return {
    souls: souls.all,
    rows: await readSnapshot(pool),
    contacts: account.contacts(),
    trashed: account.trashed(),
    conflicts: conflicts.rows,
    replaced: new Map(replaced.rows.map(({ id, text }) => [id, text])),
    sentAtMs: records.sentAtMs,
    callsMs: records.callsMs,
  };
};

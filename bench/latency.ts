/**
 * From a user's COMMIT to the arrival of the PUT at the CRM, with nothing else going on. The writer, the daemon and the CRM are three
 * processes. Beside it what Postgres alone takes, from the COMMIT to the notification's arrival in the daemon's process: once with a row
 * written, as an edit does, and once bare, which costs no fsync.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { createPushMemory } from '../src/sync/push.ts';
import { syncOnce } from '../src/sync/rounds.ts';
import type { Bench } from './bench.ts';
import type { Child } from './child.ts';
import type { BenchDatabase } from './database.ts';
import { type Figure, quantile } from './figures.ts';
import { openApp, withLeader } from './mirror.ts';
import { type BenchSandbox, startSandboxProcess } from './sandbox.ts';
import { startWriter, type WriterCalls } from './writer.ts';

/** Under `mirror` an edit cannot lose and goes at once; `newest` looks at the CRM first, if the last look is older than a second. */
const POLICIES = ['mirror', 'newest'] as const;
const CHANNEL = 'relate_mirror_bench';
const WARM_UP = 3;
const ARRIVAL_MS_MAX = 10_000;
const EDIT = 'update crm.contacts set job_title = $2 where crm_id = $1';

interface Stage {
  readonly sandbox: BenchSandbox;
  readonly database: BenchDatabase;
  readonly writer: Child<WriterCalls>;
  readonly listener: pg.Client;
  readonly idleMs: number;
}

const toMs = (from: bigint, to: bigint): number => Number(to - from) / 1e6;

const inTime = async <T>(what: string, arrival: Promise<T>): Promise<T> => {
  const over = new AbortController();
  const late = pause(ARRIVAL_MS_MAX, null, { signal: over.signal }).then(() => {
    throw new Error(`${what} did not arrive within ${ARRIVAL_MS_MAX} ms.`);
  });
  try {
    return await Promise.race([arrival, late]);
  } finally {
    over.abort();
    late.catch(() => undefined);
  }
};

const NOTE_TABLE = 'create table public.bench_notes (id int primary key, text text)';
const NOTE = `with written as (insert into public.bench_notes values ($1, $2)) select pg_notify('${CHANNEL}', '')`;
const BARE = `select pg_notify('${CHANNEL}', '')`;

const notifyMs = async ({ writer, listener }: Stage, sql: string, values: readonly unknown[]): Promise<number> => {
  const arrival = once(listener, 'notification').then(() => process.hrtime.bigint());
  const { sentAt } = await writer.call('commit', { sql, values });
  return toMs(sentAt, await inTime('The notification', arrival));
};

interface Sample {
  readonly commitToPutMs: number;
  /** From handing the COMMIT over until it is durable: part of both what is ours and the limit. */
  readonly commitMs: number;
  readonly noteMs: number;
  readonly bareMs: number;
}

const sample = async (stage: Stage, crmId: number, text: string): Promise<Sample> => {
  // Half of the rest before and half after, so that edit and notifications meet the same machine.
  await pause(stage.idleMs / 2);
  const noteMs = await notifyMs(stage, NOTE, [crmId, text]);
  const bareMs = await notifyMs(stage, BARE, []);
  await pause(stage.idleMs / 2);
  const { sentAt, doneAt } = await stage.writer.call('commit', { sql: EDIT, values: [crmId, text] });
  const arrivedAt = await inTime('The PUT', stage.sandbox.call('arrival', { crmId }));
  return { commitToPutMs: toMs(sentAt, arrivedAt), commitMs: toMs(sentAt, doneAt), noteMs, bareMs };
};

const figuresOf = (policy: string, samples: readonly Sample[], listCalls: number): readonly Figure[] => {
  const at = (share: number, what: keyof Sample): number =>
    quantile(
      samples.map((sample) => sample[what]),
      share,
    );
  const figure = (share: number, name: string, beside: 'noteMs' | 'bareMs'): Figure => ({
    name: `commit → PUT, ${policy}, ${name}`,
    unit: 'ms',
    ours: at(share, 'commitToPutMs'),
    than: { name: `${beside === 'noteMs' ? 'one row and NOTIFY' : 'bare NOTIFY'}, commit → heard, ${name}`, value: at(share, beside) },
  });
  return [
    figure(0.5, 'p50', 'noteMs'),
    figure(0.5, 'p50', 'bareMs'),
    figure(0.99, 'p99', 'noteMs'),
    { name: `  of it the COMMIT, ${policy}, p50`, unit: 'ms', ours: at(0.5, 'commitMs') },
    {
      name: `  list calls an edit, ${policy}`,
      unit: 'calls',
      ours: listCalls / samples.length,
      target: { of: 'ours', max: policy === 'mirror' ? 0 : 1 },
    },
  ];
};

const underPolicy = async (stage: Stage, policy: (typeof POLICIES)[number], crmIds: readonly number[]): Promise<readonly Figure[]> => {
  const app = openApp(stage.sandbox, stage.database, { CONFLICT_POLICY: policy });
  try {
    await app.daemon.start();
    const samples: Sample[] = [];
    for (const [index, crmId] of crmIds.entries()) {
      if (index === WARM_UP) await stage.sandbox.call('takeCalls', null);
      const taken = await sample(stage, crmId, `Edited under ${policy}`);
      if (index >= WARM_UP) samples.push(taken);
    }
    const { list = 0 } = await stage.sandbox.call('takeCalls', null);
    return figuresOf(policy, samples, list);
  } finally {
    await app.close();
  }
};

export const latency: Bench = async ({ server, budget, say }) => {
  const perPolicy = budget.edits + WARM_UP;
  await using sandbox = await startSandboxProcess(POLICIES.length * perPolicy);
  const database = await server.createDatabase();
  // Everything that a first start has to do, activities included, so that the daemon has nothing but the edits.
  await withLeader(sandbox, database, async (deps) => {
    const failure = await syncOnce(deps, createPushMemory());
    if (failure !== null) throw new Error(`The account could not be mirrored: ${failure.code}`);
  });
  const ids = (await database.query<{ crm_id: string }>('select crm_id from crm.contacts order by id')).map((row) => Number(row.crm_id));
  await database.query(NOTE_TABLE);
  await using writer = await startWriter(database.url);
  const listener = new pg.Client({ connectionString: database.url });
  await listener.connect();
  await listener.query(`listen ${CHANNEL}`);
  try {
    const figures: Figure[] = [];
    for (const [index, policy] of POLICIES.entries()) {
      say(`latency: ${budget.edits} edits under ${policy}, one after the other`);
      const stage = { sandbox, database, writer, listener, idleMs: budget.idleMs };
      figures.push(...(await underPolicy(stage, policy, ids.slice(index * perPolicy, (index + 1) * perPolicy))));
    }
    return figures;
  } finally {
    await listener.end();
  }
};

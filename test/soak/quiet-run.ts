/**
 * Both sides filled and in step, and nobody edits: the daemons must look and write nothing. Not to the CRM, not into `crm` and `sync`, and
 * next to nothing into the write-ahead log. What the lease costs is counted apart, since somebody has to be known to lead.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import { startSandbox } from '../../src/sandbox/crm/server.ts';
import { buildProgram } from '../e2e/built-program.ts';
import type { Child } from '../e2e/child.ts';
import { startDaemon } from './daemon.ts';
import { startOwnPostgres } from './own-postgres.ts';
import { inStep } from './records.ts';
import type { Progress, Verdict } from './verdict.ts';

export interface QuietRunOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly progress: Progress;
  /** `default`: the schedule as a user has it. `busy`: a pull each second. At least one sweep lies in either. */
  readonly schedule: 'default' | 'busy';
}

const CONTACTS = 1_000;
const TOKEN = 'soak-token';
const RATE_PER_MINUTE = 6_000;
const LOAD_MS_MAX = 120_000;
/** What the first load left to do (activities, capabilities) is over by then. */
const SETTLE_MS = 3_000;
/** Of the whole run, how much is spent on measuring the lease alone. */
const LEASE_SHARE = 0.15;
const WRITES = ['create', 'update', 'delete', 'attach', 'detach', 'sync', 'restore', 'purge', 'emptyTrash'] as const;

/** Nothing of the server's own in the figures: no autovacuum, and no checkpoint that makes each page be logged whole again. */
const SETTINGS = { autovacuum: 'off', checkpoint_timeout: '1d', max_wal_size: '4GB', track_counts: 'on' };

const WAL = `select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as bytes`;
const TUPLES = `
select schemaname || '.' || relname as name, (n_tup_ins + n_tup_upd + n_tup_del)::int as tuples
from pg_stat_user_tables where schemaname in ('crm', 'sync', 'bi')`;

/** What comes behind the first load: columns of the custom fields, their changes told and values counted, and the phones' international forms. */
const UPKEEP_LEFT = `
select sync.is_bi_due() or sync.is_count_due() or exists (select from sync.custom_field_changes where not told)
  or (select count(*) from bi.contact_phones) > (select count(*) from sync.phone_forms) as left`;

type Tuples = ReadonlyMap<string, number>;

const walBytes = async (pool: Pool): Promise<number> => (await pool.query<{ bytes: number }>(WAL)).rows[0]?.bytes ?? 0;
const tuplesWritten = async (pool: Pool): Promise<Tuples> =>
  new Map((await pool.query<{ name: string; tuples: number }>(TUPLES)).rows.map((row) => [row.name, row.tuples]));
const upkeepDone = async (pool: Pool): Promise<void> => {
  for (const startedMs = performance.now(); performance.now() - startedMs < LOAD_MS_MAX; await pause(200))
    if ((await pool.query<{ left: boolean }>(UPKEEP_LEFT)).rows[0]?.left === false) return;
  throw new Error(`the upkeep behind the first load is not done after ${LOAD_MS_MAX} ms`);
};
const growth = (before: Tuples, after: Tuples): Tuples =>
  new Map([...after].map(([name, tuples]) => [name, tuples - (before.get(name) ?? 0)] as const).filter(([, tuples]) => tuples > 0));

const LEASE = 'sync.leader';

export const runQuiet = async ({ minutes, seed, progress, schedule }: QuietRunOptions): Promise<Verdict> => {
  const startedMs = performance.now();
  const durationMs = minutes * 60_000 * (1 - LEASE_SHARE);
  const violations: string[] = [];
  const program = await buildProgram();
  const account = createSandboxAccount();
  account.seed({ contacts: CONTACTS, seed });
  const sandbox = await startSandbox({ account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE });
  const postgres = await startOwnPostgres({ settings: SETTINGS });
  const pool = createPool({ connectionString: postgres.url, max: 2, applicationName: 'soak' });
  const everySecond = schedule === 'busy' ? { PULL_CRON: '* * * * * *' } : {};
  const env = { CRM_TOKEN: TOKEN, CRM_URL: sandbox.url, DATABASE_URL: postgres.url, HTTP_PORT: '0', ...everySecond };
  const start = (): Child => startDaemon(program, env);
  const end = async (daemons: readonly Child[]): Promise<void> => {
    for (const daemon of daemons) daemon.kill('SIGTERM');
    await Promise.all(daemons.map(({ ended }) => ended));
  };
  progress('first load');
  const loader = start();
  await inStep(pool, account, LOAD_MS_MAX);
  await upkeepDone(pool);
  // A session hands in its counts when it ends, at the latest: so each look at them is taken when all have ended.
  await end([loader]);
  await pool.query('vacuum analyze');
  await pool.query('checkpoint');
  const before = await tuplesWritten(pool);
  const [writesBefore, callsBefore] = [account.calls.count(...WRITES), account.calls.count()];
  const daemons = [start(), start()];
  await pause(SETTLE_MS);

  progress('quiet');
  const [walFrom, fromMs] = [await walBytes(pool), performance.now()];
  await pause(durationMs / 2);
  // One sweep in it, asked for as a person would; the schedule's own comes at night.
  const { rows } = await pool.query<{ id: number }>('select sync.request_resync()::int as id');
  await pause(durationMs / 2);
  const run = await pool.query<{ complete: boolean | null }>('select complete from sync.runs where id = $1', [rows[0]?.id]);
  const [wal, seconds] = [(await walBytes(pool)) - walFrom, (performance.now() - fromMs) / 1_000];
  const [writes, calls] = [account.calls.count(...WRITES) - writesBefore, account.calls.count() - callsBefore];
  if (run.rows[0]?.complete !== true) violations.push('the sweep that was asked for is not complete');

  progress('the lease alone');
  await sandbox.close();
  // Without a CRM there is nothing to do but lead.
  await pause(SETTLE_MS);
  const [leaseFrom, leaseFromMs] = [await walBytes(pool), performance.now()];
  await pause(minutes * 60_000 * LEASE_SHARE);
  const leasePerSecond = ((await walBytes(pool)) - leaseFrom) / ((performance.now() - leaseFromMs) / 1_000);
  await end(daemons);

  const written = growth(before, await tuplesWritten(pool));
  const content = [...written].filter(([name]) => name !== LEASE && !OWN_BOOKS.has(name));
  for (const [name, tuples] of content) violations.push(`${tuples} tuples written in ${name}`);
  if (writes > 0) violations.push(`${writes} write calls`);
  const books = [...written].filter(([name]) => OWN_BOOKS.has(name)).map(([name, tuples]) => `${name} ${tuples}`);
  const figures = {
    seconds: Math.round(seconds),
    calls,
    'write calls': writes,
    'tuples in crm and sync': content.reduce((sum, [, tuples]) => sum + tuples, 0),
    'tuples of bookkeeping': books.join(', '),
    renewals: written.get(LEASE) ?? 0,
    'WAL bytes': wal,
    'of the lease, bytes/s': Math.round(leasePerSecond),
    'WAL bytes without the lease': Math.round(wal - leasePerSecond * seconds),
  };
  await pool.end();
  await postgres.remove();
  return { name: `quiet, ${schedule} schedule`, seed, runs: 1, ms: performance.now() - startedMs, figures, violations };
};

/** Where a run itself is written down: that there was a sweep, how far it came, which ids it saw, what it counted; and how many calls were made. */
const OWN_BOOKS = new Set(['sync.runs', 'sync.calls', 'sync.sweep_seen', 'sync.account', 'sync.capabilities', 'sync.bi_refresh']);

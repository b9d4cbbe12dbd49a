/** A whole mirror for tests: real Postgres, the sandbox CRM over HTTP, and the deps of one term of leadership; no schedule and no daemon. */
import { createCrm } from '../../src/crm/contacts.ts';
import { createPacing } from '../../src/crm/pacing.ts';
import { probeCapabilities } from '../../src/crm/probe.ts';
import type { Log } from '../../src/ports/ambient.ts';
import { NO_TELEMETRY } from '../../src/ports/telemetry.ts';
import { createMirror } from '../../src/postgres/mirror.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { readSnapshot } from '../../src/postgres/snapshot.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { differences } from '../../src/sandbox/compare.ts';
import { createSandboxAccount, type SandboxAccountOptions } from '../../src/sandbox/crm/account.ts';
import type { SeedOptions } from '../../src/sandbox/crm/seed.ts';
import { startSandbox, type SandboxOptions } from '../../src/sandbox/crm/server.ts';
import type { LinkKind } from '../../src/domain/contact.ts';
import type { SyncDeps, SyncSettings } from '../../src/sync/deps.ts';
import { createPushMemory, type PushMemory } from '../../src/sync/push.ts';
import { createCapabilityStore, probeOnce, syncOnce } from '../../src/sync/rounds.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** High enough never to be in a test's way, and told in the headers. */
const RATE = 1_000_000;

const SETTINGS: SyncSettings = {
  conflictPolicy: 'newest',
  writeMode: 'merged',
  backoff: { minMs: 20, maxMs: 200 },
  brake: { rows: 25, share: 0.1, max: 1000 },
  createRecheckMs: 100,
  createGraceMs: 1000,
  externalIdField: null,
  changeLogDays: 90,
  overlapMs: 120_000,
  freshMs: 0,
  pushConcurrency: 4,
};

const POOL_MAX = 12;
const TUPLES = `
  select schemaname || '.' || relname as name, n_tup_ins + n_tup_upd + n_tup_del as tuples
  from pg_stat_user_tables where schemaname in ('crm', 'sync') and relname <> 'leader' order by 1`;

export interface HarnessOptions extends Partial<Pick<SandboxOptions, 'mode' | 'ratePerMinute' | 'latencyMs'>> {
  readonly seed?: SeedOptions;
  readonly account?: SandboxAccountOptions;
  readonly settings?: Partial<SyncSettings>;
  readonly timeoutMs?: number;
  /** CRM_RATE_SHARE */
  readonly share?: number;
  /** Migrated; default: one of its own on the tests' server. */
  readonly database?: Pick<TestDatabase, 'url' | 'drop'>;
}

export const openHarness = async (options: HarnessOptions = {}) => {
  const account = createSandboxAccount(options.account);
  if (options.seed !== undefined) account.seed(options.seed);
  const token = 'test-token';
  const { mode = 'upstream', ratePerMinute = RATE, latencyMs = 0 } = options;
  const sandbox = await startSandbox({ account, token, ratePerMinute, mode, latencyMs });
  const database = options.database ?? (await createTestDatabase());
  const pool = createPool({ connectionString: database.url, max: POOL_MAX, applicationName: 'relate-mirror test' });
  await pool.query(`update sync.leader set holder = 'test', epoch = 1, expires_at = 'infinity'`);
  const pacing = createPacing({ clock: systemClock, share: options.share ?? 1 });
  const crm = createCrm({ url: sandbox.url, token, timeoutMs: options.timeoutMs ?? 1000, pacing });
  const mirror = createMirror({ pool, lease: { epoch: () => 1 }, log: silent });
  const store = createCapabilityStore(mirror);
  const term = new AbortController();
  const deps: SyncDeps = {
    crm,
    mirror,
    clock: systemClock,
    random: () => 0.5,
    log: silent,
    telemetry: NO_TELEMETRY,
    settings: { ...SETTINGS, ...options.settings },
    capabilities: store,
    maySend: () => true,
    signal: term.signal,
    giveUp: term.signal,
  };
  const memory: PushMemory = createPushMemory();
  const sql = async (text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> =>
    (await pool.query<Record<string, unknown>>(text, [...values])).rows;
  return {
    account,
    sandbox,
    pool,
    sql,
    deps,
    mirror,
    crm,
    store,
    memory,
    url: database.url,
    probe: async () => await probeOnce(deps, store, probeCapabilities),
    sync: async () => await syncOnce(deps, memory),
    /** Syncs until nothing waits any more, or fails after so many rounds: what a daemon does over time. */
    settle: async (rounds = 60): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        const failed = await syncOnce(deps, memory);
        const due = await mirror.nextDueMs({ creates: true, ordered: deps.settings.writeMode === 'ordered' });
        const marks = await mirror.countMarks(['deferred', 'links', 'activities']);
        if (failed === null && due === null && marks === 0 && memory.orphans.size === 0) return;
        // What could not be read waits up to a minute: longer than a test wants to.
        if (marks > 0) await sql('update sync.marks set next_attempt_at = clock_timestamp() where attempts > 2');
        await systemClock.sleep(Math.min(due ?? 20, 200));
      }
      throw new Error(`not settled: ${JSON.stringify(await sql('select * from sync.queue'))}`);
    },
    /**
     * Tuples written so far, by table. Each connection keeps its counts for itself for a while: every one is told to hand them in first.
     */
    tuples: async (): Promise<ReadonlyMap<string, number>> => {
      await Promise.all(Array.from({ length: POOL_MAX }, () => sql('select pg_stat_force_next_flush(), pg_sleep(0.05)')));
      await Promise.all(Array.from({ length: POOL_MAX }, () => sql('select pg_sleep(0.01)')));
      return new Map((await sql(TUPLES)).map((row) => [String(row['name']), Number(row['tuples'])]));
    },
    /** What differs between the two sides, named. */
    differences: async (kinds?: readonly LinkKind[]) => differences(await readSnapshot(pool), account.contacts(), kinds),
    close: async (): Promise<void> => {
      term.abort();
      crm.close();
      await sandbox.close();
      await pool.end();
      await database.drop();
    },
  };
};
export type Harness = Awaited<ReturnType<typeof openHarness>>;

/**
 * What an operator has before him: the built daemon, its PostgreSQL, the CRM, people who go on editing on both sides, and a real Prometheus
 * with the rules of deploy/monitoring that scrapes the daemon each second.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { createSandboxAccount, type SandboxAccount } from '../../src/sandbox/crm/account.ts';
import { startSandbox, type SandboxServer } from '../../src/sandbox/crm/server.ts';
import { freePort } from '../../src/sandbox/postgres/server.ts';
import { buildProgram, type BuiltProgram } from '../e2e/built-program.ts';
import { startChild, type Child, type Ended } from '../e2e/child.ts';
import { MONITORING } from '../monitoring/files.ts';
import { startPrometheus, type Prometheus } from '../monitoring/prometheus.ts';
import { shortenRules } from '../monitoring/shorten.ts';
import { startDaemon } from '../soak/daemon.ts';
import { judge } from '../soak/judge.ts';
import { startLocalPeople } from '../soak/local-people.ts';
import { startOwnPostgres, type OwnPostgres, type OwnPostgresOptions } from '../soak/own-postgres.ts';
import { followPairs, inStep, keepRecords, readEnding, type Pairs, type Records } from '../soak/records.ts';
import { startRemotePeople } from '../soak/remote-people.ts';
import { Souls } from '../soak/souls.ts';
import { Tally, type Progress } from '../soak/verdict.ts';

/** How long things take. Small: minutes are seconds, in the daemon's settings and in the rules alike. */
export interface Pace {
  readonly small: boolean;
  readonly seed: number;
  readonly progress: Progress;
}

const CONTACTS = 200;
const TOKEN = 'drill-token';
const RATE_PER_MINUTE = 3_000;
const SHORTENED = 60;
/** In full the links are read by the minute. */
const FIRST_LOAD_MS_MAX = { small: 90_000, full: 300_000 } as const;
/** In full an edit that failed often waits for its next try as long as RETRY_MAX_MS says by default. */
const RECOVERY_MS_MAX = { small: 120_000, full: 420_000 } as const;
const RESOLVE_MS_MAX = 60_000;
const CLOSE_MS_MAX = 15_000;
const LOOK_EVERY_MS = 200;

/** What people would wait for, in a small drill. */
const SMALL = {
  RETRY_MAX_MS: '1000',
  PULL_CRON: '* * * * * *',
  SWEEP_CRON: '*/15 * * * * *',
  PUSH_POLL_MS: '1000',
  CREATE_RECHECK_MS: '500',
} as const;
/** As a user has it, but for a sweep that a drill can wait for. */
const FULL = { SWEEP_CRON: '30 * * * * *' } as const;
const COMMON = { CRM_TOKEN: TOKEN, CRM_TIMEOUT_MS: '2000', RETRY_MIN_MS: '100', LOG_LEVEL: 'info' } as const;
/** People delete now and then; the brake has a drill of its own. */
const BRAKE_ASIDE = { BRAKE_ROWS: '100000', BRAKE_MAX: '100000' } as const;

export type Readiness = { readonly status: number; readonly body: string };

export interface DrillWorld {
  readonly pace: Pace;
  readonly account: SandboxAccount;
  readonly postgres: OwnPostgres;
  readonly pool: Pool;
  readonly prometheus: Prometheus;
  readonly tally: Tally;
  readonly souls: Souls;
  readonly env: NodeJS.ProcessEnv;
  sandbox(): SandboxServer;
  /** The CRM is gone: connections are refused. */
  closeCrm(): Promise<void>;
  openCrm(): Promise<void>;
  daemon(): Child;
  /** A new process, with what is different in its environment from now on. */
  startDaemon(env?: NodeJS.ProcessEnv): void;
  stopDaemon(): Promise<Ended>;
  /** A command of the program beside the daemon. */
  run(args: readonly string[]): Promise<Ended>;
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  /** What Prometheus reads of the daemon. */
  metrics(): Promise<string>;
  /** /readyz as it answers now; status 0 where nobody answers. */
  ready(): Promise<Readiness>;
  /** Edits on both sides begin; deletes among them. */
  people(): void;
  /** They end, and everything that they did is known. */
  quiet(): Promise<void>;
  /** Waits for these alerts; answers after how many seconds the last of them fired. */
  fired(alerts: readonly string[], msMax: number): Promise<number>;
  /** Waits until any of these fires, and answers which. */
  firedAny(alerts: readonly string[], msMax: number): Promise<string>;
  /** In step again, each edit kept, and no alert fires any more. Answers seconds until in step, and what was broken. */
  recovered(): Promise<{ readonly seconds: number; readonly violations: readonly string[] }>;
  close(): Promise<void>;
}

export interface DrillOptions {
  readonly postgres?: OwnPostgresOptions;
  readonly env?: NodeJS.ProcessEnv;
  readonly contacts?: number;
  /** Default: those of deploy/monitoring, at the drill's pace. */
  readonly rules?: string;
}

/** Looks until there is something to see. @throws Error that says what was waited for, and what was seen last */
export const until = async <T>(what: string, look: () => T | Promise<T>, msMax: number): Promise<NonNullable<T>> => {
  const startedMs = performance.now();
  let last = '';
  for (;;) {
    try {
      const seen = await look();
      if (seen !== null && seen !== undefined && seen !== false) return seen;
    } catch (error) {
      last = ` (${error instanceof Error ? error.message : 'unknown error'})`;
    }
    if (performance.now() - startedMs > msMax) throw new Error(`${what}: not after ${msMax} ms${last}`);
    await pause(LOOK_EVERY_MS);
  }
};

const halves = (account: SandboxAccount, kind: 'companies' | 'deals', rest: 0 | 1): readonly number[] =>
  account.records(kind).flatMap(({ id }) => (id % 2 === rest ? [id] : []));

const rulesFor = ({ small }: Pace): string => {
  const rules = readFileSync(path.join(MONITORING, 'alerts.yml'), 'utf8');
  return small ? shortenRules(rules, SHORTENED) : rules;
};

/** No alert fires. @throws Error that names those that still do */
const silent = async (prometheus: Prometheus): Promise<void> => {
  const noneFires = async (): Promise<boolean> => {
    const firing = await prometheus.firing();
    if (firing.length > 0) throw new Error(`${firing.join(', ')} still fires`);
    return true;
  };
  await until('no alert fires any more', noneFires, RESOLVE_MS_MAX);
};

interface Running {
  program: BuiltProgram;
  child: Child | null;
  sandbox: SandboxServer;
  env: NodeJS.ProcessEnv;
  people: readonly { stop(): Promise<void> }[];
}

export const openDrillWorld = async (pace: Pace, options: DrillOptions = {}): Promise<DrillWorld> => {
  const { seed } = pace;
  const account = createSandboxAccount();
  account.seed({ contacts: options.contacts ?? CONTACTS, seed });
  const records: Records = keepRecords(account);
  const crm = { account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE };
  const sandbox = await startSandbox(crm);
  const crmPort = Number(new URL(sandbox.url).port);
  const postgres = await startOwnPostgres(options.postgres);
  const pool = createPool({ connectionString: postgres.url, max: 3, applicationName: 'drill', lockTimeoutMs: 10_000 });
  const httpPort = await freePort();
  const env = {
    ...COMMON,
    ...(pace.small ? SMALL : FULL),
    ...BRAKE_ASIDE,
    ...options.env,
    HTTP_PORT: String(httpPort),
    CRM_URL: sandbox.url,
    DATABASE_URL: postgres.url,
  };
  const running: Running = { program: await buildProgram(), child: null, sandbox, env, people: [] };
  const [tally, souls] = [new Tally(), new Souls()];
  const failures: string[] = [];
  const prometheus = await startPrometheus({
    targets: [`127.0.0.1:${httpPort}`],
    rules: options.rules ?? rulesFor(pace),
    intervalSeconds: 1,
  });
  const pairs: Pairs = followPairs(pool, souls);

  const world: DrillWorld = {
    pace,
    account,
    postgres,
    pool,
    prometheus,
    tally,
    souls,
    env,
    sandbox: () => running.sandbox,
    closeCrm: async () => await running.sandbox.close(),
    openCrm: async () => void (running.sandbox = await startSandbox({ ...crm, port: crmPort })),
    daemon: () => running.child ?? startMissing(),
    startDaemon: (more = {}) => {
      Object.assign(running.env, more);
      running.child = startDaemon(running.program, running.env);
    },
    stopDaemon: async () => {
      const { child } = running;
      if (child === null) throw new Error('no daemon runs');
      child.kill('SIGTERM');
      const ended = await child.ended;
      if (ended.code !== 0) failures.push(`the daemon ended with ${ended.code}: ${ended.stderr.slice(-500)}`);
      running.child = null;
      return ended;
    },
    run: async (args) => await startChild(running.program, args, { PATH: process.env['PATH'], ...running.env }).ended,
    sql: async (text, values = []) => (await pool.query<Record<string, unknown>>(text, [...values])).rows,
    metrics: async () => await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text(),
    ready: async () =>
      await fetch(`http://127.0.0.1:${httpPort}/readyz`).then(
        async (answer) => ({ status: answer.status, body: await answer.text() }),
        () => ({ status: 0, body: '' }),
      ),
    people: () => {
      const common = {
        seed: seed + tally.get('shifts of people'),
        souls,
        tally,
        deletesMax: tally.get('local deletes') + 4,
        failed: (what: string) => void failures.push(what),
      };
      tally.add('shifts of people');
      const local = startLocalPeople({
        ...common,
        url: postgres.url,
        companies: halves(account, 'companies', 0),
        deals: halves(account, 'deals', 0),
      });
      const remote = startRemotePeople({
        ...common,
        account,
        companies: halves(account, 'companies', 1),
        deals: halves(account, 'deals', 1),
      });
      running.people = [local, remote];
    },
    quiet: async () => {
      await Promise.all(running.people.map((people) => people.stop()));
      running.people = [];
    },
    fired: async (alerts, msMax) => {
      const startedMs = performance.now();
      for (const alert of alerts) await until(`alert ${alert}`, async () => (await prometheus.firing()).includes(alert), msMax);
      return (performance.now() - startedMs) / 1_000;
    },
    firedAny: async (alerts, msMax) =>
      await until(`alert ${alerts.join(' or ')}`, async () => (await prometheus.firing()).find((alert) => alerts.includes(alert)), msMax),
    recovered: async () => {
      await world.quiet();
      const startedMs = performance.now();
      await inStep(pool, account, RECOVERY_MS_MAX[pace.small ? 'small' : 'full'], pace.progress);
      const seconds = (performance.now() - startedMs) / 1_000;
      await pairs.once();
      const { violations } = judge(await readEnding(pool, account, souls, records));
      await silent(prometheus);
      return { seconds, violations: [...violations, ...failures.splice(0)] };
    },
    close: async () => {
      // Where the database never came back, they wait for it for ever.
      await Promise.race([world.quiet(), pause(CLOSE_MS_MAX, undefined, { ref: false })]);
      await pairs.stop();
      if (running.child !== null) running.child.kill('SIGKILL');
      await running.child?.ended;
      await prometheus.stop();
      await pool.end();
      await running.sandbox.close();
      await postgres.remove();
    },
  };
  const startMissing = (): never => {
    throw new Error('no daemon runs');
  };
  try {
    world.startDaemon();
    await inStep(pool, account, FIRST_LOAD_MS_MAX[pace.small ? 'small' : 'full'], pace.progress);
    for (const { id } of account.contacts()) souls.add({ tag: null, origin: 'seed', doomed: false, crmId: id, rowId: null });
    await pairs.once();
    return world;
  } catch (error) {
    await world.close();
    throw error;
  }
};

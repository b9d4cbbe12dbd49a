/** Everything around the built program: a CRM in this process, a database of its own, and the program's children, all gone after the test. */
import pg from 'pg';
import { createPool } from '../../src/postgres/pool.ts';
import { readSnapshot } from '../../src/postgres/snapshot.ts';
import { differences } from '../../src/sandbox/compare.ts';
import { createSandboxAccount, type SandboxAccount, type SandboxAccountOptions } from '../../src/sandbox/crm/account.ts';
import type { SeedOptions } from '../../src/sandbox/crm/seed.ts';
import { startSandbox, type SandboxServer } from '../../src/sandbox/crm/server.ts';
import { createTestDatabase } from '../database.ts';
import { buildProgram } from './built-program.ts';
import { startChild, type Child, type Ended } from './child.ts';

/** A token that must not be seen anywhere. */
export const TOKEN = 'secret-token-of-the-crm';
/** Told in the rate headers; without them a client stays at what is safe for any CRM. */
const RATE_PER_MINUTE = 1_000_000;
const DEADLINE_MS = 30_000;
/** Of a whole test: above the deadlines of its steps, which say what they waited for. */
export const TIMEOUT = { timeout: 120_000 };
const LOOK_EVERY_MS = 20;

/** Short times for what a test waits for; the rest is as a user has it. */
const SETTINGS = {
  CRM_TOKEN: TOKEN,
  CRM_RATE_SHARE: '1',
  CRM_TIMEOUT_MS: '2000',
  RETRY_MIN_MS: '50',
  RETRY_MAX_MS: '500',
  CREATE_RECHECK_MS: '300',
  PULL_CRON: '* * * * * *',
  PUSH_POLL_MS: '1000',
  HTTP_PORT: '0',
};

export interface WorldOptions {
  readonly seed?: SeedOptions;
  readonly account?: SandboxAccountOptions;
  readonly env?: NodeJS.ProcessEnv;
  /** Without the schemas, so that the program makes them. */
  readonly empty?: boolean;
}

export type Row = Record<string, unknown>;

export interface World {
  readonly account: SandboxAccount;
  readonly sandbox: SandboxServer;
  /** The program's environment. */
  readonly env: NodeJS.ProcessEnv;
  start(args: readonly string[], env?: NodeJS.ProcessEnv): Child;
  /** Starts it and waits for its end. */
  run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended>;
  sql(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** A connection of the test's own, for transactions. */
  connect(): Promise<pg.Client>;
  /** The CRM again, at the same address: after `sandbox.close()`. */
  reopenSandbox(): Promise<SandboxServer>;
  /** Waits until nothing is under way and both sides are equal. */
  inStep(deadlineMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Of a command that went well; otherwise what it said is the error. */
export const succeeded = (ended: Ended): Ended => {
  if (ended.code !== 0) throw new Error(`exit code ${ended.code}:\n${ended.stderr}`);
  return ended;
};

/** Looks until there is something to see; fails with what was waited for. */
export const until = async <T>(what: string, look: () => T | Promise<T>, deadlineMs = DEADLINE_MS): Promise<NonNullable<T>> => {
  const startedAt = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== null && seen !== undefined && seen !== false) return seen;
    if (performance.now() - startedAt > deadlineMs) throw new Error(`${what}: not after ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
};

export const openWorld = async (options: WorldOptions = {}): Promise<World> => {
  const program = await buildProgram();
  const account = createSandboxAccount(options.account);
  if (options.seed !== undefined) account.seed(options.seed);
  const sandboxOptions = { account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE };
  const sandboxes = [await startSandbox(sandboxOptions)];
  const [sandbox] = sandboxes as [SandboxServer];
  const database = await createTestDatabase({ empty: options.empty ?? false });
  const pool = createPool({ connectionString: database.url, max: 2, applicationName: 'test' });
  const clients: pg.Client[] = [];
  const children: Child[] = [];
  const env = { PATH: process.env['PATH'], ...SETTINGS, CRM_URL: sandbox.url, DATABASE_URL: database.url, ...options.env };

  const start: World['start'] = (args, more = {}) => {
    const child = startChild(program, args, { ...env, ...more });
    children.push(child);
    return child;
  };
  const sql: World['sql'] = async (text, values = []) => (await pool.query<Row>(text, [...values])).rows;
  const whatIsLeft = async (): Promise<readonly string[]> => {
    const [status] = await sql(
      'select first_sweep_done, queue_depth::int, (select count(*) from sync.marks)::int as marks from sync.status',
    );
    if (status?.['first_sweep_done'] !== true || status['queue_depth'] !== 0 || status['marks'] !== 0) return [JSON.stringify(status)];
    return differences(await readSnapshot(pool), account.contacts());
  };
  return {
    account,
    sandbox,
    env,
    start,
    run: async (args, more) => await start(args, more).ended,
    sql,
    connect: async () => {
      const client = new pg.Client({ connectionString: database.url, application_name: 'test' });
      client.on('error', () => undefined);
      clients.push(client);
      await client.connect();
      return client;
    },
    reopenSandbox: async () => {
      const again = await startSandbox({ ...sandboxOptions, port: Number(new URL(sandbox.url).port) });
      sandboxes.push(again);
      return again;
    },
    inStep: async (deadlineMs = DEADLINE_MS) => {
      let left: readonly string[] = [];
      const look = async (): Promise<boolean> => (left = await whatIsLeft()).length === 0;
      await until('both sides equal', look, deadlineMs).catch(async () => {
        throw new Error(
          `not in step after ${deadlineMs} ms: ${left.slice(0, 5).join('; ')}\n${children.at(-1)?.output().stderr.slice(-3000)}`,
        );
      });
    },
    close: async () => {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => child.ended));
      for (const each of sandboxes) await each.close();
      await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
      await pool.end();
      await database.drop();
    },
  };
};

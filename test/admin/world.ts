/** The program as `start` runs it, in this process, with its HTTP server on a port of its own: real Postgres, the sandbox CRM over HTTP. */
import { createApp, type App } from '../../src/app.ts';
import { parseConfig } from '../../src/config.ts';
import type { Log, LogFields } from '../../src/ports/ambient.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { SeedOptions } from '../../src/sandbox/crm/seed.ts';
import { startSandbox } from '../../src/sandbox/crm/server.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { createTestDatabase } from '../database.ts';

export const ADMIN_TOKEN = 'admin-token-of-the-test';
const CRM_TOKEN = 'crm-token-of-the-test';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: LogFields;
  readonly message: string;
}

export interface AdminWorldOptions {
  readonly seed?: SeedOptions;
  readonly env?: { readonly [name: string]: string };
  /** The database that the daemon is told; default: the test's own. */
  readonly databaseUrl?: (url: string) => string;
  /** The address by which the daemon reaches it. */
  readonly way?: (url: string) => Promise<string>;
  /** Starts the server only: nobody leads. */
  readonly withoutDaemon?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Of a JSON answer. */
  readonly json: Record<string, unknown>;
}

const tryParse = (text: string): Record<string, unknown> => {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
};

export const until = async <T>(what: string, look: () => T | Promise<T>, deadlineMs = 15_000): Promise<NonNullable<T>> => {
  const startedAt = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== null && seen !== undefined && seen !== false) return seen;
    if (performance.now() - startedAt > deadlineMs) throw new Error(`${what}: not after ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

export const openAdminWorld = async (options: AdminWorldOptions = {}) => {
  const account = createSandboxAccount();
  if (options.seed !== undefined) account.seed(options.seed);
  const sandbox = await startSandbox({ account, token: CRM_TOKEN, ratePerMinute: 1_000_000 });
  const database = await createTestDatabase();
  const databaseUrl = (await options.way?.(database.url)) ?? options.databaseUrl?.(database.url) ?? database.url;
  const parsed = parseConfig({
    CRM_URL: sandbox.url,
    CRM_TOKEN,
    CRM_TIMEOUT_MS: '2000',
    CRM_RATE_SHARE: '1',
    RETRY_MIN_MS: '50',
    RETRY_MAX_MS: '500',
    DATABASE_URL: databaseUrl,
    PULL_CRON: '* * * * * *',
    HTTP_PORT: '0',
    ADMIN_TOKEN,
    ...options.env,
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: LogFields, message: string) => void lines.push({ level, fields, message });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const app: App = createApp({
    config: parsed.config,
    databaseUrl,
    holder: `test ${database.name}`,
    clock: systemClock,
    random: Math.random,
    log,
    http: { version: '1.2.3', nodeVersion: process.versions.node },
  });
  const pool = createPool({ connectionString: database.url, max: 2, applicationName: 'test', lockTimeoutMs: 10_000 });
  await app.admin?.start();
  if (options.withoutDaemon !== true) await app.daemon.start();
  const sql = async (text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> =>
    (await pool.query<Record<string, unknown>>(text, [...values])).rows;

  const call = async (path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await fetch(`${app.admin?.url()}${path}`, { signal: AbortSignal.timeout(10_000), ...init });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: tryParse(text) };
  };
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  return {
    account,
    sandbox,
    databaseUrl,
    app,
    lines,
    sql,
    /** Edits in a transaction that is open while something else happens. */
    meanwhile: async (edit: string, happens: () => Promise<void>): Promise<void> => {
      const client = await pool.connect();
      try {
        await client.query('begin');
        await client.query(edit);
        await happens();
        await client.query('commit');
      } finally {
        await client.query('rollback');
        client.release();
      }
    },
    call,
    get: async (path: string, token: string | null = ADMIN_TOKEN) => await call(path, token === null ? {} : { headers: bearer(token) }),
    post: async (path: string, body?: unknown, token: string | null = ADMIN_TOKEN) =>
      await call(path, {
        method: 'POST',
        headers: { ...(token === null ? {} : bearer(token)), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    /** Of the metrics that are there now, by name and labels as they stand in the text. */
    metrics: async (): Promise<ReadonlyMap<string, number>> => {
      const { text } = await call('/metrics');
      const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
    },
    firstLoad: async (): Promise<void> => {
      await until('the first load', async () => {
        const [status] = await sql('select first_sweep_done, queue_depth::int from sync.status');
        return status?.['first_sweep_done'] === true && status['queue_depth'] === 0;
      });
    },
    close: async (): Promise<void> => {
      await app.close();
      await sandbox.close();
      await pool.end();
      await database.drop();
    },
  };
};
export type AdminWorld = Awaited<ReturnType<typeof openAdminWorld>>;

/**
 * `demo`: the main job on screen, with nothing but this package: an embedded Postgres, a sandbox CRM and the very daemon that `start` runs.
 * Each step does something as a user would (plain SQL on one side, a person's click on the other) and waits until it is seen to have
 * arrived; a step that does not is a failed demo.
 */
import { randomBytes } from 'node:crypto';
import { createApp } from '../app.ts';
import { formatProblem, parseConfig, readConfig, type Environment } from '../config.ts';
import { createLogger } from '../logger.ts';
import type { Clock } from '../ports/ambient.ts';
import { migrateDatabase } from '../postgres/migrate.ts';
import { createSandboxAccount } from '../sandbox/crm/account.ts';
import { startSandbox } from '../sandbox/crm/server.ts';
import { startEmbeddedPostgres } from '../sandbox/postgres/launch.ts';
import { DEMO_STEPS, type DemoWorld } from './demo-steps.ts';
import { createStage } from './demo-stage.ts';
import { EXIT, untilStopped, type ExitCode, type Io } from './io.ts';

export interface DemoOptions {
  /** End after the walk-through. */
  readonly exit: boolean;
  readonly clock: Clock;
  readonly holder: string;
  readonly versions: NonNullable<Parameters<typeof createApp>[0]['http']>;
}

const CONTACTS = 500;
const TOKEN = 'demo-token';
const RATE_PER_MINUTE = 6000;

/**
 * What the demo runs on: its own two sides and nothing of the surroundings, where a real mirror may be set. The schedule looks every second,
 * so that nobody has to wait for the next minute.
 */
const ownSettings = (crmUrl: string, databaseUrl: string, adminToken: string): Environment => ({
  HTTP_HOST: '127.0.0.1',
  HTTP_PORT: '0',
  ADMIN_TOKEN: adminToken,
  CRM_URL: crmUrl,
  CRM_TOKEN: TOKEN,
  DATABASE_URL: databaseUrl,
  PULL_CRON: '* * * * * *',
});

export const runDemo = async (io: Io, { exit, clock, holder, versions }: DemoOptions): Promise<ExitCode> => {
  const adminToken = randomBytes(12).toString('hex');
  const surroundings = readConfig(ownSettings('http://localhost/api', 'postgres://localhost/demo', adminToken));
  if (!surroundings.ok) {
    for (const problem of surroundings.problems) io.err(formatProblem(problem));
    return EXIT.usage;
  }
  const { logLevel } = surroundings.config;
  const log = createLogger({ level: logLevel === 'info' ? 'warn' : logLevel, format: 'pretty', color: io.errIsTerminal });
  const stage = createStage(io, clock);
  stage.title('relate-mirror: a CRM account and a Postgres database, kept in step both ways');
  const opened: (() => Promise<void>)[] = [];
  try {
    const postgres = await stage.prepare('a real Postgres', () => startEmbeddedPostgres({ log }));
    opened.push(() => postgres.stop());
    const account = createSandboxAccount();
    account.seed({ contacts: CONTACTS });
    const sandbox = await stage.prepare(`a sandbox CRM with ${CONTACTS} contacts`, () =>
      startSandbox({ account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE }),
    );
    opened.push(() => sandbox.close());
    await stage.prepare('the schema', () => migrateDatabase({ connectionString: postgres.url(), log }));
    const parsed = parseConfig(ownSettings(sandbox.url, postgres.url(), adminToken));
    if (!parsed.ok) throw new Error("the demo's own settings are wrong");
    const app = createApp({ config: parsed.config, databaseUrl: postgres.url(), holder, clock, random: Math.random, log, http: versions });
    opened.push(() => app.close());
    await stage.prepare('the daemon', async () => {
      await app.admin?.start();
      await app.daemon.start();
    });
    const sql: DemoWorld['sql'] = async (text, values = []) => (await app.pool.query<Record<string, unknown>>(text, [...values])).rows;
    const failed = await stage.play(DEMO_STEPS, { account, pool: app.pool, clock, signal: io.signal, sql });
    if (exit || failed > 0) return failed === 0 ? EXIT.done : EXIT.failed;
    stage.invite({ databaseUrl: postgres.url(), crmUrl: sandbox.url, crmToken: TOKEN, pageUrl: app.admin?.url() ?? '', adminToken });
    await untilStopped(io);
    return EXIT.done;
  } finally {
    for (const close of opened.toReversed()) await close();
  }
};

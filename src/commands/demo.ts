/**
 * `demo`: the main job on screen, with nothing but this package: an embedded Postgres, a sandbox CRM and the very daemon that `start` runs.
 * Each step does something as a user would (plain SQL on one side, a person's click on the other) and waits until it is seen to have
 * arrived; a step that does not is a failed demo.
 */
import { createApp } from '../app.ts';
import { formatProblem, readConfig } from '../config.ts';
import { createLogger } from '../logger.ts';
import type { Clock } from '../ports/ambient.ts';
import { migrateDatabase } from '../postgres/migrate.ts';
import { createSandboxAccount } from '../sandbox/crm/account.ts';
import { startSandbox } from '../sandbox/crm/server.ts';
import { startEmbeddedPostgres } from '../sandbox/postgres/launch.ts';
import { DEMO_STEPS, type DemoWorld } from './demo-steps.ts';
import { createStage } from './demo-stage.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

export interface DemoOptions {
  /** End after the walk-through. */
  readonly exit: boolean;
  readonly clock: Clock;
  readonly holder: string;
}

const CONTACTS = 500;
const TOKEN = 'demo-token';
const RATE_PER_MINUTE = 6000;

export const runDemo = async (io: Io, { exit, clock, holder }: DemoOptions): Promise<ExitCode> => {
  const stage = createStage(io, clock);
  stage.title('relate-mirror: a CRM account and a Postgres database, kept in step both ways');
  const postgres = await stage.prepare('a real Postgres', () => startEmbeddedPostgres({}));
  const account = createSandboxAccount();
  account.seed({ contacts: CONTACTS });
  const sandbox = await stage.prepare(`a sandbox CRM with ${CONTACTS} contacts`, () =>
    startSandbox({ account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE }),
  );
  // Everything else as it comes; the schedule looks every second, so that nobody has to wait for the next minute.
  const parsed = readConfig({ CRM_URL: sandbox.url, CRM_TOKEN: TOKEN, DATABASE_URL: postgres.url(), PULL_CRON: '* * * * * *' });
  if (!parsed.ok) {
    for (const problem of parsed.problems) io.err(formatProblem(problem));
    await Promise.all([sandbox.close(), postgres.stop()]);
    return EXIT.usage;
  }
  const { config } = parsed;
  const log = createLogger({ level: config.logLevel === 'info' ? 'warn' : config.logLevel, format: 'pretty', color: io.outIsTerminal });
  await stage.prepare('the schema', () => migrateDatabase({ connectionString: postgres.url(), log }));
  const app = createApp({ config, databaseUrl: postgres.url(), holder, clock, random: Math.random, log });
  await stage.prepare('the daemon', () => app.daemon.start());
  const world: DemoWorld = {
    account,
    pool: app.pool,
    clock,
    signal: io.signal,
    sql: async (text, values = []) => (await app.pool.query<Record<string, unknown>>(text, [...values])).rows,
  };
  try {
    const failed = await stage.play(DEMO_STEPS, world);
    if (exit || failed > 0) return failed === 0 ? EXIT.done : EXIT.failed;
    stage.invite(postgres.url(), sandbox.url, TOKEN);
    await new Promise<void>((resolve) => {
      if (io.signal.aborted) resolve();
      io.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    return EXIT.done;
  } finally {
    await app.close();
    await sandbox.close();
    await postgres.stop();
  }
};

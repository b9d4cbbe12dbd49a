#!/usr/bin/env node
/**
 * The program's face: commands, exit codes, signals. Only this file touches the process; everything below is given what it may use.
 */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import process from 'node:process';
import { CommanderError } from 'commander';
import { createApp, createBudgetedCrm, createPreview, type App } from './app.ts';
import { complete, printCompletion } from './commands/completion.ts';
import { listConflicts, resolveConflict } from './commands/conflicts.ts';
import { retry, setPaused, type Json } from './commands/control.ts';
import { runDoctor, type DoctorOptions } from './commands/doctor/doctor.ts';
import { explain } from './commands/explain.ts';
import { printGrants } from './commands/grants.ts';
import { decideHold, listHolds } from './commands/holds.ts';
import { EXIT, printable, Told, type ExitCode, type Io } from './commands/io.ts';
import { runPlan, type PlanOptions } from './commands/plan.ts';
import { createProgram } from './commands/program.ts';
import type { SandboxOptions } from './commands/sandbox.ts';
import { runSearch } from './commands/search.ts';
import { runStart } from './commands/start.ts';
import { showStatus } from './commands/status.ts';
import { watchStatus } from './commands/watch.ts';
import { runAudit, runResync, runSync } from './commands/work.ts';
import { formatProblem, inspectDotEnv, readConfig, type Config, type EffectiveSetting } from './config.ts';
import { errorFields } from './domain/error-fields.ts';
import { createLogger, type Logger } from './logger.ts';
import { migrateDatabase } from './postgres/migrate.ts';
import { systemClock as clock } from './runtime/clock.ts';
import { startEmbeddedPostgres } from './sandbox/postgres/launch.ts';

const VERSION = '0.1.0';
const VERSIONS = { version: VERSION, nodeVersion: process.versions.node };
const NODE_VERSION_MIN = [22, 22, 2] as const;
/** A container is killed after ten seconds. What is still in flight by now is looked into at the next start, as after any crash. */
const STOP_MS_MAX = 9_000;

const stopping = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (!stopping.signal.aborted) setTimeout(() => process.exit(EXIT.done), STOP_MS_MAX).unref();
    stopping.abort();
  });
}
// Left to itself Node prints the error with its message, its properties and the line of code: requests with their token, rows with people's data.
process.on('uncaughtException', (error) => {
  io.err(JSON.stringify({ level: 'error', ...errorFields(error), msg: 'an unexpected error ended the program' }));
  process.exit(EXIT.failed);
});
// Whoever reads our output may stop reading: `relate-mirror status | head -1`.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const io: Io = {
  out: (line) => void process.stdout.write(`${printable(line)}\n`),
  err: (line) => void process.stderr.write(`${printable(line)}\n`),
  outIsTerminal: process.stdout.isTTY,
  // Some terminals do not know their size, and say 0.
  columns: process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Number.POSITIVE_INFINITY,
  rows: () => (process.stdout.isTTY && process.stdout.rows > 0 ? process.stdout.rows : null),
  errIsTerminal: process.stderr.isTTY,
  signal: stopping.signal,
};

interface Settled {
  readonly config: Config;
  readonly effective: readonly EffectiveSetting[];
  /** Names that look like settings and are none. */
  readonly unknown: readonly string[];
  readonly log: Logger;
}

/** Checks all settings, whether the command needs them or not, and runs it. `quiet`: where people watch, only warnings are logged. */
const withSettings = async (command: (settled: Settled) => Promise<ExitCode>, { quiet = false } = {}): Promise<ExitCode> => {
  const parsed = readConfig();
  if (!parsed.ok) {
    for (const problem of parsed.problems) io.err(formatProblem(problem));
    return EXIT.usage;
  }
  const { config, effective, unknown } = parsed;
  const level = quiet && io.errIsTerminal && config.logLevel === 'info' ? 'warn' : config.logLevel;
  const log = createLogger({ level, format: config.logFormat ?? (io.errIsTerminal ? 'pretty' : 'json'), color: io.errIsTerminal });
  try {
    return await command({ config, effective, unknown, log });
  } catch (error) {
    log.debug(errorFields(error), 'the command failed');
    throw error;
  } finally {
    log.flush();
  }
};

/** The embedded server's folder, where DATABASE_URL is not set. */
const EMBEDDED = '.relate-mirror/postgres';

interface Ready extends Settled {
  readonly databaseUrl: string;
  /** As databaseUrl, past any pooler. */
  readonly directUrl: string;
}

/** With the database that was set, or the embedded one. */
const withDatabase = async (settled: Settled, command: (ready: Ready) => Promise<ExitCode>): Promise<ExitCode> => {
  const { config, log } = settled;
  if (config.databaseUrl !== null) {
    return await command({ ...settled, databaseUrl: config.databaseUrl, directUrl: config.databaseListenUrl ?? config.databaseUrl });
  }
  const embedded = await startEmbeddedPostgres({ directory: EMBEDDED, log }).catch((error: unknown) => {
    throw new Told(`DATABASE_URL is not set, and the embedded Postgres does not start: ${String(error)}`, { cause: error });
  });
  try {
    return await command({ ...settled, databaseUrl: embedded.url(), directUrl: embedded.url() });
  } finally {
    await embedded.stop();
  }
};

/** The wired program on a database. `prepare` brings that up to date, and may be called again where it failed; commands that only look do not. */
const withApp = async (
  command: (app: App, log: Logger, prepare: () => Promise<void>) => Promise<ExitCode>,
  { quiet = true, serves = false } = {},
): Promise<ExitCode> =>
  await withSettings(
    async (settled) =>
      await withDatabase(settled, async ({ config, log, databaseUrl, directUrl }) => {
        const holder = `${hostname()} ${process.pid}`;
        const http = serves ? { http: VERSIONS } : {};
        const app = createApp({ config, databaseUrl, holder, clock, random: Math.random, log, ...http });
        try {
          return await command(app, log, async () => {
            await migrateDatabase({ connectionString: directUrl, log, signal: io.signal });
            await app.operator.setCaptureNotify(config.captureNotify);
          });
        } finally {
          await app.close();
        }
      }),
    { quiet },
  );

const migrate = async ({ json }: Json): Promise<ExitCode> =>
  await withSettings(
    async (settled) =>
      await withDatabase(settled, async ({ directUrl, log }) => {
        const { applied, total } = await migrateDatabase({ connectionString: directUrl, log, grants: 'always', signal: io.signal });
        if (json) io.out(JSON.stringify({ applied, total }));
        else io.out(applied === 0 ? `Nothing to migrate (${total} applied).` : `Applied ${applied} of ${total} migrations.`);
        return EXIT.done;
      }),
    { quiet: true },
  );

/** Looks at a database that is there; makes no embedded one. */
const doctor = async (options: DoctorOptions): Promise<ExitCode> =>
  await withSettings(
    async (settled) => {
      const deps = { ...settled, io, clock, dotEnv: inspectDotEnv(), nodeVersion: process.versions.node };
      if (settled.config.databaseUrl === null && !existsSync(EMBEDDED))
        return await runDoctor({ ...deps, database: 'DATABASE_URL is not set, and the embedded server was not made yet' }, options);
      return await withDatabase(settled, (database) => runDoctor({ ...deps, database }, options));
    },
    { quiet: true },
  );

/** Takes no lead, migrates nothing and makes no embedded server: it only looks. */
const plan = async (options: PlanOptions): Promise<ExitCode> =>
  await withSettings(
    async (settled) => {
      const look = async ({ config, log, databaseUrl }: Settled & { readonly databaseUrl: string | null }): Promise<ExitCode> => {
        const looking = createPreview({ config, databaseUrl, clock, random: Math.random, log }, stopping.signal);
        try {
          return await runPlan(io, looking, clock, options);
        } finally {
          await looking.close();
        }
      };
      if (settled.config.databaseUrl === null && !existsSync(EMBEDDED)) return await look({ ...settled, databaseUrl: null });
      return await withDatabase(settled, look);
    },
    { quiet: true },
  );

const search = async (term: string, options: Json): Promise<ExitCode> =>
  await withSettings(
    async ({ config, log }) => {
      const { crm } = createBudgetedCrm({ config, clock, log });
      try {
        return await runSearch(io, crm, term, options);
      } finally {
        crm.close();
      }
    },
    { quiet: true },
  );

const demo = async ({ exit }: { readonly exit: boolean }): Promise<ExitCode> => {
  // It brings the sandbox CRM's server along, which nothing else needs.
  const { runDemo } = await import('./commands/demo.ts');
  return await runDemo(io, { exit, clock, holder: `demo ${process.pid}`, versions: VERSIONS });
};

const sandbox = async (options: SandboxOptions): Promise<ExitCode> =>
  await withSettings(async ({ config, log }) => {
    const { runSandbox } = await import('./commands/sandbox.ts');
    return await runSandbox(io, { config, log, ...options });
  });

const run = async (command: () => Promise<ExitCode>): Promise<void> => {
  try {
    process.exitCode = await command();
  } catch (error) {
    // Left because it was asked to, before there was anything to end in order.
    if (error === io.signal.reason) return void (process.exitCode = EXIT.done);
    io.err(explain(error));
    process.exitCode = EXIT.failed;
  }
};

/** For what only looks or decides: the schema is taken as it is. */
const looking = async (command: (app: App) => Promise<ExitCode>): Promise<ExitCode> => await withApp(command);
const working = async (command: (app: App) => Promise<ExitCode>): Promise<ExitCode> =>
  await withApp(async (app, _log, prepare) => {
    await prepare();
    return await command(app);
  });

const program = createProgram({
  version: VERSION,
  run,
  actions: {
    start: () =>
      withApp((app, log, prepare) => runStart({ io, app, log, clock, random: Math.random }, prepare), { quiet: false, serves: true }),
    migrate,
    sync: (options) => working((app) => runSync({ io, app, clock }, options)),
    resync: (options) => working((app) => runResync({ io, app, clock }, options)),
    audit: (options) => working((app) => runAudit({ io, app, clock }, options)),
    status: ({ json, watch }) =>
      looking(async ({ operator }) =>
        watch ? await watchStatus(io, operator, clock, { json }) : showStatus(io, await operator.status(), { json }),
      ),
    plan,
    doctor,
    pause: (options) => looking(({ operator }) => setPaused(io, operator, true, options)),
    resume: (options) => looking(({ operator }) => setPaused(io, operator, false, options)),
    retry: (ids, options) => looking(({ operator }) => retry(io, operator, ids, options)),
    holds: (options) => looking(({ operator }) => listHolds(io, operator, options)),
    decideHold: (id, how, options) => looking(({ operator }) => decideHold(io, operator, id, how, options)),
    conflicts: (options) => looking(({ operator }) => listConflicts(io, operator, options)),
    resolveConflict: (id, choice, options) => looking(({ operator }) => resolveConflict(io, operator, id, choice, options)),
    search,
    // Without settings: it is for whoever runs the server.
    grants: (options) => Promise.resolve(printGrants(io, options)),
    sandbox,
    demo,
    completion: async (shell) => printCompletion(io, shell),
    complete: async (whole, words) => complete(io, whole, words),
  },
});

const isNodeTooOld = (): boolean => {
  const [major = 0, minor = 0, patch = 0] = process.versions.node.split('.').map(Number);
  const [wantMajor, wantMinor, wantPatch] = NODE_VERSION_MIN;
  return major < wantMajor || (major === wantMajor && (minor < wantMinor || (minor === wantMinor && patch < wantPatch)));
};

if (isNodeTooOld()) {
  io.err(
    `relate-mirror needs Node ${NODE_VERSION_MIN.join('.')} or newer, this is ${process.versions.node}. In the project's folder, \`npx relate-mirror\` uses the right one.`,
  );
  process.exitCode = EXIT.usage;
} else {
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
}

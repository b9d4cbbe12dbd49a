#!/usr/bin/env node
/**
 * The program's face: commands, exit codes, signals. Only this file touches the process; everything below is given what it may use.
 */
import { hostname } from 'node:os';
import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { createApp, type App } from './app.ts';
import { runDemo } from './commands/demo.ts';
import { EXIT, type ExitCode, type Io } from './commands/io.ts';
import { runSearch } from './commands/search.ts';
import { runStart } from './commands/start.ts';
import { showStatus } from './commands/status.ts';
import { runResync, runSync } from './commands/work.ts';
import { formatProblem, readConfig, type Config } from './config.ts';
import { errorFields } from './domain/error-fields.ts';
import { createLogger, type Logger } from './logger.ts';
import { migrateDatabase, MigrationError } from './postgres/migrate.ts';
import { systemClock } from './runtime/clock.ts';
import { startEmbeddedPostgres } from './sandbox/postgres/launch.ts';

const VERSION = '0.1.0';
const NODE_VERSION_MIN = [22, 22, 2] as const;

const stopping = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopping.abort());

const io: Io = {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  isTerminal: process.stderr.isTTY,
  signal: stopping.signal,
};

/** What a command is given, after all settings were checked. */
interface Ready {
  readonly config: Config;
  readonly log: Logger;
  readonly databaseUrl: string;
  readonly app: App;
}

const loggerFor = (config: Pick<Config, 'logLevel' | 'logFormat'>): Logger =>
  createLogger({ level: config.logLevel, format: config.logFormat ?? (io.isTerminal ? 'pretty' : 'json'), color: io.isTerminal });

/** Checks all settings, opens (or starts) the database, and runs a command on the wired program. */
const withApp = async (command: (ready: Ready) => Promise<ExitCode>, { migrates = true } = {}): Promise<ExitCode> => {
  const parsed = readConfig();
  if (!parsed.ok) {
    for (const problem of parsed.problems) io.err(formatProblem(problem));
    return EXIT.usage;
  }
  const { config } = parsed;
  if (config.writeMode === 'ordered') {
    io.err('WRITE_MODE="ordered": this version only knows merged');
    return EXIT.usage;
  }
  const log = loggerFor(config);
  const embedded = config.databaseUrl === null ? await startEmbeddedPostgres({ directory: '.relate-mirror/postgres', log }) : null;
  const databaseUrl = config.databaseUrl ?? embedded?.url() ?? '';
  let app: App | null = null;
  try {
    if (migrates) await migrateDatabase({ connectionString: config.databaseListenUrl ?? databaseUrl, log });
    const holder = `${hostname()} ${process.pid}`;
    app = createApp({ config, databaseUrl, holder, clock: systemClock, random: Math.random, log });
    if (migrates) await app.operator.setCaptureNotify(config.captureNotify);
    return await command({ config, log, databaseUrl, app });
  } catch (error) {
    log.debug(errorFields(error), 'the command failed');
    throw error;
  } finally {
    await app?.close();
    await embedded?.stop();
    log.flush();
  }
};

/** Says what went wrong without values, tokens or statements: those stand in errors of every library below. */
const explain = (error: unknown): string => {
  if (error instanceof MigrationError) return error.message;
  const { error_name: name = 'error', error_code: code, error_causes: causes } = errorFields(error);
  return `The command failed: ${[name, code, causes].filter((part) => part !== undefined).join(' ')}. LOG_LEVEL=debug tells more.`;
};

const run = async (command: () => Promise<ExitCode>): Promise<void> => {
  try {
    process.exitCode = await command();
  } catch (error) {
    io.err(explain(error));
    process.exitCode = EXIT.failed;
  }
};

const program = new Command('relate-mirror')
  .description("Keeps a Postgres mirror of a RelateCRM account's contacts in step, both ways.")
  .version(VERSION)
  .showHelpAfterError()
  .exitOverride();

program
  .command('start')
  .description('migrate, wait for leadership, and keep both sides in step until a signal')
  .action(() => run(() => withApp(({ app }) => runStart(io, app))));
program
  .command('migrate')
  .description("bring the database up to this version's schema")
  .action(() =>
    run(() =>
      withApp(
        async ({ config, databaseUrl, log }) => {
          const { applied, total } = await migrateDatabase({ connectionString: config.databaseListenUrl ?? databaseUrl, log });
          io.out(applied === 0 ? `Nothing to migrate (${total} applied).` : `Applied ${applied} of ${total} migrations.`);
          return EXIT.done;
        },
        { migrates: false },
      ),
    ),
  );
program
  .command('sync')
  .description('one changes pull (on an empty mirror the full load), then push until nothing is due, then exit')
  .action(() => run(() => withApp(({ app }) => runSync({ io, app, clock: systemClock }))));
program
  .command('resync')
  .description('read the whole account again, through the running daemon if there is one')
  .option('--links', "read every contact's links too")
  .option('--no-wait', 'only ask for it, and print the run')
  .action(({ links = false, wait }: { links?: boolean; wait: boolean }) =>
    run(() => withApp(({ app }) => runResync({ io, app, clock: systemClock }, { links, wait }))),
  );
program
  .command('status')
  .description('how the mirror is going')
  .option('--json', 'one line of JSON with the columns of sync.status')
  .action(({ json = false }: { json?: boolean }) =>
    run(() => withApp(async ({ app }) => showStatus(io, await app.operator.status(), { json }))),
  );
program
  .command('search')
  .argument('<term>', 'what to look for')
  .description("the CRM's own search")
  .option('--json', 'one JSON object a line')
  .action((term: string, { json = false }: { json?: boolean }) => run(() => withApp(({ app }) => runSearch(io, app.crm, term, { json }))));
program
  .command('demo')
  .description('the main job on screen: an embedded Postgres, a sandbox CRM and the daemon; no account needed')
  .option('--exit', 'end after the walk-through; exit code 0 only if every step was checked to have happened')
  .action(({ exit = false }: { exit?: boolean }) => run(() => runDemo(io, { exit, clock: systemClock, holder: `demo ${process.pid}` })));

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

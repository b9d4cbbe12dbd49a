/** The program as `start` and `sync` run it, pointed at the sandbox; and an account mirrored by it. */
import { type App, createApp } from '../src/app.ts';
import { formatProblem, parseConfig } from '../src/config.ts';
import type { Log } from '../src/ports/ambient.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { sweepOnce } from '../src/sync/rounds.ts';
import type { SyncDeps } from '../src/sync/deps.ts';
import type { BenchDatabase, BenchServer } from './database.ts';
import { timed } from './figures.ts';
import { type BenchSandbox, startSandboxProcess, TOKEN } from './sandbox.ts';

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
/** No schedule comes in between: the bench starts what it measures. */
const NEW_YEAR = '0 0 0 1 1 *';

/** `settings` by the names of the environment. */
export const openApp = (sandbox: BenchSandbox, database: BenchDatabase, settings: { readonly [name: string]: string } = {}): App => {
  // Not from the environment: a bench is the same for everybody.
  const parsed = parseConfig({
    CRM_URL: sandbox.url,
    CRM_TOKEN: TOKEN,
    DATABASE_URL: database.url,
    CRM_RATE_SHARE: '1',
    PULL_CRON: NEW_YEAR,
    SWEEP_CRON: NEW_YEAR,
    ...settings,
  });
  if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join('\n'));
  return createApp({
    config: parsed.config,
    databaseUrl: database.url,
    holder: 'bench',
    clock: systemClock,
    random: Math.random,
    log: silent,
  });
};

/** Leads for one piece of work and ends everything. */
export const withLeader = async <T>(sandbox: BenchSandbox, database: BenchDatabase, work: (deps: SyncDeps) => Promise<T>): Promise<T> => {
  const app = openApp(sandbox, database);
  const done = Promise.withResolvers<T>();
  try {
    await app.asLeader(new AbortController().signal, async (deps) => done.resolve(await work(deps)));
    return await done.promise;
  } finally {
    await app.close();
  }
};

export interface Sweep {
  readonly ms: number;
  /** Of that, from asking for a page to having it parsed. */
  readonly awaitingCrmMs: number;
  readonly rowsWritten: number;
}

/** A whole sweep, timed. @throws Error where it did not end complete: a figure of half the work is none */
export const sweepTimed = async (deps: SyncDeps): Promise<Sweep> => {
  let awaitingCrmMs = 0;
  const { crm } = deps;
  const list: typeof crm.list = async (params, options) => {
    const { ms, value } = await timed(() => crm.list(params, options));
    awaitingCrmMs += ms;
    return value;
  };
  const { ms, value: end } = await timed(() => sweepOnce({ ...deps, crm: { ...crm, list } }, 'sweep', null));
  if (!end.complete) throw new Error(`The sweep was not complete: ${end.stoppedBy?.code ?? 'partial'}`);
  return { ms, awaitingCrmMs, rowsWritten: end.rowsWritten };
};

/** An account of so many contacts, and the database that it was loaded into. Disposed, its CRM ends. */
export interface Mirrored extends AsyncDisposable {
  readonly contacts: number;
  readonly sandbox: BenchSandbox;
  readonly database: BenchDatabase;
  /** The first sweep. */
  readonly load: Sweep;
}

export const loadMirror = async (server: BenchServer, contacts: number): Promise<Mirrored> => {
  await using stack = new AsyncDisposableStack();
  const sandbox = stack.use(await startSandboxProcess(contacts));
  const database = await server.createDatabase();
  const load = await withLeader(sandbox, database, sweepTimed);
  if (load.rowsWritten !== contacts) throw new Error(`${load.rowsWritten} of ${contacts} contacts were loaded.`);
  const kept = stack.move();
  return { contacts, sandbox, database, load, [Symbol.asyncDispose]: () => kept.disposeAsync() };
};

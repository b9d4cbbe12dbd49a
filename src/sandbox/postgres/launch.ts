/**
 * The embedded PostgreSQL: a real server of the newest (or the oldest promised) version, from an optional package, in a folder of the
 * project's own. For the demo, for tests, and as the mirror where nobody set DATABASE_URL.
 *
 * A second process that opens the same folder uses the running server (`attached`). The server ends with the process that started it.
 */
import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../ports/ambient.ts';
import { type Account, isReachable, makeRootOwned, serverAccount } from './account.ts';
import { type Binaries, type PostgresMajor, findBinaries } from './binaries.ts';
import { type Cluster, DATABASE, SUPERUSER, dataDirectoryOf, openCluster } from './cluster.ts';
import { holderOf, readPostmasterFile } from './postmaster.ts';
import { HOST, type Server, freePort, startServer } from './server.ts';

export interface EmbeddedPostgresOptions {
  /** Kept between starts, with the same data and password. Left out: a temporary folder, removed with the server. */
  readonly directory?: string;
  /** Default 18. */
  readonly major?: PostgresMajor;
  /** Default: one that is free, the one of the last start if it still is. */
  readonly port?: number;
  /** Default true. Off is for tests only: a crash of the machine may lose the data. */
  readonly fsync?: boolean;
  /** Server settings by name. */
  readonly settings?: { readonly [name: string]: string };
  /** For each of initialising and starting; default 60,000. */
  readonly timeoutMs?: number;
  readonly log?: Log;
}

export interface EmbeddedPostgres {
  /** Of a superuser, with its password: never log it. */
  url(database?: string): string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Where the data is: under `directory`, but for root in a folder that the server's account cannot enter. */
  readonly dataDirectory: string;
  /** The server had been started by another process and ends with that. */
  readonly attached: boolean;
  /** Resolves when the server is gone, whoever stopped it; never, where it belongs to another process. */
  readonly exited: Promise<void>;
  /** A fast shutdown; harmless when repeated. Does nothing to another process' server. */
  stop(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const RETRY_MS = 50;
const ATTEMPTS_MAX = 5;

interface Place {
  readonly base: string;
  readonly account: Account | null;
}

/**
 * The folder for data, log and staged binaries, and who runs the server. As root, a folder inside, say, /root cannot be entered by the
 * server's account: the data then goes to a folder in /var/tmp that is named after the one asked for.
 */
const findPlace = async (directory: string, major: PostgresMajor): Promise<Place> => {
  const made = await mkdir(directory, { recursive: true, mode: 0o700 });
  const account = await serverAccount(dataDirectoryOf(directory, major));
  if (account === null) return { base: directory, account };
  if (made !== undefined) await chmod(directory, 0o711);
  if (await isReachable(directory, account)) return { base: directory, account };
  const base = path.join('/var/tmp', `relate-mirror-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`);
  await makeRootOwned(base);
  return { base, account: await serverAccount(dataDirectoryOf(base, major)) };
};

type Running = { readonly attachedTo: number } | { readonly server: Server };

/** The running server's port, or null where none runs. Waits for one that is starting or stopping. */
const findRunning = async (dataDirectory: string, deadline: number): Promise<number | null> => {
  for (;;) {
    const postmaster = await readPostmasterFile(dataDirectory);
    if (postmaster === null) return null;
    const holder = await holderOf(postmaster.pid, dataDirectory);
    // Left by a crash. PostgreSQL clears it, and better than we can, unless another program has that pid now: then it would not start.
    if (holder === 'other') await rm(path.join(dataDirectory, 'postmaster.pid'), { force: true });
    if (holder !== 'server') return null;
    if (postmaster.ready && postmaster.port !== null) return postmaster.port;
    if (performance.now() > deadline) throw new Error(`The server of ${dataDirectory} (pid ${postmaster.pid}) runs but is not ready.`);
    await delay(RETRY_MS);
  }
};

/**
 * Attaches to the server of this folder, or starts one. A start may fail for reasons that pass: another process starts the same folder,
 * the port was taken in between, a killed server's backends have not ended yet. It is tried again while the time lasts.
 */
const attachOrStart = async (options: EmbeddedPostgresOptions, place: Place, binaries: Binaries, cluster: Cluster): Promise<Running> => {
  const { dataDirectory } = cluster;
  const deadline = performance.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const portFile = `${dataDirectory}.port`;
  const remembered = Number(await readFile(portFile, 'utf8').catch(() => '0'));
  for (let attempt = 1; ; attempt += 1) {
    const running = await findRunning(dataDirectory, deadline);
    if (running !== null) return { attachedTo: running };
    const port = options.port ?? (attempt === 1 && remembered > 0 ? remembered : await freePort());
    try {
      const server = await startServer({
        binaries,
        account: place.account,
        dataDirectory,
        logFile: path.join(place.base, 'server.log'),
        port,
        fsync: options.fsync ?? true,
        settings: options.settings ?? {},
        timeoutMs: Math.max(1, Math.round(deadline - performance.now())),
        removeWithServer: options.directory === undefined ? place.base : null,
      });
      // Only so that a psql line stays good; a server that runs is worth more than its port.
      await writeFile(portFile, String(port)).catch(() => undefined);
      return { server };
    } catch (error) {
      if (attempt >= ATTEMPTS_MAX || performance.now() > deadline) throw error;
      await delay(RETRY_MS * attempt);
    }
  }
};

/**
 * Starts the embedded PostgreSQL, or attaches to the one that another process runs in the same folder. About one second for a new folder,
 * less than 0.1 s for one that has data.
 *
 * @throws Error that says what to do: the optional package is missing, the folder belongs to somebody else, or the server did not start in
 * time (with the end of its log). Nothing is left running then.
 */
export const startEmbeddedPostgres = async (options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> => {
  const startedAt = performance.now();
  const { major = 18, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const temporary = options.directory === undefined;
  const directory = path.resolve(options.directory ?? path.join(tmpdir(), `relate-mirror-${randomUUID()}`));
  const { base, account } = await findPlace(directory, major);
  const remove = async (): Promise<void> => {
    if (temporary) for (const folder of new Set([directory, base])) await rm(folder, { recursive: true, force: true });
  };
  try {
    const binaries = await findBinaries(major, account, base);
    const cluster = await openCluster({ directory: base, major, account, timeoutMs }, binaries);
    const running = await attachOrStart(options, { base, account }, binaries, cluster);
    const server = 'server' in running ? running.server : null;
    const port = 'server' in running ? running.server.port : running.attachedTo;
    const { dataDirectory, password, created } = cluster;
    const ms = Math.round(performance.now() - startedAt);
    options.log?.info({ port, version: binaries.version, created, attached: server === null, ms }, 'embedded PostgreSQL is ready');
    return {
      url: (database = DATABASE) => `postgres://${SUPERUSER}:${password}@${HOST}:${port}/${database}`,
      host: HOST,
      port,
      user: SUPERUSER,
      password,
      dataDirectory,
      attached: server === null,
      exited: server?.exited ?? new Promise<void>(() => undefined),
      stop: async () => {
        await server?.stop();
        if (server !== null) await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
};

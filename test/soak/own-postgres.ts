/** A PostgreSQL of one run's own, with fsync on, that can die like one whose host or kernel ended it, and come back on the same port. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { migrateDatabase } from '../../src/postgres/migrate.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres, type EmbeddedPostgresOptions } from '../../src/sandbox/postgres/launch.ts';

/** `immediate`: its own shutdown without a checkpoint. `kill`: SIGKILL to all its processes at once. Both go through crash recovery. */
export const CRASHES = ['immediate', 'kill'] as const;
export type Crash = (typeof CRASHES)[number];

export interface OwnPostgres {
  /** Of a superuser; the same after each restart. */
  readonly url: string;
  readonly port: number;
  /** Where the data is while it is down. */
  readonly dataDirectory: string;
  /** False once its process has ended, however. */
  isUp(): boolean;
  /** Down until it is resumed. `fast`: as a service manager stops it. */
  halt(how: Crash | 'fast'): Promise<void>;
  /** Resolves when it takes connections again; at once, where it never went away. */
  resume(): Promise<void>;
  /** Resolves when it takes connections again. */
  crash(how: Crash): Promise<void>;
  /** Ends it and removes its data. */
  remove(): Promise<void>;
}

const childrenOf = async (parent: number): Promise<readonly number[]> => {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=']);
  const pairs = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.flatMap(([pid, ppid]) => (ppid === parent && pid !== undefined ? [pid] : []));
};

const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself meanwhile.
  }
};

export interface OwnPostgresOptions extends Pick<EmbeddedPostgresOptions, 'settings' | 'major'> {
  /** Of its own, which is removed with it. Default: one in the system's folder for such. */
  readonly directory?: string;
  /** Where the write-ahead log goes: a folder that is not there yet, on another file system perhaps. Default: with the data. */
  readonly walDirectory?: string;
}

/** Of a server that is down. As root, everything keeps its owner. */
const moveLog = async (dataDirectory: string, walDirectory: string): Promise<void> => {
  const log = path.join(dataDirectory, 'pg_wal');
  await promisify(execFile)('cp', ['-a', log, walDirectory]);
  await rm(log, { recursive: true });
  await symlink(walDirectory, log);
};

export const startOwnPostgres = async ({ walDirectory, ...options }: OwnPostgresOptions = {}): Promise<OwnPostgres> => {
  // Not made here: whoever makes it lets the server's account in.
  const directory = options.directory ?? path.join(tmpdir(), `relate-mirror-soak-${randomUUID()}`);
  const start = async (port?: number): Promise<EmbeddedPostgres> =>
    await startEmbeddedPostgres({ fsync: true, ...options, directory, ...(port === undefined ? {} : { port }) });
  let server = await start();
  const { port, dataDirectory } = server;
  if (walDirectory !== undefined) {
    await server.stop();
    await moveLog(dataDirectory, walDirectory);
    server = await start(port);
  }
  let isUp = true;
  const watch = (): void => void server.exited.then(() => (isUp = false));
  watch();
  await migrateDatabase({ connectionString: server.url() });
  const halt: OwnPostgres['halt'] = async (how) => {
    if (how === 'fast') return await server.stop();
    const [line] = (await readFile(path.join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n');
    const postmaster = Number(line);
    if (!(postmaster > 1)) throw new Error('the server has no pid');
    if (how === 'immediate') kill(postmaster, 'SIGQUIT');
    // The parent first: it would restart what dies before it.
    else for (const pid of [postmaster, ...(await childrenOf(postmaster))]) kill(pid, 'SIGKILL');
    await server.exited;
  };
  const resume = async (): Promise<void> => {
    if (isUp) return;
    server = await start(port);
    isUp = true;
    watch();
  };
  return {
    url: server.url(),
    port,
    dataDirectory,
    isUp: () => isUp,
    halt,
    resume,
    crash: async (how) => {
      await halt(how);
      await resume();
    },
    remove: async () => {
      await server.stop();
      for (const folder of [directory, walDirectory ?? directory]) await rm(folder, { recursive: true, force: true });
    },
  };
};

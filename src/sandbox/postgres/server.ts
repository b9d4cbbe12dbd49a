/** One running server: started as a child process, known to be ready by its own `postmaster.pid`, stopped by a fast shutdown. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open, readFile, rename, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { SERVER_ENV } from './cluster.ts';
import { readPostmasterFile } from './postmaster.ts';
import { watchServer } from './watchdog.ts';

export const HOST = '127.0.0.1';

const POLL_MS = 10;
/** A fast shutdown writes a checkpoint; after this it is made to stop at once, and recovers at its next start. */
const STOP_TIMEOUT_MS = 10_000;
const LOG_TAIL_BYTES = 4_000;
const LOG_KEPT_BYTES = 5_000_000;

const SETTINGS = {
  listen_addresses: HOST,
  // A socket's path may have 107 bytes, less than many a project folder's.
  unix_socket_directories: '',
  max_connections: '200',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
  // Statements, parameters and DETAIL lines hold what people wrote; none of it belongs in a log.
  log_min_error_statement: 'panic',
  log_parameter_max_length_on_error: '0',
  log_error_verbosity: 'terse',
} as const;

/** A crash of the machine loses the data: for tests, which make a new one each time. */
const WITHOUT_FSYNC = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' } as const;

export interface ServerOptions {
  readonly binaries: Binaries;
  readonly account: Account | null;
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly port: number;
  readonly fsync: boolean;
  readonly settings: { readonly [name: string]: string };
  readonly timeoutMs: number;
  /** A folder that goes with the server when this process dies without stopping it; null: nothing is removed. */
  readonly removeWithServer: string | null;
}

export interface Server {
  readonly port: number;
  /** Resolves when the process is gone, however it ended. */
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

/** A port that nobody listens on right now. */
export const freePort = async (): Promise<number> => {
  const probe = createServer();
  probe.listen(0, HOST);
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('The system gave no TCP port.');
  return address.port;
};

const logTail = async (file: string): Promise<string> => (await readFile(file, 'utf8').catch(() => '')).slice(-LOG_TAIL_BYTES).trim();

const openLog = async (file: string, account: Account | null): Promise<FileHandle> => {
  const size = await stat(file).then(
    (entry) => entry.size,
    () => 0,
  );
  if (size > LOG_KEPT_BYTES) await rename(file, `${file}.1`);
  const log = await open(file, 'a', 0o600);
  // The next start may be the server's own account's, without root.
  if (account !== null) await log.chown(account.uid, account.gid);
  return log;
};

const spawnServer = async (options: ServerOptions): Promise<ChildProcess> => {
  const settings = { ...SETTINGS, ...(options.fsync ? {} : WITHOUT_FSYNC), ...options.settings };
  const args = ['-D', options.dataDirectory, '-p', String(options.port)];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);
  const log = await openLog(options.logFile, options.account);
  try {
    // A file, not a pipe: a pipe's end would go with this process, and a server that cannot write its log stops.
    return spawn(options.binaries.postgres, args, {
      ...options.account,
      cwd: '/',
      env: SERVER_ENV,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
  } finally {
    await log.close();
  }
};

const stopServer = async (child: ChildProcess, exited: Promise<void>): Promise<void> => {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    child.kill(signal);
    const timer = new AbortController();
    const timeout = delay(STOP_TIMEOUT_MS, 'timeout', { signal: timer.signal }).catch(() => 'cancelled');
    const first = await Promise.race([exited.then(() => 'exited'), timeout]);
    timer.abort();
    if (first === 'exited') return;
  }
};

/**
 * Starts a server and waits until it takes connections.
 *
 * @throws Error where the process ends or `timeoutMs` pass before that, with the end of the server's log. Nothing is left running.
 */
export const startServer = async (options: ServerOptions): Promise<Server> => {
  const child = await spawnServer(options);
  const { pid } = child;
  const watchdog = pid === undefined ? null : watchServer(pid, options.dataDirectory, options.removeWithServer);
  const end: { how: string | null } = { how: null };
  const exited = new Promise<void>((resolve) => {
    const settle = (how: string): void => {
      end.how = how;
      watchdog?.release();
      resolve();
    };
    child.once('error', (error) => settle(error.message));
    child.once('exit', (code, signal) => settle(`ended with ${signal ?? `code ${code}`}`));
  });
  const deadline = performance.now() + options.timeoutMs;
  const isOurs = async (): Promise<boolean> => {
    const postmaster = await readPostmasterFile(options.dataDirectory);
    return postmaster !== null && postmaster.pid === pid && postmaster.ready;
  };
  while (!(await isOurs())) {
    if (end.how !== null) throw new Error(`The embedded PostgreSQL did not start: ${end.how}\n${await logTail(options.logFile)}`);
    if (performance.now() > deadline) {
      await stopServer(child, exited);
      throw new Error(`The embedded PostgreSQL was not ready after ${options.timeoutMs} ms\n${await logTail(options.logFile)}`);
    }
    await delay(POLL_MS);
  }
  // The watchdog ends the server with this process; until then it shall not keep the process from ending.
  child.unref();
  let stopping: Promise<void> | null = null;
  return { port: options.port, exited, stop: () => (stopping ??= stopServer(child, exited)) };
};

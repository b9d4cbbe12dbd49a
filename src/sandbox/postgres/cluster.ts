/** A data directory and what belongs beside it: the password and the port of its server. */
import { execFile } from 'node:child_process';
import { chown, lstat, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { randomBytes, randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Account } from './account.ts';
import type { Binaries, PostgresMajor } from './binaries.ts';

/** The server's only login role at first: its superuser. */
export const SUPERUSER = 'postgres';

/** Made with the cluster, so that nobody has to work in `postgres`. */
export const DATABASE = 'relate_mirror';

/** PostgreSQL reads many variables of the environment; it gets none of ours. */
export const SERVER_ENV = { LC_ALL: 'C', TZ: 'UTC' } as const;

export interface Cluster {
  readonly dataDirectory: string;
  readonly password: string;
}

const Secret = z.object({ password: z.string().min(1) });

/** Without a locale of the operating system where PostgreSQL brings its own: the same order and case rules on every machine. */
const LOCALE: Record<PostgresMajor, readonly string[]> = {
  15: ['--locale=C.UTF-8'],
  18: ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
};

const run = promisify(execFile);

export interface ClusterOptions {
  readonly directory: string;
  readonly major: PostgresMajor;
  readonly account: Account | null;
  readonly timeoutMs: number;
}

/** One data directory per major version: a server refuses the files of another. */
export const dataDirectoryOf = (directory: string, major: PostgresMajor): string => path.join(directory, `data-${major}`);
const secretFileOf = (dataDirectory: string): string => path.join(dataDirectory, 'relate-mirror.json');

const readSecret = async (dataDirectory: string): Promise<string | null> => {
  try {
    return Secret.parse(JSON.parse(await readFile(secretFileOf(dataDirectory), 'utf8'))).password;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (code !== 'EACCES') throw error;
    throw new Error(`${dataDirectory} belongs to another user: start as that user, or move it away.`, { cause: error });
  }
};

/** A server that runs one statement and takes no connections: CREATE DATABASE without a client library. */
const createDatabase = async (draft: string, { account, timeoutMs }: ClusterOptions, binaries: Binaries): Promise<void> => {
  const args = ['--single', '-D', draft, '-F', 'postgres'];
  const single = run(binaries.postgres, args, { ...account, cwd: '/', env: SERVER_ENV, timeout: timeoutMs, killSignal: 'SIGKILL' });
  single.child.stdin?.end(`create database ${DATABASE}\n`);
  await single;
};

const initialise = async (draft: string, password: string, options: ClusterOptions, binaries: Binaries): Promise<void> => {
  const { account, major, timeoutMs } = options;
  const passwordFile = `${draft}.password`;
  await mkdir(draft, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  try {
    if (account !== null) for (const entry of [draft, passwordFile]) await chown(entry, account.uid, account.gid);
    const args = [
      `--pgdata=${draft}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      ...LOCALE[major],
      // Nothing is in there yet: a crash now is answered by a new draft, not by recovery.
      '--no-sync',
      '--no-instructions',
    ];
    await run(binaries.initdb, args, { ...account, cwd: '/', env: SERVER_ENV, timeout: timeoutMs, killSignal: 'SIGKILL' });
    await createDatabase(draft, options, binaries);
    await writeFile(secretFileOf(draft), JSON.stringify({ password }), { mode: 0o600 });
    if (account !== null) await chown(secretFileOf(draft), account.uid, account.gid);
  } finally {
    await rm(passwordFile, { force: true });
  }
};

/** What initdb said, without its whole command line. */
const initdbFailed = (cause: unknown, timeoutMs: number): Error => {
  const { stderr = '', killed = false, code } = cause as { stderr?: string; killed?: boolean; code?: string | number };
  const why = killed ? `no end after ${timeoutMs} ms` : stderr.trim() || String(code ?? cause);
  return new Error(`The embedded PostgreSQL could not be initialised: ${why}`, { cause });
};

/** Opens the cluster of that major version, creating it if there is none. Two processes may do so at once: one of them creates it. */
export const openCluster = async (options: ClusterOptions, binaries: Binaries): Promise<Cluster & { readonly created: boolean }> => {
  const dataDirectory = dataDirectoryOf(options.directory, options.major);
  const existing = await readSecret(dataDirectory);
  if (existing !== null) return { dataDirectory, password: existing, created: false };
  if (await lstat(dataDirectory).catch(() => null)) {
    throw new Error(`${dataDirectory} exists but was not made by relate-mirror: move it away and start again.`);
  }

  const draft = `${dataDirectory}.${randomUUID()}`;
  const password = randomBytes(24).toString('base64url');
  try {
    await initialise(draft, password, options, binaries).catch((error: unknown) => {
      throw initdbFailed(error, options.timeoutMs);
    });
    await rename(draft, dataDirectory);
    return { dataDirectory, password, created: true };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    const theirs = code === 'ENOTEMPTY' || code === 'EEXIST' ? await readSecret(dataDirectory) : null;
    if (theirs === null) throw error;
    return { dataDirectory, password: theirs, created: false };
  }
};

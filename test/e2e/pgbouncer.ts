/** A PgBouncer in transaction mode in front of the tests' server, as docs/operations.md describes it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort, HOST } from '../../src/sandbox/postgres/server.ts';
import { serverAccount } from '../../src/sandbox/postgres/account.ts';
import { until } from './world.ts';

export interface PgBouncer {
  /** The same login and database, through the pooler. */
  urlOf(directUrl: string): string;
  stop(): Promise<void>;
}

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** Debian keeps it where not everybody's PATH leads. Null: it is not installed. */
export const findPgBouncer = (): string | null =>
  [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin'].map((folder) => path.join(folder, 'pgbouncer')).find(isExecutable) ??
  null;

/** The lines that matter are those of docs/operations.md, and the test of the documents compares them. */
export const POOLER_SETTINGS = {
  pool_mode: 'transaction',
  auth_type: 'scram-sha-256',
  ignore_startup_parameters: 'options',
} as const;

const answers = async (port: number): Promise<boolean> => {
  const socket = connect(port, HOST);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};

/** `logins`: direct addresses of one database, each of another role. Few connections to the server, so that clients do share them. */
export const startPgBouncer = async (binary: string, logins: readonly string[]): Promise<PgBouncer> => {
  const directory = await mkdtemp(path.join(tmpdir(), 'relate-mirror-pgbouncer-'));
  const account = await serverAccount(directory);
  const port = await freePort();
  const urls = logins.map((login) => new URL(login));
  const [first] = urls;
  if (first === undefined) throw new Error('no login');
  const users = urls.map(({ username, password }) => `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"`);
  const files = {
    'userlist.txt': `${users.join('\n')}\n`,
    'pgbouncer.ini': [
      '[databases]',
      `* = host=${first.hostname} port=${first.port}`,
      '[pgbouncer]',
      `listen_addr = ${HOST}`,
      `listen_port = ${port}`,
      'unix_socket_dir =',
      `auth_file = ${path.join(directory, 'userlist.txt')}`,
      'default_pool_size = 5',
      ...Object.entries(POOLER_SETTINGS).map(([name, value]) => `${name} = ${value}`),
      '',
    ].join('\n'),
  };
  await chmod(directory, 0o711);
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name);
    await writeFile(file, text, { mode: 0o600 });
    if (account !== null) await chown(file, account.uid, account.gid);
  }
  const child = spawn(binary, ['-q', path.join(directory, 'pgbouncer.ini')], { ...account, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, 'close');
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await until('PgBouncer', () => {
      if (child.exitCode !== null) throw new Error(`PgBouncer ended: ${said}`);
      return answers(port);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    urlOf: (directUrl) => {
      const url = new URL(directUrl);
      [url.hostname, url.port] = [HOST, String(port)];
      return url.href;
    },
    stop,
  };
};

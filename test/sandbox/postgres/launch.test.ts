import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterEach, expect, test, vi } from 'vitest';
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../../src/sandbox/postgres/launch.ts';
import { postgresMajor } from '../../postgres-server.ts';

// Each makes data directories of its own, on a disk that is busy with the other worker.
vi.setConfig({ testTimeout: 60_000 });

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const freshDirectory = (): string => {
  const directory = path.join(tmpdir(), `relate-mirror-launch-${randomUUID()}`);
  cleanUps.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};

const start = async (options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> => {
  const server = await startEmbeddedPostgres({ major: postgresMajor(), fsync: false, ...options });
  cleanUps.push(() => server.stop());
  return server;
};

const query = async (url: string, text: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url });
  // A server that is killed below ends its connections.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
};

const pidOf = (server: { readonly dataDirectory: string }): number =>
  Number(readFileSync(path.join(server.dataDirectory, 'postmaster.pid'), 'utf8').split('\n')[0]);

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
};

const waitUntil = (what: () => boolean): Promise<void> => vi.waitFor(() => expect(what()).toBe(true), { timeout: 15_000, interval: 20 });

const startInChild = async (
  directory?: string,
): Promise<{ child: ChildProcess; url: string; dataDirectory: string; attached: boolean }> => {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'child.ts'), ...(directory === undefined ? [] : [directory])], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  cleanUps.push(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const started = JSON.parse(line) as { url: string; dataDirectory: string; attached: boolean };
  const pid = pidOf(started);
  cleanUps.push(async () => {
    child.kill('SIGKILL');
    await waitUntil(() => !isAlive(pid));
  });
  return { child, ...started };
};

test('it is the version asked for, in UTF-8, with a database of the program’s own', async () => {
  const server = await start();
  const [version, encoding, lower, database] = await query(
    server.url(),
    "select current_setting('server_version_num')::int / 10000, current_setting('server_encoding'), lower('ÄÖ'), current_database()",
  );
  expect([version, encoding, lower, database]).toEqual([postgresMajor(), 'UTF8', 'äö', 'relate_mirror']);
});

test('nobody gets in without the password', async () => {
  const server = await start();
  const url = new URL(server.url());
  url.password = 'wrong';
  await expect(query(url.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
});

test('after stop neither process nor folder is left, and stop may be repeated', async () => {
  const server = await start();
  const pid = pidOf(server);
  await Promise.all([server.stop(), server.stop()]);
  await server.exited;
  expect(isAlive(pid)).toBe(false);
  expect(existsSync(path.dirname(server.dataDirectory))).toBe(false);
});

test('a folder keeps data and password between starts', async () => {
  const directory = freshDirectory();
  const first = await start({ directory });
  await query(first.url(), 'create table kept (a int)');
  await first.stop();
  const second = await start({ directory });
  expect(second.password).toBe(first.password);
  expect(await query(second.url(), 'select count(*)::int from kept')).toEqual([0]);
});

test('a second process uses the running server, and leaves it running', async () => {
  const directory = freshDirectory();
  const owner = await startInChild(directory);
  expect(owner.attached).toBe(false);
  const guest = await start({ directory });
  expect(guest.attached).toBe(true);
  expect(guest.url()).toBe(owner.url);
  await guest.stop();
  expect(await query(owner.url, 'select 1')).toEqual([1]);
});

test('two that open a new folder at once share one server', async () => {
  const directory = freshDirectory();
  const servers = await Promise.all([start({ directory }), start({ directory })]);
  expect(servers.filter((server) => server.attached)).toHaveLength(1);
  expect(servers[0].url()).toBe(servers[1].url());
  expect(await query(servers[0].url(), 'select 1')).toEqual([1]);
});

test('a server that was killed with kill -9 starts again with its data', async () => {
  const directory = freshDirectory();
  const first = await start({ directory, fsync: true });
  await query(first.url(), 'create table kept (a int)');
  process.kill(pidOf(first), 'SIGKILL');
  await first.exited;
  const second = await start({ directory, fsync: true });
  expect(second.attached).toBe(false);
  expect(await query(second.url(), 'select count(*)::int from kept')).toEqual([0]);
});

test('a leftover postmaster.pid with the pid of another program is no obstacle', async () => {
  const directory = freshDirectory();
  const first = await start({ directory });
  const file = path.join(first.dataDirectory, 'postmaster.pid');
  const text = readFileSync(file, 'utf8');
  await first.stop();
  writeFileSync(file, text.replace(/^\d+/, String(process.pid)));
  const second = await start({ directory });
  expect(second.attached).toBe(false);
  expect(await query(second.url(), 'select 1')).toEqual([1]);
});

test('the server and its temporary folder go when their process is killed with kill -9', async () => {
  const { child, dataDirectory } = await startInChild();
  const pid = pidOf({ dataDirectory });
  expect(isAlive(pid)).toBe(true);
  child.kill('SIGKILL');
  await waitUntil(() => !isAlive(pid));
  await waitUntil(() => !existsSync(path.dirname(dataDirectory)));
});

test('a start that fails says so with the end of the log, and leaves nothing', async () => {
  const directory = freshDirectory();
  const failing = start({ directory, settings: { shared_buffers: 'nonsense' } });
  await expect(failing).rejects.toThrow(/did not start: ended with code 1\n[^]*invalid value for parameter "shared_buffers"/);
  const healthy = await start({ directory });
  expect(await query(healthy.url(), 'select 1')).toEqual([1]);
});

test('a server that is not ready in time is stopped', async () => {
  const directory = freshDirectory();
  const first = await start({ directory });
  await first.stop();
  // A standby without a primary, and closed to readers, never gets ready.
  const signal = path.join(first.dataDirectory, 'standby.signal');
  writeFileSync(signal, '');
  chmodSync(signal, 0o666);
  const late = start({ directory, timeoutMs: 500, settings: { hot_standby: 'off', restore_command: 'false' } });
  await expect(late).rejects.toThrow(/was not ready after \d+ ms\n[^]*entering standby mode/);
  expect(existsSync(path.join(first.dataDirectory, 'postmaster.pid'))).toBe(false);
});

test('its log holds no values of rows, statements or parameters', async () => {
  const directory = freshDirectory();
  const server = await start({ directory });
  await query(server.url(), 'create table people (email text unique)');
  await query(server.url(), "insert into people values ('ada@example.com')");
  await expect(query(server.url(), "insert into people values ('ada@example.com')")).rejects.toMatchObject({ code: '23505' });
  await server.stop();
  const log = readFileSync(path.join(path.dirname(server.dataDirectory), 'server.log'), 'utf8');
  expect(log).toContain('duplicate key value');
  expect(log).not.toContain('ada@example.com');
});

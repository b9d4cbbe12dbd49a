/** `start` where Postgres is not there yet, goes away, or lets nobody in. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, type TestContext } from 'vitest';
import { createPool } from '../../src/postgres/pool.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/sandbox/postgres/launch.ts';
import { postgresMajor } from '../postgres-server.ts';
import { openWorld, succeeded, TIMEOUT, until, type World } from './world.ts';

/** A server that goes and comes back at the same address. It has no database but its own. */
const openServer = async ({ onTestFinished }: TestContext) => {
  const directory = path.join(tmpdir(), `relate-mirror-waiting-${randomUUID()}`);
  let server: EmbeddedPostgres = await startEmbeddedPostgres({ directory, major: postgresMajor(), fsync: false });
  const { port } = server;
  onTestFinished(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return {
    url: server.url(),
    stop: () => server.stop(),
    start: async () => void (server = await startEmbeddedPostgres({ directory, major: postgresMajor(), fsync: false, port })),
  };
};

const open = async ({ onTestFinished }: TestContext, url: string): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 30 }, env: { DATABASE_URL: url } });
  onTestFinished(() => world.close());
  return world;
};

const IS_WAITING = (line: { readonly [name: string]: unknown }): boolean => String(line['msg']).endsWith('waiting for it');

describe('start', TIMEOUT, () => {
  it('waits for Postgres, says so once, and goes on by itself when it is there, and there again', async (context) => {
    const server = await openServer(context);
    await server.stop();
    const world = await open(context, server.url);
    const daemon = world.start(['start']);
    expect(await daemon.logged('the wait', IS_WAITING)).toMatchObject({ level: 'warn', code: 'ECONNREFUSED' });
    // Whoever watches is told so meanwhile.
    const { url } = await daemon.logged(
      'the port',
      (line) => typeof line['url'] === 'string' && String(line['msg']).startsWith('listening'),
    );
    const statusOf = async (page: string): Promise<number> => (await fetch(new URL(page, String(url)))).status;
    expect([await statusOf('/healthz'), await statusOf('/readyz'), await statusOf('/metrics')]).toEqual([200, 503, 200]);
    await server.start();
    await daemon.logged('its end', (line) => line['msg'] === 'Postgres is there');
    await daemon.logged('the first load', (line) => line['msg'] === 'swept');
    await until('readiness', async () => (await statusOf('/readyz')) === 200);

    const pool = createPool({ connectionString: server.url, max: 1, applicationName: 'test' });
    context.onTestFinished(() => pool.end());
    await server.stop();
    await daemon.logged('the loss', (line) => line['msg'] === 'notifications are not heard; reconnecting');
    await server.start();
    // While it is away, as after its start: an edit of the other side and one of ours.
    const [contact] = world.account.contacts();
    if (contact === undefined) throw new Error('no contact');
    await until('an edit', () => pool.query(`update crm.contacts set city = 'Bern' where crm_id = $1`, [contact.id]).catch(() => null));
    await until('the edit in the CRM', () => world.account.contact(contact.id)?.city === 'Bern');

    daemon.kill('SIGTERM');
    const { stderr } = succeeded(await daemon.ended);
    expect(stderr.split('\n').filter((line) => line.includes('waiting for it'))).toHaveLength(1);
  });

  it('that waits ends at once and well at SIGTERM', async (context) => {
    const server = await openServer(context);
    await server.stop();
    const world = await open(context, server.url);
    const daemon = world.start(['start']);
    await daemon.logged('the wait', IS_WAITING);
    const killedAt = performance.now();
    daemon.kill('SIGTERM');
    succeeded(await daemon.ended);
    expect(performance.now() - killedAt).toBeLessThan(2_000);
  });

  it('and sync, audit, migrate tell for whom they wait while another process migrates, and end well at SIGTERM', async (context) => {
    const server = await openServer(context);
    const world = await open(context, server.url);
    const pool = createPool({ connectionString: server.url, max: 1, applicationName: 'somebody else' });
    context.onTestFinished(() => pool.end());
    const holder = await pool.connect();
    await holder.query('select pg_advisory_lock(7210, 3)');
    const { rows } = await holder.query<{ pid: number }>('select pg_backend_pid() as pid');
    await Promise.all(
      ['start', 'sync', 'audit', 'migrate'].map(async (command) => {
        const child = world.start([command]);
        const line = await child.logged('the wait', ({ msg }) => msg === 'waiting for the session that has the migration lock');
        expect(line).toMatchObject({ level: 'warn', pid: rows[0]?.pid, application: 'somebody else' });
        const killedAt = performance.now();
        child.kill('SIGTERM');
        const { stdout, stderr } = succeeded(await child.ended);
        expect(performance.now() - killedAt).toBeLessThan(5_000);
        expect([stdout, stderr.includes('The command failed')]).toEqual(['', false]);
      }),
    );
    const waits = world.start(['migrate', '--json']);
    await waits.logged('the wait', ({ msg }) => msg === 'waiting for the session that has the migration lock');
    await holder.query('select pg_advisory_unlock(7210, 3)');
    holder.release();
    expect(JSON.parse(succeeded(await waits.ended).stdout)).toMatchObject({ applied: expect.any(Number) as number });
  });

  it('does not wait for what no wait mends: a wrong password, a missing database', async (context) => {
    const server = await openServer(context);
    const world = await open(context, server.url);
    const [stranger, elsewhere] = [new URL(server.url), new URL(server.url)];
    stranger.password = 'wrong-password';
    elsewhere.pathname = '/nowhere';
    const refused = await world.run(['start'], { DATABASE_URL: stranger.href });
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('user or password of DATABASE_URL is wrong. (28P01)')]);
    expect(refused.stderr).not.toContain('wrong-password');
    const missing = await world.run(['start'], { DATABASE_URL: elsewhere.href });
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('does not exist: create it first. (3D000)')]);
  });

  it('leaves other commands to whoever calls them: they fail at once', async (context) => {
    const server = await openServer(context);
    await server.stop();
    const world = await open(context, server.url);
    const { code, stderr } = await world.run(['sync']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('Postgres cannot be reached')]);
  });
});

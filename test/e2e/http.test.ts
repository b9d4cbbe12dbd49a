/** The built program's HTTP server: where it listens, and how it ends. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, type TestContext } from 'vitest';
import { openWorld, TIMEOUT, until, type World, type WorldOptions } from './world.ts';

const ADMIN_TOKEN = 'secret-token-of-the-operator';
const open = async ({ onTestFinished }: TestContext, options: WorldOptions = {}): Promise<World> => {
  const world = await openWorld({ seed: { contacts: 5 }, ...options });
  onTestFinished(() => world.close());
  return world;
};
const urlOf = async (child: ReturnType<World['start']>): Promise<string> => {
  const line = await child.logged('the port', ({ url, msg }) => typeof url === 'string' && String(msg).startsWith('listening'));
  return String(line['url']);
};

describe('start', TIMEOUT, () => {
  it('ends with one clear line and exit code 1 where its port is taken, before it has touched the database', async (context) => {
    const world = await open(context, { empty: true });
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    context.onTestFinished(async () => await new Promise<void>((resolve) => other.close(() => resolve())));
    const { port } = other.address() as AddressInfo;
    const ended = await world.run(['start'], { HTTP_PORT: String(port) });
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split('\n').at(-1)).toBe(
      `HTTP_HOST=127.0.0.1 HTTP_PORT=${port} cannot be listened at: something listens there already (another daemon?). Choose another HTTP_PORT; 0 picks one and logs it.`,
    );
    expect(await world.sql(`select from pg_namespace where nspname = 'sync'`)).toEqual([]);
  });

  it('stops within ten seconds with exit code 0, whoever watches and whatever hangs', async (context) => {
    const world = await open(context, { env: { ADMIN_TOKEN } });
    const daemon = world.start(['start']);
    const url = await urlOf(daemon);
    const watcher = await fetch(`${url}/api/events`);
    const reader = watcher.body?.getReader();
    await reader?.read();
    // One that sends half a request and waits.
    const half = fetch(`${url}/api/resync`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode('{"links":')) }),
      duplex: 'half',
    }).then(
      () => 'answered',
      () => 'ended',
    );
    await until('a leader', async () => (await world.sql('select from sync.status where leader is not null')).length > 0);
    const stoppedAt = performance.now();
    daemon.kill('SIGTERM');
    const ended = await daemon.ended;
    expect({ code: ended.code, inTime: performance.now() - stoppedAt < 10_000 }).toEqual({ code: 0, inTime: true });
    expect(await half).toBe('ended');
    expect(ended.stderr).not.toContain(ADMIN_TOKEN);
  });

  it('calls are counted by minute, those before a stop too', async (context) => {
    const world = await open(context);
    const daemon = world.start(['start']);
    await world.inStep();
    daemon.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    const [counted] = await world.sql(`select sum(calls)::int as calls from sync.calls where outcome = 'ok'`);
    expect(counted?.['calls']).toBe(world.account.calls.count());
    const before = await world.sql('select * from sync.calls order by 1, 2, 3');
    expect((await world.run(['status'])).code).toBe(0);
    expect(await world.sql('select * from sync.calls order by 1, 2, 3')).toEqual(before);
  });
});

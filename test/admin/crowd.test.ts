/** Many clients at once that mean no good: who asks for health is answered all the same. */
import { get as httpGet } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { openAdminWorld, until, type AdminWorld } from './world.ts';

let world: AdminWorld | undefined;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await world?.close();
  world = undefined;
});

/** From this address of the machine's own; null: not even a connection. */
const healthFrom = async (url: string, localAddress: string): Promise<number | null> =>
  await new Promise((resolve) => {
    const asked = httpGet(`${url}/healthz`, { localAddress, agent: false, timeout: 2_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? null);
    });
    asked.on('timeout', () => asked.destroy()).on('error', () => resolve(null));
  });

it('half a request on every connection, and nobody who reads: others are answered at once, the same address soon', async () => {
  world = await openAdminWorld({ withoutDaemon: true, env: { HTTP_HOST: '0.0.0.0' } });
  const url = (world.app.admin?.url() ?? '').replace('0.0.0.0', '127.0.0.1');
  const port = Number(new URL(url).port);
  for (let n = 0; n < 256; n += 1) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2', allowHalfOpen: true });
    socket.on('error', () => undefined).pause();
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
    sockets.push(socket);
  }
  await until('all have been met', () => sockets.every(({ connecting }) => !connecting));
  expect(await healthFrom(url, '127.0.0.1')).toBe(200);
  expect(await healthFrom(url, '127.0.0.2')).toBeNull();
  const startedAt = performance.now();
  await until('the same address is answered', async () => (await healthFrom(url, '127.0.0.2')) === 200, 30_000);
  expect(performance.now() - startedAt).toBeLessThan(15_000);
}, 60_000);

/** Notifications are heard again after whatever happens to the connection, and what was lost meanwhile is made up for. */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';
import { createListener, type Listener } from '../../src/postgres/listen.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { createSequence, silentLog, type Sequence } from './ambient.ts';
import { connect, one } from './editing.ts';
import { startProxy } from './proxy.ts';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const listenTo = (connectionString: string, channels: readonly string[], heard: Sequence<string>): Listener =>
  createListener({
    connectionString,
    channels,
    clock: systemClock,
    log: silentLog,
    onNotify: heard.push,
    applicationName: 'test listener',
    heartbeatMs: 100,
    answerTimeoutMs: 200,
  });
const sessions = () => one<number>(client, `select count(*) as value from pg_stat_activity where application_name = 'test listener'`);

it('tells the handlers of every channel, at first and for each notification, until they are removed', async () => {
  const heard = createSequence<string>();
  const more = createSequence<string>();
  const listener = listenTo(database.url, ['one', 'Two words'], heard);
  const remove = listener.onNotify(more.push);
  await listener.start();
  expect([await heard.next(), await heard.next()]).toEqual(['one', 'Two words']);
  await client.query(`select pg_notify('Two words', '')`);
  expect(await heard.next()).toBe('Two words');
  expect(await more.next((channel) => channel === 'Two words')).toBe('Two words');
  remove();
  await client.query(`select pg_notify('one', '')`);
  expect(await heard.next()).toBe('one');
  await listener.stop();
});

it('reconnects when its session is ended, and counts that as a notification', async () => {
  const heard = createSequence<string>();
  const listener = listenTo(database.url, ['change'], heard);
  await listener.start();
  await heard.next();
  await client.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test listener'`);
  expect(await heard.next()).toBe('change');
  await client.query(`notify change`);
  expect(await heard.next()).toBe('change');
  await listener.stop();
});

it('notices a connection that has fallen silent', async () => {
  const proxy = await startProxy(database.url);
  const heard = createSequence<string>();
  const listener = listenTo(proxy.url, ['change'], heard);
  await listener.start();
  await heard.next();
  proxy.silence();
  expect(await heard.next()).toBe('change');
  expect(proxy.made).toBe(2);
  await client.query(`notify change`);
  expect(await heard.next()).toBe('change');
  await listener.stop();
  await proxy.close();
});

it('stops in bounded time although the server does not answer', async () => {
  const proxy = await startProxy(database.url);
  const heard = createSequence<string>();
  const listener = listenTo(proxy.url, ['change'], heard);
  await listener.start();
  await heard.next();
  proxy.silence();
  const before = performance.now();
  await listener.stop();
  expect(performance.now() - before).toBeLessThan(3_000);
  await proxy.close();
});

describe('start and stop', () => {
  it('may come in any order and number, and leave no connection', async () => {
    const heard = createSequence<string>();
    const listener = listenTo(database.url, ['change'], heard);
    await listener.stop();
    await Promise.all([listener.start(), listener.start()]);
    await heard.next();
    expect(await sessions()).toBe(1);
    await Promise.all([listener.stop(), listener.start(), listener.stop(), listener.start()]);
    await heard.next();
    await client.query(`notify change`);
    await heard.next();
    await Promise.all([listener.stop(), listener.stop()]);
    // The server forgets a session a moment after the client has closed it.
    await expect.poll(sessions).toBe(0);
  });

  it('end a connection attempt that hangs', async () => {
    const listener = listenTo('postgres://192.0.2.1:5432/nowhere?sslmode=disable', ['change'], createSequence());
    await listener.start();
    const before = performance.now();
    await listener.stop();
    expect(performance.now() - before).toBeLessThan(1_000);
  });
});

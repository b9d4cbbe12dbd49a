/** sync.wait(): many who wait at once, each for its own edit, and what they cost. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { addContact, connect, one, refusal } from './editing.ts';

const WAITERS = 50;
let database: TestDatabase;
let daemon: pg.Client;
let people: pg.Client[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  daemon = await connect(database.url);
});
afterAll(async () => {
  await daemon.end();
  await database.drop();
});
beforeEach(async () => {
  await daemon.query('truncate sync.change_log');
});
afterEach(async () => {
  await Promise.all(people.map((client) => client.end()));
  people = [];
});

const settle = async (contact: number, state: string): Promise<void> =>
  void (await daemon.query(
    `update sync.change_log set state = $2, settled_at = case when $2 in ('done', 'merged') then clock_timestamp() end where contact_id = $1`,
    [contact, state],
  ));
/** Each on a connection of its own, with an edit of its own. */
const editors = async (): Promise<readonly { readonly client: pg.Client; readonly contact: number }[]> => {
  people = await Promise.all(Array.from({ length: WAITERS }, () => connect(database.url)));
  return await Promise.all(people.map(async (client, at) => ({ client, contact: await addContact(client, `Waiter ${at}`) })));
};
const wait = (client: pg.Client, timeoutMs = 10_000): Promise<string> =>
  one<string>(client, 'select sync.wait(timeout_ms => $1) as value', [timeoutMs]);
/** Until all of them are in the function. */
const allWait = async (): Promise<void> => {
  const waiting = `select count(*)::int as value from pg_stat_activity where datname = current_database() and state = 'active' and query like 'select sync.wait%'`;
  while ((await one<number>(daemon, waiting)) < WAITERS) await new Promise((resolve) => setTimeout(resolve, 10));
};

describe(`${WAITERS} who wait at once`, () => {
  const ENDS = ['done', 'merged', 'held', 'parked'];

  it('each get the state of their own edit, soon after it is settled, whatever the order', async () => {
    const waiters = await editors();
    const answers = waiters.map(({ client }) => wait(client));
    await allWait();
    const settledAt: number[] = [];
    for (let at = waiters.length - 1; at >= 0; at -= 1) {
      await settle(waiters[at]?.contact ?? 0, ENDS[at % ENDS.length] ?? '');
      settledAt[at] = performance.now();
    }
    const heard = await Promise.all(
      answers.map(async (answer, at) => ({ state: await answer, lateMs: performance.now() - (settledAt[at] ?? 0) })),
    );
    expect(heard.map(({ state }) => state)).toEqual(waiters.map((_, at) => ENDS[at % ENDS.length]));
    // A look each 100 ms at most; the rest is a busy machine's.
    expect(Math.max(...heard.map(({ lateMs }) => lateMs))).toBeLessThan(5_000);
  });

  it('sleep between their looks, which are few, and hold nobody up', async () => {
    const waiters = await editors();
    const looks = async (): Promise<number> =>
      Number(await one(daemon, `select idx_scan + seq_scan as value from pg_stat_user_tables where relid = 'sync.change_log'::regclass`));
    await daemon.query('select pg_stat_force_next_flush()');
    const before = await looks();
    const timeoutMs = 2_000;
    const startedAt = performance.now();
    const answers = waiters.map(({ client }) => wait(client, timeoutMs));
    await allWait();
    // Nobody holds a lock that an edit or the daemon would wait for.
    const locks = `select count(*)::int as value from pg_locks l join pg_stat_activity a using (pid)
      where a.query like 'select sync.wait%' and l.mode not in ('AccessShareLock', 'ExclusiveLock') and l.locktype <> 'virtualxid'`;
    expect(await one(daemon, locks)).toBe(0);
    const [first] = waiters;
    await daemon.query(`update crm.contacts set city = 'Bern' where id = $1`, [first?.contact]);
    // All of them but few are asleep, at each moment that one looks.
    const asleep = await one<number>(
      daemon,
      `select count(*)::int as value from pg_stat_activity where query like 'select sync.wait%' and wait_event = 'PgSleep'`,
    );
    expect(asleep).toBeGreaterThan(WAITERS / 2);
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['pending']));
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(timeoutMs - 50);
    // Their sessions tell what they did when they are idle again.
    await Promise.all(waiters.map(({ client }) => client.query('select pg_stat_force_next_flush()')));
    await daemon.query('select pg_stat_clear_snapshot()');
    const perSecond = ((await looks()) - before) / WAITERS / (timeoutMs / 1000);
    expect(perSecond).toBeGreaterThan(1);
    expect(perSecond).toBeLessThan(20);
  });
});

describe('raises', () => {
  it.each(['repeatable read', 'serializable'])('in a %s transaction that began before the edit was settled', async (level) => {
    const [client, contact] = [await connect(database.url), await addContact(daemon)];
    people = [client];
    const change = await one<number>(daemon, 'select id as value from sync.change_log where contact_id = $1', [contact]);
    await client.query(`begin isolation level ${level}`);
    expect(await refusal(client, `select sync.wait(${change})`)).toMatchObject({ code: '55000' });
    await client.query('rollback');
    // What is settled already needs no wait.
    await settle(contact, 'done');
    await client.query(`begin isolation level ${level}`);
    expect(await one(client, 'select sync.wait($1) as value', [change])).toBe('done');
    await client.query('rollback');
  });

  it('in the transaction that made the edit, also behind a savepoint', async () => {
    const client = await connect(database.url);
    people = [client];
    await client.query('begin; savepoint here');
    await addContact(client);
    await client.query('release here');
    expect(await refusal(client, 'select sync.wait()')).toMatchObject({ code: '55000', hint: 'Commit first, then wait.' });
    await client.query('rollback');
  });

  it('for an id that is none, and for a session without an edit', async () => {
    const client = await connect(database.url);
    people = [client];
    expect(await refusal(client, 'select sync.wait(0)')).toMatchObject({ code: 'P0002', message: 'there is no change 0' });
    expect(await refusal(client, 'select sync.wait()')).toMatchObject({
      code: '55000',
      hint: expect.stringContaining('sync.queue') as string,
    });
  });
});

it('ends with its statement: a cancelled or ended session waits no longer', async () => {
  const client = await connect(database.url);
  people = [client];
  await addContact(client);
  const waiting = refusal(client, 'select sync.wait(timeout_ms => 600000)');
  const pid = `select pid as value from pg_stat_activity where query like 'select sync.wait%'`;
  const found = async (): Promise<boolean> => (await daemon.query(pid)).rows.length === 1;
  while (!(await found())) await new Promise((resolve) => setTimeout(resolve, 10));
  await daemon.query(`select pg_cancel_backend(pid) from pg_stat_activity where query like 'select sync.wait%'`);
  expect(await waiting).toMatchObject({ code: '57014' });
});

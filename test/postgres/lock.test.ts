/** One daemon leads. Nobody who was replaced believes to lead any longer, whatever happened to it or to its connection. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Clock } from '../../src/ports/ambient.ts';
import type { Lease, LeaseStatus } from '../../src/ports/lease.ts';
import { createLease, type LeaseReport } from '../../src/postgres/lock.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { createSequence, freezableClock, silentLog, type Sequence } from './ambient.ts';
import { connect, one } from './editing.ts';
import { startProxy } from './proxy.ts';

let database: TestDatabase;
let client: pg.Client;
let leases: Lease[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});
beforeEach(async () => {
  leases = [];
  await client.query('update sync.leader set holder = null, expires_at = null, backend_pid = null, renewed_at = null, last_pull_at = null');
});
afterEach(async () => void (await Promise.all(leases.map((lease) => lease.stop()))));

interface Daemon {
  readonly lease: Lease;
  readonly changes: Sequence<LeaseStatus>;
  readonly until: (state: LeaseStatus['state']) => Promise<LeaseStatus>;
}
const daemon = (holder: string, options: { url?: string; clock?: Clock; report?: () => LeaseReport } = {}): Daemon => {
  const changes = createSequence<LeaseStatus>();
  const lease = createLease({
    connectionString: options.url ?? database.url,
    holder,
    clock: options.clock ?? systemClock,
    log: silentLog,
    onChange: changes.push,
    ...(options.report === undefined ? {} : { report: options.report }),
  });
  leases.push(lease);
  return { lease, changes, until: (state) => changes.next((status) => status.state === state) };
};
const NOTHING: LeaseReport = {
  lastPullAt: null,
  budgetLimit: null,
  budgetUsed: null,
  pullDueSeconds: null,
  crmErrorCode: null,
  crmSeenSeconds: null,
};
const leader = () => one<string | null>(client, 'select leader as value from sync.status');
const epoch = () => one<number>(client, 'select epoch as value from sync.leader');

it('one of two leads; when it stops, the other takes over at once, under a higher epoch', async () => {
  const [a, b] = [daemon('a'), daemon('b')];
  await a.lease.start();
  await a.until('leading');
  expect([a.lease.holds(), a.lease.epoch()]).toEqual([true, await epoch()]);
  await b.lease.start();
  expect(await b.until('standby')).toEqual({ state: 'standby', leader: 'a' });
  expect([b.lease.holds(), b.lease.epoch()]).toEqual([false, null]);
  expect(await leader()).toBe('a');

  const first = await epoch();
  const before = performance.now();
  await a.lease.stop();
  expect([a.lease.holds(), a.lease.epoch(), a.lease.status()]).toEqual([false, null, { state: 'stopped' }]);
  expect(await b.until('leading')).toEqual({ state: 'leading', epoch: first + 1 });
  // Released, not waited for: a lease that runs out takes three seconds.
  expect(performance.now() - before).toBeLessThan(2_000);
  expect(await leader()).toBe('b');
});

it('of many that start at once exactly one leads', async () => {
  const all = Array.from({ length: 5 }, (_, at) => daemon(`d${at}`));
  await Promise.all(all.map(({ lease }) => lease.start()));
  await Promise.all(all.map(({ changes }) => changes.next(({ state }) => state === 'leading' || state === 'standby')));
  expect(all.filter(({ lease }) => lease.holds())).toHaveLength(1);
});

it('outlasts its own validity by renewing, and carries the report along', async () => {
  const at = new Date('2026-01-02T03:04:05Z');
  const a = daemon('a', { report: () => ({ ...NOTHING, lastPullAt: at, budgetLimit: 60, budgetUsed: 12 }) });
  await a.lease.start();
  await a.until('leading');
  const first = await one<Date>(client, 'select expires_at as value from sync.leader');
  await expect
    .poll(() => one<boolean>(client, 'select renewed_at > $1 as value from sync.leader', [first]), { timeout: 10_000, interval: 200 })
    .toBe(true);
  expect(a.lease.holds()).toBe(true);
  expect((await client.query('select last_pull_at, budget_limit, budget_used from sync.leader')).rows).toEqual([
    { last_pull_at: at, budget_limit: 60, budget_used: 12 },
  ]);
});

it('tells of the CRM and of a pull that is due as long as it leads, and whoever takes over knows nothing of that', async () => {
  const told = async () => (await client.query('select crm_error_code, crm_seen_seconds, pull_late from sync.status')).rows[0];
  let report: LeaseReport = { ...NOTHING, crmErrorCode: 'unauthorized', crmSeenSeconds: 2, pullDueSeconds: 310 };
  const a = daemon('a', { report: () => report });
  await a.lease.start();
  await expect
    .poll(told, { timeout: 10_000 })
    .toMatchObject({ crm_error_code: 'unauthorized', crm_seen_seconds: expect.closeTo(2.5, 0), pull_late: true });
  report = { ...NOTHING, crmSeenSeconds: 0, pullDueSeconds: 290 };
  await expect.poll(told, { timeout: 10_000 }).toMatchObject({ crm_error_code: null, pull_late: false });
  report = { ...NOTHING, crmErrorCode: 'timeout', crmSeenSeconds: 0, pullDueSeconds: 310 };
  await expect.poll(told, { timeout: 10_000 }).toMatchObject({ crm_error_code: 'timeout', pull_late: true });
  await a.lease.stop();
  const nothing = { crm_error_code: null, crm_seen_seconds: null, pull_late: false };
  expect(await told()).toEqual(nothing);
  const b = daemon('b', { report: () => NOTHING });
  await b.lease.start();
  await b.until('leading');
  expect(await told()).toEqual(nothing);
});

it('a frozen leader is replaced, its sessions are ended, and it knows when it wakes', async () => {
  const clock = freezableClock();
  const [a, b] = [daemon('a', { clock }), daemon('b')];
  await a.lease.start();
  await a.until('leading');
  const frozen = await connect(database.url);
  await frozen.query(`set application_name = 'relate-mirror a'`);
  // Its pool's sessions began before its last renewal, as a real one's do.
  const began = await one<Date>(frozen, 'select backend_start as value from pg_stat_activity where pid = pg_backend_pid()');
  await expect.poll(() => one<boolean>(client, 'select renewed_at > $1 as value from sync.leader', [began]), { timeout: 5_000 }).toBe(true);
  const ended = new Promise((resolve) => frozen.once('end', resolve));

  clock.freeze();
  await b.lease.start();
  await b.until('leading');
  // Asked right before a call: no is the answer before anybody has told it.
  expect(a.lease.holds()).toBe(false);
  await ended;
  clock.thaw();
  await a.changes.next(({ state }) => state !== 'leading');
  expect(a.lease.epoch()).toBeNull();
  expect([b.lease.holds(), await leader()]).toEqual([true, 'b']);
});

it('a leader that is cut off from the database stops before another takes over', async () => {
  const proxy = await startProxy(database.url);
  const [a, b] = [daemon('a', { url: proxy.url }), daemon('b')];
  await a.lease.start();
  await a.until('leading');
  await proxy.close();
  const order: string[] = [];
  const lost = a.changes.next(({ state }) => state !== 'leading').then(() => order.push('lost'));
  await b.lease.start();
  const taken = b.until('leading').then(() => order.push('taken'));
  await Promise.all([lost, taken]);
  expect(order).toEqual(['lost', 'taken']);
});

it('one silent connection does not cost the lease', async () => {
  const proxy = await startProxy(database.url);
  const a = daemon('a', { url: proxy.url });
  await a.lease.start();
  await a.until('leading');
  const held = a.lease.epoch();
  proxy.silence();
  const pid = await one<number>(client, 'select backend_pid as value from sync.leader');
  await expect.poll(() => one<number>(client, 'select backend_pid as value from sync.leader'), { timeout: 5_000 }).not.toBe(pid);
  expect([a.lease.holds(), a.lease.epoch()]).toEqual([true, held]);
  await a.lease.stop();
  await proxy.close();
});

it('a renewal that finds another epoch is the end of leading', async () => {
  const a = daemon('a');
  await a.lease.start();
  await a.until('leading');
  await client.query(`update sync.leader set epoch = epoch + 1, holder = 'usurper', expires_at = clock_timestamp() + interval '1 minute'`);
  expect(await a.until('standby')).toMatchObject({ state: 'standby' });
  expect([a.lease.holds(), a.lease.epoch()]).toEqual([false, null]);
  expect(await leader()).toBe('usurper');
});

it('start and stop may come in any order and number', async () => {
  const a = daemon('a');
  await a.lease.stop();
  await Promise.all([a.lease.start(), a.lease.start()]);
  await a.until('leading');
  await Promise.all([a.lease.stop(), a.lease.start(), a.lease.stop(), a.lease.stop()]);
  expect(await leader()).toBeNull();
  await a.lease.start();
  await a.until('leading');
  expect(await leader()).toBe('a');
});

/** What `doctor` believes of the database is what the migrations make. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { notifyRoundTrip } from '../../src/postgres/inspect/listen.ts';
import { missingRights } from '../../src/postgres/inspect/mirror.ts';
import { inspectServer, openInspection } from '../../src/postgres/inspect/server.ts';
import { EXPECTED_TRIGGERS, HISTORY_TRIGGERS, triggerFaults } from '../../src/postgres/inspect/triggers.ts';
import { daemonGrants } from '../../src/postgres/sql/grants.ts';
import { createTestDatabase } from '../database.ts';
import { connect } from './editing.ts';

const TRIGGERS = `
  select format('%s.%s %s', n.nspname, c.relname, t.tgname) as name, t.tgenabled::text as mode
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  where not t.tgisinternal and n.nspname in ('crm', 'sync')`;

it('the triggers that doctor expects are those of a fresh database, and no others', async ({ onTestFinished }) => {
  const database = await createTestDatabase();
  const client = await connect(database.url);
  onTestFinished(async () => {
    await client.end();
    await database.drop();
  });
  const { rows } = await client.query<{ name: string; mode: string }>(TRIGGERS);
  expect(new Map(rows.map(({ name, mode }) => [name, mode]))).toEqual(
    new Map([...EXPECTED_TRIGGERS, ...HISTORY_TRIGGERS.map((trigger) => [trigger, 'D'] as const)]),
  );
});

it('a trigger that is missing, disabled or fires too seldom is a fault; one that fires more often is none', () => {
  const found = new Map([...EXPECTED_TRIGGERS, ...HISTORY_TRIGGERS.map((trigger) => [trigger, 'D'] as const)]);
  expect(triggerFaults(found)).toEqual([]);
  const [capture, guard] = ['crm.contacts relate_mirror_capture_insert', 'crm.deals zz_relate_mirror_guard'] as const;
  expect(triggerFaults(new Map([...found, [guard, 'A']]))).toEqual([]);
  for (const mode of ['O', 'R', 'D'] as const)
    expect(triggerFaults(new Map([...found, [capture, mode]]))).toEqual([{ trigger: capture, expected: 'A', found: mode }]);
  const history = (mode: 'A' | 'D') => HISTORY_TRIGGERS.map((trigger) => [trigger, mode] as const);
  expect(triggerFaults(new Map([...found, ...history('A')]))).toEqual([]);
  const [first] = history('D');
  if (first === undefined) throw new Error('there is no such trigger');
  expect(triggerFaults(new Map([...found, ...history('A'), first]))).toEqual([{ trigger: first[0], expected: 'A', found: 'D' }]);
  found.delete(guard);
  expect(triggerFaults(found)).toEqual([{ trigger: guard, expected: 'O', found: null }]);
});

it('a daemon that owns nothing has all rights that it needs by its grants, and each one less is told', async ({ onTestFinished }) => {
  const database = await createTestDatabase();
  const owner = await connect(database.url);
  const role = `inspected_${randomBytes(4).toString('hex')}`;
  await owner.query(`create role ${role} login password 'x'; ${daemonGrants(role).join('; ')}`);
  const url = new URL(database.url);
  Object.assign(url, { username: role, password: 'x' });
  const session = await openInspection(url.href, new AbortController().signal);
  onTestFinished(async () => {
    await session.close();
    await owner.query(`drop owned by ${role}; drop role ${role}`);
    await owner.end();
    await database.drop();
  });
  expect(await missingRights(session)).toEqual([]);
  await owner.query(`revoke delete on crm.contact_deals from ${role}; revoke usage on sequence sync.attempt_seq from ${role}`);
  expect(await missingRights(session)).toEqual(['DELETE on crm.contact_deals', 'USAGE on sequence sync.attempt_seq']);
});

it('tells a long transaction, a prepared one, a slot that nobody uses, and the clocks', async ({ onTestFinished }) => {
  const database = await createTestDatabase();
  const [session, other] = [await openInspection(database.url, new AbortController().signal), await connect(database.url)];
  onTestFinished(async () => {
    await session.close();
    await other.end();
    await database.drop();
  });
  const look = (oldSeconds: number) => inspectServer(session, () => Date.now(), oldSeconds);
  await other.query('begin');
  await other.query('select pg_current_xact_id()');
  const facts = await look(0);
  expect(facts.old_transactions).toEqual([expect.objectContaining({ state: 'idle in transaction' })]);
  expect(facts).toMatchObject({ encoding: 'UTF8', in_recovery: false, pooled: false, tls: { protocol: null, verified: false } });
  expect(Math.abs(facts.clock_skew_ms)).toBeLessThanOrEqual(facts.clock_error_ms + 1_000);
  expect((await look(3_600)).old_transactions).toEqual([]);
});

it('hears its own notification on another connection, and says so where it hears none', async ({ onTestFinished }) => {
  const database = await createTestDatabase();
  const signal = new AbortController().signal;
  const [listener, sender] = [await openInspection(database.url, signal), await openInspection(database.url, signal)];
  onTestFinished(async () => {
    await Promise.all([listener.close(), sender.close()]);
    await database.drop();
  });
  expect(await notifyRoundTrip(listener, sender, { nowMs: () => performance.now(), timeoutMs: 5_000 })).toEqual(expect.any(Number));
  // One that is sent in a transaction that never commits is heard by nobody.
  await sender.query('begin');
  expect(await notifyRoundTrip(listener, sender, { nowMs: () => performance.now(), timeoutMs: 200 })).toBeNull();
});

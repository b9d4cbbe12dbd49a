/** Clocks: whole seconds and ties, commits that come late, a CRM and a daemon whose clocks are minutes off, a CRM whose clock is set back. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { pullOnce, sweepOnce, syncOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const MINUTE_MS = 60_000;

let harness: Harness;
/** How far the CRM's clock is from the database's just now. */
let skewMs = 0;
/** Stands still where a test wants one second. */
let stillAt: number | null = null;
/** Of the describe: a test of a CRM whose clock is off leaves it off. */
let usualSkewMs = 0;
afterEach(() => {
  skewMs = usualSkewMs;
  stillAt = null;
});
/** One mirror for the tests of a describe; each takes contacts that no other has touched. */
const openFor = (options: HarnessOptions = {}, ms = 0): void => {
  beforeAll(async () => {
    used = 0;
    usualSkewMs = skewMs = ms;
    await inStep(options);
  });
  afterAll(async () => {
    usualSkewMs = skewMs = 0;
    await harness.close();
  });
};
let used = 0;
/** Contacts of a test's own. */
const take = (count: number): readonly number[] => crmIds().slice(used, (used += count));

const clock = { now: () => new Date((stillAt ?? Date.now()) + skewMs) };
const inStep = async (options: HarnessOptions = {}): Promise<void> => {
  harness = await openHarness({ seed: { contacts: 12, links: false }, ...options, account: { clock, ...options.account } });
  expect(await harness.probe()).toBeNull();
  await harness.settle();
};
const pull = async () => await pullOnce(harness.deps, createPushMemory());
const crmIds = (): readonly number[] => harness.account.contacts().map(({ id }) => id);
const cities = async (): Promise<readonly unknown[]> =>
  (await harness.sql('select distinct city from crm.contacts order by 1')).map((row) => row['city']);
const cityOf = async (crmId: number): Promise<unknown> =>
  (await harness.sql('select city from crm.contacts where crm_id = $1', [crmId]))[0]?.['city'];
const equal = async (): Promise<void> => {
  await harness.settle();
  expect(await harness.differences(['companies', 'deals'])).toEqual([]);
  expect(await harness.sql('select op, state, error_code from sync.change_log where settled_at is null')).toEqual([]);
};

describe.each(['documented', 'upstream'] as const)('whole seconds (%s)', (mode) => {
  openFor({ mode, account: { perPageMax: 3 } });

  it('more contacts than fit a page change in one second: one pull brings them all', async () => {
    stillAt = Date.now() + 2000;
    for (const id of crmIds()) harness.account.update(id, { city: 'this second' });
    await pull();
    expect(await cities()).toEqual(['this second']);
    await equal();
  });

  it('a contact is edited twice in one second, before and after the pull: the second edit comes with the next', async () => {
    const [id = 0] = take(1);
    stillAt = Date.now() + 2000;
    harness.account.update(id, { city: 'first' });
    await pull();
    expect(await cityOf(id)).toBe('first');
    harness.account.update(id, { city: 'second' });
    await pull();
    expect(await cityOf(id)).toBe('second');
    await equal();
  });

  it('what commits so late that the overlap has passed it is the sweep’s to find', async () => {
    const [late = 0, other = 0] = take(2);
    // The pull that moves the watermark …
    harness.account.update(other, { city: 'in time' });
    await pull();
    // … and a commit under a time before it and the two minutes of overlap.
    skewMs = -5 * MINUTE_MS;
    harness.account.update(late, { city: 'late' });
    skewMs = 0;
    await pull();
    expect(await cityOf(late)).not.toBe('late');
    expect((await sweepOnce(harness.deps, 'sweep', null)).complete).toBe(true);
    await equal();
    expect(await cityOf(late)).toBe('late');
  });
});

const SKEWS = [
  ['ten minutes ahead of', 10 * MINUTE_MS],
  ['ten minutes behind', -10 * MINUTE_MS],
] as const;

describe.each(SKEWS)('a CRM whose clock is %s the database’s', (_name, ms) => {
  openFor({ settings: { createRecheckMs: 600_000 } }, ms);

  it('newest is decided by the database’s clock, and the conflict tells both times by it', async () => {
    const [first = 0, second = 0] = take(2);
    for (const id of [first, second]) await harness.sql(`update crm.contacts set city = 'here' where crm_id = $1`, [id]);
    // The first was edited here four seconds before it was edited there, the second four seconds after.
    await harness.sql(
      `update sync.change_log l set changed_at = clock_timestamp() - interval '4 seconds'
       from sync.contact_state s where s.contact_id = l.contact_id and s.crm_id = $1 and l.settled_at is null`,
      [first],
    );
    harness.account.update(first, { city: 'there' });
    skewMs = ms - 4000;
    harness.account.update(second, { city: 'there' });
    skewMs = ms;
    await pull();
    const decided = await harness.sql(
      `select s.crm_id::int, c.outcome, c.compared ->> 'localAt' as local_at, c.compared ->> 'remoteAt' as remote_at
       from sync.conflicts c join sync.contact_state s using (contact_id) order by s.crm_id`,
    );
    expect(decided).toMatchObject([
      { crm_id: first, outcome: 'crm' },
      { crm_id: second, outcome: 'mirror' },
    ]);
    for (const { local_at: here, remote_at: there } of decided) {
      const apartMs = Math.abs(Date.parse(String(here)) - Date.parse(String(there)));
      expect(apartMs).toBeGreaterThan(1000);
      expect(apartMs).toBeLessThan(MINUTE_MS);
    }
    await equal();
    expect([harness.account.contact(first)?.city, harness.account.contact(second)?.city]).toEqual(['there', 'here']);
  });

  it('the watermark stands on the CRM’s clock: what is edited there right after a pull comes with the next', async () => {
    const [first = 0, second = 0] = take(2);
    for (const [id, city] of [
      [first, 'one'],
      [second, 'two'],
    ] as const) {
      harness.account.update(id, { city });
      await pull();
      expect(await cityOf(id)).toBe(city);
    }
    const { changesWatermark } = await harness.mirror.account();
    expect(Math.abs((changesWatermark?.getTime() ?? 0) - clock.now().getTime())).toBeLessThan(MINUTE_MS);
    await equal();
  });

  it('a create whose answer was lost is found by when it was made, and a page before the question brings no second row', async () => {
    // Nothing identifies it, so that only the time can.
    await harness.sql(`insert into crm.contacts (first_name, job_title) values ('Late', 'answer')`);
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    const unanswered = harness.sandbox.fault({ call: 'list', kind: '500-before', match: ({ query }) => query['order'] === 'id|desc' });
    const settings = { ...harness.deps.settings, backoff: { minMs: 600_000, maxMs: 600_000 } };
    await pushDue({ ...harness.deps, settings }, createPushMemory());
    expect(unanswered.fired).toBe(1);
    await pull();
    expect(await harness.sql(`select crm_id from crm.contacts where first_name = 'Late'`)).toEqual([{ crm_id: null }]);
    await harness.sql(`update sync.change_log set next_attempt_at = clock_timestamp() where settled_at is null`);
    await equal();
    expect(harness.account.calls.count('create')).toBe(1);
    expect(harness.account.contacts().filter(({ first_name: name }) => name === 'Late')).toHaveLength(1);
  });
});

describe('a daemon whose clock is ten minutes behind the database’s', () => {
  openFor();

  it('decides and finds the same: only the database’s time and the CRM’s are compared', async () => {
    const late: SyncDeps = { ...harness.deps, clock: { ...harness.deps.clock, now: () => new Date(Date.now() - 10 * MINUTE_MS) } };
    const [first = 0, second = 0] = take(2);
    await harness.sql(`update crm.contacts set city = 'here' where crm_id = $1`, [first]);
    skewMs = -4000;
    harness.account.update(first, { city: 'there' });
    skewMs = 0;
    harness.account.update(second, { city: 'there' });
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    await harness.sql(`insert into crm.contacts (first_name, job_title) values ('Late', 'answer')`);
    const memory = createPushMemory();
    for (let round = 0; round < 3; round += 1) await syncOnce(late, memory);
    expect(await harness.sql('select outcome from sync.conflicts')).toEqual([{ outcome: 'mirror' }]);
    await equal();
    expect(harness.account.calls.count('create')).toBe(1);
    expect([harness.account.contact(first)?.city, await cityOf(second)]).toEqual(['here', 'there']);
  });
});

describe.each(['documented', 'upstream'] as const)('the CRM’s clock is set back by ten minutes (%s)', (mode) => {
  openFor({ mode });

  it('the watermark follows it once, and what is edited from then on is pulled', async () => {
    const [before = 0, first = 0, second = 0] = take(3);
    harness.account.update(before, { city: 'before' });
    await pull();
    skewMs = -10 * MINUTE_MS;
    // The first pull finds out; it looks only from the old watermark on and does not see the edit.
    harness.account.update(first, { city: 'after' });
    await pull();
    await pull();
    expect(await cityOf(first)).toBe('after');
    // Of the very contact whose row tells a time that has yet to come.
    harness.account.update(before, { city: 'again' });
    harness.account.update(second, { city: 'after' });
    await pull();
    await pull();
    expect([await cityOf(before), await cityOf(second)]).toEqual(['again', 'after']);
    const tuples = await harness.tuples();
    await pull();
    await pull();
    expect(await harness.tuples()).toEqual(tuples);
    await harness.sql(`update crm.contacts set street = 'here' where crm_id = $1`, [first]);
    await equal();
  });
});

/** The CRM lets nobody in, for a call, an hour or for good: a token that ends in the middle, maintenance, a role that was reduced. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { sweepOnce, syncOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000 });

const PER_PAGE = 5;

let harness: Harness;
afterEach(async () => await harness.close());

const open = async (options: HarnessOptions = {}): Promise<void> => {
  harness = await openHarness({ seed: { contacts: 20, links: false }, account: { perPageMax: PER_PAGE }, ...options });
  expect(await harness.probe()).toBeNull();
};
const sweep = async () => await sweepOnce(harness.deps, 'sweep', null);
const lastRun = async (): Promise<unknown> =>
  (await harness.sql('select state, complete, error, rows_seen::int as rows_seen from sync.runs order by id desc limit 1'))[0];
const rows = async (): Promise<number> => (await harness.sql('select 1 from crm.contacts')).length;
const equal = async (): Promise<void> => {
  await harness.settle(200);
  expect(await harness.differences(['companies', 'deals'])).toEqual([]);
  expect(await harness.sql('select op, state, error_code from sync.change_log where settled_at is null')).toEqual([]);
};
/** While the third page of the walk is on its way. */
const onThirdPage = (breaks: () => void): void => {
  const stop = harness.sandbox.onRequest(({ query }) => {
    if (query['order'] !== 'id|asc' || query['page'] !== '3') return;
    stop();
    breaks();
  });
};
const pagesAsked = (): readonly string[] =>
  harness.account.calls.calls
    .filter(({ path }) => path.includes('order=id%7Casc'))
    .map(({ path }) => /[?&]page=(\d+)/.exec(path)?.[1] ?? '');

/** What breaks and mends it, and how many pages had come by then. */
const ENDS = [
  ['the token is refused', 'unauthorized', () => harness.sandbox.setToken('another'), () => harness.sandbox.setToken('test-token'), 3],
  ['the access is revoked', 'access_revoked', () => harness.sandbox.setApiAccess(false), () => harness.sandbox.setApiAccess(true), 3],
  [
    'a login page answers',
    'redirected',
    () => void harness.sandbox.fault({ call: 'any', kind: 'redirect', times: Infinity }),
    () => harness.sandbox.clearFaults(),
    2,
  ],
] as const;

describe('in the middle of a sweep', () => {
  it.each(ENDS)(
    '%s: it ends as %s with one call, keeps what it has stored, removes nobody; then the next is complete',
    async (_name, code, breaks, mend, pages) => {
      await open();
      await harness.sql(`insert into crm.contacts (first_name) values ('Waits')`);
      onThirdPage(breaks);
      expect(await sweep()).toMatchObject({ complete: false, removed: 0, held: 0, stoppedBy: { class: 'fatal', code } });
      expect(await lastRun()).toEqual({ state: 'running', complete: null, error: null, rows_seen: pages * PER_PAGE });
      expect(await rows()).toBe(pages * PER_PAGE + 1);
      const calls = harness.account.calls.count();
      expect((await sweep()).stoppedBy).toMatchObject({ code });
      expect(harness.account.calls.count() - calls).toBe(1);
      mend();
      expect(await sweep()).toMatchObject({ complete: true, removed: 0 });
      await equal();
    },
  );

  it('the token is refused: with a good one the run goes on where it stood', async () => {
    await open();
    onThirdPage(() => harness.sandbox.setToken('another'));
    await sweep();
    harness.sandbox.setToken('test-token');
    harness.account.calls.clear();
    expect((await sweep()).complete).toBe(true);
    expect(pagesAsked()).toEqual(['4']);
  });
});

describe('maintenance for an hour', () => {
  const BACKOFF = { minMs: 100, maxMs: 800 };
  const EDITS = 15;
  const HOUR_MS = 1600;

  it.each(['newest', 'mirror'] as const)(
    'keeps every edit, asks no more often than the back-off allows, and then all of them flow (%s)',
    async (policy) => {
      await open({ settings: { backoff: BACKOFF, conflictPolicy: policy } });
      await harness.settle();
      harness.account.calls.clear();
      const closed = harness.sandbox.fault({ call: 'any', kind: '503-before', times: Infinity });
      await harness.sql(`update crm.contacts set city = 'edited' where id <= $1`, [EDITS]);
      await harness.sql(`insert into crm.contacts (first_name) values ('Made meanwhile')`);
      const memory = createPushMemory();
      const over = new AbortController();
      const timer = setTimeout(() => over.abort(), HOUR_MS);
      const startedMs = performance.now();
      let rounds = 0;
      while (!over.signal.aborted) {
        rounds += 1;
        await pushDue({ ...harness.deps, signal: over.signal }, memory);
        await harness.deps.clock.sleep(100, over.signal);
      }
      clearTimeout(timer);
      // Again after 75, 150, 300 and then 600 ms, by the dice of this harness; each edit on its own where nobody looks before a push.
      const each = 5 + Math.max(0, performance.now() - startedMs - 1125) / 600;
      expect(closed.fired).toBeLessThanOrEqual(policy === 'newest' ? rounds : (EDITS + 1) * each);
      expect(closed.fired).toBeGreaterThan(2);
      const waiting = await harness.sql('select state, error_code from sync.queue');
      expect(waiting).toHaveLength(EDITS + 1);
      // What the end of the hour finds under way is handed back as it was.
      const [state, code] = policy === 'newest' ? ['pending', null] : ['retry', 'unavailable'];
      expect(waiting).toEqual(expect.arrayContaining([{ state, error_code: code }]));
      expect(waiting.filter(({ state }) => state !== 'pending' && state !== 'retry')).toEqual([]);
      closed.cancel();
      harness.account.calls.clear();
      await equal();
      expect(harness.account.contacts().filter(({ city }) => city === 'edited')).toHaveLength(EDITS);
      expect([harness.account.calls.count('update'), harness.account.calls.count('create')]).toEqual([EDITS, 1]);
    },
  );
});

describe.each(['documented', 'upstream'] as const)('a token whose role was reduced (%s)', (mode) => {
  it('sees few: the rows it lost are kept and marked, an edit of one is parked in the CRM’s words; with the role back all is well', async () => {
    await open({ mode });
    await harness.settle();
    const [visible, ...lost] = harness.account.contacts().map(({ id }) => id);
    for (const id of lost) harness.account.hide(id);
    const [edited = 0, changed = 0] = lost;
    await harness.sql(`update crm.contacts set city = 'here' where crm_id = $1`, [edited]);
    harness.account.update(changed, { city: 'there' });
    expect(await sweep()).toMatchObject({ removed: 0, held: 0 });
    await syncOnce(harness.deps, createPushMemory());
    expect(await rows()).toBe(lost.length + 1);
    const hidden = await harness.sql('select s.crm_id from sync.contact_state s where s.hidden_at is not null order by 1');
    expect(hidden.map((row) => Number(row['crm_id']))).toEqual(lost);
    expect(await harness.sql('select crm_id::int, error_code, error from sync.parked')).toEqual([
      { crm_id: edited, error_code: 'forbidden', error: expect.stringMatching(/./) },
    ]);
    for (const id of lost) harness.account.show(id);
    expect(await sweep()).toMatchObject({ complete: true, removed: 0 });
    expect(await harness.sql('select 1 from sync.contact_state where hidden_at is not null')).toEqual([]);
    expect(await harness.sql('select city from crm.contacts where crm_id = $1', [changed])).toEqual([{ city: 'there' }]);
    await harness.sql('select sync.retry_all()');
    await equal();
    expect(harness.account.contact(edited)?.city).toBe('here');
    expect(visible).toBeDefined();
  });

  it('sees nobody at all: that proves nothing about anybody', async () => {
    await open({ mode });
    await harness.settle();
    const all = harness.account.contacts().map(({ id }) => id);
    for (const id of all) harness.account.hide(id);
    const { removed, held } = await sweep();
    expect([removed, held, await rows()]).toEqual([0, 0, all.length]);
    for (const id of all) harness.account.show(id);
    expect((await sweep()).complete).toBe(true);
    await equal();
  });
});

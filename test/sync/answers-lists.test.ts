/**
 * Lists that are right in form and leave contacts out: a page without rows, the same page twice, a total that is not true. Nothing is removed
 * for it, nothing passes for seen that was not shown, and what one run missed the next one brings.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { SandboxRequest } from '../../src/sandbox/crm/faults.ts';
import type { PartialFault } from '../../src/sandbox/crm/partial-faults.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { pullOnce, sweepOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000 });

const PER_PAGE = 5;
const CONTACTS = 20;
const MODES = ['documented', 'upstream'] as const;

let harness: Harness;
let skewMs = 0;
afterEach(async () => {
  skewMs = 0;
  await harness.close();
});

const open = async (options: HarnessOptions = {}): Promise<void> => {
  const clock = { now: () => new Date(Date.now() + skewMs) };
  harness = await openHarness({ seed: { contacts: CONTACTS, links: false }, account: { clock, perPageMax: PER_PAGE }, ...options });
  expect(await harness.probe()).toBeNull();
};
const inStep = async (options: HarnessOptions = {}): Promise<void> => {
  await open(options);
  await harness.settle();
};
const pull = async () => await pullOnce(harness.deps, createPushMemory());
const sweep = async () => await sweepOnce(harness.deps, 'sweep', null);
const watermark = async (): Promise<Date | null> => (await harness.mirror.account()).changesWatermark;
/** The page of this number, in the walk by id or in the walk by time. */
const page =
  (number: number, order: 'id|asc' | 'updated_at|desc') =>
  ({ query }: SandboxRequest): boolean =>
    query['page'] === String(number) && query['order'] === order;
const editAll = (): void => {
  for (const { id } of harness.account.contacts()) harness.account.update(id, { city: 'everywhere' });
};
const rows = async (): Promise<number> => (await harness.sql('select id from crm.contacts')).length;
const unedited = async (): Promise<number> =>
  (await harness.sql(`select 1 from crm.contacts where city is distinct from 'everywhere'`)).length;
const equal = async (): Promise<void> => {
  await harness.settle();
  expect((await sweep()).complete).toBe(true);
  await harness.settle();
  expect(await harness.differences(['companies', 'deals'])).toEqual([]);
  expect(await rows()).toBe(harness.account.contacts().length);
};

const HALF: PartialFault = { kind: 'other-total', total: (total) => Math.floor(total / 2) };
const MORE: PartialFault = { kind: 'other-total', total: (total) => total + 7 };

describe('a changes pull of which', () => {
  it.each([
    ['documented', 'no-rows'],
    ['upstream', 'no-rows'],
    ['documented', 'page-before'],
    ['upstream', 'page-before'],
  ] as const)(
    'a page in the middle is wrong (%s, %s) passes nothing by: the watermark stays, and the next one brings it',
    async (mode, kind) => {
      await inStep({ mode });
      editAll();
      // What is missed now is out of the overlap when the next pull comes.
      skewMs = 600_000;
      const before = await watermark();
      const fault = harness.sandbox.fault({ call: 'list', kind, match: page(2, 'updated_at|desc') });
      expect(await pull()).toMatchObject({ stoppedBy: null, through: null });
      expect(fault.fired).toBe(1);
      expect(await watermark()).toEqual(before);
      expect(await unedited()).toBeGreaterThanOrEqual(PER_PAGE);
      await pull();
      expect(await unedited()).toBe(0);
      expect((await watermark())?.getTime()).toBeGreaterThan(before?.getTime() ?? Infinity);
      await equal();
    },
  );

  it.each(MODES)('the total is told too small is read to its end all the same (%s)', async (mode) => {
    await inStep({ mode });
    editAll();
    skewMs = 600_000;
    harness.sandbox.fault({ call: 'list', ...HALF, times: Infinity });
    await pull();
    await pull();
    expect(await unedited()).toBe(0);
    harness.sandbox.clearFaults();
    await equal();
  });

  it.each(MODES)('every page is the first one ends, and passes nothing by (%s)', async (mode) => {
    await inStep({ mode });
    editAll();
    const before = await watermark();
    const fault = harness.sandbox.fault({ call: 'list', kind: 'first-page', times: Infinity });
    expect(await pull()).toMatchObject({ stoppedBy: null, through: null });
    expect(fault.fired).toBe(CONTACTS / PER_PAGE);
    expect(await watermark()).toEqual(before);
    harness.sandbox.clearFaults();
    await equal();
  });

  it.each(MODES)(
    'the answer is an empty list does not stand for a look at the CRM: the next push still sees what was edited there (%s)',
    async (mode) => {
      await inStep({ mode, settings: { conflictPolicy: 'crm' } });
      const [contact] = await harness.sql('select id, crm_id from crm.contacts order by id limit 1');
      harness.account.update(Number(contact?.['crm_id']), { city: 'there' });
      skewMs = 60_000;
      for (const call of ['list', 'listTrashed'] as const) harness.sandbox.fault({ call, kind: 'empty-list' });
      const memory = createPushMemory();
      expect((await pullOnce(harness.deps, memory)).stoppedBy).toBeNull();
      await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [contact?.['id']]);
      await pushDue(harness.deps, memory);
      expect(await harness.sql('select local, remote, outcome from sync.conflicts')).toEqual([
        { local: 'here', remote: 'there', outcome: 'crm' },
      ]);
      expect(harness.account.contact(Number(contact?.['crm_id']))?.city).toBe('there');
      await equal();
    },
  );
});

describe('a sweep in which', () => {
  it.each([
    ['no-rows', 3],
    ['page-before', 2],
  ] as const)('one page is wrong once (%s) walks again, and is complete with all of them', async (kind, number) => {
    await open();
    const fault = harness.sandbox.fault({ call: 'list', kind, match: page(number, 'id|asc') });
    expect(await sweep()).toMatchObject({ complete: true, removed: 0, held: 0 });
    expect(fault.fired).toBe(1);
    expect(await rows()).toBe(CONTACTS);
    await equal();
  });

  it.each(['no-rows', 'page-before'] as const)(
    'one page is wrong for good (%s) is partial, removes nothing, and lets no create go',
    async (kind) => {
      await open();
      harness.sandbox.fault({ call: 'list', kind, match: page(2, 'id|asc'), times: Infinity });
      await harness.sql(`insert into crm.contacts (first_name) values ('Waits')`);
      expect(await sweep()).toMatchObject({ complete: false, removed: 0, held: 0 });
      expect(await harness.sql('select state, complete from sync.runs order by id desc limit 1')).toEqual([
        { state: 'partial', complete: false },
      ]);
      await pushDue(harness.deps, createPushMemory());
      expect(harness.account.calls.count('create')).toBe(0);
      harness.sandbox.clearFaults();
      await equal();
      expect(harness.account.calls.count('create')).toBe(1);
    },
  );

  it.each(['no-rows', 'page-before'] as const)(
    'one page is wrong for good (%s), of a mirror that has them: each is asked for by its id, and none goes',
    async (kind) => {
      await inStep();
      harness.sandbox.fault({ call: 'list', kind, match: page(2, 'id|asc'), times: Infinity });
      const before = harness.account.calls.count('retrieve');
      expect(await sweep()).toMatchObject({ removed: 0, held: 0 });
      expect(harness.account.calls.count('retrieve') - before).toBeGreaterThanOrEqual(PER_PAGE);
      expect(await rows()).toBe(CONTACTS);
      harness.sandbox.clearFaults();
      await equal();
    },
  );

  it('the total is told too large is partial and says so, however often', async () => {
    await inStep();
    harness.sandbox.fault({ call: 'list', ...MORE, times: Infinity });
    for (let run = 0; run < 2; run += 1) expect(await sweep()).toMatchObject({ complete: false, removed: 0, held: 0 });
    expect(await harness.sql(`select state from sync.runs where kind = 'sweep' order by id desc limit 2`)).toEqual([
      { state: 'partial' },
      { state: 'partial' },
    ]);
    harness.sandbox.clearFaults();
    await equal();
  });

  // Finding P3: the largest id is stored when the walk begins, and not asked for when it ends.
  it('every page is the first one ends, is partial, and removes nothing', async () => {
    await open();
    harness.sandbox.fault({ call: 'list', kind: 'first-page', times: Infinity });
    expect(await sweep()).toMatchObject({ complete: false, removed: 0, held: 0 });
    harness.sandbox.clearFaults();
    await equal();
  });

  it('the total is told too small does not pass for complete with contacts that nobody saw', async () => {
    await open();
    harness.sandbox.fault({ call: 'list', ...HALF, times: Infinity });
    const { complete } = await sweep();
    const [seen, all] = [await rows(), harness.account.contacts().length];
    harness.sandbox.clearFaults();
    await equal();
    expect([complete, seen]).toEqual([seen === all, seen]);
  });
});

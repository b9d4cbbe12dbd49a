/** What a list leaves out, in the very ways that a guard of pull, marks and sweep allows for. Each goes red when that guard is switched off. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Crm } from '../../src/ports/crm.ts';
import { createPushMemory } from '../../src/sync/push.ts';
import { pullOnce, sweepOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';
import { onceDuring } from './moments.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000 });

let harness: Harness;
/** How far the CRM's clock is from ours just now. */
let skewMs = 0;
afterEach(async () => {
  skewMs = 0;
  await harness.close();
});

const open = async (options: HarnessOptions = {}, contacts = 12): Promise<void> => {
  const clock = { now: () => new Date(Date.now() + skewMs) };
  harness = await openHarness({ ...options, seed: { contacts }, account: { clock, ...options.account } });
  expect(await harness.probe()).toBeNull();
};
const pull = async (crm: Crm = harness.crm) => await pullOnce({ ...harness.deps, crm }, createPushMemory());
const watermark = async (): Promise<Date | null> => (await harness.mirror.account()).changesWatermark;
const crmIds = (): readonly number[] => harness.account.contacts().map(({ id }) => id);
const editAll = (): void => {
  for (const crmId of crmIds()) harness.account.update(crmId, { city: 'everywhere' });
};
const unedited = async (): Promise<readonly unknown[]> =>
  await harness.sql(`select crm_id from crm.contacts where city is distinct from 'everywhere'`);

describe('a pull', () => {
  it('that ends in the middle leaves the watermark where it was', async () => {
    await open({ account: { perPageMax: 5 } });
    await harness.settle();
    editAll();
    skewMs = 60_000;
    const before = await watermark();
    harness.sandbox.fault({ call: 'list', kind: '500-before', match: ({ query }) => query['page'] === '2' });
    expect((await pull()).stoppedBy).not.toBeNull();
    expect(await watermark()).toEqual(before);
    expect((await pull()).stoppedBy).toBeNull();
    expect((await watermark())?.getTime()).toBeGreaterThan(before?.getTime() ?? Infinity);
    expect(await unedited()).toEqual([]);
  });

  it.each(['documented', 'upstream'] as const)('reads what was committed late, under a time before the watermark (%s)', async (mode) => {
    await open({ mode });
    await harness.settle();
    const [crmId = 0] = crmIds();
    skewMs = -60_000;
    harness.account.update(crmId, { city: 'late' });
    skewMs = 0;
    // Newer than the watermark, so that the walk goes on to the late one only for the overlap's sake.
    harness.account.update(crmIds()[1] ?? 0, { city: 'in time' });
    await pull();
    expect(await harness.sql('select city from crm.contacts where crm_id = $1', [crmId])).toEqual([{ city: 'late' }]);
  });

  it('goes back a page where something was deleted while it read', async () => {
    await open({ account: { perPageMax: 4 }, settings: { overlapMs: 0 } });
    await harness.settle();
    skewMs = 30_000;
    editAll();
    skewMs = 60_000;
    const [victim = 0] = crmIds();
    // Surely on the first page.
    harness.account.update(victim, { job_title: 'newest' });
    const happened = onceDuring(
      harness,
      'list',
      () => harness.account.delete(victim),
      ({ query }) => query['page'] === '2',
    );
    skewMs = 90_000;
    expect((await pull()).stoppedBy).toBeNull();
    expect(happened()).toBe(true);
    expect(await unedited()).toEqual([]);
  });

  it('that cannot have a row puts its contact off, and reads it by its id though the watermark has passed it', async () => {
    await open({ settings: { overlapMs: 0 } });
    await harness.settle();
    skewMs = 30_000;
    editAll();
    const [crmId = 0] = crmIds();
    const client = await harness.pool.connect();
    await client.query('begin');
    await client.query('select 1 from crm.contacts where crm_id = $1 for update', [crmId]);
    skewMs = 60_000;
    expect((await pull()).stoppedBy).toBeNull();
    await client.query('commit');
    client.release();
    expect(await unedited()).toEqual([{ crm_id: crmId }]);
    skewMs = 90_000;
    expect((await pull()).stoppedBy).toBeNull();
    expect(await unedited()).toEqual([]);
  });

  it('that would empty more contacts than the brake lets through leaves them as they are', async () => {
    await open({ settings: { brake: { rows: 2, share: 0.1, max: 1000 } } });
    for (const crmId of crmIds()) harness.account.update(crmId, { city: 'somewhere' });
    await harness.settle();
    skewMs = 30_000;
    for (const crmId of crmIds()) harness.account.update(crmId, { city: null });
    await pull();
    expect(await harness.sql('select count(city)::int as cities from crm.contacts')).toEqual([{ cities: crmIds().length }]);
    expect(await harness.sql('select direction, rows from sync.holds')).toEqual([{ direction: 'pull', rows: crmIds().length }]);
  });

  it('a mark whose answer could not be stored is there for the next round', async () => {
    await open();
    await harness.settle();
    const [crmId = 0] = crmIds();
    await harness.sql(`insert into sync.marks (crm_id, reason) values ($1, 'deferred')`, [crmId]);
    const dies: Crm = { ...harness.crm, retrieve: () => Promise.reject(new Error('the process dies')) };
    await expect(pull(dies)).rejects.toThrow('the process dies');
    expect(await harness.sql('select crm_id from sync.marks')).toEqual([{ crm_id: crmId }]);
  });
});

describe('a sweep in which', () => {
  it('one is trashed and another one created between two pages: the third, that slid away, is not taken for seen', async () => {
    await open({ account: { perPageMax: 4 } });
    const [victim = 0] = crmIds();
    const happened = onceDuring(
      harness,
      'list',
      () => {
        harness.account.delete(victim);
        harness.account.create({ first_name: 'One for the other' });
      },
      ({ query }) => query['page'] === '2',
    );
    const { complete } = await sweepOnce(harness.deps, 'sweep', null);
    expect(happened()).toBe(true);
    expect(complete).toBe(true);
    const mirrored = new Set((await harness.sql('select crm_id from crm.contacts')).map((row) => Number(row['crm_id'])));
    expect(crmIds().filter((crmId) => !mirrored.has(crmId))).toEqual([]);
  });

  it('a contact that no list shows stays, as long as it answers by its id', async () => {
    await open({ mode: 'documented' });
    await harness.settle();
    const [unlisted = 0] = crmIds();
    const list: Crm['list'] = async (params, options) => {
      const answer = await harness.crm.list(params, options);
      if (!answer.ok) return answer;
      return { ...answer, value: { ...answer.value, records: answer.value.records.filter(({ crmId }) => crmId !== unlisted) } };
    };
    expect(await sweepOnce({ ...harness.deps, crm: { ...harness.crm, list } }, 'sweep', null)).toMatchObject({ removed: 0, held: 0 });
    expect(await harness.sql('select 1 from crm.contacts where crm_id = $1', [unlisted])).toHaveLength(1);
  });
});

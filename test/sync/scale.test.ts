/** Ten thousand contacts: the full load in both modes, and bulk edits with plain SQL within the CRM's rate. */
import { afterEach, describe, expect, it } from 'vitest';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

const TUPLES = `
  select schemaname || '.' || relname as name, n_tup_ins + n_tup_upd + n_tup_del as tuples
  from pg_stat_user_tables where schemaname in ('crm', 'sync') and relname <> 'leader' order by 1`;

/** Each connection of the pool keeps its counts for itself for a while: every one is told to hand them in. */
const tuples = async (): Promise<Record<string, unknown>[]> => {
  await Promise.all(Array.from({ length: 12 }, () => harness.sql('select pg_stat_force_next_flush(), pg_sleep(0.05)')));
  await Promise.all(Array.from({ length: 12 }, () => harness.sql('select pg_sleep(0.01)')));
  return await harness.sql(TUPLES);
};

const CONTACTS = Number(process.env['SCALE'] ?? 10_000);

describe.each(['documented', 'upstream'] as const)('ten thousand contacts in %s mode', (mode) => {
  it('are mirrored field by field and link by link; a second sync writes nothing, in calls that do not depend on their number', async () => {
    harness = await openHarness({ mode, seed: { contacts: CONTACTS } });
    await harness.probe();
    const t0 = performance.now();
    expect(await harness.sync()).toBeNull();
    console.log(mode, 'initial', Math.round(performance.now() - t0), 'ms', harness.account.calls.count(), 'calls');
    const kinds = mode === 'upstream' ? (['companies', 'deals', 'activities'] as const) : (['companies', 'deals'] as const);
    expect(await harness.differences(kinds)).toEqual([]);
    const before = await tuples();
    harness.account.calls.clear();
    expect(await harness.sync()).toBeNull();
    expect(harness.account.calls.count()).toBe(mode === 'upstream' ? 2 : 1);
    expect(await tuples()).toEqual(before);
  }, 300_000);
});

describe('bulk edits within a rate of 6,000 calls a minute', () => {
  it('an UPDATE of every row and a COPY-like insert of a thousand are pushed, one call each, without a 429', async () => {
    harness = await openHarness({ seed: { contacts: 2_000 }, ratePerMinute: 6_000, share: 0.9, settings: { freshMs: 1000 } });
    await harness.probe();
    expect(await harness.sync()).toBeNull();
    harness.account.calls.clear();
    const t0 = performance.now();
    await harness.sql(`update crm.contacts set job_title = 'bulk ' || id`);
    console.log('bulk update', Math.round(performance.now() - t0));
    await harness.sql(
      `insert into crm.contacts (first_name, email) select 'New', 'new' || n || '@example.test' from generate_series(1, 100) n`,
    );
    await harness.settle();
    console.log(
      'pushed',
      Math.round(performance.now() - t0),
      harness.account.calls.count('update', 'create'),
      harness.account.calls.count(),
    );
    expect(harness.account.calls.calls.filter(({ status }) => status === 429)).toEqual([]);
    expect(await harness.differences()).toEqual([]);
  }, 300_000);
});

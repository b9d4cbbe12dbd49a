/** The initial mirror and the quiet pull after it, in both modes of the CRM. */
import { afterEach, describe, expect, it } from 'vitest';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

const TUPLES = `
  select schemaname || '.' || relname as name, n_tup_ins + n_tup_upd + n_tup_del as tuples
  from pg_stat_user_tables where schemaname in ('crm', 'sync') and relname not in ('leader') order by 1`;

const tuples = async (): Promise<Record<string, unknown>[]> => {
  await harness.sql('select pg_stat_force_next_flush()');
  return await harness.sql(TUPLES);
};

describe.each(['documented', 'upstream'] as const)('the first sync of an account in %s mode', (mode) => {
  it('mirrors every field and link; a second one writes nothing and its calls do not depend on the number of contacts', async () => {
    harness = await openHarness({ mode, seed: { contacts: 400 } });
    expect(await harness.probe()).toBeNull();
    expect(await harness.sync()).toBeNull();
    const kinds = mode === 'upstream' ? (['companies', 'deals', 'activities'] as const) : (['companies', 'deals'] as const);
    expect(await harness.differences(kinds)).toEqual([]);

    const before = await tuples();
    harness.account.calls.clear();
    expect(await harness.sync()).toBeNull();
    expect(harness.account.calls.calls.map(({ method, call }) => `${method} ${call}`)).toEqual(
      mode === 'upstream' ? ['GET list', 'GET listTrashed'] : ['GET list'],
    );
    expect(await tuples()).toEqual(before);
  });
});

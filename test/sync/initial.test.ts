/** The initial mirror and the quiet pull after it, in both modes of the CRM. */
import { afterEach, describe, expect, it } from 'vitest';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

describe.each(['documented', 'upstream'] as const)('the first sync of an account in %s mode', (mode) => {
  it('mirrors every field and link; a second one writes nothing and its calls do not depend on the number of contacts', async () => {
    harness = await openHarness({ mode, seed: { contacts: 400 } });
    expect(await harness.probe()).toBeNull();
    expect(await harness.sync()).toBeNull();
    const kinds = mode === 'upstream' ? (['companies', 'deals', 'activities'] as const) : (['companies', 'deals'] as const);
    expect(await harness.differences(kinds)).toEqual([]);

    const before = await harness.tuples();
    harness.account.calls.clear();
    expect(await harness.sync()).toBeNull();
    expect(harness.account.calls.calls.map(({ method, call }) => `${method} ${call}`)).toEqual(
      mode === 'upstream' ? ['GET list', 'GET listTrashed'] : ['GET list'],
    );
    expect(await harness.tuples()).toEqual(before);
  });
});

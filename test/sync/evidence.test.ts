/** What an answer proves, and what it does not: creates whose reply was lost beside contacts that look like theirs, and lists that come late. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Crm } from '../../src/ports/crm.ts';
import { createPushMemory } from '../../src/sync/push.ts';
import { pullOnce, sweepOnce, syncOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

const DAY_MS = 86_400_000;

/** An account that exists since yesterday, with one contact of that time. */
const open = async (options: HarnessOptions = {}, old: Record<string, unknown> = { first_name: 'Old' }): Promise<void> => {
  let shiftMs = -DAY_MS;
  const clock = { now: () => new Date(Date.now() + shiftMs) };
  harness = await openHarness({ ...options, account: { ...options.account, clock } });
  harness.account.create(old);
  shiftMs = 0;
  await harness.probe();
  await harness.settle();
};

const insert = async (fields: string, values: string): Promise<number> => {
  const [row] = await harness.sql(`insert into crm.contacts (${fields}) values (${values}) returning id`);
  return Number(row?.['id']);
};
const parked = async (): Promise<readonly unknown[]> =>
  (await harness.sql('select error_code from sync.parked')).map((row) => row['error_code']);
/** Once, when the CRM is first asked whether it has the contact. */
const whenAsked = (act: () => void): void => {
  const stop = harness.sandbox.onRequest(({ call }) => {
    if (call !== 'search') return;
    stop();
    act();
  });
};

describe('a create whose answer was lost', () => {
  it('does not adopt a namesake with another e-mail', async () => {
    await open();
    harness.sandbox.fault({ call: 'create', kind: 'reset-before' });
    whenAsked(() => harness.account.create({ first_name: 'John', last_name: 'Smith', email: 'b@example.test', city: 'Elsewhere' }));
    const id = await insert('first_name, last_name, email', `'John', 'Smith', 'a@example.test'`);
    await harness.settle();
    // What came while the last push was under way is the next pull's.
    await harness.settle();
    expect(await harness.sql('select email, city from crm.contacts where id = $1', [id])).toEqual([
      { email: 'a@example.test', city: null },
    ]);
    expect(harness.account.contacts().filter(({ last_name: name }) => name === 'Smith')).toHaveLength(2);
    expect(await harness.differences()).toEqual([]);
  });

  it('is parked beside a contact that shares nothing but the name, and is sent as its own when a person says so', async () => {
    await open();
    harness.sandbox.fault({ call: 'create', kind: 'reset-before' });
    whenAsked(() => harness.account.create({ first_name: 'Anna', last_name: 'Meier', city: 'Elsewhere' }));
    const id = await insert('first_name, last_name, email', `'Anna', 'Meier', 'anna@example.test'`);
    await harness.sync();
    await harness.settle();
    expect(await parked()).toEqual(['several_matches']);
    await harness.sql(`select sync.retry(change_id) from sync.parked where error_code = 'several_matches'`);
    await harness.settle();
    expect(harness.account.calls.count('create')).toBe(2);
    expect(await harness.sql('select city from crm.contacts where id = $1', [id])).toEqual([{ city: null }]);
    expect(await harness.differences()).toEqual([]);
  });

  it('is found beside an older contact with the same phone', async () => {
    const phones = [{ number: '+1 555 0100', type: 'work' }];
    await open({ account: { phonesUnique: false } }, { first_name: 'Switchboard', phones });
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    await insert('first_name, phones', `'Ann', '${JSON.stringify(phones)}'`);
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(2);
    expect(await harness.differences()).toEqual([]);
  });

  it('is not sent again while a contact that may be it cannot be read', async () => {
    await open();
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    const unreadable: Crm = {
      ...harness.crm,
      search: async (params, options) => {
        const answer = await harness.crm.search(params, options);
        if (!answer.ok) return answer;
        return { ...answer, value: { records: [], bad: answer.value.records.map(({ crmId }) => ({ crmId, problem: 'made unreadable' })) } };
      },
    };
    await insert('first_name, email', `'Bad', 'bad@example.test'`);
    const deps = { ...harness.deps, crm: unreadable };
    const memory = createPushMemory();
    for (let round = 0; round < 5; round += 1) {
      await syncOnce(deps, memory);
      await harness.deps.clock.sleep(120);
    }
    expect(harness.account.calls.count('create')).toBe(1);
    await harness.settle();
    expect(harness.account.calls.count('create')).toBe(1);
    expect(await harness.differences()).toEqual([]);
  });
});

describe('a list that was asked for before a newer one was stored', () => {
  it('neither undoes an edit nor brings a removed contact back', async () => {
    await open({ seed: { contacts: 10 } });
    const [edited, removed] = harness.account.contacts();
    if (edited === undefined || removed === undefined) throw new Error('the account is empty');
    let passed = false;
    const late: Crm = {
      ...harness.crm,
      list: async (params, options) => {
        const answer = await harness.crm.list(params, options);
        if (params.order?.direction !== 'asc' || passed) return answer;
        passed = true;
        harness.account.update(edited.id, { city: 'Newer' });
        harness.account.delete(removed.id);
        await pullOnce(harness.deps, createPushMemory());
        return answer;
      },
    };
    await sweepOnce({ ...harness.deps, crm: late }, 'sweep', null);
    expect(passed).toBe(true);
    expect(await harness.sql('select city from crm.contacts where crm_id = $1', [edited.id])).toEqual([{ city: 'Newer' }]);
    expect(await harness.sql('select 1 from crm.contacts where crm_id = $1', [removed.id])).toEqual([]);
    await harness.settle();
    expect(await harness.differences()).toEqual([]);
  });
});

/** Creates that survive anything: the correlation id, a CRM that stores by halves, and what a person is told where one is refused. */
import { afterEach, describe, expect, it } from 'vitest';
import type { CustomField } from '../../src/sandbox/crm/records.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

const KEY_FIELD: CustomField = { name: 'cf_mirror_key', label: 'Mirror key', type: 'Text' };
const KEYED = { account: { customFields: [KEY_FIELD] }, settings: { externalIdField: 'cf_mirror_key', createRecheckMs: 30 } } as const;

const open = async (options: HarnessOptions): Promise<void> => {
  harness = await openHarness(options);
  harness.account.create({ first_name: 'Old' });
  await harness.probe();
  await harness.settle();
};
const insert = async (fields: string, values: string): Promise<number> => {
  const [row] = await harness.sql(`insert into crm.contacts (${fields}) values (${values}) returning id`);
  return Number(row?.['id']);
};
/** Once, before the CRM is asked whether it has the contact. */
const whenAsked = (act: () => void): void => {
  const stop = harness.sandbox.onRequest(({ call, method }) => {
    if (call !== 'search' || method !== 'GET') return;
    stop();
    act();
  });
};
const named = (name: string) => harness.account.contacts().filter(({ last_name: last }) => last === name);
const errors = async (): Promise<readonly string[]> =>
  (await harness.sql('select error from sync.parked')).map((row) => String(row['error']));

describe.each(['documented', 'upstream'] as const)('with CRM_EXTERNAL_ID_FIELD (%s)', (mode) => {
  it('each created contact carries a key of its own, and so does its row', async () => {
    await open({ ...KEYED, mode });
    await insert('first_name, last_name', `'Anna', 'One'`);
    await insert('first_name, last_name', `'Anna', 'One'`);
    await harness.settle();
    const keys = named('One').map(({ custom }) => custom['cf_mirror_key']);
    expect(new Set(keys).size).toBe(2);
    expect(keys.every((key) => /^[0-9a-f-]{36}$/.test(String(key)))).toBe(true);
    expect(await harness.differences()).toEqual([]);
    expect(harness.account.calls.count('create')).toBe(2);
    expect(harness.account.calls.count('update')).toBe(0);
  });

  it('a contact that was renamed before its lost answer could be asked about is recognised all the same', async () => {
    await open({ ...KEYED, mode });
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    whenAsked(() => {
      const [made] = named('Lost');
      if (made !== undefined) harness.account.update(made.id, { first_name: 'Renamed', last_name: 'Entirely' });
    });
    const id = await insert('first_name, last_name', `'Anna', 'Lost'`);
    await harness.settle();
    expect(harness.account.calls.count('create')).toBe(1);
    expect(await harness.sql('select first_name, last_name, crm_id is not null as paired from crm.contacts where id = $1', [id])).toEqual([
      { first_name: 'Renamed', last_name: 'Entirely', paired: true },
    ]);
    expect(await harness.differences()).toEqual([]);
  });

  it('a namesake made meanwhile is no reason to ask a person', async () => {
    await open({ ...KEYED, mode });
    harness.sandbox.fault({ call: 'create', kind: 'reset-before' });
    await insert('first_name, last_name', `'First', 'Known'`);
    await harness.settle();
    harness.sandbox.fault({ call: 'create', kind: 'reset-before' });
    whenAsked(() => harness.account.create({ first_name: 'Anna', last_name: 'Meier', city: 'Elsewhere' }));
    await insert('first_name, last_name, email', `'Anna', 'Meier', 'anna@example.test'`);
    await harness.settle();
    await harness.settle();
    expect(await errors()).toEqual([]);
    expect(named('Meier')).toHaveLength(2);
    expect(await harness.differences()).toEqual([]);
  });

  it('a value that a person filled in is the key, and is not overwritten', async () => {
    await open({ ...KEYED, mode });
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    await insert('first_name, last_name, custom_fields', `'Anna', 'Own', '{"cf_mirror_key": "mine-1"}'`);
    await harness.settle();
    expect(named('Own').map(({ custom }) => custom['cf_mirror_key'])).toEqual(['mine-1']);
    expect(harness.account.calls.count('create')).toBe(1);
    expect(await harness.differences()).toEqual([]);
  });
});

describe('a create whose answer was lost', () => {
  it('is recognised by a date whose type is first seen in it', async () => {
    await open({ account: { customFields: [{ name: 'cf_day', label: 'Day', type: 'Date' }] }, mode: 'documented' });
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    await insert('first_name, last_name, custom_fields', `'Anna', 'Dated', '{"cf_day": "2026-03-29"}'`);
    await harness.settle();
    expect(named('Dated')).toHaveLength(1);
    expect(await errors()).toEqual([]);
    expect(await harness.differences(['companies', 'deals'])).toEqual([]);
  });

  it('is looked for to the end of a list that comes in another order than was asked for', async () => {
    await open({ mode: 'documented', account: { perPageMax: 3 } });
    for (let n = 0; n < 7; n += 1) harness.account.create({ first_name: `Some ${n}` });
    await harness.settle();
    const { list } = harness.crm;
    const memory = createPushMemory();
    // Ascending, whatever was asked for: the newest are on the last page.
    const crm = {
      ...harness.crm,
      list: (params: Parameters<typeof list>[0], options: Parameters<typeof list>[1]) =>
        list(params.order?.field === 'id' ? { ...params, order: { field: 'id', direction: 'asc' } } : params, options),
    };
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    await insert('first_name', `'Nameless'`);
    for (let round = 0; round < 20; round += 1) await pushDue({ ...harness.deps, crm }, memory);
    await harness.settle();
    expect(harness.account.contacts().filter(({ first_name: name }) => name === 'Nameless')).toHaveLength(1);
  });
});

describe('an e-mail or a phone that is taken', () => {
  it('names the contact of the mirror that has it', async () => {
    await open({});
    const { id } = harness.account.create({ first_name: 'Holder', email: 'taken@example.test' });
    await harness.settle();
    await harness.settle();
    const [holder] = await harness.sql('select id from crm.contacts where crm_id = $1', [id]);
    await insert('first_name, email', `'Second', 'taken@example.test'`);
    await harness.settle();
    expect(await errors()).toEqual([
      expect.stringContaining(`Held by the CRM's contact ${id} (crm.contacts.id ${String(holder?.['id'])}).`),
    ]);
  });

  it("names the contact in the CRM's trash, also for a phone and on an update", async () => {
    await open({});
    const { id } = harness.account.create({ first_name: 'Holder', phones: [{ number: '+1 555', type: 'work' }] });
    harness.account.delete(id);
    await harness.sql(`update crm.contacts set phones = '[{"number": "+1 555"}]'`);
    await harness.settle();
    expect(await errors()).toEqual([expect.stringContaining(`Held by contact ${id} in the CRM's trash.`)]);
  });

  it('says who else it may be where nobody is to be seen', async () => {
    await open({ mode: 'documented' });
    const { id } = harness.account.create({ first_name: 'Holder', email: 'taken@example.test' });
    harness.account.delete(id);
    await insert('first_name, email', `'Second', 'taken@example.test'`);
    await harness.settle();
    const [error] = await errors();
    expect(error).toContain('one that this token may not see');
    expect(error).not.toContain('taken@example.test');
  });
});

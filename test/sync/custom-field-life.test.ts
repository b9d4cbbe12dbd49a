/** An administrator works on the account's custom fields while both sides are synced and somebody reads: no column ever goes, moves or changes its type. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createBiKeeper } from '../../src/postgres/bi.ts';
import type { LogFields } from '../../src/ports/ambient.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import type { CustomField, CustomFieldType } from '../../src/sandbox/crm/records.ts';
import { connect, one } from '../postgres/editing.ts';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
let told: LogFields[];

const COLUMNS = `
  select attnum::int as place, attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
  where attrelid = 'bi.contacts'::regclass and attnum > 0 order by attnum`;
const columns = async () => (await harness.sql(COLUMNS)).map(({ place, name, type }) => `${String(place)} ${String(name)} ${String(type)}`);
const states = async () => new Map((await harness.sql('select * from bi.custom_fields')).map((row) => [String(row['column_name']), row]));
const keep = async () => {
  const note = (fields: LogFields): void => void told.push(fields);
  const log = { debug: note, info: note, warn: note, error: note };
  return await createBiKeeper({ pool: harness.pool, connectionString: harness.url, log }).keepOnce(new AbortController().signal);
};
/** A dashboard that asks without a pause; answers how often, once it is told to stop. */
const watch = async () => {
  const client = await connect(harness.url);
  const stop = new AbortController();
  const counts = new Set<unknown>();
  const asking = (async () => {
    let times = 0;
    while (!stop.signal.aborted) {
      counts.add(await one(client, 'select count(*) filter (where true or cf_score > 0) as value from bi.contacts'));
      times += 1;
    }
    await client.end();
    return times;
  })();
  return async () => {
    stop.abort();
    return { times: await asking, counts: [...counts] };
  };
};
/** Somebody asks, and two minutes go by. */
const readAgain = async (): Promise<void> => {
  await harness.sql('select sync.request_fields()');
  await harness.sql(`update sync.bi_refresh set fields_read_at = fields_read_at - interval '1 hour'`);
  expect(await harness.probe()).toBeNull();
};
/** An hour and more goes by, the CRM's list is as it was, and a sweep sees every contact. */
const lackedAgain = async (): Promise<void> => {
  await harness.sql(`update sync.custom_fields set unlisted_at = unlisted_at - interval '2 hours'`);
  await readAgain();
  expect((await sweepOnce(harness.deps, 'sweep', null)).complete).toBe(true);
};
const field = (name: string, type: CustomFieldType, label = name): CustomField => ({
  name: `cf_${name}`,
  label,
  type,
  ...(type === 'Select' && { options: [{ id: 1, label: 'North' }] }),
});

beforeEach(async () => {
  told = [];
  harness = await openHarness({ seed: { contacts: 12, links: false } });
  await harness.probe();
  await harness.settle();
  await keep();
});
afterEach(() => harness.close());

it('the fields of the account are typed columns, with what the contacts hold', async () => {
  const { account, sql } = harness;
  account.update(1, {
    cf_score: 7.5,
    cf_birthday: '1990-02-03',
    cf_tier: 2,
    cf_interests: [22, 21],
    cf_newsletter: true,
    cf_last_visit: '2026-01-02 03:04:05',
  });
  await harness.settle();
  const shown = `cf_score::float8, cf_birthday::text, cf_tier, cf_interests, cf_newsletter, cf_last_visit at time zone 'UTC' as at`;
  expect(await sql(`select ${shown} from bi.contacts where crm_id = 1`)).toMatchObject([
    { cf_score: 7.5, cf_birthday: '1990-02-03', cf_tier: 'Silver', cf_interests: ['Hardware', 'Software'], cf_newsletter: true },
  ]);
  expect((await states()).get('cf_second_email')).toMatchObject({ label: 'Second e-mail', type: 'text', state: 'current' });
  expect((await sql(`select crm_type from sync.custom_fields where name = 'cf_second_email'`))[0]).toEqual({ crm_type: 'Email' });
});

it('200 fields added, renamed, retyped, removed and brought back leave every earlier column in its place, while people edit and a report runs', async () => {
  const { account, sql } = harness;
  const types = ['Text', 'Numeric', 'Date', 'Select', 'Boolean'] as const;
  const all = Array.from({ length: 200 }, (_, n) => field(`n${n}`, types[n % types.length] ?? 'Text'));
  let before = await columns();
  const watched = await watch();
  /** What was there is there, in its place and of its type; both sides are in step. */
  const round = async (work: () => void): Promise<void> => {
    work();
    account.update(2, { city: `City ${before.length}` });
    await sql('update crm.contacts set job_title = $1 where crm_id = 3', [`Job ${before.length}`]);
    await readAgain();
    await harness.settle();
    expect(await keep()).toBe(true);
    const now = await columns();
    expect(now.slice(0, before.length)).toEqual(before);
    expect(await harness.differences()).toEqual([]);
    before = now;
  };

  const report = await harness.pool.connect();
  await report.query('begin');
  await report.query('select count(*) from bi.contacts');
  all.forEach((one) => account.defineCustomField(one));
  await readAgain();
  expect(await keep()).toBe(false);
  expect((await sql('select waits_since is not null as waits from sync.bi_waiting'))[0]).toEqual({ waits: true });
  expect(await columns()).toEqual(before);
  await report.query('select * from bi.contacts');
  await report.query('commit');
  report.release();
  await round(() => undefined);
  expect(before).toHaveLength(27 + 15 + 200);
  await round(() => account.update(1, { cf_n0: 'x', cf_n1: 5, cf_n2: '2026-01-02', cf_n3: 1, cf_n4: true }));

  await round(() => all.slice(0, 40).forEach((one) => account.defineCustomField({ ...one, label: `New ${one.name}` })));
  expect((await states()).get('cf_n5')).toMatchObject({ label: 'New cf_n5' });

  // Numbers become texts, texts numbers: nothing is left of what they held.
  await round(() => [0, 1, 5, 6].forEach((n) => account.defineCustomField(field(`n${n}`, n % 5 === 0 ? 'Numeric' : 'Text'))));
  expect(before.slice(-4).map((line) => line.slice(4))).toEqual([
    'cf_n0_number numeric',
    'cf_n1_text text',
    'cf_n5_number numeric',
    'cf_n6_text text',
  ]);
  await round(() => account.update(1, { cf_n0: 3, cf_n1: 'five' }));
  expect(await sql('select cf_n0, cf_n0_number::int, cf_n1, cf_n1_text from bi.contacts where crm_id = 1')).toEqual([
    { cf_n0: null, cf_n0_number: 3, cf_n1: null, cf_n1_text: 'five' },
  ]);

  await round(() => [2, 3].forEach((n) => account.removeCustomField(`cf_n${n}`)));
  expect((await states()).get('cf_n2')).toMatchObject({ state: 'current' });
  await lackedAgain();
  await round(() => undefined);
  expect((await states()).get('cf_n2')).toMatchObject({ state: 'gone' });
  expect(await sql('select cf_n2, cf_n3 from bi.contacts where crm_id = 1')).toEqual([{ cf_n2: null, cf_n3: null }]);

  await round(() => [field('n2', 'Date'), field('n0', 'Text')].forEach((one) => account.defineCustomField(one)));
  await round(() => account.update(1, { cf_n2: '2026-03-04', cf_n0: 'again' }));
  expect(await sql('select cf_n2::text, cf_n0, cf_n0_number from bi.contacts where crm_id = 1')).toEqual([
    { cf_n2: '2026-03-04', cf_n0: 'again', cf_n0_number: null },
  ]);
  const changes = told.filter(({ field: name }) => name === 'cf_n2').map(({ change }) => change);
  expect(changes).toEqual(['added', 'relabelled', 'unlisted', 'gone', 'relabelled', 'back']);
  const { times, counts } = await watched();
  expect(counts).toEqual([12]);
  expect(times).toBeGreaterThan(10);
  expect(await sql('select count(*)::int as untold from sync.custom_field_changes where not told')).toEqual([{ untold: 0 }]);
});

it('a new option that a record shows has the list read again; a hidden field is not gone', async () => {
  const { account, sql } = harness;
  const tier = account.customFields().find(({ name }) => name === 'cf_tier');
  if (tier === undefined) throw new Error('no cf_tier');
  account.defineCustomField({ ...tier, options: [...(tier.options ?? []), { id: 4, label: 'Platinum' }] });
  account.update(1, { cf_tier: 4 });
  await harness.settle();
  expect(await sql('select cf_tier from bi.contacts where crm_id = 1')).toEqual([{ cf_tier: '4' }]);
  await sql(`update sync.bi_refresh set fields_read_at = fields_read_at - interval '1 hour'`);
  expect(await harness.probe()).toBeNull();
  expect(await keep()).toBe(true);
  expect(await sql('select cf_tier from bi.contacts where crm_id = 1')).toEqual([{ cf_tier: 'Platinum' }]);

  account.defineCustomField({ ...tier, hiddenInForms: true });
  await readAgain();
  await sweepOnce(harness.deps, 'sweep', null);
  await lackedAgain();
  expect(await keep()).toBe(true);
  expect((await states()).get('cf_tier')).toMatchObject({ state: 'current' });
  expect(await sql('select unlisted_at is not null as unlisted, gone_at from sync.custom_fields where name = $1', ['cf_tier'])).toEqual([
    { unlisted: true, gone_at: null },
  ]);
});

it('a hidden field that is gone, since nobody held a value, is back with the first value', async () => {
  const { account, sql } = harness;
  account.defineCustomField({ ...field('quiet', 'Numeric'), hiddenInForms: false });
  await readAgain();
  await keep();
  account.defineCustomField({ ...field('quiet', 'Numeric'), hiddenInForms: true });
  await readAgain();
  await sweepOnce(harness.deps, 'sweep', null);
  await keep();
  // One list that lacks it proves nothing, however long ago it was read.
  await sql(`update sync.custom_fields set unlisted_at = unlisted_at - interval '1 day'`);
  await sql(`update sync.bi_refresh set fields_read_at = fields_read_at - interval '1 day', counted_at = null`);
  await keep();
  expect((await states()).get('cf_quiet')).toMatchObject({ state: 'current' });
  await lackedAgain();
  await keep();
  expect((await states()).get('cf_quiet')).toMatchObject({ state: 'gone' });
  account.update(1, { cf_quiet: 4 });
  await harness.settle();
  await keep();
  expect((await states()).get('cf_quiet')).toMatchObject({ state: 'current' });
  expect(await sql('select cf_quiet::int from bi.contacts where crm_id = 1')).toEqual([{ cf_quiet: 4 }]);
});

it('a new column comes also where the values cannot be counted', async () => {
  const { account, sql } = harness;
  await sql(`create or replace function sync.count_custom_values() returns void language plpgsql as $$ begin raise 'too many'; end $$`);
  account.defineCustomField(field('late', 'Numeric'));
  await readAgain();
  await sweepOnce(harness.deps, 'sweep', null);
  expect(await keep()).toBe(false);
  expect((await states()).get('cf_late')).toMatchObject({ state: 'current' });
});

it('a CRM that has lost its list of fields stops nothing: what it told stays, and new fields are read off the values', async () => {
  const { account, sandbox, sql } = harness;
  const before = await columns();
  sandbox.fault({ call: 'customFields', kind: '404-html', times: Infinity });
  await readAgain();
  expect(harness.store.get().customFields).toBe(false);
  account.defineCustomField(field('late', 'Numeric'));
  account.update(1, { cf_late: 4 });
  await harness.settle();
  await sql(`update sync.custom_fields set seen_at = seen_at - interval '2 days' where origin = 'inferred'`);
  await keep();
  expect(await columns()).toEqual([...before, `${String(before.length + 1)} cf_late numeric`]);
  expect(await harness.differences()).toEqual([]);
});

it('where nothing changes, nothing is written and the CRM is not asked again', async () => {
  await sweepOnce(harness.deps, 'sweep', null);
  await readAgain();
  await keep();
  const before = await harness.tuples();
  const calls = harness.account.calls.count();
  for (let n = 0; n < 3; n += 1) {
    expect(await keep()).toBe(true);
    expect(await harness.probe()).toBeNull();
  }
  expect(await harness.tuples()).toEqual(before);
  expect(harness.account.calls.count()).toBe(calls);
});

it('without a list of fields, the type is read off all values: a column that turns out to be text gets a second one, and no value is shown falsely', async () => {
  await harness.close();
  harness = await openHarness({
    mode: 'documented',
    seed: { contacts: 3, links: false, customFields: false },
    account: { customFields: [field('when', 'Date')] },
  });
  const { account, sql } = harness;
  account.update(1, { cf_when: '2021-12-05' });
  await harness.probe();
  await harness.settle();
  expect(await keep()).toBe(true);
  expect(await sql('select cf_when::text from bi.contacts where crm_id = 1')).toEqual([{ cf_when: '2021-12-05' }]);
  account.defineCustomField(field('when', 'Text'));
  account.update(1, { cf_when: '2021-12-05' });
  account.update(2, { cf_when: 'soon' });
  await harness.settle();
  expect(await keep()).toBe(true);
  expect(await sql('select cf_when, cf_when_text from bi.contacts order by crm_id')).toEqual([
    { cf_when: null, cf_when_text: '2021-12-05' },
    { cf_when: null, cf_when_text: 'soon' },
    { cf_when: null, cf_when_text: null },
  ]);
});

/** Records that are meant to hurt, among others that are as they should be: those are stored, and nothing is lost, doubled or polluted. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Child } from '../e2e/child.ts';
import { openWorld, TIMEOUT, until, type World } from '../e2e/world.ts';
import { contactRow } from '../crm/scripted-server.ts';
import { isList, startHostileCrm, type Asked, type HostileCrm } from './hostile-crm.ts';
import { forgetPeak, peakMemoryMib, SMALL } from './memory.ts';

const MEMORY_MIB_MAX = 256;
const LATER = '2037-01-01T00:00:00.000000Z';
const nested = (levels: number): unknown => {
  let value: unknown = 'bottom';
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
};
const many = <T>(howMany: number, one: (index: number) => T): T[] => Array.from({ length: howMany }, (_, index) => one(index));

const isRead = ({ method, path }: Asked): boolean => method === 'GET' && /^\/api\/contacts(\?|\/\d+)/.test(path);

type Record_ = { readonly [key: string]: unknown };

/** `parked`: refused alone; a row that was there stays as it was. `stored`: kept, made harmless. */
const RECORDS: readonly (readonly [name: string, more: Record_ | string, becomes: 'parked' | 'stored'])[] = [
  ['100,000 levels in a key of its own', `"deep":${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'parked'],
  ['33 levels in a custom field', { cf_deep: nested(33) }, 'parked'],
  ['20 levels in a custom field', { cf_deep: nested(20) }, 'stored'],
  ['20,000 phones', { phones: many(20_000, (index) => ({ number: `+41${index}`, type: 'work' })) }, 'parked'],
  ['10,000 custom fields', Object.fromEntries(many(10_000, (index) => [`cf_${index}`, 1])), 'parked'],
  ['10,000 keys of its own', Object.fromEntries(many(10_000, (index) => [`k${index}`, 1])), 'stored'],
  ['10,000 companies', { companies: many(10_000, (index) => ({ id: index + 1, name: `C${index}` })) }, 'stored'],
  ['a custom field with a name of 100,000 letters', { [`cf_${'n'.repeat(100_000)}`]: 1 }, 'parked'],
  ['prototype keys', '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":"x","hasOwnProperty":"x"', 'stored'],
  [
    'custom fields called like the prototype',
    '"cf___proto__":"x","cf_constructor":"x","cf_toString":{"__proto__":{"polluted":1}}',
    'stored',
  ],
  ['NUL and half surrogates', '"job_title":"a\\u0000b\\ud83d","cf_\\u0000nul":"\\u0000","deep":{"\\ud83d":"\\u0000"}', 'stored'],
  ['a phone of NUL', '"phones":[{"number":"\\u0000","type":"\\u0000"}]', 'stored'],
  ['control characters and overrides', { job_title: '\u001b[2J\u202eevil\u0007\r\n', state: '\u2028' }, 'stored'],
  ['numbers beyond all bounds', '"cf_number":1e999,"score":-1e308', 'stored'],
  ['an owner beyond 2^53', '"user_id":9007199254740993', 'parked'],
  ['a negative owner', { user_id: -1 }, 'parked'],
  ['an owner of words', { user_id: '1; drop table crm.contacts' }, 'parked'],
  ['7 MB in a field', { street: 'x'.repeat(7 * 1000 * 1000) }, 'parked'],
  ['7 MB of wide characters in a field', { street: `€${'x'.repeat(7 * 1000 * 1000)}` }, 'parked'],
  ['7 MB of characters of many bytes', { extra: '€'.repeat(2.4 * 1000 * 1000) }, 'parked'],
  ['250 KB in the e-mail', { email: `€${'x'.repeat(250_000)}@example.com` }, 'stored'],
  ['a moment before all years', { created_at: '0000-01-01T00:00:00Z' }, 'parked'],
  ['a moment after all years', { updated_at: '9999-12-31T23:59:59-14:00' }, 'parked'],
  ['the last moment', { updated_at: '9999-12-31T23:59:59Z' }, 'stored'],
  ['a moment of words', { updated_at: 'yesterday' }, 'parked'],
  ['a first name of numbers', { first_name: 7 }, 'parked'],
  ['an array for a contact', '"first_name":["a"]', 'parked'],
];

/** As JSON text, because no object holds a key `__proto__` twice, or a number beyond 2^53. */
const toText = (record: Record_, more: Record_ | string): string => {
  if (typeof more !== 'string') return JSON.stringify({ ...record, ...more });
  const keys = [...more.matchAll(/"([\w]+)":/g)].map(([, key]) => key);
  const rest = Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
  return `${JSON.stringify(rest).slice(0, -1)},${more}}`;
};

/** Of a page that is as large as its records may be. */
const LARGE = 20;
/** Nearly as large as an answer may be: one at a time. */
const isLarge = ([name]: (typeof RECORDS)[number]): boolean => name.startsWith('7 MB');
/** Contacts in front of and behind the hostile ones, which have to be stored. */
const PLAIN = 4;

describe('hostile records', TIMEOUT, () => {
  let world: World;
  let crm: HostileCrm;
  let daemon: Child;
  let round = 0;

  beforeAll(async () => {
    world = await openWorld({ seed: { contacts: RECORDS.length + PLAIN } });
    crm = await startHostileCrm(world.sandbox.url);
    daemon = world.start(['start'], { CRM_URL: crm.url, ...SMALL });
    await world.inStep();
  }, 60_000);
  afterAll(async () => {
    await world.close();
    await crm.close();
  });

  const edit = (kind: string): void => {
    round += 1;
    for (const { id } of world.account.contacts()) world.account.update(id, { city: `${kind} ${round}` });
  };

  /** From now on these contacts look like that, in lists and alone. */
  const disguise = (hostile: ReadonlyMap<number, Record_ | string>): void => {
    const swap = (record: unknown): string => {
      const row = record as Record_;
      const more = hostile.get(Number(row['id']));
      return more === undefined ? JSON.stringify(row) : toText({ ...row, updated_at: LATER }, more);
    };
    crm.mangle(isRead, (body) => {
      const page = body as { readonly data?: readonly unknown[] };
      if (page.data === undefined) return swap(body);
      return JSON.stringify({ ...page, data: ['DATA'] }).replace('"DATA"', () => (page.data ?? []).map(swap).join());
    });
  };

  /** Shows each record in the place of one contact, and waits until everything is parked or stored. */
  const show = async (records: typeof RECORDS): Promise<void> => {
    const ids = world.account.contacts().map(({ id }) => id);
    const hostile = new Map(records.map((record, index) => [ids[index + 2] ?? 0, record] as const));
    const rowsOf = async (wanted: readonly number[]) =>
      new Map(
        (await world.sql('select *, crm_id::int as id from crm.contacts where crm_id = any($1)', [wanted])).map((row) => [row['id'], row]),
      );
    const parked = [...hostile].flatMap(([id, [, , becomes]]) => (becomes === 'parked' ? [id] : []));
    const before = await rowsOf(parked);
    disguise(new Map([...hostile].map(([id, [, more]]) => [id, more])));
    edit('bad');
    await until('every record that is harmless in the mirror, and every other one parked', async () => {
      const stored = await world.sql('select crm_id::int as id from crm.contacts where city = $1', [`bad ${round}`]);
      const refused = await world.sql('select distinct crm_id::int as id from sync.parked');
      return stored.length === ids.length - parked.length && refused.length === parked.length;
    });
    const refused = await world.sql('select distinct crm_id::int as id, error_code from sync.parked order by 1');
    expect(refused).toEqual(parked.toSorted((a, b) => a - b).map((id) => ({ id, error_code: 'bad_answer' })));
    expect(await rowsOf(parked)).toEqual(before);
    // Nothing of it goes back into the CRM, and nothing is deleted or doubled.
    expect(crm.asked.filter(({ method }) => method !== 'GET')).toEqual([]);
    expect(await world.sql('select count(*)::int as n from crm.contacts')).toEqual([{ n: ids.length }]);
    expect(peakMemoryMib(daemon.pid)).toBeLessThan(MEMORY_MIB_MAX);
    forgetPeak(daemon.pid);
  };

  /** They come as they are, and what was parked is released. */
  const recovers = async (): Promise<void> => {
    crm.behave();
    edit('well');
    await world.inStep();
    expect(await world.sql('select * from sync.parked')).toEqual([]);
  };

  it(`are handled alone: ${RECORDS.filter((record) => !isLarge(record))
    .map(([name]) => name)
    .join('; ')}`, async () => {
    await show(RECORDS.filter((record) => !isLarge(record)));
    const [stored] = await world.sql(
      `select string_agg(extra::text || custom_fields::text || coalesce(job_title, ''), '') as text from crm.contacts`,
    );
    expect(stored?.['text']).not.toMatch(/\0|"(__proto__|constructor|prototype)"/);
    await recovers();
  });

  it.each(RECORDS.filter(isLarge))('are handled alone: %s', async (...record) => {
    await show([record]);
    await recovers();
    expect(world.account.contacts()).toHaveLength(RECORDS.length + PLAIN);
  });

  it('a page full of large records is stored in parts', async () => {
    crm.mangle(isList, (body) => {
      const page = body as { readonly data: readonly Record_[] };
      return { ...page, data: page.data.slice(0, LARGE).map((row) => ({ ...row, updated_at: LATER, street: `€${'x'.repeat(250_000)}` })) };
    });
    edit('large');
    await until(
      'the last of them',
      async () => (await world.sql('select from crm.contacts where city = $1', [`large ${round}`])).length === LARGE,
    );
    expect(peakMemoryMib(daemon.pid)).toBeLessThan(MEMORY_MIB_MAX);
    await recovers();
    expect(await world.sql('select max(length(street)) < 200000 as small from crm.contacts')).toEqual([{ small: true }]);
  });

  it('a record twice on a page, and one of another contact for the one asked, make no second row', async () => {
    crm.mangle(isList, (body) => {
      const page = body as { readonly data: readonly unknown[] };
      return { ...page, data: [...page.data, ...page.data, contactRow(-5), contactRow(0), { id: '1e3' }, null, 7, []] };
    });
    edit('twice');
    await until(
      'the edit',
      async () => (await world.sql('select from crm.contacts where city = $1', [`twice ${round}`])).length === RECORDS.length + PLAIN,
    );
    await recovers();
    expect(await world.sql('select count(*)::int as n from crm.contacts')).toEqual([{ n: RECORDS.length + PLAIN }]);
  });
});

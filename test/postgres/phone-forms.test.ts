/** The forms behind bi.contact_phones: in step with the contacts, in nobody's way, and nothing where nothing changed. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type pg from 'pg';
import type { PhoneFormsKeeper } from '../../src/ports/phone-forms.ts';
import { createPhoneReader } from '../../src/phones/read-phones.ts';
import { createPhoneForms } from '../../src/postgres/phone-forms.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { asDaemon, connect, one } from './editing.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const reader = createPhoneReader();
const never = new AbortController().signal;

let database: TestDatabase;
let client: pg.Client;
let user: pg.Client;
let phones: PhoneFormsKeeper;
const keeperOf = (version = reader.version) =>
  createPhoneForms({ connectionString: database.url, loadReader: async () => ({ ...reader, version }), log: silent });

beforeAll(async () => {
  database = await createTestDatabase();
  [client, user] = [await connect(database.url), await connect(database.url)];
  await asDaemon(client, `insert into crm.countries values (1, 'Switzerland'), (2, 'Germany'), (3, 'Atlantis')`);
});
beforeEach(async () => {
  await asDaemon(client, 'delete from crm.contacts', 'delete from sync.change_log');
  await asDaemon(
    client,
    `insert into crm.contacts (crm_id, first_name, country_id, phones) values
      (1, 'Ann', 1, '[{"number": "079 123 45 67"}, {"number": "+49 30 901820"}]'), (2, 'Bob', null, '[{"number": "079 123 45 67"}]'),
      (3, 'Cid', 3, '[{"number": "+41 79 123 45 67"}]'), (4, 'Nil', 1, '[]'), (5, 'Dup', 2, '[{"number": "030 901820"}, {"number": "030 901820"}]')`,
  );
  phones = keeperOf();
});
afterEach(() => phones.close());
afterAll(async () => {
  await Promise.all([client.end(), user.end()]);
  await database.drop();
});

const shown = async () => {
  const { rows } = await client.query<{ told: string }>(
    `select concat_ws(' ', crm_id, position, coalesce(e164, '-')) as told from bi.contact_phones order by crm_id, position`,
  );
  return rows.map(({ told }) => told);
};
const ALL = ['1 1 +41791234567', '1 2 +4930901820', '2 1 -', '3 1 +41791234567', '5 1 +4930901820', '5 2 +4930901820'];
/** Everything that a write would change, the numbers of its transactions included. */
const written = async () =>
  await one(
    client,
    `select md5(string_agg(t, ';')) as value from (
  select concat_ws(',', xmin, ctid, f.*) as t from sync.phone_forms f order by f.contact_id, f.number) f`,
  );

describe('a whole pass', () => {
  it('reads every number by its contact’s country, and a second one writes nothing', async () => {
    expect(await shown()).toEqual(ALL.map((line) => line.replace(/\+\d+/, '-')));
    expect(await phones.keepOnce(never, true)).toBe(true);
    expect(await shown()).toEqual(ALL);
    const { rows } = await client.query<{ primary: string }>('select phone_e164 as primary from bi.contacts order by crm_id');
    expect(rows.map(({ primary }) => primary)).toEqual(['+41791234567', null, '+41791234567', null, '+4930901820']);
    const before = await written();
    expect(await phones.keepOnce(never, true)).toBe(true);
    expect(await keeperOf().keepOnce(never, true)).toBe(true);
    expect(await written()).toBe(before);
  });

  it('finds what nothing told of: a number that came, one that went, a country that got another name', async () => {
    await phones.keepOnce(never, true);
    await asDaemon(
      client,
      `update crm.contacts set phones = '[{"number": "044 668 18 00"}]' where crm_id = 1`,
      `update crm.countries set name = 'Germany' where id = 3`,
      `update crm.contacts set phones = '[{"number": "030 901820"}]' where crm_id = 3`,
    );
    await phones.keepOnce(never, true);
    expect(await shown()).toEqual(['1 1 +41446681800', '2 1 -', '3 1 +4930901820', '5 1 +4930901820', '5 2 +4930901820']);
    expect(await one(client, `select count(*)::int as value from sync.phone_forms`)).toBe(4);
    await asDaemon(client, `update crm.countries set name = 'Atlantis' where id = 3`);
    await phones.keepOnce(never, true);
    expect((await shown())[2]).toBe('3 1 -');
  });

  it('reads everything anew by other rules, once', async () => {
    await phones.keepOnce(never, true);
    await client.query(`update sync.phone_forms set e164 = '+1'`);
    await phones.keepOnce(never, true);
    expect((await shown())[0]).toBe('1 1 +1');
    const newer = keeperOf('libphonenumber-js 99');
    await newer.keepOnce(never, true);
    expect(await shown()).toEqual(ALL);
    expect(await one(client, 'select phones_read_by as value from sync.account')).toBe('libphonenumber-js 99');
    await newer.close();
  });

  it('goes by batches, over whatever stands in the field', async () => {
    await asDaemon(
      client,
      `insert into crm.contacts (crm_id, first_name, country_id, phones) select n, 'x', 1, jsonb_build_array(jsonb_build_object('number', '079 ' || n))
       from generate_series(1000000, 1004500) n`,
      `insert into crm.contacts (crm_id, first_name, phones) values (6, 'Odd', jsonb_build_array(jsonb_build_object('number', repeat('9', 5000)),
         '{"number": null}'::jsonb, '{}'::jsonb, '"079"'::jsonb, '{"number": ""}'::jsonb))`,
    );
    expect(await phones.keepOnce(never, true)).toBe(true);
    expect(await one(client, `select count(e164)::int as value from bi.contact_phones where crm_id >= 1000000`)).toBe(4501);
    expect((await shown()).filter((line) => line.startsWith('6 '))).toEqual(['6 1 -', '6 2 -', '6 3 -', '6 4 -', '6 5 -']);
  });
});

describe('a look', () => {
  beforeEach(async () => {
    await phones.keepOnce(never, true);
  });

  it('follows edits made here, also one that is committed late', async () => {
    await user.query('begin');
    await user.query(`update crm.contacts set country_id = 1 where crm_id = 2`);
    await client.query(`update crm.contacts set phones = '[{"number": "031 322 21 11"}]' where crm_id = 1`);
    await client.query(`insert into crm.contacts (first_name, phones) values ('New', '[{"number": "+1 415 555 2671"}]')`);
    await phones.keepOnce(never, false);
    expect(await shown()).toEqual(['1 1 +41313222111', '2 1 -', ...ALL.slice(3), '1 +14155552671']);
    await user.query('commit');
    await phones.keepOnce(never, false);
    expect((await shown())[1]).toBe('2 1 +41791234567');
  });

  it('follows what the daemon says that it wrote, and looks at nothing else', async () => {
    await asDaemon(client, `update crm.contacts set phones = '[{"number": "031 322 21 11"}]' where crm_id in (1, 5)`);
    phones.touched([Number(await one(client, 'select id as value from crm.contacts where crm_id = 1'))]);
    await phones.keepOnce(never, false);
    expect(await shown()).toEqual(['1 1 +41313222111', '2 1 -', '3 1 +41791234567', '5 1 -']);
  });

  it('writes nothing where a contact was written without its numbers', async () => {
    const before = await written();
    await client.query(`update crm.contacts set city = 'Bern'`);
    phones.touched((await client.query<{ id: number }>('select id from crm.contacts')).rows.map(({ id }) => id));
    await phones.keepOnce(never, false);
    expect(await written()).toBe(before);
  });

  it('does not show the form of another country’s number until it was read anew', async () => {
    await client.query(`update crm.contacts set country_id = 1 where crm_id = 5`);
    expect((await shown()).slice(-2)).toEqual(['5 1 -', '5 2 -']);
    await phones.keepOnce(never, false);
    expect((await shown()).slice(-2)).toEqual(['5 1 -', '5 2 -']);
    await client.query(`update crm.contacts set country_id = 2 where crm_id = 5`);
    await phones.keepOnce(never, false);
    expect(await shown()).toEqual(ALL);
  });

  it('passes over a row that somebody holds, at once, and comes back for it', async () => {
    await client.query(`update crm.contacts set phones = '[{"number": "031 322 21 11"}]' where crm_id in (1, 2)`);
    await user.query('begin; select from crm.contacts where crm_id = 1 for update');
    for (const whole of [false, true]) {
      expect(await phones.keepOnce(never, whole)).toBe(true);
      expect((await shown())[0]).toBe('1 1 -');
    }
    await user.query('commit');
    await phones.keepOnce(never, false);
    expect((await shown())[0]).toBe('1 1 +41313222111');
  });

  it('does not wait for an edit, nor does an edit or a deletion wait for it', async () => {
    await user.query(`begin; update crm.contacts set phones = '[{"number": "031 322 21 11"}]', city = 'Bern' where crm_id = 1`);
    await asDaemon(client, `update crm.countries set name = 'Germany' where id = 1`);
    expect(await phones.keepOnce(never, true)).toBe(true);
    // Of the number that is still committed.
    expect((await shown())[0]).toBe('1 1 +49791234567');
    await user.query('commit');
    await client.query('delete from crm.contacts where crm_id = 1');
    await asDaemon(client, `update crm.countries set name = 'Switzerland' where id = 1`);
    phones.touched([1, 2, 3]);
    expect(await phones.keepOnce(never, false)).toBe(true);
    expect(
      await one(
        client,
        `select count(*)::int as value from sync.phone_forms f where not exists (select from crm.contacts c where c.id = f.contact_id)`,
      ),
    ).toBe(0);
  });
});

it('leaves nothing of a contact that is deleted', async () => {
  await phones.keepOnce(never, true);
  await client.query('delete from crm.contacts');
  expect(await one(client, 'select count(*)::int as value from sync.phone_forms')).toBe(0);
});

it('goes on after its connection was ended, and with a pass', async () => {
  await phones.keepOnce(never, true);
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'relate-mirror phones' and datname = $1`,
    [database.name],
  );
  await asDaemon(client, `update crm.contacts set phones = '[{"number": "031 322 21 11"}]' where crm_id = 1`);
  phones.touched([0]);
  const results = [await phones.keepOnce(never, false), await phones.keepOnce(never, false)];
  expect(results.at(-1)).toBe(true);
  expect((await shown())[0]).toBe('1 1 +41313222111');
});

it('ends when it is told to, in the middle of a statement', async () => {
  const stop = new AbortController();
  await user.query('begin; lock table sync.phone_forms in access exclusive mode');
  const kept = phones.keepOnce(stop.signal, true);
  await client.query('select 1');
  stop.abort();
  expect(await kept).toBe(true);
  await user.query('rollback');
});

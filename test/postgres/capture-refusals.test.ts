/** What Postgres refuses in the statement that tries it: for every role, naming the field, and never printing a value. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { addContact, asDaemon, connect, one, refusal } from './editing.ts';

let database: TestDatabase;
let client: pg.Client;
let id: number;

beforeAll(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
  id = await addContact(client);
  await asDaemon(client, `update crm.contacts set crm_id = 7, extra = '{"tags": ["x"]}', crm_updated_at = now() where id = ${id}`);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});
afterEach(async () => void (await client.query('rollback')));

/** How many rows a statement that is not refused has written. */
const accepted = async (sql: string, values: unknown[] = []): Promise<number | null> => (await client.query(sql, values)).rowCount;
const READ_ONLY = '42501';
const NOT_NULL = '23502';
const CHECK = '23514';

describe("the daemon's columns", () => {
  it.each([
    ['crm_id', '8'],
    ['extra', `'{}'`],
    ['crm_created_at', 'now()'],
    ['crm_updated_at', `'2020-01-01'`],
  ])('%s is refused to a superuser, in UPDATE and INSERT', async (column, value) => {
    const update = await refusal(client, `update crm.contacts set ${column} = ${value}`);
    expect(update).toMatchObject({
      code: READ_ONLY,
      column,
      message: `crm.contacts.${column} belongs to relate-mirror and cannot be written`,
    });
    expect(update.hint).toMatch(/Leave the column out/);
    expect(await refusal(client, `insert into crm.contacts (first_name, ${column}) values ('Bob', ${value})`)).toMatchObject({
      code: READ_ONLY,
      column,
    });
  });

  it('id is refused however it is given', async () => {
    expect(await refusal(client, 'update crm.contacts set id = default')).toMatchObject({ code: READ_ONLY, column: 'id' });
    expect(await refusal(client, `insert into crm.contacts (id, first_name) values (5, 'Bob')`)).toMatchObject({ code: '428C9' });
    const overriding = `insert into crm.contacts (id, first_name) overriding system value values`;
    expect(await refusal(client, `${overriding} (123456, 'Bob')`)).toMatchObject({ code: READ_ONLY, column: 'id' });
    expect(await refusal(client, `copy crm.contacts (id, first_name) from program 'printf "77\\tBob\\n"'`)).toMatchObject({
      code: READ_ONLY,
    });
    const fresh = await connect(database.url);
    expect(await refusal(fresh, `${overriding} (123456, 'Bob')`)).toMatchObject({ code: READ_ONLY, column: 'id' });
    await fresh.end();
  });

  it('may be written back as they are, as tools do that write whole rows', async () => {
    expect(await accepted('update crm.contacts set crm_id = crm_id, extra = extra, crm_updated_at = crm_updated_at')).toBeGreaterThan(0);
    expect(await accepted(`insert into crm.contacts (id, crm_id, first_name, extra) values (default, null, 'Whole', null)`)).toBe(1);
  });
});

describe('first_name', () => {
  it.each(['null', `''`, `'  '`, `E'\\t\\u00a0'`])('may not be %s', async (blank) => {
    expect(await refusal(client, `insert into crm.contacts (first_name) values (${blank})`)).toMatchObject({
      code: NOT_NULL,
      column: 'first_name',
    });
    expect(await refusal(client, `update crm.contacts set first_name = ${blank} where id = ${id}`)).toMatchObject({ code: NOT_NULL });
  });

  it('that the CRM left empty does not stand in the way of other edits', async () => {
    await asDaemon(client, `insert into crm.contacts (crm_id) values (55)`);
    expect(await accepted(`update crm.contacts set city = 'x' where crm_id = 55`)).toBe(1);
    await asDaemon(client, `delete from crm.contacts where crm_id = 55`);
  });
});

describe('phones', () => {
  it.each([
    ['{}', 'array'],
    ['"1"', 'array'],
    ['["1"]', 'object'],
    ['[{}]', 'number'],
    ['[{"number": ""}]', 'number'],
    ['[{"number": 5550100}]', 'number'],
    ['[{"number": "1"}, {"number": " "}]', 'number'],
    ['[{"number": "1", "type": "home"}]', 'mobile, work or other'],
  ])('refuse %s', async (phones, said) => {
    const error = await refusal(client, `update crm.contacts set phones = $2 where id = $1`, [id, phones]);
    expect(error).toMatchObject({ code: CHECK, column: 'phones' });
    expect(error.message).toContain(said);
  });

  it.each(['[]', '[{"number": "+1 555 0100"}]', '[{"number": "1", "type": "work"}, {"number": "2", "type": null}]'])(
    'take %s',
    async (phones) => {
      expect(await accepted(`update crm.contacts set phones = $2 where id = $1`, [id, phones])).toBe(1);
    },
  );

  it('may not be null', async () => {
    expect(await refusal(client, `update crm.contacts set phones = null`)).toMatchObject({ code: CHECK, column: 'phones' });
  });
});

describe('custom fields', () => {
  const set = (value: string) => refusal(client, `update crm.contacts set custom_fields = $2 where id = $1`, [id, value]);
  const take = (value: string) => accepted(`update crm.contacts set custom_fields = $2 where id = $1`, [id, value]);

  it('are an object whose keys begin with cf_, with plain values', async () => {
    expect(await set('[]')).toMatchObject({ code: CHECK, column: 'custom_fields' });
    expect((await set('{"score": 1}')).message).toContain('begins with cf_');
    expect((await set('{"cf_a": {"x": 1}}')).message).toContain('a value is a string');
    expect((await set('{"cf_a": [[1]]}')).message).toContain('a value is a string');
    expect((await set('{"cf_a": [true]}')).message).toContain('a value is a string');
    expect((await set('{"cf_a": 12345678901234567890}')).message).toContain('at most 15 digits');
    expect((await set('{"cf_a": 1e400}')).message).toContain('at most 15 digits');
    await take('{"cf_a": 9007199254740991, "cf_b": 0.1, "cf_c": ["x", 1], "cf_d": true, "cf_e": null}');
  });

  const AGAIN = 'If it was added in the CRM just now: select sync.request_fields(), and again in two minutes.';
  describe('that the CRM declared', () => {
    beforeAll(async () => {
      await take('{}');
      await client.query(`
        insert into sync.custom_fields (name, type, origin, options) values
          ('cf_text', 'text', 'crm', '[]'), ('cf_number', 'number', 'crm', '[]'), ('cf_boolean', 'boolean', 'crm', '[]'),
          ('cf_date', 'date', 'crm', '[]'), ('cf_datetime', 'datetime', 'crm', '[]'), ('cf_seen', 'number', 'inferred', '[]'),
          ('cf_option', 'option', 'crm', '[{"id": 1, "label": "One"}, {"id": 2, "label": "Two"}]'), ('cf_open', 'option', 'crm', '[]'),
          ('cf_options', 'options', 'crm', '[{"id": 1, "label": "One"}, {"id": 2, "label": "Two"}]')`);
    });

    it.each([
      ['cf_text', '5'],
      ['cf_number', '"5"'],
      ['cf_boolean', '1'],
      ['cf_date', '"2026-02-29"'],
      ['cf_date', '"2026-13-01"'],
      ['cf_date', '"1.2.2026"'],
      ['cf_date', '20260101'],
      ['cf_datetime', '"tomorrow"'],
      ['cf_datetime', '"2026-01-01T25:00:00Z"'],
      ['cf_datetime', `"2026-01-01T10:00:00.${'1'.repeat(200)}Z"`],
      ['cf_datetime', '"2026-01-01T10:00:00\u3000Z"'],
      ['cf_datetime', '"9999-12-31T23:59:59-15:59"'],
      ['cf_option', '3'],
      ['cf_option', '[1]'],
      ['cf_open', 'true'],
      ['cf_options', '1'],
      ['cf_options', '[1, 3]'],
      ['cf_unheard_of', '1'],
    ])('%s refuses %s, in UPDATE and INSERT', async (field, value) => {
      const fields = `{"${field}": ${value}}`;
      const error = await set(fields);
      expect(error).toMatchObject({ code: CHECK, column: 'custom_fields', detail: undefined });
      expect(error.message).toContain(field);
      const insert = `insert into crm.contacts (first_name, custom_fields) values ('Bob', $1)`;
      expect(await refusal(client, insert, [fields])).toMatchObject({ code: CHECK });
    });

    it.each([
      ['cf_text', '"x"'],
      ['cf_number', '-1.5'],
      ['cf_boolean', 'false'],
      ['cf_date', '"2024-02-29"'],
      ['cf_datetime', '"2026-01-01T10:00:00Z"'],
      ['cf_datetime', '"2026-01-01 10:00"'],
      ['cf_datetime', '"2026-01-01T10:00:00.5+0200"'],
      ['cf_option', '2'],
      ['cf_open', '99'],
      ['cf_options', '[2, 1]'],
      ['cf_options', '[]'],
      ['cf_number', 'null'],
      ['cf_seen', '"not held to an inferred type"'],
    ])('%s takes %s', async (field, value) => {
      expect(await take(`{"${field}": ${value}}`)).toBe(1);
    });

    it('print the field and what is allowed, not the value', async () => {
      const { message, hint, detail } = await set('{"cf_number": "geheim"}');
      expect([message, hint, detail]).toEqual([
        'crm.contacts.custom_fields, cf_number: expected a number; this is a string',
        `select name, type from sync.custom_fields shows what the CRM knows. null clears a field. ${AGAIN}`,
        undefined,
      ]);
    });

    it('name the options that there are', async () => {
      expect((await set('{"cf_option": 3}')).hint).toBe(`Options: 1 (One), 2 (Two). ${AGAIN}`);
    });

    it('are held to no option where the CRM’s form hides the field, and are sent where the field is gone', async () => {
      await client.query(`update sync.custom_fields set unlisted_at = now() where name = 'cf_option'`);
      expect(await take('{"cf_option": 3}')).toBe(1);
      expect((await set('{"cf_option": true}')).message).toContain('expected the id of an option; this is a boolean');
      await client.query(`update sync.custom_fields set gone_at = now() where name = 'cf_option'`);
      expect(await take('{"cf_option": 2}')).toBe(1);
      expect((await set('{"cf_option": true}')).message).toContain('expected the id of an option; this is a boolean');
      expect(await take('{"cf_option": null}')).toBe(1);
      expect((await set('{"cf_unheard_of": null}')).message).toContain('the CRM has no such custom field');
      await client.query(`update sync.custom_fields set unlisted_at = null, gone_at = null where name = 'cf_option'`);
    });

    it('are not held against the daemon: what the CRM has accepted is stored, known here or not', async () => {
      await asDaemon(client, `update crm.contacts set custom_fields = '{"cf_option": 77, "cf_new": 1, "cf_date": "odd"}' where id = ${id}`);
      expect(await take('{}')).toBe(1);
    });

    it('are not held against what an edit leaves alone', async () => {
      await asDaemon(client, `update crm.contacts set custom_fields = '{"cf_number": "five"}' where id = ${id}`);
      expect(await take('{"cf_number": "five", "cf_text": "x"}')).toBe(1);
      expect(await accepted(`update crm.contacts set city = 'x' where id = $1`, [id])).toBe(1);
    });
  });
});

it('integers that JavaScript cannot tell apart are refused', async () => {
  for (const column of ['user_id', 'source_id', 'country_id']) {
    const error = await refusal(client, `update crm.contacts set ${column} = 9007199254740992`);
    expect(error).toMatchObject({ code: CHECK, column, detail: undefined });
    expect(await refusal(client, `update crm.contacts set ${column} = '-9223372036854775808'`)).toMatchObject({ code: CHECK, column });
  }
  expect(await refusal(client, `insert into crm.contact_deals values (${id}, 9007199254740992)`)).toMatchObject({ code: CHECK });
});

it('a row that a BEFORE trigger of the user spoiled is refused as well', async () => {
  await client.query('begin');
  await client.query(`
    create function pg_temp.spoil() returns trigger language plpgsql as $$ begin new.crm_id := 99; return new; end $$;
    create trigger spoil before update on crm.contacts for each row execute function pg_temp.spoil()`);
  expect(await refusal(client, `update crm.contacts set city = 'y'`)).toMatchObject({ code: READ_ONLY, column: 'crm_id' });
});

it.each(['contacts', 'contact_companies', 'contact_deals', 'contact_activities', 'companies', 'users'])(
  'TRUNCATE of %s is refused',
  async (table) => {
    expect(await refusal(client, `truncate crm.${table} cascade`)).toMatchObject({ code: READ_ONLY });
  },
);

it.each(['companies', 'deals', 'activities', 'users', 'sources', 'countries'])('crm.%s is read only', async (table) => {
  expect(await refusal(client, `insert into crm.${table} values (1, 'x')`)).toMatchObject({ code: READ_ONLY, table });
  expect(await refusal(client, `update crm.${table} set name = 'x'`)).toMatchObject({ code: READ_ONLY });
  expect(await refusal(client, `delete from crm.${table}`)).toMatchObject({ code: READ_ONLY });
});

it('a refused statement leaves no trace', async () => {
  const before = await one<number>(client, 'select count(*) as value from sync.change_log');
  const rows = await one<number>(client, 'select count(*) as value from crm.contacts');
  await refusal(client, `insert into crm.contacts (first_name) values ('A'), ('B'), (null)`);
  await refusal(client, `insert into crm.contacts (first_name, custom_fields) values ('A', '{}'), ('B', '{"x": 1}')`);
  expect(await one(client, 'select count(*) as value from sync.change_log')).toBe(before);
  expect(await one(client, 'select count(*) as value from crm.contacts')).toBe(rows);
});

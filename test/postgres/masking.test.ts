/** What a masked reader sees of people's values, and that no way of asking shows him more. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type pg from 'pg';
import { grantsScript } from '../../src/postgres/roles.ts';
import { asDaemon, one, refusal } from './editing.ts';
import { OWNER, startRoleServer, type RoleServer } from './role-server.ts';

let server: RoleServer;
let masked: pg.Client;
let reader: pg.Client;
let owner: pg.Client;
const heard: string[] = [];

/** Of which nothing may be told; the numbers of these people differ before their last two digits only. */
const SECRETS = /zoe\.|79 ?123|791234|Hidden Lane|cf-secret|extra-secret/;
const ADDRESS = 'zoe.0007@example.com';

beforeAll(async () => {
  server = await startRoleServer();
  await server.migrateAs(OWNER);
  owner = await server.as(OWNER);
  await owner.query('select sync.switch_history(true)');
  await asDaemon(
    owner,
    `insert into crm.contacts (crm_id, first_name, email, phones, street, custom_fields, extra)
     select n, 'Ada', 'zoe.' || lpad(n::text, 4, '0') || '@example.com',
       jsonb_build_array(jsonb_build_object('number', '+41 79 1234 ' || n + 1000, 'type', 'work'), '{"number": "079 123"}'::jsonb),
       n || ' Hidden Lane', '{"cf_a": "cf-secret"}', '{"note": "extra-secret"}'
     from generate_series(1, 1500) n`,
    `insert into crm.contacts (crm_id, first_name) values (9001, 'Nil')`,
  );
  await owner.query('select sync.snapshot_history(0, 10000)');
  await server.sql('analyze');
  await server.script(grantsScript(null));
  await server.addLogin('mia_masked', 'relate_mirror_reader_masked');
  await server.addLogin('ann_reads', 'relate_mirror_reader');
  [masked, reader] = [await server.as('mia_masked'), await server.as('ann_reads')];
  masked.on('notice', ({ message = '' }) => heard.push(message));
});
afterAll(() => server.stop());

const VIEWS = `select c.relname as name from pg_class c where c.relnamespace = 'bi'::regnamespace and c.relkind = 'v' order by 1`;
/** What is masked has these names, whatever view it is in. */
const PLACES = `
  select format('bi.%I', c.relname) as view, a.attname as column from pg_attribute a join pg_class c on c.oid = a.attrelid
  where c.relnamespace = 'bi'::regnamespace and c.relkind = 'v' and a.atttypid = 'text'::regtype
    and a.attname in ('email', 'phone', 'phone_e164', 'number', 'e164', 'street') order by 1, 2`;
const rowsOf = async (client: pg.Client, text: string) => (await client.query<Record<string, unknown>>(text)).rows;

interface Node {
  readonly 'Parent Relationship'?: string;
  readonly 'Actual Loops': number;
  readonly 'Plan Rows': number;
  readonly Plans?: readonly Node[];
}
const planOf = (row: Record<string, unknown> = {}): readonly Node[] =>
  (row['QUERY PLAN'] as readonly { readonly Plan: Node }[]).map(({ Plan }) => Plan);

it('masks as the documents say, and keeps what is not there', async () => {
  const [row] = await rowsOf(
    masked,
    `select sync.mask_email('ann@example.com') as email, sync.mask_email('x@y@mail.example.org') as odd, sync.mask_email('079 123 45 67') as typed,
      sync.mask_email('x@079 123 45.67') as number, sync.mask_phone('+41 79 123 45 67') as phone, sync.mask_phone('117') as short,
      sync.mask_text('1 Main St') as street, sync.mask_phones('[{"number": "+41791234567", "type": "work", "note": "x"}, {}]') as phones,
      sync.mask_phones('[]') as none, coalesce(sync.mask_email(null), sync.mask_phone(null), sync.mask_text(null), sync.mask_phones(null)::text) as nothing`,
  );
  expect(row).toEqual({
    email: 'a***@example.com',
    odd: 'x***@mail.example.org',
    typed: '0***',
    number: 'x***',
    phone: '***67',
    short: '***',
    street: '***',
    phones: [{ number: '***67', type: 'work' }, {}],
    none: [],
    nothing: null,
  });
});

describe('every view of bi', () => {
  it('shows the masked reader the same rows, and no value that is masked', async () => {
    const told: string[] = [];
    for (const { name } of await rowsOf(owner, VIEWS)) {
      const [seen, all] = [
        await rowsOf(masked, `select * from bi.${String(name)}`),
        await rowsOf(reader, `select * from bi.${String(name)}`),
      ];
      expect({ name, rows: seen.length }).toEqual({ name, rows: all.length });
      expect(SECRETS.exec(JSON.stringify(seen))?.[0] ?? `nothing of ${String(name)}`).toBe(`nothing of ${String(name)}`);
      if (SECRETS.test(JSON.stringify(all))) told.push(String(name));
    }
    expect(told).toEqual(expect.arrayContaining(['contact_history', 'contact_phones']));
    const [row] = await rowsOf(masked, `select email, phones, street, custom_fields, extra from bi.contact_history where crm_id = 7`);
    expect(row).toEqual({
      email: 'z***@example.com',
      phones: [{ number: '***07', type: 'work' }, { number: '***23' }],
      street: '***',
      custom_fields: null,
      extra: null,
    });
    // Of a client that cannot show every sign.
    await masked.query(`set client_encoding = 'LATIN1'`);
    expect(await rowsOf(masked, `select street from bi.contact_history where crm_id = 7`)).toEqual([{ street: '***' }]);
    await masked.query('reset client_encoding');
    const before = await rowsOf(masked, 'select * from bi.contacts_at(clock_timestamp())');
    expect(before.length).toBe(1501);
    expect(JSON.stringify(before)).not.toMatch(SECRETS);
    expect(JSON.stringify(await rowsOf(reader, 'select * from bi.contacts_at(clock_timestamp())'))).toMatch(SECRETS);
    const [empty] = await rowsOf(masked, `select email, phones, street from bi.contact_history where crm_id = 9001`);
    expect(empty).toEqual({ email: null, phones: [], street: null });
  });

  it('and so does the past, whether the planner sees through bi.contacts_at or calls it', async () => {
    for (const moment of ['now()', 'clock_timestamp()', '(select now())']) {
      const [seen, all] = [
        await rowsOf(masked, `select * from bi.contacts_at(${moment})`),
        await rowsOf(reader, `select * from bi.contacts_at(${moment})`),
      ];
      expect([seen.length, all.length]).toEqual([1501, 1501]);
      expect(SECRETS.exec(JSON.stringify(seen))?.[0] ?? 'nothing').toBe('nothing');
      expect(SECRETS.test(JSON.stringify(all))).toBe(true);
      expect(seen.find((row) => row['crm_id'] === 7)).toMatchObject({
        email: 'z***@example.com',
        street: '***',
        custom_fields: null,
        extra: null,
      });
    }
  });

  it('asks once a statement who reads, not once a row', async () => {
    const nodes = (node: Node): readonly Node[] => [node, ...(node.Plans ?? []).flatMap(nodes)];
    for (const client of [owner, masked, reader]) {
      for (const name of ['contact_phones', 'contact_history']) {
        const text = `explain (analyze, timing off, format json) select * from bi.${name}`;
        const [row] = await rowsOf(client, text);
        const plans = planOf(row).flatMap(nodes);
        const asked = plans.filter((node) => node['Parent Relationship'] === 'InitPlan');
        expect(asked.length).toBeGreaterThan(0);
        expect(asked.every((node) => node['Actual Loops'] <= 1)).toBe(true);
      }
    }
  });
});

describe('a masked reader learns no value', () => {
  // Whoever may log in may have functions of his own, among the temporary objects at least.
  beforeAll(async () => {
    await masked.query(`
      create function pg_temp.leaks(value text) returns boolean language plpgsql cost 0.0001 as $$ begin raise notice '%', value; return true; end $$;
      create function pg_temp.same(a text, b text) returns boolean language plpgsql cost 0.0001 as $$ begin raise notice '% %', a, b; return a = b; end $$;
      create operator pg_temp.=== (leftarg = text, rightarg = text, function = pg_temp.same, restrict = eqsel, join = eqjoinsel);
      create operator pg_temp.<<< (leftarg = text, rightarg = text, function = pg_temp.same, restrict = scalarltsel)`);
  });

  it('by a function or an operator of his own in WHERE, which the planner asks as well', async () => {
    heard.length = 0;
    const places = await rowsOf(owner, PLACES);
    expect(places.length).toBeGreaterThan(3);
    for (const { view, column } of places as { view: string; column: string }[]) {
      await masked.query(`select count(*) from ${view} where pg_temp.leaks(${column})`);
      for (const operator of ['===', '<<<']) {
        await masked.query(`explain select from ${view} where ${column} operator(pg_temp.${operator}) '${ADDRESS}'`);
        await masked.query(`select from ${view} where ${column} operator(pg_temp.${operator}) '${ADDRESS}'`);
      }
      await masked.query(`explain select from ${view} a join ${view} b on a.${column} operator(pg_temp.===) b.${column}`);
    }
    expect(heard.length).toBeGreaterThan(1000);
    // What he compares with is his own.
    expect(heard.map((text) => text.replaceAll(ADDRESS, '')).filter((text) => SECRETS.test(text))).toEqual([]);
  });

  it('by EXPLAIN’s estimates: they are the same for every value', async () => {
    const estimate = async (view: string, condition: string): Promise<unknown> => {
      const [row] = await rowsOf(masked, `explain (format json) select from ${view} where ${condition}`);
      return planOf(row)[0]?.['Plan Rows'];
    };
    const different: string[] = [];
    for (const { view, column } of (await rowsOf(owner, PLACES)) as { view: string; column: string }[]) {
      for (const operator of ['=', '<', '^@']) {
        const estimates = new Set<unknown>();
        for (const value of ['', 'a', ADDRESS, 'zoe.0750@example.com', 'zzz', '7 Hidden Lane', '+41 79 1234 1700'])
          estimates.add(await estimate(view, `${column} ${operator} '${value}'`));
        if (estimates.size > 1) different.push(`${view}.${column} ${operator}: ${[...estimates].join(', ')}`);
      }
    }
    expect(different).toEqual([]);
  });

  it('by the error of a cast', async () => {
    for (const [view, column] of [
      ['contact_history', 'email'],
      ['contact_history', 'street'],
      ['contact_phones', 'number'],
    ]) {
      const { message } = await refusal(masked, `select ${column}::date from bi.${view}`);
      expect(message).toMatch(/^invalid input syntax for type date: ".*\*\*\*/);
      expect(message).not.toMatch(SECRETS);
    }
  });

  it('by a view, a function or a table of his own', async () => {
    await masked.query(`
      create temporary view mine as select email, street from bi.contact_history;
      create function pg_temp.mine() returns setof text language sql security definer as 'select email from bi.contact_history';
      create temporary table kept as select number from bi.contact_phones`);
    for (const text of ['select * from mine', 'select pg_temp.mine()', 'select * from kept'])
      expect(JSON.stringify(await rowsOf(masked, text))).not.toMatch(SECRETS);
  });

  it('by another role, or by what the views read', async () => {
    const forbidden = { code: '42501' };
    for (const role of ['relate_mirror_reader', 'relate_mirror_editor', OWNER])
      expect(await refusal(masked, `set role ${role}`)).toMatchObject(forbidden);
    for (const relation of ['sync.version_spans', 'sync.contact_versions', 'sync.change_log', 'sync.conflicts', 'crm.contacts'])
      expect(await refusal(masked, `select from ${relation}`)).toMatchObject(forbidden);
    expect(await rowsOf(masked, `select * from pg_stats where schemaname in ('crm', 'sync')`)).toEqual([]);
  });
});

it('is asked of the role that the session acts as, and of nobody who may see more', async () => {
  await server.addLogin('bea_both', 'relate_mirror_reader_masked');
  await server.sql('grant relate_mirror_reader to bea_both');
  const both = await server.as('bea_both');
  const isMasked = (client: pg.Client) => one<boolean>(client, 'select sync.is_masked() as value');
  expect([await isMasked(masked), await isMasked(both), await isMasked(reader), await isMasked(owner)]).toEqual([
    true,
    false,
    false,
    false,
  ]);
  await both.query('set role relate_mirror_reader_masked');
  expect(await isMasked(both)).toBe(true);
  expect(await server.sql('select sync.is_masked() as superuser')).toEqual([{ superuser: false }]);
  await server.sql('grant relate_mirror_reader_masked to mia_masked with admin option');
  expect(await isMasked(masked)).toBe(true);
});

it('shows of custom fields what nobody typed', async () => {
  await owner.query(`
    insert into sync.custom_fields (name, type, options, origin, crm_type) values
      ('cf_mail', 'text', '[]', 'crm', 'Email'), ('cf_text', 'text', '[]', 'crm', 'Textarea'), ('cf_seen', 'text', '[]', 'crm', null),
      ('cf_zone', 'text', '[]', 'crm', 'Timezone'), ('cf_n', 'number', '[]', 'crm', 'Numeric'), ('cf_day', 'date', '[]', 'crm', 'Date'),
      ('cf_tier', 'option', '[{"id": 1, "label": "Gold"}]', 'crm', 'Select'), ('cf_tags', 'options', '[{"id": 1, "label": "Red"}]', 'crm', 'MultiSelect')`);
  await owner.query('select sync.refresh_bi()');
  const values = { cf_mail: ADDRESS, cf_text: 'cf-secret', cf_seen: 'cf-secret', cf_zone: 'Europe/Rome', cf_n: 5, cf_day: '2026-01-02' };
  const set = (crmId: number, more: object) =>
    asDaemon(owner, `update crm.contacts set custom_fields = '${JSON.stringify({ ...values, ...more })}' where crm_id = ${crmId}`);
  await set(1, { cf_tier: 1, cf_tags: [1, 9] });
  await set(2, { cf_tier: 'cf-secret', cf_tags: [1, 'cf-secret'] });
  const columns = `cf_mail, cf_text, cf_seen, cf_zone, cf_n::int, cf_day::text, cf_tier, cf_tags`;
  const shown = (client: pg.Client) => rowsOf(client, `select ${columns} from bi.contacts where crm_id in (1, 2) order by crm_id`);
  const open = { cf_zone: 'Europe/Rome', cf_n: 5, cf_day: '2026-01-02' };
  const masks = { ...open, cf_mail: 'z***@example.com', cf_text: '***', cf_seen: '***' };
  expect(await shown(masked)).toEqual([
    { ...masks, cf_tier: 'Gold', cf_tags: ['Red', '9'] },
    { ...masks, cf_tier: '***', cf_tags: ['Red', '***'] },
  ]);
  expect(await shown(reader)).toEqual([
    { ...values, cf_tier: 'Gold', cf_tags: ['Red', '9'] },
    { ...values, cf_tier: 'cf-secret', cf_tags: ['Red', 'cf-secret'] },
  ]);
});

/** Who may do what with each relation and function, tried by a real login of each role: the catalogue asks, and what has no decision here fails. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import pg from 'pg';
import { grantsScript } from '../../src/postgres/roles.ts';
import { addContact } from './editing.ts';
import { OWNER, startRoleServer, type RoleServer } from './role-server.ts';

const LOGINS = ['reader', 'masked', 'editor', 'nobody'] as const;
type Login = (typeof LOGINS)[number];

let server: RoleServer;
let clients: Readonly<Record<Login, pg.Client>>;
beforeAll(async () => {
  server = await startRoleServer();
  await server.migrateAs(OWNER);
  await server.script(grantsScript(null));
  await server.addLogin('reader_login', 'relate_mirror_reader');
  await server.addLogin('masked_login', 'relate_mirror_reader_masked');
  await server.addLogin('editor_login', 'relate_mirror_editor');
  await server.addLogin('nobody_login');
  clients = {
    reader: await server.as('reader_login'),
    masked: await server.as('masked_login'),
    editor: await server.as('editor_login'),
    nobody: await server.as('nobody_login'),
  };
  await addContact(clients.editor, 'Ann');
});
afterAll(() => server.stop());

interface Relation {
  readonly name: string;
  readonly columns: readonly string[];
}
const RELATIONS = `
  select c.oid::regclass::text as name, array(select quote_ident(attname) from pg_attribute a where a.attrelid = c.oid and attnum > 0 and not attisdropped) as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('crm', 'sync', 'bi', 'relate_mirror') and c.relkind in ('r', 'v', 'p', 'm') and not c.relispartition order by 1`;
const FUNCTIONS = `
  select p.oid::regprocedure::text as name from pg_proc p
  where p.pronamespace in (select oid from pg_namespace where nspname in ('crm', 'sync', 'bi')) order by 1`;

/** insufficient_privilege; and what nobody can do with a view that is no table: wrong_object_type, object_not_in_prerequisite_state, feature_not_supported. */
const REFUSED: ReadonlySet<string | undefined> = new Set(['42501', '42809', '55000', '0A000']);

/** Tried and taken back. Whatever else the database says means that it was allowed to try; but what it does not understand is the test's mistake. */
const may = async (client: pg.Client, statement: string): Promise<boolean> => {
  await client.query('begin');
  const said = await client.query(statement).then(
    () => null,
    (error: unknown) => error as Error,
  );
  await client.query('rollback');
  if (said === null) return true;
  if (!(said instanceof pg.DatabaseError) || said.code === '42601') throw said;
  return !REFUSED.has(said.code);
};

/** read, edit, or nothing; the columns that are kept back; and what nobody may. */
const tried = async (client: pg.Client, { name, columns }: Relation): Promise<string> => {
  const kept: string[] = [];
  for (const column of columns) if (!(await may(client, `select ${column} from ${name} limit 1`))) kept.push(column);
  const place = columns.includes('city') ? 'city' : (columns.at(-1) ?? '');
  const edits: string[] = [];
  for (const [what, statement] of Object.entries({
    insert: `insert into ${name} (${place}) select null where false`,
    update: `update ${name} set ${place} = null where false`,
    delete: `delete from ${name} where false`,
    truncate: `truncate ${name}`,
    trigger: `create trigger mine before insert on ${name} for each row execute function pg_catalog.suppress_redundant_updates_trigger()`,
    rule: `create rule mine as on insert to ${name} do also nothing`,
    rename: `alter table ${name} rename to mine`,
  }))
    if (await may(client, statement)) edits.push(what);
  const read = kept.length === 0 ? 'read' : kept.length === columns.length ? '' : `read without ${kept.join(', ')}`;
  return [read, ...edits].filter((part) => part !== '').join(', ');
};

/** By relation, what reader, masked reader and editor may; a login of no group may nothing. */
const decided = (names: string, reader: string, masked = reader, editor = reader): Record<string, string> =>
  Object.fromEntries(names.split(/\s+/).map((name) => [name, `reader: ${reader}; masked: ${masked}; editor: ${editor}; nobody: `]));
const DECISIONS: Readonly<Record<string, string>> = {
  ...decided(
    `bi.activities bi.companies bi.contact_activities bi.contact_companies bi.contact_deals bi.contact_history bi.contact_phones bi.contacts bi.countries
     bi.custom_fields bi.deals bi.freshness bi.sources bi.users`,
    'read',
  ),
  ...decided('sync.bi_waiting sync.calls sync.custom_field_changes sync.history_gaps sync.status', 'read'),
  // What the CRM said may quote a value.
  ...decided('sync.contact_status sync.parked sync.queue', 'read', 'read without error', 'read'),
  ...decided('sync.runs', 'read', 'read without error, cursor', 'read'),
  ...decided('sync.holds', 'read', 'read without plan', 'read'),
  ...decided('sync.conflicts sync.custom_fields sync.field_policy', '', '', 'read'),
  ...decided('crm.activities crm.companies crm.countries crm.deals crm.sources crm.users', '', '', 'read'),
  ...decided('crm.contact_activities crm.contact_companies crm.contact_deals crm.contacts', '', '', 'read, insert, update, delete'),
  ...decided(
    `relate_mirror.__drizzle_migrations sync.account sync.bi_columns sync.bi_refresh sync.capabilities sync.change_log sync.contact_state
     sync.contact_versions sync.damage sync.leader sync.locks sync.marks sync.phone_forms sync.refused sync.sweep_seen sync.version_spans`,
    '',
  ),
};
it('every relation may be read and edited by whom it was decided, and by nobody else', async () => {
  const found: Record<string, string> = {};
  for (const relation of (await server.sql(RELATIONS)) as unknown as Relation[]) {
    const told: string[] = [];
    for (const login of LOGINS) told.push(`${login}: ${await tried(clients[login], relation)}`);
    found[relation.name] = told.join('; ');
  }
  expect(found).toEqual(DECISIONS);
});

const READERS_CALL = `bi.contacts_at(timestamp with time zone)
  sync.bi_column_type(text)
  sync.history_reaches(timestamp with time zone)
  sync.is_date(text)
  sync.is_datetime(text)
  sync.is_masked(name)
  sync.mask_email(text)
  sync.mask_phone(text)
  sync.mask_phones(jsonb)
  sync.mask_text(text)
  sync.to_boolean(jsonb)
  sync.to_date(text)
  sync.to_instant(text)
  sync.to_number(jsonb)`;
const EDITORS_CALL = `sync.approve(bigint)
  sync.mark_restored()
  sync.pause()
  sync.reject(bigint)
  sync.request_audit()
  sync.request_fields()
  sync.request_resync(boolean)
  sync.request_sync()
  sync.resolve(bigint,text)
  sync.resume()
  sync.retry(bigint)
  sync.retry_all()
  sync.wait(bigint,integer)`;
const linesOf = (...texts: readonly string[]): readonly string[] => texts.flatMap((text) => text.split(/\n\s*/)).toSorted();
const CALLS: Readonly<Record<Login, readonly string[]>> = {
  reader: linesOf(READERS_CALL),
  masked: linesOf(READERS_CALL),
  editor: linesOf(READERS_CALL, EDITORS_CALL),
  nobody: [],
};

it.each(LOGINS)('every function may be called by whom it was decided: %s', async (login) => {
  const functions = (await server.sql(FUNCTIONS)).map(({ name }) => String(name));
  const allowed: string[] = [];
  for (const name of functions) {
    const call = name.replace(/(?<=[(,])[^,)]+/g, (type) => `null::${type}`);
    if (await may(clients[login], `select ${call}`)) allowed.push(name);
  }
  // What a function refuses by itself, an editor's mistake among it, is no lack of a right.
  const granted = await clients[login].query<{ name: string }>(
    FUNCTIONS.replace('order by', `and has_function_privilege(p.oid, 'execute') order by`),
  );
  expect(granted.rows.map(({ name }) => name).toSorted()).toEqual(CALLS[login]);
  expect(allowed.filter((name) => !CALLS[login].includes(name))).toEqual([]);
});

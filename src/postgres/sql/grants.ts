/**
 * Who may do what in the mirror's database: the one list of rights. `migrate` applies it to the roles that exist, and `relate-mirror grants`
 * prints it for those who make roles by hand. Everything here may be run again at any time.
 */

/** Roles that people's logins are members of; they belong to the whole server, so two mirrors on it share them. */
export const GROUP_ROLES = {
  relate_mirror_reader: 'Reads the schema bi and how the sync is going; no contact values but those of bi.',
  relate_mirror_reader_masked:
    'Reads the schema bi with e-mails, phones and streets masked, and how the sync is going without the words of the CRM.',
  relate_mirror_editor: 'Reads like relate_mirror_reader, edits the contacts in schema crm, and calls the functions of schema sync.',
} as const;
/** The daemon's own login where another role owns the schemas. */
export const DAEMON_ROLE = 'relate_mirror_daemon';

/** Views and tables of schema sync by the least role that reads them. What only the daemon sees holds values, or is of use to nobody else. */
export const SYNC_RELATIONS = {
  status: 'reader',
  contact_status: 'reader',
  queue: 'reader',
  parked: 'reader',
  runs: 'reader',
  calls: 'reader',
  holds: 'reader',
  history_gaps: 'reader',
  bi_waiting: 'reader',
  custom_field_changes: 'reader',
  conflicts: 'editor',
  custom_fields: 'editor',
  field_policy: 'editor',
  account: 'daemon',
  bi_columns: 'daemon',
  bi_refresh: 'daemon',
  capabilities: 'daemon',
  change_log: 'daemon',
  contact_state: 'daemon',
  contact_versions: 'daemon',
  damage: 'daemon',
  leader: 'daemon',
  locks: 'daemon',
  marks: 'daemon',
  phone_forms: 'daemon',
  refused: 'daemon',
  sweep_seen: 'daemon',
  version_spans: 'daemon',
} as const satisfies { readonly [name: string]: 'reader' | 'editor' | 'daemon' };

const EDITABLE = ['contacts', 'contact_companies', 'contact_deals', 'contact_activities'] as const;
const NAMES = ['companies', 'deals', 'activities', 'users', 'sources', 'countries'] as const;

/** What people call. */
export const EDITOR_FUNCTIONS = [
  'request_resync(boolean)',
  'request_sync()',
  'request_audit()',
  'request_fields()',
  'pause()',
  'resume()',
  'retry(bigint)',
  'retry_all()',
  'approve(bigint)',
  'reject(bigint)',
  'resolve(bigint, text)',
  'wait(bigint, integer)',
  'mark_restored()',
] as const;

/** What the views and functions of bi call with the rights of whoever reads them; so does a view of a reader's own. */
const READER_FUNCTIONS = [
  'history_reaches(timestamptz)',
  'is_masked(name)',
  'mask_email(text)',
  'mask_phone(text)',
  'mask_phones(jsonb)',
  'mask_text(text)',
  'to_number(jsonb)',
  'to_boolean(jsonb)',
  'to_date(text)',
  'to_instant(text)',
  'is_date(text)',
  'is_datetime(text)',
  'bi_column_type(text)',
] as const;

/**
 * Columns that quote the CRM's words or Postgres', and with them values; or that hold whatever a later version puts there. The masked reader reads these
 * relations without them.
 */
const UNMASKED_COLUMNS: { readonly [relation in keyof typeof SYNC_RELATIONS]?: readonly string[] } = {
  contact_status: ['error'],
  queue: ['error'],
  parked: ['error'],
  runs: ['error', 'cursor'],
  holds: ['plan'],
};

/** Views: nobody writes through them. */
const VIEWS: ReadonlySet<string> = new Set(['status', 'contact_status', 'queue', 'parked', 'bi_waiting', 'version_spans']);
/** Set by people, and read by the daemon; versions and gaps are written by triggers and functions. */
const ONLY_READ_BY_DAEMON: ReadonlySet<string> = new Set([
  'field_policy',
  'contact_versions',
  'history_gaps',
  'bi_columns',
  'custom_field_changes',
]);

const inSchema = (schema: string, names: readonly string[]): string => names.map((name) => `${schema}.${name}`).join(', ');
const readBy = (least: 'reader' | 'editor' | 'daemon'): string =>
  inSchema(
    'sync',
    Object.entries(SYNC_RELATIONS).flatMap(([name, by]) => (by === least ? [name] : [])),
  );

/** The schema is made by a later migration than the roles: until then there is nothing in it to grant. */
const readBi = (to: string): string => `do $$ begin
  if to_regnamespace('bi') is not null then
    grant usage on schema bi to ${to};
    grant select on all tables in schema bi to ${to};
    grant execute on all functions in schema bi to ${to};
  end if;
end $$`;

export const quoteRole = (role: string): string => (/^[a-z_][a-z0-9_]*$/.test(role) ? role : `"${role}"`);
const listOf = (roles: readonly string[]): string => roles.map(quoteRole).join(', ');

const readersCall = (to: string): string => `grant execute on function ${inSchema('sync', READER_FUNCTIONS)} to ${to}`;

/** For roles that read, editors among them. */
export const readerGrants = (roles: readonly string[]): readonly string[] => [
  `grant usage on schema sync to ${listOf(roles)}`,
  `grant select on ${readBy('reader')} to ${listOf(roles)}`,
  readersCall(listOf(roles)),
  readBi(listOf(roles)),
];

/** Every column but those named; the catalogue knows which there are. */
const readWithout = (relation: string, columns: readonly string[], to: string): string => `do $$ begin
  execute (select format('grant select (%s) on sync.${relation} to ${to}', string_agg(quote_ident(attname), ', '))
    from pg_attribute where attrelid = 'sync.${relation}'::regclass and attnum > 0 and not attisdropped
    and attname <> all (array[${columns.map((column) => `'${column}'`).join(', ')}]));
end $$`;

/** For roles that read without personal values: the views of bi mask for them by themselves. */
export const maskedGrants = (roles: readonly string[]): readonly string[] => {
  const to = listOf(roles);
  const open = Object.entries(SYNC_RELATIONS).flatMap(([name, by]) => (by === 'reader' && !(name in UNMASKED_COLUMNS) ? [name] : []));
  return [
    `grant usage on schema sync to ${to}`,
    `grant select on ${inSchema('sync', open)} to ${to}`,
    ...Object.entries(UNMASKED_COLUMNS).map(([relation, columns]) => readWithout(relation, columns, to)),
    readersCall(to),
    readBi(to),
  ];
};

/** For roles that edit; they read by `readerGrants`. The columns that are not theirs are refused by the guards, whoever writes them. */
export const editorGrants = (roles: readonly string[]): readonly string[] => [
  `grant select on ${readBy('editor')} to ${listOf(roles)}`,
  `grant usage on schema crm to ${listOf(roles)}`,
  `grant select, insert, update, delete on ${inSchema('crm', EDITABLE)} to ${listOf(roles)}`,
  `grant select on ${inSchema('crm', NAMES)} to ${listOf(roles)}`,
  `grant execute on function ${inSchema('sync', EDITOR_FUNCTIONS)} to ${listOf(roles)}`,
];

/** What the daemon writes, as `schema.table`; it reads all of SYNC_RELATIONS. */
export const WRITTEN_BY_DAEMON: readonly string[] = [
  ...[...EDITABLE, ...NAMES].map((name) => `crm.${name}`),
  ...Object.keys(SYNC_RELATIONS)
    .filter((name) => !VIEWS.has(name) && !ONLY_READ_BY_DAEMON.has(name))
    .map((name) => `sync.${name}`),
];
export const DRAWN_BY_DAEMON = ['sync.attempt_seq', 'crm.contacts_id_seq'] as const;

/** For the daemon, on a database that another role migrates: rows, never the schema. */
export const daemonGrants = (role: string): readonly string[] => {
  const to = quoteRole(role);
  return [
    `grant usage on schema relate_mirror, crm, sync to ${to}`,
    `grant select on relate_mirror.__drizzle_migrations to ${to}`,
    `grant select on ${inSchema('sync', Object.keys(SYNC_RELATIONS))} to ${to}`,
    `grant select, insert, update, delete on ${WRITTEN_BY_DAEMON.join(', ')} to ${to}`,
    `grant truncate on sync.sweep_seen to ${to}`,
    `grant usage on sequence ${DRAWN_BY_DAEMON.join(', ')} to ${to}`,
    `grant execute on all functions in schema sync to ${to}`,
  ];
};

/** Another session, or another database of the server, may make it at the same moment. */
export const createRole = (role: string, kind: 'login' | 'nologin', comment: string): string => `do $$ begin
  if not exists (select from pg_roles where rolname = '${role}') then
    create role ${quoteRole(role)} ${kind};
    comment on role ${quoteRole(role)} is '${comment}';
  end if;
exception when duplicate_object or unique_violation then null;
end $$`;

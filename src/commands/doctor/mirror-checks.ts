/** The mirror in the database: schema, triggers, rights, and how it is going. */
import type { Config } from '../../config.ts';
import { brakeAllowance } from '../../domain/brake.ts';
import type { CustomFieldDef } from '../../domain/contact.ts';
import type { MirrorFacts } from '../../postgres/inspect/mirror.ts';
import type { TriggerFault } from '../../postgres/inspect/triggers.ts';
import { describeHolder, type LockHolder } from '../../postgres/migrate.ts';
import type { Status } from '../../postgres/operator.ts';
import { bytes, number, ok, problem, warning, type Line } from './line.ts';

export interface MirrorKnown {
  readonly facts: MirrorFacts;
  readonly status: Status;
  readonly customFields: ReadonlyMap<string, CustomFieldDef>;
  readonly now: Date;
}

export const checkMigrations = (
  { pending, total }: { readonly pending: number; readonly total: number },
  { may, role }: { readonly may: boolean; readonly role: string },
): Line => {
  if (pending === 0) return ok('migrations', `all ${total} applied, as they come with this version`);
  if (!may && pending === total)
    return problem(
      'migrations',
      `none applied, and the role ${role} may not make schemas in this database`,
      'grant create on database … to it, or run `relate-mirror migrate` once as a role that may.',
    );
  if (!may)
    return problem(
      'migrations',
      `${pending} of ${total} not applied yet, and the role ${role} may not apply them`,
      'Run `relate-mirror migrate` as the owner of the schemas crm and sync.',
    );
  if (pending === total)
    return warning('migrations', 'none applied: this database holds no mirror yet', '`relate-mirror start`, `sync` or `migrate` makes it.');
  return warning('migrations', `${pending} of ${total} not applied yet`, '`relate-mirror migrate`, or the next start, applies them.');
};

export const checkMigrationLock = (holder: LockHolder | null): Line => {
  if (holder === null) return ok('migration_lock', 'free');
  return warning(
    'migration_lock',
    `${describeHolder(holder)} has it: whatever migrates waits for that`,
    `Unless it migrates: select pg_terminate_backend(${holder.pid});`,
  );
};

export const checkMirror = (config: Config, known: MirrorKnown): readonly Line[] => [
  checkTriggers(known),
  checkStorage(known),
  checkIdentity(config, known),
  checkLeader(known),
  checkFirstLoad(known),
  checkQueue(known),
  checkBrake(config, known),
  checkHistory(config, known),
  ...checkFields(config, known),
  checkColumns(known),
];

const FOUND = {
  A: 'fires always',
  O: 'fires in ordinary sessions only',
  R: 'fires in replicating sessions only',
  D: 'is disabled',
} as const;
const SHOWN = 3;

const checkTriggers = ({ facts: { triggers } }: MirrorKnown): Line => {
  const { expected, faults } = triggers;
  if (faults.length === 0) return ok('triggers', `all ${expected} in place, capture fires in every session`);
  const told = faults.slice(0, SHOWN).map(({ trigger, found }) => `${trigger} ${found === null ? 'is missing' : FOUND[found]}`);
  const more = faults.length > SHOWN ? `, and ${faults.length - SHOWN} more` : '';
  return problem('triggers', `${told.join(', ')}${more}: edits may go unseen`, remedyFor(faults));
};

const remedyFor = (faults: readonly TriggerFault[]): string => {
  const switched = faults.find(({ found }) => found !== null);
  if (switched === undefined) return 'Restore them from a dump of the schemas, or fill a new database. Then: relate-mirror audit.';
  const [table = '', trigger = ''] = switched.trigger.split(' ');
  const enable = { A: 'enable always', O: 'enable', R: 'enable replica', D: 'disable' }[switched.expected];
  return `alter table ${table} ${enable} trigger ${trigger}; and so on. Then: relate-mirror audit.`;
};

export const checkRights = (missing: readonly string[]): Line => {
  if (missing.length === 0) return ok('rights', 'this role may do all that the daemon does in its schemas');
  const more = missing.length > SHOWN ? `, and ${missing.length - SHOWN} more` : '';
  return problem(
    'rights',
    `this role lacks ${missing.slice(0, SHOWN).join(', ')}${more}`,
    'Have the owner of the schemas grant them: `relate-mirror grants` prints the SQL.',
  );
};

const checkStorage = ({ facts: { unlogged, bytes: size, contacts } }: MirrorKnown): Line => {
  if (unlogged.length > 0)
    return problem(
      'storage',
      `${unlogged.join(', ')} ${unlogged.length === 1 ? 'is' : 'are'} unlogged: a crash empties ${unlogged.length === 1 ? 'it' : 'them'}`,
      `alter table ${unlogged[0]} set logged;`,
    );
  return ok('storage', `${number(contacts)} contacts, the database takes ${bytes(size)}`);
};

const checkIdentity = ({ crmUrl }: Config, { facts, status }: MirrorKnown): Line => {
  const { identity_hold: hold } = status;
  if (hold !== null)
    return problem(
      'identity',
      'this is not the database, or the account, that the mirror was filled from: nothing is pushed',
      `relate-mirror holds; then approve or reject hold ${hold}. docs/operations.md says how.`,
    );
  if (facts.crm_url !== null && facts.crm_url !== crmUrl)
    return problem(
      'identity',
      `the mirror was filled from ${facts.crm_url}, CRM_URL is another address`,
      'Put the old address back. For another account use another database.',
    );
  return ok('identity', facts.crm_url === null ? 'not filled yet' : 'database and account are those that it was filled from');
};

const checkLeader = ({ facts: { standbys }, status: { leader, paused } }: MirrorKnown): Line => {
  const others = standbys.length === 0 ? '' : `; standing by: ${standbys.join(', ')}`;
  if (paused) return warning('leader', `paused; ${leader ?? 'no daemon'} leads${others}`, 'To go on: relate-mirror resume');
  if (leader === null)
    return warning(
      'leader',
      `no daemon is running${others}`,
      'relate-mirror start, or `relate-mirror sync` from cron: nothing is carried by itself.',
    );
  return ok('leader', `${leader} leads${others}`);
};

const SWEEP_AGE_MAX_MS = 2 * 86_400_000;

const checkFirstLoad = ({ facts, now }: MirrorKnown): Line => {
  const { first_sweep_at: first, last_complete_sweep_at: last } = facts;
  if (first === null || last === null)
    return warning('first_load', 'not complete yet: rows inserted here wait for it', 'relate-mirror start, or relate-mirror resync');
  const ageMs = now.getTime() - last.getTime();
  const detail = `done; everything was last compared ${(ageMs / 3_600_000).toFixed(1)} h ago`;
  if (ageMs <= SWEEP_AGE_MAX_MS) return ok('first_load', detail);
  return warning(
    'first_load',
    detail,
    'Deletions in the CRM are found by the sweep: look at SWEEP_CRON and sync.runs, or: relate-mirror resync',
  );
};

const checkQueue = ({ status }: MirrorKnown): Line => {
  const { queue_depth: due, parked, held, unknown, retry, open_conflicts: open } = status;
  const counts = { parked, held, unknown, 'waiting for a retry': retry, 'in open conflicts': open };
  const told = Object.entries(counts).flatMap(([what, howMany]) => (howMany > 0 ? [`${number(howMany)} ${what}`] : []));
  if (told.length === 0) return ok('queue', due === 0 ? 'nothing waits' : `${number(due)} edits to push`);
  return warning('queue', told.join(', '), 'relate-mirror status says where to look.');
};

const checkBrake = ({ brakeRows, brakeShare, brakeMax }: Config, { facts: { contacts } }: MirrorKnown): Line => {
  const allowed = brakeAllowance(0, contacts, { rows: brakeRows, share: brakeShare, max: brakeMax });
  const detail = `${number(allowed)} of ${number(contacts)} contacts may be deleted, emptied or unlinked in an hour`;
  if (contacts === 0) return ok('brake', `${number(allowed)} destructive changes an hour; the mirror is empty`);
  if (allowed === 0) return warning('brake', `${detail}: every single one is held`, 'Raise BRAKE_ROWS, unless that is what you want.');
  // A small account is under BRAKE_ROWS as it comes: whoever set nothing is told nothing.
  if (allowed >= contacts && contacts > DEFAULT_ROWS)
    return warning('brake', `${detail}: the brake never stops anything`, 'Lower BRAKE_ROWS, BRAKE_SHARE or BRAKE_MAX.');
  return ok('brake', detail);
};
const DEFAULT_ROWS = 25;

/** Switched off in one place by mistake, it is missed long after. */
const checkHistory = ({ historyDays: days }: Config, { facts }: MirrorKnown): Line => {
  const { keeps_history: keeps, has_versions: hasVersions } = facts;
  if (days > 0) return ok('history', keeps ? `every version is kept for ${number(days)} days` : 'begins with the next start');
  if (keeps)
    return warning(
      'history',
      'HISTORY_DAYS is 0: from the next start on no version is kept, and bi.contacts_at tells nothing later',
      'Set HISTORY_DAYS, unless that is what you want. What was kept stays until: select sync.forget_history();',
    );
  if (hasVersions)
    return warning(
      'history',
      'HISTORY_DAYS is 0: no version is kept; those of before are still there',
      'To remove them, as the owner of the schemas: select sync.forget_history();',
    );
  return ok('history', 'HISTORY_DAYS is 0: no version is kept');
};

const checkFields = ({ crmExternalIdField: field }: Config, { customFields, facts }: MirrorKnown): readonly Line[] => {
  const defs = [...customFields.values()];
  const inferred = defs.filter(({ origin }) => origin === 'inferred').length;
  const told = `${number(defs.length)} known${inferred > 0 ? `, ${number(inferred)} of them by their values alone` : ''}`;
  return [ok('custom_fields', defs.length === 0 ? 'none known' : told), externalIdField(field, customFields, facts)];
};

const externalIdField = (field: Config['crmExternalIdField'], known: ReadonlyMap<string, CustomFieldDef>, facts: MirrorFacts): Line => {
  if (field === null) return ok('external_id_field', 'none: a create of unknown outcome is looked for by its values');
  const def = known.get(field);
  if (def?.type === 'text') return ok('external_id_field', `${field} is there, a text`);
  if (def !== undefined)
    return problem('external_id_field', `${field} is of type ${def.type}`, 'Name a custom field of type text in CRM_EXTERNAL_ID_FIELD.');
  if (facts.first_sweep_at === null)
    return warning('external_id_field', `${field}: the account's fields are not known yet`, 'Ask again after the first load.');
  return problem(
    'external_id_field',
    `the account has no custom field ${field}, as far as is known`,
    'Make a text field of that name in the CRM, or correct CRM_EXTERNAL_ID_FIELD.',
  );
};

/** A few names; all of them are in bi.custom_fields. */
const some = (names: readonly string[]): string =>
  names.slice(0, 5).join(', ') + (names.length > 5 ? `, and ${number(names.length - 5)} more` : '');

const COLUMNS_WAIT_SECONDS_MAX = 300;

/** What became of the typed columns that dashboards are built on. */
const checkColumns = ({ facts }: MirrorKnown): Line => {
  const { columns_wait_seconds: waits, columns_over_limit: over, fields_gone: gone, fields_retyped: retyped, columns_unfit: unfit } = facts;
  const found = [
    ...(waits !== null && waits > COLUMNS_WAIT_SECONDS_MAX ? [`a change waits for ${number(waits)} s for somebody's long query`] : []),
    ...(over > 0 ? [`${number(over)} custom fields have no column: there are too many`] : []),
    ...(gone.length > 0 ? [`gone from the CRM in the last week, and null: ${some(gone)}`] : []),
    ...(retyped.length > 0 ? [`null since their field's type changed in the last week: ${some(retyped)}`] : []),
    ...(unfit.length > 0 ? [`null for values that are not of the column's type: ${some(unfit)}`] : []),
  ];
  if (found.length === 0) return ok('bi_columns', 'bi.contacts has what the custom fields say');
  return warning(
    'bi_columns',
    found.join('; '),
    'select * from bi.custom_fields, sync.custom_field_changes and sync.bi_waiting: what dashboards on these columns show.',
  );
};

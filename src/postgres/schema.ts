/**
 * Every table of the schemas `crm` (what people read and edit) and `sync` (how it is going), as drizzle-kit needs them to write migrations.
 *
 * What drizzle cannot say (triggers, functions, views, comments, an unlogged table, the partitioned `sync.contact_versions`) is in the
 * hand-written migrations beside the generated one, a topic a file: `drizzle/`. What each table and column means is said where people look for it: in the comments of drizzle/*_comments.sql.
 */
import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import type { AnyPgColumn } from 'drizzle-orm/pg-core';

export const crm = pgSchema('crm');
export const sync = pgSchema('sync');

const id8 = (name: string) => bigint(name, { mode: 'number' });
const instant = (name: string) => timestamp(name, { withTimezone: true });
const clock = sql`clock_timestamp()`;

/** The daemon reads ids as JavaScript numbers: one above 2^53 - 1 would be read as another contact's, so it never gets in. */
const safeId = (table: string, column: AnyPgColumn) =>
  check(`${table}_${column.name}_safe`, sql.raw(`${column.name} between -9007199254740991 and 9007199254740991`));

const oneOf = (name: string, column: string, values: readonly string[]) =>
  check(name, sql.raw(`${column} in (${values.map((value) => `'${value}'`).join(', ')})`));

// ---------------------------------------------------------------------------------------------------------------------------- crm

export const contacts = crm.table(
  'contacts',
  {
    id: id8('id').primaryKey().generatedAlwaysAsIdentity(),
    crmId: id8('crm_id').unique(),
    firstName: text('first_name'),
    lastName: text('last_name'),
    email: text('email'),
    phones: jsonb('phones').notNull().default([]),
    userId: id8('user_id'),
    sourceId: id8('source_id'),
    jobTitle: text('job_title'),
    street: text('street'),
    city: text('city'),
    state: text('state'),
    postalCode: text('postal_code'),
    countryId: id8('country_id'),
    customFields: jsonb('custom_fields').notNull().default({}),
    extra: jsonb('extra'),
    crmCreatedAt: instant('crm_created_at'),
    crmUpdatedAt: instant('crm_updated_at'),
  },
  (t) => [
    safeId('contacts', t.userId),
    safeId('contacts', t.sourceId),
    safeId('contacts', t.countryId),
    check('contacts_phones_array', sql`jsonb_typeof(phones) = 'array'`),
    check('contacts_custom_fields_object', sql`jsonb_typeof(custom_fields) = 'object'`),
    // For readers of bi.contacts, the only one: the newest first, a span of time, and counts by whose they are and where they are from, without the table.
    index('contacts_crm_created_at').on(t.crmCreatedAt.desc().nullsLast(), t.userId, t.sourceId, t.countryId),
  ],
);

const contactId = () =>
  id8('contact_id')
    .notNull()
    .references(() => contacts.id, { onDelete: 'cascade' });

export const contactCompanies = crm.table('contact_companies', { contactId: contactId(), companyId: id8('company_id').notNull() }, (t) => [
  primaryKey({ columns: [t.contactId, t.companyId] }),
  index('contact_companies_company_id').on(t.companyId),
  safeId('contact_companies', t.companyId),
]);
export const contactDeals = crm.table('contact_deals', { contactId: contactId(), dealId: id8('deal_id').notNull() }, (t) => [
  primaryKey({ columns: [t.contactId, t.dealId] }),
  index('contact_deals_deal_id').on(t.dealId),
  safeId('contact_deals', t.dealId),
]);
export const contactActivities = crm.table(
  'contact_activities',
  { contactId: contactId(), activityId: id8('activity_id').notNull() },
  (t) => [primaryKey({ columns: [t.contactId, t.activityId] }), safeId('contact_activities', t.activityId)],
);

const names = (table: string) => crm.table(table, { id: id8('id').primaryKey(), name: text('name') });
export const companies = names('companies');
export const deals = names('deals');
export const activities = names('activities');
export const users = names('users');
export const sources = names('sources');
export const countries = names('countries');

// --------------------------------------------------------------------------------------------------------------------------- sync

export const attemptSeq = sync.sequence('attempt_seq');

export const holds = sync.table(
  'holds',
  {
    id: id8('id').primaryKey().generatedAlwaysAsIdentity(),
    direction: text('direction').notNull(),
    reason: text('reason').notNull(),
    rows: integer('rows').notNull(),
    plan: jsonb('plan').notNull(),
    cause: text('cause').notNull().default('brake'),
    state: text('state').notNull().default('open'),
    createdAt: instant('created_at').notNull().default(clock),
    decidedAt: instant('decided_at'),
    decidedBy: text('decided_by'),
  },
  () => [
    oneOf('holds_direction_known', 'direction', ['push', 'pull']),
    oneOf('holds_cause_known', 'cause', ['brake', 'identity']),
    oneOf('holds_state_known', 'state', ['open', 'approved', 'rejected', 'released']),
  ],
);

export const damage = sync.table(
  'damage',
  {
    id: id8('id').primaryKey().generatedAlwaysAsIdentity(),
    direction: text('direction').notNull(),
    contactId: id8('contact_id').notNull(),
    op: text('op').notNull(),
    at: instant('at').notNull().default(clock),
  },
  (t) => [
    oneOf('damage_direction_known', 'direction', ['push', 'pull']),
    oneOf('damage_op_known', 'op', ['delete', 'detach', 'empty', 'audit']),
    // What the brake counts: the last hour's.
    index('damage_lately').on(t.direction, t.at),
  ],
);

export const changeLog = sync.table(
  'change_log',
  {
    id: id8('id').primaryKey().generatedAlwaysAsIdentity(),
    contactId: id8('contact_id').notNull(),
    crmId: id8('crm_id'),
    op: text('op').notNull(),
    oldValues: jsonb('old_values'),
    newValues: jsonb('new_values'),
    changedAt: instant('changed_at').notNull().default(clock),
    changedBy: text('changed_by').notNull(),
    txid: id8('txid').notNull(),
    state: text('state').notNull().default('pending'),
    attempts: integer('attempts').notNull().default(0),
    nextAttemptAt: instant('next_attempt_at').default(clock),
    errorCode: text('error_code'),
    error: text('error'),
    settledAt: instant('settled_at'),
    attempt: id8('attempt'),
    holdId: id8('hold_id').references(() => holds.id),
  },
  (t) => [
    oneOf('change_log_op_known', 'op', ['insert', 'update', 'delete', 'attach', 'detach']),
    oneOf('change_log_state_known', 'state', ['pending', 'sending', 'done', 'merged', 'retry', 'parked', 'held', 'unknown']),
    index('change_log_open')
      .on(t.contactId, t.id)
      .where(sql`settled_at is null`),
    index('change_log_due')
      .on(t.nextAttemptAt, t.id)
      .where(sql`state in ('pending', 'retry', 'unknown')`),
    index('change_log_hold')
      .on(t.holdId)
      .where(sql`hold_id is not null`),
    // What the brake counts, and what the retention removes.
    index('change_log_settled')
      .on(t.settledAt, t.op)
      .where(sql`settled_at is not null`),
  ],
);

export const contactState = sync.table(
  'contact_state',
  {
    contactId: id8('contact_id').primaryKey(),
    crmId: id8('crm_id').unique(),
    base: jsonb('base'),
    baseHash: text('base_hash'),
    extraHash: text('extra_hash'),
    companies: id8('companies').array(),
    deals: id8('deals').array(),
    activities: id8('activities').array(),
    attempt: id8('attempt'),
    attemptState: text('attempt_state'),
    attemptEpoch: id8('attempt_epoch'),
    attemptAt: instant('attempt_at'),
    intentAt: instant('intent_at'),
    intent: jsonb('intent'),
    sent: jsonb('sent'),
    formerCrmId: id8('former_crm_id'),
    settledAt: instant('settled_at'),
    deletedAt: instant('deleted_at'),
    deletedBy: text('deleted_by'),
    goneAt: instant('gone_at'),
    hiddenAt: instant('hidden_at'),
    holdId: id8('hold_id').references(() => holds.id),
  },
  (t) => [
    oneOf('contact_state_attempt_state_known', 'attempt_state', ['sending', 'unknown']),
    oneOf('contact_state_deleted_by_known', 'deleted_by', ['mirror', 'crm']),
    index('contact_state_open_intent')
      .on(t.intentAt)
      .where(sql`intent_at is not null`),
    index('contact_state_in_flight')
      .on(t.attemptEpoch)
      .where(sql`attempt is not null`),
    index('contact_state_gone_in_crm')
      .on(t.deletedAt)
      .where(sql`deleted_at is not null and deleted_by = 'crm'`),
    index('contact_state_former')
      .on(t.formerCrmId)
      .where(sql`former_crm_id is not null`),
    index('contact_state_hold')
      .on(t.holdId)
      .where(sql`hold_id is not null`),
  ],
);

export const marks = sync.table(
  'marks',
  {
    crmId: id8('crm_id').notNull(),
    reason: text('reason').notNull(),
    markedAt: instant('marked_at').notNull().default(clock),
    attempts: integer('attempts').notNull().default(0),
    nextAttemptAt: instant('next_attempt_at').notNull().default(clock),
  },
  (t) => [
    primaryKey({ columns: [t.crmId, t.reason] }),
    oneOf('marks_reason_known', 'reason', ['deferred', 'twin', 'links', 'activities', 'approved']),
    index('marks_due').on(t.reason, t.nextAttemptAt, t.crmId),
  ],
);

export const refused = sync.table('refused', {
  crmId: id8('crm_id').primaryKey(),
  errorCode: text('error_code').notNull(),
  error: text('error').notNull(),
  refusedAt: instant('refused_at').notNull().default(clock),
});

export const runs = sync.table(
  'runs',
  {
    id: id8('id').primaryKey().generatedAlwaysAsIdentity(),
    kind: text('kind').notNull(),
    state: text('state').notNull(),
    withLinks: boolean('with_links').notNull().default(false),
    requestedAt: instant('requested_at'),
    requestedBy: text('requested_by'),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at'),
    complete: boolean('complete'),
    pages: integer('pages').notNull().default(0),
    rowsSeen: id8('rows_seen').notNull().default(0),
    rowsWritten: id8('rows_written').notNull().default(0),
    calls: id8('calls').notNull().default(0),
    error: text('error'),
    cursor: jsonb('cursor'),
    epoch: id8('epoch'),
  },
  (t) => [
    oneOf('runs_kind_known', 'kind', ['changes', 'sweep', 'resync', 'links', 'sync', 'audit']),
    oneOf('runs_state_known', 'state', ['requested', 'running', 'done', 'partial', 'failed']),
    // Two people who ask at once get one run.
    uniqueIndex('runs_one_request')
      .on(t.kind)
      .where(sql`state = 'requested'`),
    index('runs_running')
      .on(t.id)
      .where(sql`state = 'running'`),
  ],
);

export const calls = sync.table(
  'calls',
  {
    minute: instant('minute').notNull(),
    endpoint: text('endpoint').notNull(),
    outcome: text('outcome').notNull(),
    calls: id8('calls').notNull(),
    seconds: doublePrecision('seconds').notNull(),
  },
  (t) => [primaryKey({ columns: [t.minute, t.endpoint, t.outcome] })],
);

/** Made unlogged by a hand-written migration. */
export const sweepSeen = sync.table('sweep_seen', { crmId: id8('crm_id').primaryKey() });

export const conflicts = sync.table(
  'conflicts',
  {
    id: id8('id').primaryKey().generatedAlwaysAsIdentity(),
    contactId: id8('contact_id').notNull(),
    field: text('field').notNull(),
    base: jsonb('base'),
    local: jsonb('local'),
    remote: jsonb('remote'),
    outcome: text('outcome').notNull(),
    compared: jsonb('compared'),
    policy: text('policy'),
    state: text('state').notNull(),
    at: instant('at').notNull().default(clock),
    decidedAt: instant('decided_at'),
    decidedBy: text('decided_by'),
  },
  (t) => [
    oneOf('conflicts_state_known', 'state', ['open', 'decided']),
    index('conflicts_of_field').on(t.contactId, t.field, t.id),
    uniqueIndex('conflicts_one_open')
      .on(t.contactId, t.field)
      .where(sql`state = 'open'`),
  ],
);

export const fieldPolicy = sync.table('field_policy', { field: text('field').primaryKey(), policy: text('policy').notNull() }, () => [
  oneOf('field_policy_known', 'policy', ['newest', 'crm', 'mirror', 'manual']),
]);

export const customFields = sync.table(
  'custom_fields',
  {
    name: text('name').primaryKey(),
    type: text('type').notNull(),
    label: text('label'),
    options: jsonb('options').notNull().default([]),
    origin: text('origin').notNull(),
    seenAt: instant('seen_at').notNull().default(clock),
    crmType: text('crm_type'),
    unlistedAt: instant('unlisted_at'),
    goneAt: instant('gone_at'),
  },
  () => [
    oneOf('custom_fields_type_known', 'type', ['text', 'number', 'boolean', 'date', 'datetime', 'option', 'options']),
    oneOf('custom_fields_origin_known', 'origin', ['crm', 'inferred']),
    check('custom_fields_options_array', sql`jsonb_typeof(options) = 'array'`),
    check('custom_fields_name', sql`name ~ '^cf_'`),
  ],
);

export const customFieldChanges = sync.table(
  'custom_field_changes',
  {
    id: id8('id').primaryKey().generatedAlwaysAsIdentity(),
    at: instant('at').notNull().default(clock),
    field: text('field').notNull(),
    change: text('change').notNull(),
    oldType: text('old_type'),
    newType: text('new_type'),
    oldLabel: text('old_label'),
    newLabel: text('new_label'),
    told: boolean('told').notNull().default(false),
  },
  () => [oneOf('custom_field_changes_change_known', 'change', ['added', 'retyped', 'relabelled', 'options', 'unlisted', 'gone', 'back'])],
);

export const biColumns = sync.table(
  'bi_columns',
  {
    position: integer('position').primaryKey(),
    columnName: text('column_name').notNull().unique(),
    field: text('field').notNull(),
    kind: text('kind').notNull(),
    type: text('type').notNull(),
    label: text('label'),
    state: text('state').notNull().default('current'),
    addedAt: instant('added_at').notNull().default(clock),
    endedAt: instant('ended_at'),
    unfit: id8('unfit'),
  },
  (t) => [
    unique('bi_columns_field_kind').on(t.field, t.kind),
    oneOf('bi_columns_kind_known', 'kind', ['text', 'number', 'boolean', 'date', 'datetime', 'options']),
    oneOf('bi_columns_state_known', 'state', ['current', 'gone', 'retyped']),
    check('bi_columns_ended', sql`(state = 'current') = (ended_at is null)`),
  ],
);

export const biRefresh = sync.table(
  'bi_refresh',
  {
    only: boolean('only').primaryKey().default(true),
    seen: text('seen'),
    definition: text('definition'),
    refreshedAt: instant('refreshed_at'),
    waitsSince: instant('waits_since'),
    overLimit: integer('over_limit').notNull().default(0),
    fieldsReadAt: instant('fields_read_at'),
    fieldsWantedAt: instant('fields_wanted_at'),
    countedAt: instant('counted_at'),
  },
  () => [check('bi_refresh_only_row', sql`"only"`)],
);

export const capabilities = sync.table('capabilities', {
  name: text('name').primaryKey(),
  value: jsonb('value').notNull(),
  checkedAt: instant('checked_at').notNull().default(clock),
});

/** One row, inserted by a migration. */
export const account = sync.table(
  'account',
  {
    only: boolean('only').primaryKey().default(true),
    crmUrl: text('crm_url'),
    systemIdentifier: text('system_identifier'),
    databaseOid: id8('database_oid'),
    timeline: integer('timeline'),
    identityHoldId: id8('identity_hold_id').references(() => holds.id),
    changesWatermark: instant('changes_watermark'),
    trashWatermark: instant('trash_watermark'),
    firstSweepAt: instant('first_sweep_at'),
    lastCompleteSweepAt: instant('last_complete_sweep_at'),
    pausedAt: instant('paused_at'),
    notify: boolean('notify').notNull().default(true),
    historySince: instant('history_since'),
    historyPrunedTo: instant('history_pruned_to'),
    phonesReadBy: text('phones_read_by'),
  },
  () => [check('account_only_row', sql`"only"`)],
);

/** Written by the daemon behind the sync: what SQL cannot tell of a phone number. */
export const phoneForms = sync.table(
  'phone_forms',
  {
    contactId: id8('contact_id')
      .notNull()
      .references(() => contacts.id, { onDelete: 'cascade' }),
    number: text('number').notNull(),
    countryId: id8('country_id'),
    region: text('region'),
    e164: text('e164'),
  },
  (t) => [primaryKey({ name: 'phone_forms_pk', columns: [t.contactId, t.number] })],
);

/** Times in which no history was kept, or none that is whole; the last one may not have ended yet. */
export const historyGaps = sync.table(
  'history_gaps',
  { began: instant('began').primaryKey(), ended: instant('ended'), firstVersion: id8('first_version') },
  () => [check('history_gaps_in_order', sql`ended >= began`)],
);

/** A row a lock, inserted by a migration and never changed: taken with FOR UPDATE, which only the owner and the daemon may. */
export const locks = sync.table('locks', { name: text('name').primaryKey() });

/** One row, inserted by a migration. */
export const leader = sync.table(
  'leader',
  {
    only: boolean('only').primaryKey().default(true),
    holder: text('holder'),
    epoch: id8('epoch').notNull().default(0),
    backendPid: integer('backend_pid'),
    renewedAt: instant('renewed_at'),
    expiresAt: instant('expires_at'),
    lastPullAt: instant('last_pull_at'),
    budgetLimit: integer('budget_limit'),
    budgetUsed: integer('budget_used'),
    crmErrorCode: text('crm_error_code'),
    crmSeenAt: instant('crm_seen_at'),
    pullDueAt: instant('pull_due_at'),
  },
  () => [check('leader_only_row', sql`"only"`)],
);

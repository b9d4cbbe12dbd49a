/** From the columns of `sql/read.ts` to a Situation. */
import { LINK_KINDS, toPhoneType, type ContactFields, type CustomFields, type FieldName, type LinkKind } from '../domain/contact.ts';
import type { ChangeOp, ChangeState } from '../domain/change.ts';
import type { Approvals, Attempt, CreateIntent, OpenEdits, Sent, Situation } from '../ports/mirror.ts';
import { ALL_LINK_TABLES } from './sql/columns.ts';

type Ids = readonly number[];
type LinkEdit = readonly ['attach' | 'detach', string, number];

/** As Postgres holds it: a user may have left out a phone's type, and a restore that passed the guards anything. */
interface StoredFields extends Omit<ContactFields, 'phones' | 'custom_fields'> {
  readonly phones: readonly { readonly number: string | number | null; readonly type?: string | null }[];
  readonly custom_fields: CustomFields;
}
export interface SituationRow extends StoredFields {
  readonly contact_id: number;
  readonly crm_id: number | null;
  readonly has_row: boolean;
  readonly crm_updated_at: Date | null;
  readonly row_companies: Ids;
  readonly row_deals: Ids;
  readonly row_activities: Ids;
  readonly base: ContactFields | null;
  readonly base_hash: string | null;
  readonly base_companies: Ids | null;
  readonly base_deals: Ids | null;
  readonly base_activities: Ids | null;
  readonly extra_hash: string | null;
  readonly settled_at: Date | null;
  readonly attempt: number | null;
  readonly attempt_state: Attempt['state'] | null;
  readonly intent_at: Date | null;
  readonly intent: (Omit<CreateIntent, 'at' | 'unknownAt'> & { readonly unknownAt?: string }) | null;
  readonly sent: Sent | null;
  readonly deleted_at: Date | null;
  readonly gone_at: Date | null;
  readonly hidden_at: Date | null;
  readonly hold_id: number | null;
  readonly ops: readonly ChangeOp[] | null;
  readonly states: readonly ChangeState[] | null;
  readonly attempts: number | null;
  readonly row_deleted_at: Date | null;
  readonly approved: boolean | null;
  readonly waited_ms: number | null;
  readonly approvals: {
    readonly all: boolean;
    readonly deletes: boolean;
    readonly fields: readonly FieldName[];
    readonly links: readonly LinkEdit[];
  } | null;
  readonly edited_at: { readonly [field: string]: number } | null;
  readonly link_edits: readonly LinkEdit[] | null;
  readonly held_fields: readonly FieldName[] | null;
  readonly decided: 'crm' | 'mirror' | null;
}

/** Not canonical: what the row holds, in the shape of the domain. */
const toFields = (row: StoredFields): ContactFields => ({
  first_name: row.first_name,
  last_name: row.last_name,
  email: row.email,
  job_title: row.job_title,
  street: row.street,
  city: row.city,
  state: row.state,
  postal_code: row.postal_code,
  user_id: row.user_id,
  source_id: row.source_id,
  country_id: row.country_id,
  phones: row.phones.map(({ number, type }) => ({ number: String(number ?? ''), type: toPhoneType(type) })),
  custom_fields: row.custom_fields,
});

const KIND_OF: ReadonlyMap<string, LinkKind> = new Map(ALL_LINK_TABLES.map(({ kind, column }) => [column, kind]));

const linkEdits = (edits: readonly LinkEdit[], wanted: 'attach' | 'detach'): { readonly [K in LinkKind]: Ids } => {
  const sets: Record<LinkKind, number[]> = { companies: [], deals: [], activities: [] };
  for (const [op, column, id] of edits) {
    const kind = KIND_OF.get(column);
    if (op === wanted && kind !== undefined) sets[kind].push(id);
  }
  for (const kind of LINK_KINDS) sets[kind].sort((a, b) => a - b);
  return sets;
};

const toApprovals = ({ approvals }: SituationRow): Approvals => ({
  all: approvals?.all ?? false,
  deletes: approvals?.deletes ?? false,
  fields: approvals?.fields ?? [],
  links: linkEdits(approvals?.links ?? [], 'detach'),
});

const toOpenEdits = (row: SituationRow): OpenEdits => ({
  ops: new Set(row.ops ?? []),
  editedAt: new Map(Object.entries(row.edited_at ?? {}).map(([field, ms]) => [field as FieldName, new Date(ms)])),
  deletedAt: row.row_deleted_at,
  attached: linkEdits(row.link_edits ?? [], 'attach'),
  detached: linkEdits(row.link_edits ?? [], 'detach'),
  attempts: row.attempts ?? 0,
  states: new Set(row.states ?? []),
  approved: row.approved ?? false,
  waitedMs: row.waited_ms,
  approvals: toApprovals(row),
});

const toIntent = (at: Date, { unknownAt, ...intent }: NonNullable<SituationRow['intent']>): CreateIntent => ({
  at,
  unknownAt: unknownAt === undefined ? null : new Date(unknownAt),
  ...intent,
});

export const toSituation = (row: SituationRow): Situation => ({
  contactId: row.contact_id,
  crmId: row.crm_id,
  row: row.has_row
    ? { fields: toFields(row), links: { companies: row.row_companies, deals: row.row_deals, activities: row.row_activities } }
    : null,
  base:
    row.base === null
      ? null
      : { fields: row.base, links: { companies: row.base_companies, deals: row.base_deals, activities: row.base_activities } },
  baseHash: row.base_hash,
  extraHash: row.extra_hash,
  crmUpdatedAt: row.crm_updated_at,
  settledAt: row.settled_at,
  attempt: row.attempt === null || row.attempt_state === null ? null : { number: row.attempt, state: row.attempt_state },
  intent: row.intent === null || row.intent_at === null ? null : toIntent(row.intent_at, row.intent),
  sent: row.sent,
  open: toOpenEdits(row),
  heldFields: new Set(row.held_fields ?? []),
  decided: row.decided,
  goneAt: row.gone_at,
  hiddenAt: row.hidden_at,
  holdId: row.hold_id,
  deletedAt: row.deleted_at,
});

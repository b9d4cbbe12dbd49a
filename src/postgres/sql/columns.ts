/** The mirrored columns, once: what capture, merge and the daemon's own statements mean by "the fields" of a row. */
import { ID_FIELDS, LINK_KINDS, SCALAR_FIELDS, type LinkKind } from '../../domain/contact.ts';

const FIELD_COLUMNS = [...SCALAR_FIELDS, 'phones', 'custom_fields'] as const;

const ids: ReadonlySet<string> = new Set(ID_FIELDS);
const typeOf = (column: string): string =>
  column === 'phones' || column === 'custom_fields' ? 'jsonb' : ids.has(column) ? 'bigint' : 'text';

/** `a.first_name, a.last_name, …` */
export const fieldsOf = (alias: string): string => FIELD_COLUMNS.map((column) => `${alias}.${column}`).join(', ');
/** `first_name, last_name, …` */
export const FIELDS = FIELD_COLUMNS.join(', ');
/** The same as columns of a record that is read from JSON: `first_name text, …` */
export const FIELDS_TYPED = FIELD_COLUMNS.map((column) => `${column} ${typeOf(column)}`).join(', ');
/** One expression a column, by template. */
export const eachField = (expression: (column: string) => string): string => FIELD_COLUMNS.map(expression).join(', ');

/** A row's fields as one flat object, each custom field under its own name, as `sync.change_log` spells them. */
const flat = (alias: string): string =>
  `jsonb_build_object(${[...SCALAR_FIELDS, 'phones'].map((column) => `'${column}', ${alias}.${column}`).join(', ')}) || ${alias}.custom_fields`;

/**
 * Inserts log rows for the rows of `got` that hold something else than was written (`wrote`): a BEFORE trigger of the user's changed a value
 * inside our own write, where capture is silent. The row comparison comes first, because the diff by key costs eleven times as much.
 */
export const logWhatTriggersChanged = (got: string, wrote: string): string => `
  insert into sync.change_log (contact_id, crm_id, op, old_values, new_values, changed_by, txid)
  select got.id, got.crm_id, 'update', diff.old_values, diff.new_values, 'a trigger inside a write of relate-mirror', pg_current_xact_id()::text::bigint
  from ${got} got
  join ${wrote} wrote on wrote.id = got.id
  cross join lateral (select ${flat('wrote')} as w, ${flat('got')} as g) flat
  cross join lateral (
    select jsonb_object_agg(k, flat.w -> k) as old_values, jsonb_object_agg(k, flat.g -> k) as new_values
    from jsonb_object_keys(flat.w || flat.g) k
    where coalesce(flat.w -> k, 'null') is distinct from coalesce(flat.g -> k, 'null')
  ) diff
  where (${fieldsOf('got')}) is distinct from (${fieldsOf('wrote')}) and diff.new_values is not null`;

export interface LinkTable {
  readonly kind: LinkKind;
  readonly table: string;
  readonly column: string;
}
export const LINK_TABLES: { readonly [K in LinkKind]: LinkTable } = {
  companies: { kind: 'companies', table: 'crm.contact_companies', column: 'company_id' },
  deals: { kind: 'deals', table: 'crm.contact_deals', column: 'deal_id' },
  activities: { kind: 'activities', table: 'crm.contact_activities', column: 'activity_id' },
};
export const ALL_LINK_TABLES: readonly LinkTable[] = LINK_KINDS.map((kind) => LINK_TABLES[kind]);

/** The contacts table as order and select see it. */
import { ID_COLUMNS, isMultiOption, TEXT_COLUMNS } from './records.ts';
import type { AccountContact, StoredCustomValue } from './records.ts';
import type { CompareContacts } from './ordered-lists.ts';
import type { Store } from './store.ts';

type Cell = string | number | boolean | null;
export type ReadColumn = (contact: AccountContact) => Cell;

const COLUMNS: ReadonlyMap<string, ReadColumn> = new Map<string, ReadColumn>([
  ['id', (contact) => contact.id],
  ...TEXT_COLUMNS.map((column): [string, ReadColumn] => [column, (contact) => contact[column]]),
  ...ID_COLUMNS.map((column): [string, ReadColumn] => [column, (contact) => contact[column]]),
  ['created_at', (contact) => contact.createdAtMs],
  ['updated_at', (contact) => contact.updatedAtMs],
  ['deleted_at', (contact) => contact.deletedAtMs],
  ['owner_assigned_date', (contact) => contact.ownerAssignedAtMs],
  ...['uuid', 'avatar', 'created_by', 'next_activity_date', 'last_contacted_at'].map((column): [string, ReadColumn] => [
    column,
    () => null,
  ]),
]);

/** Aggregates: the database can order by them, but not select them. */
const COUNTS: ReadonlyMap<string, ReadColumn> = new Map<string, ReadColumn>([
  ['companies_count', (contact) => contact.companies.length],
  ['deals_count', (contact) => contact.deals.length],
  ['calls_count', () => 0],
  ['notes_count', () => 0],
]);

const toCell = (value: StoredCustomValue | undefined): Cell =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;

/** A column of the table, custom ones included (multi-options live in a table of their own); null where there is none. */
export const tableColumn = (store: Store, name: string): ReadColumn | null => {
  const field = store.customFields.get(name);
  if (field !== undefined && !isMultiOption(field.type)) return (contact) => toCell(contact.custom[name]);
  return COLUMNS.get(name) ?? null;
};

export const orderColumn = (store: Store, name: string): ReadColumn | null => COUNTS.get(name) ?? tableColumn(store, name);

// The database's default collation: neither case nor accents count.
const collator = new Intl.Collator('en', { sensitivity: 'base' });

/** Nulls first, as the database sorts them. */
const compareCells = (a: Cell | undefined, b: Cell | undefined): number => {
  if (a == null || b == null) return a == null ? (b == null ? 0 : -1) : 1;
  if (typeof a === 'string' && typeof b === 'string') return collator.compare(a, b);
  return Number(a) - Number(b);
};

export const compareBy = (columns: readonly { readonly read: ReadColumn; readonly descending: boolean }[]): CompareContacts => {
  return (a, b) => {
    for (const { read, descending } of columns) {
      const order = compareCells(read(a), read(b));
      if (order !== 0) return descending ? -order : order;
    }
    return a.id - b.id;
  };
};

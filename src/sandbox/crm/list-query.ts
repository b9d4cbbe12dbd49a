/** The parameters of list and search that are neither the search itself nor the filters: order, select, with, page. */
import { Abort, serverError } from './answer.ts';
import { compareBy, orderColumn, tableColumn } from './columns.ts';
import type { CompareContacts, Scope } from './ordered-lists.ts';
import { textParam } from './php-query.ts';
import type { QueryTree } from './php-query.ts';
import type { AccountContact } from './records.ts';
import type { Store } from './store.ts';

const PER_PAGE_DEFAULT = 15;

interface Order {
  readonly field: string;
  readonly direction: string;
}

const DEFAULT_ORDER: Order = { field: 'first_name', direction: 'asc' };

/**
 * `field`, `field|direction`, or the undocumented `order[0][field]=…&order[0][direction]=…`. A list of plain strings is dropped and takes
 * the default order with it: rows then come as the table holds them, by id.
 */
const readOrders = (query: QueryTree, undocumented: boolean): readonly Order[] => {
  const raw = query['order'];
  if (typeof raw === 'object' && undocumented) {
    const items = Object.values(raw).filter((item) => typeof item === 'object');
    return items.map((item) => ({ field: textParam(item, 'field') ?? '', direction: textParam(item, 'direction') ?? 'asc' }));
  }
  const text = textParam(query, 'order');
  if (text === null) return [DEFAULT_ORDER];
  const [field = '', direction = 'asc'] = text.split('|');
  return [{ field, direction }];
};

const toComparison = (store: Store, orders: readonly Order[]): { readonly key: string; readonly compare: CompareContacts } => {
  const columns = orders.map(({ field, direction }) => {
    const read = orderColumn(store, field);
    const lower = direction.toLowerCase();
    // An unknown column is the database's error, a bad direction the query builder's.
    if (read === null || (lower !== 'asc' && lower !== 'desc')) throw new Abort(serverError());
    return { key: `${field}|${lower}`, read, descending: lower === 'desc' };
  });
  return { key: columns.map(({ key }) => key).join(','), compare: compareBy(columns) };
};

/** The visible contacts in the order asked for. */
export const orderedContacts = (store: Store, scope: Scope, query: QueryTree, undocumented: boolean): readonly AccountContact[] => {
  const { key, compare } = toComparison(store, readOrders(query, undocumented));
  return store.lists.rows(scope, key, compare);
};

/** The columns asked for; null: all. A column that the table does not have is a database error. */
export const readSelect = (store: Store, query: QueryTree): ReadonlySet<string> | null => {
  const text = textParam(query, 'select');
  if (text === null) return null;
  const columns = text.split(';').map((column) => column.trim());
  if (columns.some((column) => tableColumn(store, column) === null)) throw new Abort(serverError());
  return new Set(columns);
};

export const readWith = (query: QueryTree, undocumented: boolean): ReadonlySet<string> =>
  new Set(undocumented ? (textParam(query, 'with')?.split(';') ?? []) : []);

const positive = (query: QueryTree, name: string): number | null => {
  const number = Number(textParam(query, name) ?? '0');
  return Number.isSafeInteger(number) && number > 0 ? number : null;
};

/** Zero and what is no number fall back to the defaults. */
export const readPaging = (store: Store, query: QueryTree): { readonly page: number; readonly perPage: number } => ({
  page: positive(query, 'page') ?? 1,
  perPage: Math.min(positive(query, 'per_page') ?? PER_PAGE_DEFAULT, store.settings.perPageMax ?? Number.POSITIVE_INFINITY),
});

export const readTake = (query: QueryTree): number | null => positive(query, 'take');

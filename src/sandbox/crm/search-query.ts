/** q, search_fields and search_match. */
import { Abort, forbidden, serverError } from './answer.ts';
import { textParam } from './php-query.ts';
import type { QueryTree } from './php-query.ts';
import { ID_COLUMNS, TEXT_COLUMNS } from './records.ts';
import type { AccountContact, StoredCustomValue } from './records.ts';
import type { Store } from './store.ts';

type Operator = '=' | 'like' | 'in';
export type MatchContact = (contact: AccountContact) => boolean;

interface SearchField {
  readonly kind: 'id' | 'key' | 'text' | 'number';
  readonly read: (contact: AccountContact) => readonly (string | number | null)[];
}

interface Criterion {
  readonly name: string;
  readonly field: SearchField;
  readonly operator: Operator;
}

const fullName = (contact: AccountContact): string => `${contact.first_name ?? ''} ${contact.last_name ?? ''}`.trim();

const scalarOf = (value: StoredCustomValue | undefined): string | number | null =>
  typeof value === 'string' || typeof value === 'number' ? value : null;

/** Tags, links and dates cannot be searched; of the custom fields, texts and numbers can. */
const searchFields = (store: Store): ReadonlyMap<string, SearchField> => {
  const fields = new Map<string, SearchField>([['id', { kind: 'id', read: (contact) => [contact.id] }]]);
  for (const column of TEXT_COLUMNS) fields.set(column, { kind: 'text', read: (contact) => [contact[column]] });
  for (const column of ID_COLUMNS) fields.set(column, { kind: 'key', read: (contact) => [contact[column]] });
  fields.set('full_name', { kind: 'text', read: (contact) => [fullName(contact)] });
  fields.set('phones.number', { kind: 'text', read: (contact) => contact.phones.map((phone) => phone.number) });
  fields.set('user.name', { kind: 'text', read: (contact) => [store.users.get(contact.user_id ?? 0)?.name ?? null] });
  fields.set('source.name', { kind: 'text', read: (contact) => [store.sources.get(contact.source_id ?? 0)?.name ?? null] });
  fields.set('country.name', { kind: 'text', read: (contact) => [store.countries.get(contact.country_id ?? 0)?.name ?? null] });
  for (const { name, type } of store.customFields.values()) {
    const kind = ['Text', 'Textarea', 'Email', 'Url'].includes(type) ? 'text' : ['Number', 'Numeric'].includes(type) ? 'number' : null;
    if (kind !== null) fields.set(name, { kind, read: (contact) => [scalarOf(contact.custom[name])] });
  }
  return fields;
};

const defaultOperator = (field: SearchField): Operator => (field.kind === 'text' ? 'like' : '=');

const isOperator = (text: string): text is Operator => text === '=' || text === 'like' || text === 'in';

/** 1.6.0 takes the default for an operator it does not know; 1.7.0 allows like and = for texts, = and in otherwise, and drops the field. */
const toOperator = (store: Store, field: SearchField, sent: string | undefined): Operator | null => {
  if (sent === undefined || sent === '') return defaultOperator(field);
  if (store.settings.appVersion === '1.6.0') return isOperator(sent) ? sent : defaultOperator(field);
  const allowed: readonly string[] = field.kind === 'text' ? ['like', '='] : ['=', 'in'];
  return isOperator(sent) && allowed.includes(sent) ? sent : null;
};

const readCriteria = (store: Store, query: QueryTree): readonly Criterion[] => {
  const fields = searchFields(store);
  const sent = textParam(query, 'search_fields');
  if (sent === null) return [...fields].map(([name, field]) => ({ name, field, operator: defaultOperator(field) }));
  const criteria = sent.split(';').flatMap((part): readonly Criterion[] => {
    const [name = '', operatorSent] = part.split(':').map((text) => text.trim());
    const field = fields.get(name);
    const operator = field === undefined ? null : toOperator(store, field, operatorSent);
    return field === undefined || operator === null ? [] : [{ name, field, operator }];
  });
  if (criteria.length === 0)
    throw new Abort(forbidden(`None of the search fields were accepted. Accepted fields: ${[...fields.keys()].join(', ')}`));
  return criteria;
};

/** `%` and `_` in what people type are the database's wildcards: nobody escapes them. */
const likePattern = (value: string): RegExp => {
  const escaped = value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(escaped.replaceAll('%', '.*').replaceAll('_', '.'), 'isu');
};

const toMatch = (store: Store, { field, operator }: Criterion, value: string): MatchContact => {
  const isNumeric = field.kind !== 'text';
  if (operator === 'like') {
    const pattern = likePattern(value);
    return (contact) => field.read(contact).some((cell) => cell !== null && pattern.test(String(cell)));
  }
  const items = operator === 'in' ? value.split(',').map((item) => item.trim()) : [value];
  if (operator === 'in' && isNumeric && store.settings.appVersion === '1.6.0' && Number.isNaN(Number(value)))
    throw new Abort(serverError());
  const wanted = new Set(
    isNumeric ? items.filter((item) => item !== '').map((item) => String(Number(item))) : items.map((item) => item.toLowerCase()),
  );
  return (contact) => field.read(contact).some((cell) => cell !== null && wanted.has(String(cell).toLowerCase()));
};

/** `field:value;field:value`; what follows a second colon is lost. Null: q is plain text. */
const readPairs = (q: string): ReadonlyMap<string, string> | null => {
  if (q.indexOf(':') < 1 || /^https?:\/\//i.test(q)) return null;
  const parts = q.split(';').map((part) => part.split(':'));
  return new Map(parts.map(([name = '', value = '']) => [name.trim(), value.trim()]));
};

/** What the parameters look for; null: no search, where q is missing or empty. */
export const readSearch = (store: Store, query: QueryTree): MatchContact | null => {
  const q = textParam(query, 'q');
  if (q === null) return null;
  const pairs = readPairs(q);
  const criteria = readCriteria(store, query).filter(({ name }) => pairs === null || pairs.has(name));
  if (criteria.length === 0) throw new Abort(serverError('Invalid search fields'));
  const matches = criteria.map((criterion) => toMatch(store, criterion, pairs?.get(criterion.name) ?? q));
  const mode = textParam(query, 'search_match')?.toLowerCase();
  const all = mode === 'and' || (mode === 'all' && store.settings.appVersion !== '1.6.0');
  return (contact) => (all ? matches.every((match) => match(contact)) : matches.some((match) => match(contact)));
};

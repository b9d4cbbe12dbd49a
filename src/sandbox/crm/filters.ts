/** The rule tree of the list's `filters` parameter: date-time rules only. An unknown rule is ignored: the whole list comes back. */
import { Abort, serverError } from './answer.ts';
import { parseMoment } from './custom-values.ts';
import { textParam } from './php-query.ts';
import type { QueryTree, QueryValue } from './php-query.ts';
import type { MatchContact } from './search-query.ts';
import type { AccountContact } from './records.ts';
import type { Store } from './store.ts';

const DAY_MS = 86_400_000;
/** What `greater` and `less_or_equal` silently add: the rest of the day, as if the value were a date. */
const REST_OF_DAY_MS = DAY_MS - 1000;

type ReadMs = (contact: AccountContact) => number | null;
interface RangeMs {
  /** Inclusive. */
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

const malformed = (): Abort => new Abort(serverError());

const ruleColumn = (store: Store, rule: string): ReadMs | null => {
  if (rule === 'updated_at') return (contact) => contact.updatedAtMs;
  if (rule === 'created_at') return (contact) => contact.createdAtMs;
  const type = store.customFields.get(rule)?.type;
  if (type !== 'Date' && type !== 'DateTime') return null;
  return (contact) => (contact.custom[rule] == null ? null : Date.parse(String(contact.custom[rule])));
};

/** The names that the rules list shows. */
export const ruleNames = (store: Store): readonly string[] => [
  'updated_at',
  'created_at',
  ...[...store.customFields.keys()].filter((name) => ruleColumn(store, name) !== null),
];

/** Without an offset a value is read in the token user's time zone. */
const toMs = (store: Store, value: QueryValue | undefined): number => {
  const ms = typeof value === 'string' ? parseMoment(value.trim(), store.settings.userUtcOffsetMinutes) : null;
  if (ms === null) throw malformed();
  return ms;
};

const namedRange = (store: Store, name: QueryValue | undefined): RangeMs => {
  const nowMs = store.nowMs();
  const todayMs = nowMs - (nowMs % DAY_MS);
  if (name === 'today') return { from: todayMs, to: todayMs + DAY_MS };
  if (name === 'yesterday') return { from: todayMs - DAY_MS, to: todayMs };
  const days = typeof name === 'string' ? /^last_(7|14|30|60|90|365)_days$/.exec(name)?.[1] : undefined;
  if (days === undefined) throw malformed();
  return { from: todayMs - Number(days) * DAY_MS, to: Number.POSITIVE_INFINITY };
};

const between = (store: Store, value: QueryValue | undefined): RangeMs => {
  const ends = typeof value === 'object' ? Object.values(value) : [];
  if (ends.length !== 2) throw malformed();
  return { from: toMs(store, ends[0]), to: toMs(store, ends[1]) + 1 };
};

const toRange = (store: Store, query: QueryTree): RangeMs => {
  const value = query['value'];
  const [always, never] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  switch (textParam(query, 'operator')) {
    case 'greater_or_equal':
      return { from: toMs(store, value), to: never };
    case 'less':
      return { from: always, to: toMs(store, value) };
    case 'greater':
      return { from: toMs(store, value) + REST_OF_DAY_MS + 1, to: never };
    case 'less_or_equal':
      return { from: always, to: toMs(store, value) + REST_OF_DAY_MS + 1 };
    case 'equal':
      return { from: toMs(store, value), to: toMs(store, value) + DAY_MS };
    case 'between':
      return between(store, value);
    case 'is':
      return namedRange(store, value);
    case null:
    default:
      throw malformed();
  }
};

/** Null: nothing to filter by. */
const toRule = (store: Store, child: QueryValue): MatchContact | null => {
  if (typeof child === 'string') throw malformed();
  const query = child['query'];
  if (typeof query !== 'object') throw malformed();
  if (textParam(child, 'type') === 'group') return toGroup(store, query);
  const rule = textParam(query, 'rule');
  if (textParam(child, 'type') !== 'rule' || rule === null) throw malformed();
  const read = ruleColumn(store, rule);
  if (read === null) return null;
  const { from, to } = toRange(store, query);
  return (contact) => {
    const ms = read(contact);
    return ms !== null && ms >= from && ms < to;
  };
};

const toGroup = (store: Store, tree: QueryTree): MatchContact | null => {
  const children = tree['children'];
  if (children === undefined) return null;
  if (typeof children === 'string') throw malformed();
  const rules = Object.values(children)
    .map((child) => toRule(store, child))
    .filter((rule) => rule !== null);
  if (rules.length === 0) return null;
  const any = textParam(tree, 'condition') === 'or';
  return (contact) => (any ? rules.some((rule) => rule(contact)) : rules.every((rule) => rule(contact)));
};

/** A JSON string in one parameter is a type error. */
export const readFilters = (store: Store, query: QueryTree): MatchContact | null => {
  const filters = query['filters'];
  if (filters === undefined || filters === '') return null;
  if (typeof filters === 'string') throw malformed();
  return toGroup(store, filters);
};

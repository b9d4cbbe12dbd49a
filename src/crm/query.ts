/** Parameters of the CRM's calls as it wants them in the query string; anything out of range is our own mistake and throws RangeError. */
import type { FindParams, ListParams, SearchParams } from '../ports/crm.ts';

export type Query = readonly (readonly [name: string, value: string])[];

const PER_PAGE_MAX = 100;

export const listQuery = (params: ListParams): Query => [
  ...order(params.order),
  ...columns(params.select),
  ...count('per_page', params.perPage, PER_PAGE_MAX),
  ...count('page', params.page, Number.MAX_SAFE_INTEGER),
  ...search(params),
  ...(params.with === undefined ? [] : [['with', params.with.join(';')] as const]),
  ...(params.updatedSince === undefined ? [] : updatedSince(params.updatedSince)),
];

export const findQuery = (params: FindParams): Query => [
  ...search(params),
  ...count('take', params.take, Number.MAX_SAFE_INTEGER),
  ...order(params.order),
  ...columns(params.select),
];

export const pageQuery = (page: number): Query => [
  ...count('per_page', PER_PAGE_MAX, PER_PAGE_MAX),
  ...count('page', page, Number.MAX_SAFE_INTEGER),
];

const order = (by: ListParams['order']): Query => {
  if (by === undefined) return [];
  return [['order', by.direction === undefined ? by.field : `${by.field}|${by.direction}`]];
};

const columns = (select: readonly string[] | undefined): Query => (select === undefined ? [] : [['select', select.join(';')]]);

const count = (name: string, value: number | undefined, max: number): Query => {
  if (value === undefined) return [];
  if (!Number.isSafeInteger(value) || value < 1 || value > max)
    throw new RangeError(`${name} must be an integer from 1 to ${max}, not ${value}`);
  return [[name, String(value)]];
};

const search = ({ q, searchFields, searchMatch }: SearchParams): Query => {
  const fields = searchFields?.map(({ field, operator }) => (operator === undefined ? field : `${field}:${operator}`)).join(';');
  return [
    ...(q === undefined ? [] : [['q', q] as const]),
    ...(fields === undefined ? [] : [['search_fields', fields] as const]),
    ...(searchMatch === undefined ? [] : [['search_match', searchMatch] as const]),
  ];
};

/**
 * The rule tree that the CRM's own screens send, as PHP reads nested arrays (as JSON text it is a type error there). Of the operators only
 * `greater_or_equal` and `less` mean the exact second, and a time without offset is read in the token user's time zone, hence the Z.
 */
const updatedSince = (since: Date): Query => {
  const rule = 'filters[children][0][query]';
  return [
    ['filters[condition]', 'and'],
    ['filters[children][0][type]', 'rule'],
    [`${rule}[rule]`, 'updated_at'],
    [`${rule}[operator]`, 'greater_or_equal'],
    [`${rule}[value]`, `${since.toISOString().slice(0, 19)}Z`],
  ];
};

/** One form for each value, whichever stack read it, so that cells can be compared; and the node side of that: what pg itself reads. */
import pg from 'pg';

/** The types that the bi schema has, and that all four stacks read. */
export type Family = 'integer' | 'numeric' | 'float' | 'text' | 'boolean' | 'date' | 'moment' | 'list' | 'json';

const FAMILIES: { readonly [oid: number]: Family } = {
  16: 'boolean',
  20: 'integer',
  21: 'integer',
  23: 'integer',
  25: 'text',
  114: 'json',
  701: 'float',
  1007: 'list',
  1009: 'list',
  1016: 'list',
  1043: 'text',
  1082: 'date',
  1184: 'moment',
  1700: 'numeric',
  3802: 'json',
};

export interface Baseline {
  readonly columns: readonly string[];
  /** Null: of a type that the stacks do not read alike. */
  readonly families: readonly (Family | null)[];
  readonly rows: readonly (readonly (string | null)[])[];
}

const TEXT_ARRAY = 1009;
const DOUBLE_DIGITS = 15;
const parseTextArray = (pg.types.getTypeParser as (oid: number) => (text: string) => unknown)(TEXT_ARRAY);

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
};

/** 1.50 is 1.5, and 2 is 2.000. */
const plainNumber = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
/** Both 2026-01-31 10:00:00.5+00 and 2026-01-31T10:00:00.500000Z. */
const plainMoment = (text: string): string => {
  const [, day = text, time = '', fraction = ''] = /^(\S+)[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:\+00|Z)$/.exec(text) ?? [];
  return `${day}T${time}.${fraction.padEnd(6, '0')}`;
};

/** The items of a list; whether a number is one in the language is the language's own. */
const textsOf = (items: unknown): unknown => (Array.isArray(items) ? items.map((item) => (item === null ? null : String(item))) : items);

const FORMS: { readonly [F in Family]: (text: string, isExact: boolean) => string } = {
  integer: (text, isExact) => (isExact ? text : String(Number(Number(text).toPrecision(DOUBLE_DIGITS)))),
  numeric: (text, isExact) => (isExact ? plainNumber(text) : String(Number(Number(text).toPrecision(DOUBLE_DIGITS)))),
  float: (text) => String(Number(Number(text).toPrecision(DOUBLE_DIGITS))),
  text: (text) => text,
  boolean: (text) => (text === 't' || text === 'true' ? 'true' : 'false'),
  date: (text) => text,
  moment: plainMoment,
  list: (text) => JSON.stringify(textsOf(text.startsWith('[') ? JSON.parse(text) : parseTextArray(text))),
  json: (text) => JSON.stringify(sorted(JSON.parse(text))),
};

export const canonical = (family: Family | null, text: string | null, isExact: boolean): string | null =>
  text === null || family === null ? text : FORMS[family](text, isExact);

/** What pg reads, as the server writes it; the session is in UTC. */
export const readBaseline = async (client: pg.Client, sql: string): Promise<Baseline> => {
  const types = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig;
  const result = await client.query<(string | null)[]>({ text: sql, rowMode: 'array', types });
  return {
    columns: result.fields.map(({ name }) => name),
    families: result.fields.map(({ dataTypeID }) => FAMILIES[dataTypeID] ?? null),
    rows: result.rows,
  };
};

/** What may stand in a date or date-time: whatever somebody typed is a value or null, never an error for all who read it. */
import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { connect } from './editing.ts';

let database: TestDatabase;
let client: pg.Client;
/** Of a database whose own rules are ICU's, \d and \s are more; COLLATE shows it as far as a body is not inlined with its own. */
let collations: readonly string[];

interface Read {
  readonly value: string;
  readonly date: string | null;
  readonly instant: string | null;
  readonly year: number | null;
  readonly accepted: boolean;
}
const readIn = async (values: readonly string[], collation: string): Promise<Read[]> =>
  (
    await client.query<Read>(
      `select value, sync.to_date(value collate ${collation})::text as date, (i.at at time zone 'UTC')::text as instant,
         (extract(year from i.at at time zone 'UTC'))::int as year, sync.is_datetime(value collate ${collation}) as accepted
       from unnest($1::text[]) value cross join lateral (select sync.to_instant(value collate ${collation}) as at offset 0) i`,
      [values],
    )
  ).rows;

const DIGITS = ['0', '1', '9', '٣', '३', '３', '𝟗'];
const SPACES = ['', ' ', '         ', ' '.repeat(10), '\t', '\n', '\u00a0', '\u2003', '\u3000', '\v'];
const ZONES = ['Z', '+00:00', '-15:59', '+15:59', '+1559', '-0030', '', 'z', '+16:00', '+02', '+2:00', ' UTC', '+٠٢:٠٠', '−02:00'];
const DAYS = [
  '0001-01-01',
  '9999-12-31',
  '2024-02-29',
  '2021-12-05',
  '2023-02-29',
  '0000-01-01',
  '1582-10-10',
  '2021-06-31',
  '10000-01-01',
];
const SEPARATORS = ['T', ' ', 't', '  ', ''];
const TIMES = ['00:00:00', '23:59:59', '10:30:00', '10:00', '24:00:00', '10:60:00', '23:59:60', '10', ''];
const FRACTIONS = ['.5', '', '.999999', '.9999999', '.999999999', '.', ',5', `.${'9'.repeat(10)}`, `.${'1'.repeat(200)}`];
/** The first ones, which fit, four times of five: of parts drawn evenly hardly a whole would. */
const mostly = (all: readonly string[], fitting: number) =>
  fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...all.slice(0, fitting)) }, { weight: 1, arbitrary: fc.constantFrom(...all) });
const built = fc
  .tuple(mostly(DAYS, 4), mostly(SEPARATORS, 2), mostly(TIMES, 3), mostly(FRACTIONS, 5), mostly(SPACES, 3), mostly(ZONES, 6))
  .map((parts) => parts.join(''));
const mutated = fc
  .tuple(
    built,
    fc.nat(40),
    fc.nat(2),
    fc.oneof(
      fc.constantFrom(...DIGITS, ...SPACES, '-', ':', '+', 'T', 'Z', ' BC', 'infinity'),
      fc.string({ unit: 'grapheme', maxLength: 3 }),
    ),
  )
  .map(([text, at, gone, put]) => `${text.slice(0, at)}${put}${text.slice(at + gone)}`.replaceAll('\0', '').toWellFormed());

beforeAll(async () => {
  database = await createTestDatabase();
  client = await connect(database.url);
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(collname) as name from pg_collation where collname in ('default', 'und-x-icu') order by 1`,
  );
  collations = rows.map(({ name }) => `pg_catalog.${name}`);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

describe('whatever was typed', () => {
  it('is a value or null, never an error; and what an editor may write is a value', async () => {
    const values = fc.array(fc.oneof(built, mutated), { minLength: 200, maxLength: 400, size: 'max' });
    let shown = 0;
    await fc.assert(
      fc.asyncProperty(values, async (texts) => {
        for (const collation of collations)
          for (const { value, instant, year, accepted } of await readIn(texts, collation)) {
            expect([value, accepted]).toEqual([value, instant !== null]);
            expect([value, year === null || (year >= 1 && year <= 9999)]).toEqual([value, true]);
            shown += Number(instant !== null);
          }
      }),
      { numRuns: 15 },
    );
    expect(shown).toBeGreaterThan(100);
  });

  it.each([
    ['2021-01-01T10:00:00.123456789Z', '2021-01-01 10:00:00.123457'],
    ['2021-01-01T10:00:00.1234567891Z', null],
    [`2021-01-01T10:00:00.${'1'.repeat(200)}Z`, null],
    ['2021-01-01 10:00 +0200', '2021-01-01 08:00:00'],
    ['2021-01-01', '2021-01-01 00:00:00'],
    ['2021-01-01T10:00:00\u3000Z', null],
    ['٢٠٢1-01-01T10:00:00Z', null],
    ['2021-01-01T10:00:0３Z', null],
    ['0001-01-01T00:00:00+15:59', null],
    ['0001-01-01T16:00:00+15:59', '0001-01-01 00:01:00'],
    ['0001-01-01', '0001-01-01 00:00:00'],
    ['9999-12-31T23:59:59-15:59', null],
    ['9999-12-31T23:59:59.9999999Z', null],
    ['9999-12-31T23:59:59.999999Z', '9999-12-31 23:59:59.999999'],
  ])('%s is %s', async (value, instant) => {
    for (const collation of collations) expect(await readIn([value], collation)).toMatchObject([{ instant, accepted: instant !== null }]);
  });

  it.each([
    ['2021-12-05', '2021-12-05'],
    ['2024-02-29', '2024-02-29'],
    ['2023-02-29', null],
    ['٢٠٢1-12-05', null],
    ['2021-1２-05', null],
    ['٢٠٢٤-02-29', null],
  ])('%s, as a date, is %s', async (value, date) => {
    for (const collation of collations) expect(await readIn([value], collation)).toMatchObject([{ date }]);
  });
});

/** What values teach about custom fields that the CRM did not declare. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalFields,
  diffFields,
  EMPTY_FIELDS,
  inferCustomFields,
  inferCustomType,
  type ContactFields,
  type CustomFieldDef,
  type CustomFieldDefs,
  type CustomFields,
  type CustomType,
  type CustomValue,
} from '../../src/domain/contact.ts';
import { definition, definitions, remoteContact } from './arbitraries.ts';

const holding = (custom_fields: CustomFields): ContactFields => ({ ...EMPTY_FIELDS, custom_fields });
const learn = (known: CustomFieldDefs, ...seen: readonly CustomFields[]): readonly CustomFieldDef[] =>
  inferCustomFields(
    known,
    seen.map((custom) => remoteContact(holding(custom))),
  );
const learnt = (known: CustomFieldDefs, ...values: readonly CustomValue[]): CustomFieldDefs =>
  new Map([...known, ...learn(known, ...values.map((cf_x) => ({ cf_x }))).map((def) => [def.name, def] as const)]);
const typeAfter = (...values: readonly CustomValue[]): CustomType | undefined => learnt(new Map(), ...values).get('cf_x')?.type;

const NOTHING = new Map<string, CustomFieldDef>();
const MIDNIGHT = '2021-12-05T00:00:00.000000Z';
const MORNING = '2021-12-05T10:30:00.000000Z';

test('one value speaks for one type, and nothing speaks for none', () => {
  const cases: readonly (readonly [CustomValue, CustomType | null])[] = [
    [null, null],
    ['', null],
    [' ', null],
    ['a', 'text'],
    ['5', 'text'],
    ['2021-12-05', 'text'],
    ['2021-12-05 00:00:00', 'text'],
    [MIDNIGHT, 'date'],
    ['2021-12-05T00:00:00Z', 'date'],
    [MORNING, 'datetime'],
    [5, 'number'],
    [0, 'number'],
    [false, 'boolean'],
    [[], 'options'],
    [[1], 'options'],
  ];
  expect(cases.map(([value]) => [value, inferCustomType(value)])).toEqual(cases);
});

test('a new field is learnt once, with what is known about it', () => {
  expect(learn(NOTHING, { cf_x: 5, cf_y: null }, { cf_x: 6 })).toEqual([
    { name: 'cf_x', type: 'number', label: null, options: [], origin: 'inferred', crmType: null, listed: true, gone: false },
  ]);
});

test('what brings nothing new teaches nothing, so that a quiet page writes nothing', () => {
  const known = definitions(definition('cf_x', 'datetime', 'inferred'), definition('cf_y', 'text', 'inferred'));
  expect(learn(known, { cf_x: MIDNIGHT, cf_y: 5 }, { cf_x: MORNING, cf_y: 'a' }, { cf_x: null }, {})).toEqual([]);
});

test('a declared field is left alone, whatever its values look like', () => {
  expect(learn(definitions(definition('cf_x', 'date')), { cf_x: 'a' }, { cf_x: MORNING }, { cf_x: [1] })).toEqual([]);
});

test('a date becomes a date-time with the first time of day, any other two types become text', () => {
  expect(typeAfter(MIDNIGHT, MORNING)).toBe('datetime');
  expect(typeAfter(MORNING, MIDNIGHT)).toBe('datetime');
  for (const pair of [
    [MIDNIGHT, 5],
    [MORNING, 'a'],
    [5, 'a'],
    [true, 5],
    [[1], 5],
  ] as const) {
    expect(typeAfter(...pair)).toBe('text');
    expect(typeAfter(...pair.toReversed())).toBe('text');
  }
});

describe('widening', () => {
  const valueArb = fc.constantFrom<CustomValue[]>(null, '', 'a', 5, true, [1], MIDNIGHT, MORNING);
  const isAsWide = (wide: CustomType | undefined, narrow: CustomType | undefined): boolean =>
    narrow === undefined || wide === narrow || wide === 'text' || (wide === 'datetime' && narrow === 'date');

  test('never narrows, and never goes back to not known', () => {
    fc.assert(
      fc.property(fc.array(valueArb, { maxLength: 6 }), (values) => {
        let known: CustomFieldDefs = NOTHING;
        for (const value of values) {
          const next = learnt(known, value);
          expect(isAsWide(next.get('cf_x')?.type, known.get('cf_x')?.type)).toBe(true);
          expect(isAsWide(next.get('cf_x')?.type, inferCustomType(value) ?? undefined)).toBe(true);
          known = next;
        }
      }),
      { numRuns: 300 },
    );
  });

  test('does not depend on the order of the values, nor on how they are cut into pages', () => {
    const shuffled = fc
      .array(valueArb, { maxLength: 6 })
      .chain((values) => fc.tuple(fc.constant(values), fc.shuffledSubarray(values, { minLength: values.length }), fc.nat({ max: 6 })));
    fc.assert(
      fc.property(shuffled, ([values, others, cut]) => {
        const pages = learnt(learnt(NOTHING, ...others.slice(0, cut)), ...others.slice(cut));
        expect(pages).toEqual(learnt(NOTHING, ...values));
      }),
      { numRuns: 300 },
    );
  });
});

test('a time of day written here into a field taken for a date is an edit, and stays the same value once the field is known better', () => {
  const known = learnt(NOTHING, MIDNIGHT);
  const [base, local] = [holding({ cf_x: MIDNIGHT }), holding({ cf_x: '2021-12-05T10:30:00Z' })];
  expect(diffFields(canonicalFields(base, known), canonicalFields(local, known))).toEqual(['cf_x']);
  const better = learnt(known, MORNING);
  expect(diffFields(canonicalFields(holding({ cf_x: MORNING }), better), canonicalFields(local, better))).toEqual([]);
  expect(canonicalFields(holding({ cf_x: '2021-12-05' }), better)).toEqual(canonicalFields(base, better));
});

/** The base after a write of which nobody knows whether it arrived. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMPTY_FIELDS, fieldNames, withValues, type ContactFields, type FieldName, type Phone } from '../../src/domain/contact.ts';
import { baseAfter, mergeFields, type Arbiter } from '../../src/domain/merge.ts';
import { canonicalArb, frozen } from './arbitraries.ts';

const RUNS = { numRuns: 300 };
const phones = (...numbers: readonly (readonly [string, Phone['type']])[]): ContactFields => ({
  ...EMPTY_FIELDS,
  phones: numbers.map(([number, type]) => ({ number, type })),
});
const THE_CRM_WINS: Arbiter = { policyOf: () => 'crm', editedAt: () => null, remoteAt: new Date(0) };

describe('baseAfter', () => {
  test('is what was sent where it arrived, and the base where it did not', () => {
    fc.assert(
      fc.property(canonicalArb, canonicalArb, (base, sent) => {
        const fields = fieldNames(base, sent);
        expect(baseAfter(frozen(base), frozen(sent), fields, sent)).toEqual(sent);
        expect(baseAfter(base, sent, fields, base)).toEqual(base);
      }),
      RUNS,
    );
  });

  test('touches no field that was not sent', () => {
    fc.assert(
      fc.property(canonicalArb, canonicalArb, canonicalArb, (base, sent, remote) => {
        expect(baseAfter(base, sent, [], remote)).toEqual(base);
      }),
      RUNS,
    );
  });

  test('so that an edit made since then wins over our own write under every policy', () => {
    const base = { ...EMPTY_FIELDS, city: 'Bern' };
    const sent = { ...base, city: 'Basel' };
    const local = { ...base, city: 'Chur' };
    const merged = mergeFields(baseAfter(base, sent, ['city'], sent), local, sent, new Set(), THE_CRM_WINS);
    expect(merged).toEqual({ local, base: sent, conflicts: [] });
  });

  test('but an edit of the CRM is still one', () => {
    const base = { ...EMPTY_FIELDS, city: 'Bern' };
    const remote = { ...base, city: 'Genf' };
    expect(baseAfter(base, { ...base, city: 'Basel' }, ['city'], remote)).toEqual(base);
  });

  test('a custom field that was cleared is gone from it', () => {
    const base = { ...EMPTY_FIELDS, custom_fields: { cf_x: 1 } };
    const sent = withValues(EMPTY_FIELDS, new Map<FieldName, unknown>([['cf_x', null]]));
    expect(baseAfter(base, sent, ['cf_x'], EMPTY_FIELDS)).toEqual(EMPTY_FIELDS);
  });

  test('takes phones number by number: one that came from elsewhere is none of ours', () => {
    const base = phones(['1', 'work'], ['2', 'work'], ['3', 'work']);
    const sent = phones(['1', 'mobile'], ['3', 'other'], ['4', 'work']);
    // 1 arrived retyped, 2 was removed as sent, 3 was retyped otherwise, 4 arrived, 5 is somebody else's.
    const remote = phones(['1', 'mobile'], ['3', 'mobile'], ['4', 'work'], ['5', 'work']);
    expect(baseAfter(base, sent, ['phones'], remote)).toEqual(phones(['1', 'mobile'], ['3', 'work'], ['4', 'work']));
  });
});

/** The canonical form of a contact: two that mean the same are the same, and have the same hash. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalFields,
  canonicalIds,
  canonicalPhones,
  contentHash,
  diffFields,
  EMPTY_FIELDS,
  fieldNames,
  fieldValue,
  isCustomField,
  LINK_KINDS,
  NO_LINKS,
  PHONE_TYPES,
  sameValue,
  SCALAR_FIELDS,
  stableJson,
  TEXT_FIELDS,
  toPhoneType,
  UNKNOWN_LINKS,
  withValues,
  type ContactFields,
} from '../../src/domain/contact.ts';
import { canonicalArb, DEFS, frozen, rawFieldsArb, wildFieldsArb } from './arbitraries.ts';

const canonical = (fields: Partial<ContactFields>): ContactFields => canonicalFields({ ...EMPTY_FIELDS, ...fields }, DEFS);

describe('canonicalFields', () => {
  test('is idempotent', () => {
    fc.assert(
      fc.property(rawFieldsArb, (raw) => {
        const once = canonicalFields(raw, DEFS);
        expect(canonicalFields(once, DEFS)).toStrictEqual(once);
      }),
      { numRuns: 500 },
    );
  });

  test('is idempotent and throws nothing for whatever JSON can hold', () => {
    fc.assert(
      fc.property(wildFieldsArb, (raw) => {
        const once = canonicalFields(raw, DEFS);
        expect(contentHash(canonicalFields(once, DEFS))).toBe(contentHash(once));
      }),
      { numRuns: 500 },
    );
  });

  test('does not depend on the order of phones, keys and options, and changes nothing in place', () => {
    const shuffled = rawFieldsArb.chain((raw) => {
      // Of two phones with one number the last stands, so only lists without such a pair are sets.
      const phones = [...new Map(raw.phones.map((phone) => [phone.number.trim(), phone])).values()];
      const entries = Object.entries(raw.custom_fields);
      return fc
        .record({
          phones: fc.shuffledSubarray(phones, { minLength: phones.length }),
          entries: fc.shuffledSubarray(entries, { minLength: entries.length }),
        })
        .map((other): [ContactFields, ContactFields] => [
          { ...raw, phones },
          {
            ...raw,
            phones: other.phones,
            custom_fields: Object.fromEntries(
              other.entries.map(([name, value]) => [name, Array.isArray(value) ? (value as readonly string[]).toReversed() : value]),
            ),
          },
        ]);
    });
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        const [a, b] = [canonicalFields(frozen(one), DEFS), canonicalFields(frozen(other), DEFS)];
        expect(a).toStrictEqual(b);
        expect(JSON.stringify(a)).toBe(JSON.stringify(b));
      }),
      { numRuns: 500 },
    );
  });

  test('trims text and reads blank text as null', () => {
    for (const field of TEXT_FIELDS) {
      expect(canonical({ [field]: '\t Ada Lovelace \n' })[field]).toBe('Ada Lovelace');
      for (const blank of ['', '  ', '\u00a0', null]) expect(canonical({ [field]: blank })[field]).toBeNull();
    }
  });

  test('keeps ids as they are', () => {
    expect(canonical({ user_id: 7, source_id: 8, country_id: null })).toEqual({ ...EMPTY_FIELDS, user_id: 7, source_id: 8 });
  });

  test('leaves out custom fields that are absent, null, blank or empty: all of them mean cleared', () => {
    for (const none of [null, '', '  ', [], ['', ' ']])
      expect(canonical({ custom_fields: { cf_free: none, cf_options: none } })).toEqual(EMPTY_FIELDS);
    expect(canonical({ custom_fields: { cf_boolean: false, cf_number: 0 } }).custom_fields).toEqual({ cf_boolean: false, cf_number: 0 });
  });

  test('leaves out what is no custom field, and a key that would change a prototype', () => {
    const custom = JSON.parse('{"__proto__": ["a"], "constructor": "a", "note": "a", "cf_free": "a"}') as ContactFields['custom_fields'];
    const kept = canonical({ custom_fields: custom }).custom_fields;
    expect(Object.keys(kept)).toEqual(['cf_free']);
    expect(Object.getPrototypeOf(kept)).toBe(Object.prototype);
  });
});

describe('phones', () => {
  test('are a set keyed by the exact number, sorted; the last of two equal numbers stands and one without number is none', () => {
    expect(
      canonicalPhones([
        { number: ' +2 ', type: 'work' },
        { number: '+1 555', type: 'other' },
        { number: ' ', type: 'work' },
        { number: '+2', type: 'mobile' },
        { number: '+1555', type: 'work' },
      ]),
    ).toEqual([
      { number: '+1 555', type: 'other' },
      { number: '+1555', type: 'work' },
      { number: '+2', type: 'mobile' },
    ]);
  });

  test('of an unknown type are mobile ones', () => {
    const asStored = [{ number: '+1' }, { number: '+2', type: null }, { number: '+3', type: 'fax' }] as unknown as ContactFields['phones'];
    expect(canonicalPhones(asStored).map(({ type }) => type)).toEqual(['mobile', 'mobile', 'mobile']);
    expect([...PHONE_TYPES, 'fax', 'Work', '', null, undefined].map(toPhoneType)).toEqual([
      ...PHONE_TYPES,
      ...Array.from({ length: 5 }, () => 'mobile'),
    ]);
  });
});

test('link ids are sorted as numbers and without repeats, and the given list stays as it is', () => {
  expect(canonicalIds(frozen([10, 9, 2, 10]))).toEqual([2, 9, 10]);
  expect(NO_LINKS).toEqual(Object.fromEntries(LINK_KINDS.map((kind) => [kind, []])));
  expect(UNKNOWN_LINKS).toEqual(Object.fromEntries(LINK_KINDS.map((kind) => [kind, null])));
});

describe('equality', () => {
  test('the hashes of two contacts are equal exactly if the contacts are, and then no field differs', () => {
    // The second contact is the first with a few fields taken from elsewhere, so that both answers are common.
    const pair = fc.tuple(canonicalArb, canonicalArb, fc.subarray([...SCALAR_FIELDS, 'phones', 'custom_fields'] as const));
    let equal = 0;
    fc.assert(
      fc.property(pair, ([a, donor, names]) => {
        const b = { ...a, ...Object.fromEntries(names.slice(0, 2).map((name) => [name, donor[name]])) };
        const same = isDeepStrictEqual(a, b);
        if (same) equal += 1;
        expect(contentHash(a) === contentHash(b)).toBe(same);
        expect(diffFields(a, b).length === 0).toBe(same);
        expect(sameValue(a, b)).toBe(same);
      }),
      { numRuns: 500 },
    );
    expect(equal).toBeGreaterThan(20);
    expect(equal).toBeLessThan(480);
  });

  test('values of different JSON types are different', () => {
    const values = [null, '', '1', 1, true, 'true', [], ['1'], [1], {}, { a: 1 }, { a: '1' }, { b: 1 }];
    for (const [i, a] of values.entries()) for (const [j, b] of values.entries()) expect(sameValue(a, b)).toBe(i === j);
  });

  test('keys are sorted at every depth, and nothing else', () => {
    expect(stableJson({ b: [{ d: 1, c: null }, 2], a: { f: 'x', e: true } })).toBe('{"a":{"e":true,"f":"x"},"b":[{"c":null,"d":1},2]}');
    expect(stableJson([2, 1])).toBe('[2,1]');
    expect(contentHash({ a: 1, b: 2 })).toBe(contentHash({ b: 2, a: 1 }));
  });

  test('a hash is 32 hex digits', () => {
    expect(contentHash(EMPTY_FIELDS)).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('fields by name', () => {
  const ada = canonical({ first_name: 'Ada', phones: [{ number: '+1', type: 'work' }], custom_fields: { cf_text: 'x' } });
  const bob = canonical({ first_name: 'Bob', custom_fields: { cf_free: 'y' } });

  test('are all scalars, the phones, and the custom fields that either contact holds', () => {
    expect(fieldNames()).toEqual([...SCALAR_FIELDS, 'phones']);
    expect(fieldNames(ada, bob, ada)).toEqual([...SCALAR_FIELDS, 'phones', 'cf_free', 'cf_text']);
    expect(fieldNames({ ...EMPTY_FIELDS, custom_fields: { note: 'x' } })).toEqual(fieldNames());
    expect(['cf_', 'cf_a', 'acf_', 'CF_a'].map(isCustomField)).toEqual([true, true, false, false]);
  });

  test('are read, with null where a contact has no such custom field', () => {
    expect(['first_name', 'phones', 'cf_text', 'cf_free'].map((name) => fieldValue(ada, name as 'phones'))).toEqual([
      'Ada',
      [{ number: '+1', type: 'work' }],
      'x',
      null,
    ]);
  });

  test('are replaced in a copy; a custom field set to null stays there as a null', () => {
    const changed = withValues(
      frozen(ada),
      new Map<'first_name' | 'cf_text' | 'cf_free', unknown>([
        ['first_name', null],
        ['cf_text', null],
        ['cf_free', 5],
      ]),
    );
    expect(changed).toEqual({ ...ada, first_name: null, custom_fields: { cf_text: null, cf_free: 5 } });
    expect(diffFields(changed, ada)).toEqual(['first_name', 'cf_free', 'cf_text']);
  });

  test('that differ are named once each, whichever side lacks them', () => {
    expect(diffFields(ada, bob)).toEqual(['first_name', 'phones', 'cf_free', 'cf_text']);
    expect(diffFields(bob, ada)).toEqual(['first_name', 'phones', 'cf_free', 'cf_text']);
    expect(diffFields(ada, ada)).toEqual([]);
  });
});

/** What the merge of fields promises, whatever the contacts are. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  canonicalFields,
  diffFields,
  EMPTY_FIELDS,
  fieldNames,
  fieldValue,
  sameValue,
  withValues,
  type ContactFields,
  type FieldName,
  type Phone,
} from '../../src/domain/contact.ts';
import { mergeFields, type Arbiter } from '../../src/domain/merge.ts';
import { arbiterArb, arbiterOf, canonicalArb, DEFS, frozen, heldArb } from './arbitraries.ts';

const NONE: ReadonlySet<FieldName> = new Set();
const RUNS = { numRuns: 300 };

const baseArb = fc.option(canonicalArb, { nil: null, freq: 4 });
const isEmpty = (value: unknown): boolean => value === null || (Array.isArray(value) && value.length === 0);
const openFields = (merged: ReturnType<typeof mergeFields>): ReadonlySet<FieldName | 'contact'> =>
  new Set(merged.conflicts.filter(({ outcome }) => outcome === 'open').map(({ field }) => field));
/** A copy in which only these fields are taken from another contact. */
const taking = (contact: ContactFields, other: ContactFields, fields: readonly FieldName[]): ContactFields =>
  canonicalFields(withValues(contact, new Map(fields.map((field) => [field, fieldValue(other, field)]))), DEFS);

test('where nothing changed, nothing changes', () => {
  fc.assert(
    fc.property(canonicalArb, arbiterArb, (contact, arbiter) => {
      expect(mergeFields(contact, contact, contact, NONE, arbiter)).toEqual({ local: contact, base: contact, conflicts: [] });
    }),
    RUNS,
  );
});

test('where only one side changed, that side is taken as it is, clearings included', () => {
  fc.assert(
    fc.property(canonicalArb, canonicalArb, arbiterArb, (base, changed, arbiter) => {
      expect(mergeFields(base, changed, base, NONE, arbiter)).toEqual({ local: changed, base, conflicts: [] });
      expect(mergeFields(base, base, changed, NONE, arbiter)).toEqual({ local: changed, base: changed, conflicts: [] });
    }),
    RUNS,
  );
});

test('where both sides say the same, they agree without a conflict, with or without a base', () => {
  fc.assert(
    fc.property(baseArb, canonicalArb, arbiterArb, (base, both, arbiter) => {
      expect(mergeFields(base, both, both, NONE, arbiter)).toEqual({ local: both, base: both, conflicts: [] });
    }),
    RUNS,
  );
});

test('edits of different fields both survive, under every policy', () => {
  const split = fc.tuple(canonicalArb, canonicalArb, canonicalArb).chain(([base, here, there]) => {
    const names = fieldNames(base, here, there);
    return fc.tuple(fc.constant([base, here, there] as const), fc.subarray([...names]));
  });
  fc.assert(
    fc.property(split, arbiterArb, ([[base, here, there], ours], arbiter) => {
      const theirs = fieldNames(base, here, there).filter((name) => !ours.includes(name));
      const [local, remote] = [taking(base, here, ours), taking(base, there, theirs)];
      const merged = mergeFields(frozen(base), frozen(local), frozen(remote), NONE, arbiter);
      expect(merged).toEqual({ local: taking(local, there, theirs), base: remote, conflicts: [] });
    }),
    RUNS,
  );
});

test('each field is merged as if the contact had no other', () => {
  fc.assert(
    fc.property(baseArb, canonicalArb, canonicalArb, heldArb, arbiterArb, (base, local, remote, held, arbiter) => {
      const merged = mergeFields(base, local, remote, held, arbiter);
      for (const field of fieldNames(...(base === null ? [] : [base]), local, remote)) {
        const only = (contact: ContactFields): ContactFields => taking(EMPTY_FIELDS, contact, [field]);
        const alone = mergeFields(base === null ? null : only(base), only(local), only(remote), held, arbiter);
        expect(fieldValue(merged.local, field)).toEqual(fieldValue(alone.local, field));
        expect(fieldValue(merged.base, field)).toEqual(fieldValue(alone.base, field));
        expect(merged.conflicts.filter((conflict) => conflict.field === field)).toEqual(
          alone.conflicts.filter((conflict) => conflict.field === field),
        );
      }
    }),
    { numRuns: 100 },
  );
});

test('is the same for both sides: swapped, with the policy turned round, the row becomes the same', () => {
  fc.assert(
    fc.property(baseArb, canonicalArb, canonicalArb, (base, one, other) => {
      const [here, there] = [
        mergeFields(base, one, other, NONE, arbiterOf('crm')),
        mergeFields(base, other, one, NONE, arbiterOf('mirror')),
      ];
      expect(here.local).toEqual(there.local);
      expect(here.conflicts.map(({ field }) => field)).toEqual(there.conflicts.map(({ field }) => field));
    }),
    RUNS,
  );
});

test('of canonical contacts makes canonical contacts', () => {
  fc.assert(
    fc.property(baseArb, canonicalArb, canonicalArb, heldArb, arbiterArb, (base, local, remote, held, arbiter) => {
      const merged = mergeFields(base, local, remote, held, arbiter);
      expect(merged.local).toStrictEqual(canonicalFields(merged.local, DEFS));
      expect(merged.base).toStrictEqual(canonicalFields(merged.base, DEFS));
    }),
    RUNS,
  );
});

test('a second merge with the same record changes nothing and finds no new conflict', () => {
  fc.assert(
    fc.property(baseArb, canonicalArb, canonicalArb, heldArb, arbiterArb, (base, local, remote, held, arbiter) => {
      const first = mergeFields(base, local, remote, held, arbiter);
      const heldNow = new Set([...held, ...openFields(first)] as readonly FieldName[]);
      const second = mergeFields(first.base, first.local, remote, heldNow, arbiter);
      expect({ local: second.local, base: second.base }).toEqual({ local: first.local, base: first.base });
      expect(second.conflicts.every(({ field, outcome }) => outcome === 'open' && heldNow.has(field as FieldName))).toBe(true);
    }),
    RUNS,
  );
});

test('keeps base and local of a held field, and lets the rest of the contact flow', () => {
  fc.assert(
    fc.property(canonicalArb, canonicalArb, canonicalArb, heldArb, (base, local, remote, held) => {
      const names = fieldNames(base, local, remote);
      const merged = mergeFields(base, local, remote, held, arbiterOf('crm'));
      const free = mergeFields(base, local, remote, NONE, arbiterOf('crm'));
      const kept = names.filter((name) => held.has(name));
      expect(merged.local).toEqual(taking(free.local, local, kept));
      expect(merged.base).toEqual(taking(remote, base, kept));
    }),
    RUNS,
  );
});

describe('a conflict', () => {
  test('keeps all three values, so that whatever loses can be had back', () => {
    fc.assert(
      fc.property(canonicalArb, canonicalArb, canonicalArb, heldArb, arbiterArb, (base, local, remote, held, arbiter) => {
        for (const { field, ...values } of mergeFields(base, local, remote, held, arbiter).conflicts) {
          const name = field as FieldName;
          expect(values).toMatchObject({ base: fieldValue(base, name), local: fieldValue(local, name), remote: fieldValue(remote, name) });
        }
      }),
      RUNS,
    );
  });

  test('is there for every edit that the row or the CRM would lose', () => {
    fc.assert(
      fc.property(canonicalArb, canonicalArb, canonicalArb, arbiterArb, (base, local, remote, arbiter) => {
        const merged = mergeFields(base, local, remote, NONE, arbiter);
        const told = new Set(merged.conflicts.map(({ field }) => field));
        for (const field of fieldNames(base, local, remote)) {
          if (field === 'phones' || told.has(field)) continue;
          const [before, ours, theirs, now] = [base, local, remote, merged.local].map((contact) => fieldValue(contact, field));
          const edited = [ours, theirs].filter((value) => !sameValue(value, before));
          expect(edited.every((value) => sameValue(value, now))).toBe(true);
        }
      }),
      RUNS,
    );
  });

  test('follows the policy of its own field', () => {
    const arbiter: Arbiter = {
      ...arbiterOf('newest'),
      policyOf: (field) => (field === 'email' ? 'mirror' : field === 'cf_text' ? 'manual' : 'crm'),
    };
    const of = (value: string): ContactFields => ({ ...EMPTY_FIELDS, first_name: value, email: value, custom_fields: { cf_text: value } });
    const merged = mergeFields(of('base'), of('local'), of('remote'), NONE, arbiter);
    expect(merged.local).toEqual({ ...of('local'), first_name: 'remote' });
    expect(merged.base).toEqual({ ...of('remote'), custom_fields: { cf_text: 'base' } });
    expect(merged.conflicts.map(({ field, outcome, policy }) => [field, outcome, policy])).toEqual([
      ['first_name', 'crm', 'crm'],
      ['email', 'mirror', 'mirror'],
      ['cf_text', 'open', 'manual'],
    ]);
  });
});

describe('without a base', () => {
  test('nothing is ever emptied: a filled side beats an empty one, and phones are united', () => {
    fc.assert(
      fc.property(canonicalArb, canonicalArb, arbiterArb, (local, remote, arbiter) => {
        const merged = mergeFields(null, local, remote, NONE, arbiter);
        const open = openFields(merged);
        for (const field of fieldNames(local, remote)) {
          const [ours, theirs, now] = [local, remote, merged.local].map((contact) => fieldValue(contact, field));
          expect(isEmpty(now)).toBe(isEmpty(ours) && (isEmpty(theirs) || open.has(field)));
          // Phones apart, what is taken is one of the two as it is.
          expect([ours, theirs, ...(field === 'phones' ? [now] : [])]).toContainEqual(now);
        }
        if (open.has('phones')) return;
        const numbers = (phones: readonly Phone[]): readonly string[] => phones.map(({ number }) => number);
        expect(new Set(numbers(merged.local.phones))).toEqual(new Set([...numbers(local.phones), ...numbers(remote.phones)]));
      }),
      RUNS,
    );
  });

  test('what is then to be pushed empties nothing in the CRM', () => {
    fc.assert(
      fc.property(canonicalArb, canonicalArb, arbiterArb, (local, remote, arbiter) => {
        const merged = mergeFields(null, local, remote, NONE, arbiter);
        const open = openFields(merged);
        for (const field of diffFields(merged.local, merged.base).filter((name) => !open.has(name))) {
          expect(isEmpty(fieldValue(merged.local, field))).toBe(false);
        }
      }),
      RUNS,
    );
  });
});

describe('phones', () => {
  const phones = (...list: readonly Phone[]): ContactFields => ({ ...EMPTY_FIELDS, phones: list });
  const phone = (number: string, type: Phone['type'] = 'mobile'): Phone => ({ number, type });

  test('added and removed on both sides are all taken', () => {
    const base = phones(phone('+1'), phone('+2'), phone('+3'));
    const local = phones(phone('+2'), phone('+3'), phone('+4'));
    const remote = phones(phone('+1'), phone('+2', 'work'), phone('+5'));
    expect(mergeFields(base, local, remote, NONE, arbiterOf('manual'))).toEqual({
      local: phones(phone('+2', 'work'), phone('+4'), phone('+5')),
      base: remote,
      conflicts: [],
    });
  });

  test('of which one is in conflict keep every other change, whoever wins', () => {
    const base = phones(phone('+1'), phone('+2'), phone('+3'), phone('+4'));
    const local = phones(phone('+1', 'work'), phone('+2', 'work'), phone('+3'));
    const remote = phones(phone('+1', 'other'), phone('+2'), phone('+3', 'other'), phone('+4'));
    const won = (type: Phone['type']): ContactFields => phones(phone('+1', type), phone('+2', 'work'), phone('+3', 'other'));
    expect(mergeFields(base, local, remote, NONE, arbiterOf('crm')).local).toEqual(won('other'));
    expect(mergeFields(base, local, remote, NONE, arbiterOf('mirror')).local).toEqual(won('work'));
  });
});

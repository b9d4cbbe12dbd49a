/** Every combination of small values, against an oracle that is written from the rules and shares nothing with the code. */
import { describe, expect, test } from 'vitest';
import {
  EMPTY_FIELDS,
  withValues,
  type ContactFields,
  type FieldName,
  type KnownLinks,
  type LinkKind,
  type Phone,
  type PhoneType,
} from '../../src/domain/contact.ts';
import { mergeFields, mergeLinks, type ConflictOutcome, type FieldConflict, type Policy } from '../../src/domain/merge.ts';
import { after, arbiterOf, frozen, NOON } from './arbitraries.ts';

/** The four policies; `newest` once with each side as the newer one. */
const VERDICTS = [
  { policy: 'crm', localIsNewer: true, outcome: 'crm' },
  { policy: 'mirror', localIsNewer: false, outcome: 'mirror' },
  { policy: 'manual', localIsNewer: true, outcome: 'open' },
  { policy: 'newest', localIsNewer: true, outcome: 'mirror' },
  { policy: 'newest', localIsNewer: false, outcome: 'crm' },
] as const satisfies readonly { policy: Policy; localIsNewer: boolean; outcome: ConflictOutcome }[];
type Verdict = (typeof VERDICTS)[number];

const verdictOf = ({ policy, localIsNewer, outcome }: Verdict): Pick<FieldConflict, 'outcome' | 'policy' | 'compared'> => ({
  outcome,
  policy,
  compared: policy === 'newest' ? { localAt: after(localIsNewer ? 60_000 : -60_000).toISOString(), remoteAt: NOON.toISOString() } : null,
});
const BY_HOLD = { outcome: 'open', policy: 'manual', compared: null } as const;

/** No base at all is told apart from a base that is empty. */
const NO_BASE = Symbol('no base');

/** Something in every other field, the same on all sides: it has to come through untouched. */
const BYSTANDERS: ContactFields = { ...EMPTY_FIELDS, job_title: 'Engineer', custom_fields: { cf_other: [1, 2] } };
const contact = (field: FieldName, value: unknown): ContactFields => {
  if (value !== null || !field.startsWith('cf_')) return frozen(withValues(BYSTANDERS, new Map([[field, value]])));
  return frozen(BYSTANDERS);
};
const baseOf = (field: FieldName, value: unknown): ContactFields | null => (value === NO_BASE ? null : contact(field, value));

const combinations = function* <T>(...lists: readonly (readonly T[])[]): Generator<readonly T[]> {
  const [first, ...rest] = lists;
  if (first === undefined) yield [];
  else for (const head of first) for (const tail of combinations(...rest)) yield [head, ...tail];
};

describe.each([
  { field: 'first_name', values: [null, 'a', 'b', 'c'] },
  { field: 'user_id', values: [null, 1, 2, 3] },
  { field: 'cf_field', values: [null, 'a', false, [1, 2]] },
] as const)('$field', ({ field, values }) => {
  describe.each(VERDICTS)('under $policy, local newer: $localIsNewer', (verdict) => {
    test('is merged by the rule in every combination of base, local and remote', () => {
      let conflicts = 0;
      for (const [base, local, remote] of combinations<unknown>([NO_BASE, ...values], values, values)) {
        const before = base === NO_BASE ? null : base;
        const isConflict = local !== before && remote !== before && local !== remote;
        if (isConflict) conflicts += 1;
        const winner = { crm: remote, mirror: local, open: local }[verdict.outcome];
        const merged = mergeFields(
          baseOf(field, base),
          contact(field, local),
          contact(field, remote),
          new Set(),
          arbiterOf(verdict.policy, verdict.localIsNewer),
        );
        expect({ base, local, remote, merged }).toEqual({
          base,
          local,
          remote,
          merged: {
            local: contact(field, isConflict ? winner : local === before ? remote : local),
            // With no base, the other fields are still taken from the record.
            base: contact(field, isConflict && verdict.outcome === 'open' ? before : remote),
            conflicts: isConflict ? [{ field, base: before, local, remote, ...verdictOf(verdict) }] : [],
          },
        });
      }
      // 4 values for base: 3 for local, 2 for remote; without base it is null once more.
      expect(conflicts).toBe(5 * 3 * 2);
    });

    test('keeps base and local while it is held, whatever the CRM says, and tells what both hold by now', () => {
      for (const [base, local, remote] of combinations<unknown>([NO_BASE, ...values], values, values)) {
        const before = base === NO_BASE ? null : base;
        const merged = mergeFields(
          baseOf(field, base),
          contact(field, local),
          contact(field, remote),
          new Set([field]),
          arbiterOf(verdict.policy, verdict.localIsNewer),
        );
        expect(merged).toEqual({
          local: contact(field, local),
          base: contact(field, before),
          conflicts: [{ field, base: before, local, remote, ...BY_HOLD }],
        });
      }
    });
  });
});

describe.each(VERDICTS)('one phone number under $policy, local newer: $localIsNewer', (verdict) => {
  const TYPES = [null, 'mobile', 'work', 'other'] as const;
  type Type = (typeof TYPES)[number];
  const CHANGED_HERE = '+9';
  const phones = (type: Type, nine: PhoneType): readonly Phone[] => [
    ...(type === null ? [] : [{ number: '+1', type }]),
    { number: CHANGED_HERE, type: nine },
  ];

  test('is merged by the rule in every combination, and an edit of another number is never taken back with it', () => {
    let conflicts = 0;
    for (const [base, local, remote] of combinations<Type>(TYPES, TYPES, TYPES) as Generator<[Type, Type, Type]>) {
      const isConflict = local !== base && remote !== base && local !== remote && local !== null && remote !== null;
      if (isConflict) conflicts += 1;
      // An edit outlives a removal, so where one side is null and both have changed it, the other's type stays.
      const agreed = local === base ? remote : remote === base ? local : (local ?? remote);
      const winner = { crm: remote, mirror: local, open: local }[verdict.outcome];
      const isOpen = isConflict && verdict.outcome === 'open';
      const [before, ours, theirs] = [phones(base, 'mobile'), phones(local, 'work'), phones(remote, 'mobile')];
      const merged = mergeFields(
        contact('phones', before),
        contact('phones', ours),
        contact('phones', theirs),
        new Set(),
        arbiterOf(verdict.policy, verdict.localIsNewer),
      );
      expect({ base, local, remote, merged }).toEqual({
        base,
        local,
        remote,
        merged: {
          local: contact('phones', phones(isConflict ? winner : agreed, 'work')),
          base: contact('phones', isOpen ? before : theirs),
          conflicts: isConflict ? [{ field: 'phones', base: before, local: ours, remote: theirs, ...verdictOf(verdict) }] : [],
        },
      });
    }
    // Both sides hold a type, neither is the base's, and they differ: 3 × 2 without one in base, 2 × 1 for each of three.
    expect(conflicts).toBe(6 + 3 * 2);
  });

  test('without base is united, and in conflict only where both sides hold it with different types', () => {
    for (const [local, remote] of combinations<Type>(TYPES, TYPES) as Generator<[Type, Type]>) {
      const isConflict = local !== null && remote !== null && local !== remote;
      const winner = { crm: remote, mirror: local, open: local }[verdict.outcome];
      const isOpen = isConflict && verdict.outcome === 'open';
      const [ours, theirs] = [phones(local, 'work'), phones(remote, 'work')];
      const merged = mergeFields(
        null,
        contact('phones', ours),
        contact('phones', theirs),
        new Set(),
        arbiterOf(verdict.policy, verdict.localIsNewer),
      );
      expect(merged).toEqual({
        local: contact('phones', phones(isConflict ? winner : (local ?? remote), 'work')),
        // The base of a held field is an empty list where there was none: null is no list of phones.
        base: contact('phones', isOpen ? [] : theirs),
        conflicts: isConflict ? [{ field: 'phones', base: [], local: ours, remote: theirs, ...verdictOf(verdict) }] : [],
      });
    }
  });
});

describe('one link', () => {
  type Reading = boolean | null;
  const KIND: LinkKind = 'deals';
  const known = (reading: Reading): KnownLinks => ({
    companies: [1],
    deals: reading === null ? null : reading ? [5] : [],
    activities: [2],
  });
  const ids = (present: boolean): readonly number[] => (present ? [5] : []);

  test('is merged by the rule in every combination of what base, row, record and log say', () => {
    for (const [base, local, remote, detached] of combinations<Reading>(
      [null, true, false],
      [true, false],
      [null, true, false],
      [true, false],
    )) {
      const none = { companies: [], deals: [], activities: [] };
      const edits = { attached: none, detached: { ...none, [KIND]: ids(detached === true) } };
      const row = { companies: [1], deals: ids(local === true), activities: [2] };
      const merged = mergeLinks(frozen(known(base ?? null)), frozen(row), frozen(known(remote ?? null)), frozen(edits));
      const linked =
        remote === null
          ? local
          : base === null
            ? // The first reading: united, unless it was removed here before anybody knew of it.
              local || (remote && !detached)
            : local === base
              ? remote
              : local;
      expect({ base, local, remote, detached, merged }).toEqual({
        base,
        local,
        remote,
        detached,
        merged: { local: { ...row, deals: ids(linked === true) }, base: remote === null ? known(base ?? null) : known(remote ?? null) },
      });
    }
  });
});

/** Merge, push what differs, read again: both sides are equal, and then quiet. The CRM here is the state it holds and nothing else. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  canonicalFields,
  canonicalIds,
  diffFields,
  fieldValue,
  LINK_KINDS,
  NO_LINKS,
  withValues,
  type ContactFields,
  type FieldName,
  type KnownLinks,
  type LinkSets,
} from '../../src/domain/contact.ts';
import { diffLinks, eachKind, isEmptyLinks, mergeFields, mergeLinks, without, type LinkEdits } from '../../src/domain/merge.ts';
import { arbiterArb, arbiterOf, canonicalArb, DEFS, linkSetsArb } from './arbitraries.ts';

const NO_EDITS: LinkEdits = { attached: NO_LINKS, detached: NO_LINKS };

/** A PUT: the fields sent, and no other. */
const put = (crm: ContactFields, local: ContactFields, fields: readonly FieldName[]): ContactFields =>
  canonicalFields(withValues(crm, new Map(fields.map((field) => [field, fieldValue(local, field)]))), DEFS);

test('fields: after one push both sides are equal but for what waits for a person, and the next reading changes nothing', () => {
  const base = fc.option(canonicalArb, { nil: null, freq: 4 });
  fc.assert(
    fc.property(base, canonicalArb, canonicalArb, arbiterArb, (base, local, remote, arbiter) => {
      const merged = mergeFields(base, local, remote, new Set(), arbiter);
      const held = new Set(merged.conflicts.filter(({ outcome }) => outcome === 'open').map(({ field }) => field as FieldName));
      const toPush = diffFields(merged.local, merged.base).filter((field) => !held.has(field));
      const crm = put(remote, merged.local, toPush);
      expect(diffFields(merged.local, crm)).toEqual(diffFields(merged.local, remote).filter((field) => held.has(field)));

      // The answer to the push is a record like any other; base is then what was sent.
      const quiet = mergeFields(put(merged.base, merged.local, toPush), merged.local, crm, held, arbiter);
      expect(quiet.local).toEqual(merged.local);
      expect(diffFields(quiet.local, quiet.base).filter((field) => !held.has(field))).toEqual([]);
      expect(quiet.conflicts.filter(({ field }) => !held.has(field as FieldName))).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test('fields: a person who decides an open conflict for either side ends it', () => {
  fc.assert(
    fc.property(canonicalArb, canonicalArb, canonicalArb, fc.boolean(), (base, local, remote, forCrm) => {
      const manual = arbiterOf('manual');
      const merged = mergeFields(base, local, remote, new Set(), manual);
      const open = merged.conflicts.map(({ field }) => field as FieldName);
      // The decision: the loser's value is taken for base, so that the other side is the only one that changed.
      const decided = put(merged.base, forCrm ? merged.local : remote, open);
      const after = mergeFields(decided, merged.local, remote, new Set(), manual);
      expect(after.conflicts).toEqual([]);
      for (const field of open.filter((name) => name !== 'phones')) {
        expect(fieldValue(after.local, field)).toEqual(fieldValue(forCrm ? remote : merged.local, field));
      }
      expect(diffFields(put(remote, after.local, diffFields(after.local, after.base)), after.local)).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

/** Attach and detach calls: the links named, and no other. */
const call = (crm: LinkSets, attach: LinkSets, detach: LinkSets): LinkSets =>
  eachKind((kind) => without(canonicalIds([...crm[kind], ...attach[kind]]), detach[kind]));

/** What a person does to the row's links, and what is logged of it. */
const edit = (row: LinkSets, toggled: LinkSets): { readonly row: LinkSets; readonly edits: LinkEdits } => ({
  row: eachKind((kind) => canonicalIds([...without(row[kind], toggled[kind]), ...without(toggled[kind], row[kind])])),
  edits: {
    attached: eachKind((kind) => without(toggled[kind], row[kind])),
    detached: eachKind((kind) => toggled[kind].filter((id) => row[kind].includes(id))),
  },
});

test('links: after one push both sides are equal, and the next reading changes nothing', () => {
  fc.assert(
    fc.property(linkSetsArb, linkSetsArb, linkSetsArb, (base, toggled, crm) => {
      const { row, edits } = edit(base, toggled);
      const merged = mergeLinks(base, row, crm, edits);
      const { attach, detach } = diffLinks(merged.base, merged.local, edits);
      const pushed = call(crm, attach, detach);
      expect(pushed).toEqual(merged.local);
      expect(mergeLinks(pushed, merged.local, pushed, NO_EDITS)).toEqual({ local: merged.local, base: pushed });
    }),
    { numRuns: 300 },
  );
});

test('links that are not known: edits are pushed, and the first reading makes both sides equal without losing a link', () => {
  fc.assert(
    fc.property(linkSetsArb, linkSetsArb, linkSetsArb, fc.boolean(), (before, toggled, crm, readsFirst) => {
      const unknown: KnownLinks = { companies: null, deals: null, activities: null };
      const { row, edits } = edit(before, toggled);
      const reading = readsFirst ? crm : unknown;
      const merged = mergeLinks(unknown, row, reading, edits);
      const { attach, detach } = diffLinks(merged.base, merged.local, edits);
      const pushed = call(crm, attach, detach);
      // Read again, once the edits are settled.
      const settled = mergeLinks(merged.base, merged.local, pushed, NO_EDITS);
      const rest = diffLinks(settled.base, settled.local, NO_EDITS);
      const end = call(pushed, rest.attach, rest.detach);
      expect(end).toEqual(settled.local);
      for (const kind of LINK_KINDS) {
        expect(end[kind]).toEqual(canonicalIds([...row[kind], ...without(crm[kind], edits.detached[kind])]));
      }
      expect(isEmptyLinks(rest.detach)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

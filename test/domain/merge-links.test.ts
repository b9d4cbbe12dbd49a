/** Links: sets of which every side changes elements, never the whole. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalIds, LINK_KINDS, NO_LINKS, UNKNOWN_LINKS, type KnownLinks, type LinkSets } from '../../src/domain/contact.ts';
import { diffLinks, eachKind, isEmptyLinks, linkDeltas, linksAfter, mergeLinks, without, type LinkEdits } from '../../src/domain/merge.ts';
import { frozen, knownLinksArb, linkEditsArb, linkSetsArb } from './arbitraries.ts';

const NO_EDITS: LinkEdits = { attached: NO_LINKS, detached: NO_LINKS };
const RUNS = { numRuns: 300 };
const union = (...sets: readonly (readonly number[])[]): readonly number[] => canonicalIds(sets.flat());
const deals = (ids: readonly number[]): LinkSets => ({ ...NO_LINKS, deals: ids });
const knownDeals = (ids: readonly number[] | null): KnownLinks => ({ ...UNKNOWN_LINKS, deals: ids });

describe('mergeLinks', () => {
  test('takes what each side added and removed since base', () => {
    const merged = mergeLinks(knownDeals([1, 2, 3]), deals([2, 3, 4]), knownDeals([1, 2, 5]), NO_EDITS);
    expect(merged).toEqual({ local: deals([2, 4, 5]), base: knownDeals([1, 2, 5]) });
  });

  test('decides each link by itself: what a side changed since base is what becomes of it', () => {
    fc.assert(
      fc.property(linkSetsArb, linkSetsArb, linkSetsArb, linkEditsArb, (base, local, remote, edits) => {
        const merged = mergeLinks(frozen(base), frozen(local), frozen(remote), edits);
        for (const kind of LINK_KINDS) {
          const linked = [1, 2, 3, 4].filter((id) => {
            const [before, here, there] = [base, local, remote].map((links) => links[kind].includes(id));
            return here === before ? there : here;
          });
          expect(merged.local[kind]).toEqual(linked);
        }
        expect(merged.base).toEqual(remote);
      }),
      RUNS,
    );
  });

  test('leaves a kind that the record does not tell as it is: not known is compared with nothing', () => {
    fc.assert(
      fc.property(knownLinksArb, linkSetsArb, linkEditsArb, (base, local, edits) => {
        expect(mergeLinks(base, local, UNKNOWN_LINKS, edits)).toEqual({ local, base });
      }),
      RUNS,
    );
  });

  test('unites at the first reading, less what was removed here before it was known', () => {
    fc.assert(
      fc.property(linkSetsArb, linkSetsArb, linkEditsArb, (local, remote, edits) => {
        const merged = mergeLinks(UNKNOWN_LINKS, local, remote, edits);
        for (const kind of LINK_KINDS) {
          expect(merged.local[kind]).toEqual(union(local[kind], without(remote[kind], edits.detached[kind])));
        }
        expect(merged.base).toEqual(remote);
      }),
      RUNS,
    );
  });

  test('never removes a link from the row for want of a base', () => {
    fc.assert(
      fc.property(linkSetsArb, knownLinksArb, linkEditsArb, (local, remote, edits) => {
        const merged = mergeLinks(UNKNOWN_LINKS, local, remote, edits);
        expect(isEmptyLinks(linkDeltas(local, merged.local).remove)).toBe(true);
      }),
      RUNS,
    );
  });

  test('twice with the same record is the same as once', () => {
    fc.assert(
      fc.property(knownLinksArb, linkSetsArb, knownLinksArb, linkEditsArb, (base, local, remote, edits) => {
        const once = mergeLinks(base, local, remote, edits);
        expect(mergeLinks(once.base, once.local, remote, edits)).toEqual(once);
      }),
      RUNS,
    );
  });

  test('brings ids to their canonical order', () => {
    expect(mergeLinks(UNKNOWN_LINKS, deals([10]), knownDeals([9, 2, 9]), NO_EDITS)).toEqual({
      local: deals([2, 9, 10]),
      base: knownDeals([2, 9]),
    });
  });
});

describe('linksAfter', () => {
  const sent = { attach: deals([3, 4]), detach: deals([1, 2]) };

  test('agrees on what was sent and has arrived, and on nothing else', () => {
    // 3 arrived and 4 did not; 1 is gone as sent and 2 is still there; 9 is somebody else's.
    expect(linksAfter(knownDeals([1, 2, 5]), sent, knownDeals([2, 3, 5, 9]))).toEqual(knownDeals([2, 3, 5]));
  });

  test('so that an edit made since stands against our own write whose answer was lost', () => {
    const attached = { attach: deals([5]), detach: NO_LINKS };
    const base = linksAfter(knownDeals([]), attached, knownDeals([5]));
    expect(mergeLinks(base, deals([]), knownDeals([5]), NO_EDITS)).toEqual({ local: deals([]), base: knownDeals([5]) });
    // Attached by somebody there, and here only for a moment in between: theirs stays.
    expect(mergeLinks(knownDeals([]), deals([]), knownDeals([5]), { attached: NO_LINKS, detached: deals([5]) }).local).toEqual(deals([5]));
  });

  test('leaves a kind alone that one of both does not know', () => {
    expect(linksAfter(UNKNOWN_LINKS, sent, knownDeals([3]))).toEqual(UNKNOWN_LINKS);
    expect(linksAfter(knownDeals([1]), sent, UNKNOWN_LINKS)).toEqual(knownDeals([1]));
  });
});

describe('diffLinks', () => {
  test('of a known kind is the difference between row and base, whatever the log says', () => {
    const edits = { attached: deals([7]), detached: deals([2]) };
    expect(diffLinks(knownDeals([1, 2]), deals([2, 3]), edits)).toEqual({ attach: deals([3]), detach: deals([1]) });
  });

  test('of a kind that is not known is what was logged', () => {
    const edits = { attached: deals([3]), detached: deals([1]) };
    expect(diffLinks(UNKNOWN_LINKS, deals([2, 3]), edits)).toEqual({ attach: deals([3]), detach: deals([1]) });
  });

  test('pushes no logged edit that the row no longer bears out', () => {
    const edits = { attached: deals([3, 4]), detached: deals([1, 2]) };
    expect(diffLinks(UNKNOWN_LINKS, deals([2, 3]), edits)).toEqual({ attach: deals([3]), detach: deals([1]) });
  });

  test('attaches and detaches no link at once', () => {
    fc.assert(
      fc.property(knownLinksArb, linkSetsArb, linkSetsArb, linkSetsArb, (base, local, attached, detached) => {
        const { attach, detach } = diffLinks(base, local, { attached, detached });
        for (const kind of LINK_KINDS) expect(attach[kind].filter((id) => detach[kind].includes(id))).toEqual([]);
      }),
      RUNS,
    );
  });
});

describe('linkDeltas', () => {
  test('turn one state into the other by elements', () => {
    fc.assert(
      fc.property(linkSetsArb, linkSetsArb, (from, to) => {
        const { add, remove } = linkDeltas(from, to);
        expect(eachKind((kind) => union(without(from[kind], remove[kind]), add[kind]))).toEqual(to);
        // Only what changes is named: never "delete all but".
        for (const kind of LINK_KINDS) {
          expect(add[kind].some((id) => from[kind].includes(id))).toBe(false);
          expect(remove[kind].every((id) => from[kind].includes(id) && !to[kind].includes(id))).toBe(true);
        }
      }),
      RUNS,
    );
  });

  test('of equal states are empty', () => {
    const { add, remove } = linkDeltas(deals([1, 2]), deals([1, 2]));
    expect([add, remove].every(isEmptyLinks)).toBe(true);
  });
});

test('links are empty only if every kind is', () => {
  expect(isEmptyLinks(NO_LINKS)).toBe(true);
  for (const kind of LINK_KINDS) expect(isEmptyLinks({ ...NO_LINKS, [kind]: [1] })).toBe(false);
});

test('the ids that another set lacks keep their order', () => {
  expect(without([3, 1, 2], [1])).toEqual([3, 2]);
  expect(without([], [1])).toEqual([]);
});

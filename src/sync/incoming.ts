/**
 * The brake before the mirror: what the CRM's records would empty or unlink here. (What they would remove is judged in removal.ts.)
 *
 * Over what the hour has left, a record is not applied: its row stays as it is, its base stays old, so that nothing but people's own edits
 * is pushed for it, and the plan names what the record would take. Later records leave it alone, until one takes nothing any more: then it
 * leaves the plan by itself. An approved one is read again by its id and applied.
 *
 * Records come a page at a time: what the hour has left goes through, and the rest of a burst is held.
 */
import {
  brakeAllowance,
  damageOps,
  describeLimits,
  destroysNothing,
  emptiedFields,
  NO_DESTRUCTION,
  type BrakeLimits,
  type Destruction,
} from '../domain/brake.ts';
import { canonicalIds, fieldValue, LINK_KINDS, withValues, type KnownLinks } from '../domain/contact.ts';
import { eachKind } from '../domain/merge.ts';
import type { Base, ContactWrite, Incoming, MirrorTx, Part, Situation } from '../ports/mirror.ts';
import type { CanonicalRecord } from './reconcile.ts';

/** A record that has been merged, and is not written yet. */
export interface Merged {
  readonly situation: Situation & { readonly row: NonNullable<Situation['row']> };
  readonly write: ContactWrite;
  readonly canonical: Pick<CanonicalRecord, 'links'>;
}

interface Asked extends Incoming {
  readonly holdId: number | null;
  readonly isApproved: boolean;
}

const NOTHING_APPROVED: ReadonlySet<number> = new Set();

/** What a write would destroy of its row. */
export const destructionOfWrite = ({ situation: { row }, write }: Pick<Merged, 'situation' | 'write'>): Destruction => ({
  ...NO_DESTRUCTION,
  fields: write.fields === null ? [] : emptiedFields(row.fields, write.fields),
  links: write.removeLinks,
});

/**
 * Which contacts (by id) may not be written. Those are in the plan now; of the others the damage is counted, and those that were held are free.
 * @param approved CRM ids whose change a person approved
 * @param silent parts that none of these records tells
 */
export const holdsBack = async (
  tx: MirrorTx,
  merged: readonly Merged[],
  limits: BrakeLimits,
  { approved = NOTHING_APPROVED, silent = [] }: { readonly approved?: ReadonlySet<number>; readonly silent?: readonly Part[] } = {},
): Promise<ReadonlySet<number>> => {
  const harmful = merged.flatMap((each): readonly Asked[] => {
    const { contactId, crmId, holdId } = each.situation;
    const destruction = destructionOfWrite(each);
    if (destroysNothing(destruction)) return [];
    return [{ contactId, destruction, silent: silentParts(each.canonical.links, silent), holdId, isApproved: approved.has(crmId ?? 0) }];
  });
  const held = await whatWaits(
    tx,
    harmful.filter(({ isApproved }) => !isApproved),
    limits,
  );
  if (held.length > 0) {
    await tx.holdIncoming(`More contacts were emptied or unlinked in the CRM than may be in an hour: ${describeLimits(limits)}`, held);
  }
  const heldIds = new Set(held.map(({ contactId }) => contactId));
  const free = merged.filter(({ situation }) => situation.holdId !== null && !heldIds.has(situation.contactId));
  await tx.release(
    'pull',
    free.map(({ situation }) => situation.contactId),
    new Map(free.map(({ situation, canonical }) => [situation.contactId, silentParts(canonical.links, silent)])),
  );
  const damaged = harmful.filter(({ contactId }) => !heldIds.has(contactId));
  await tx.countDamage(
    'pull',
    damaged.flatMap(({ contactId, destruction }) => damageOps(destruction).map((op) => ({ contactId, op }))),
  );
  return heldIds;
};

const silentParts = (links: KnownLinks, more: readonly Part[]): readonly Part[] => [
  ...more,
  ...LINK_KINDS.filter((kind) => links[kind] === null),
];

/** What is held already stays so, whatever the hour has left: a person decides about it. The others are judged as one. */
const whatWaits = async (tx: MirrorTx, asked: readonly Asked[], limits: BrakeLimits): Promise<readonly Asked[]> => {
  if (asked.length === 0) return [];
  const fresh = asked.filter(({ holdId }) => holdId === null);
  if (fresh.length === 0) return asked;
  const { lastHour, waiting, mirrorRows } = await tx.brakeLoad('pull');
  return waiting + fresh.length > brakeAllowance(lastHour, mirrorRows, limits) ? asked : asked.filter(({ holdId }) => holdId !== null);
};

/** The record without what it would destroy: an answer to our own write is merged in any case, and the rest of it waits. */
export const withoutHarm = (canonical: CanonicalRecord, base: Base | null, { fields, links }: Destruction): CanonicalRecord => ({
  ...canonical,
  fields: withValues(canonical.fields, new Map(fields.map((name) => [name, base === null ? null : fieldValue(base.fields, name)]))),
  links: eachKind((kind) => (canonical.links[kind] === null ? null : canonicalIds([...canonical.links[kind], ...links[kind]]))),
});

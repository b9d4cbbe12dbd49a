/**
 * Records that have a contact here: merged into its row under the brake; where the row is gone, left without one or brought back.
 *
 * Whoever calls has decided that they are one, holds the locks and has read the situations after taking them: nothing is locked, looked up
 * or paired here. A newcomer's row is made here as well, since one that comes back is made in the same way.
 */
import { LINK_KINDS, NO_LINKS } from '../domain/contact.ts';
import { eachKind } from '../domain/merge.ts';
import type { ConflictRecord, MirrorTx, NewContact, Situation } from '../ports/mirror.ts';
import type { PageContext } from './context.ts';
import { holdsBack } from './incoming.ts';
import { linkMarks, type Page } from './page-marks.ts';
import { isEditedThere, isEmptyWrite, reconcile, type CanonicalRecord, type Reconciled } from './reconcile.ts';
import { hasVanished } from './vanished.ts';

/** Conflicts that the CRM would have won, had the brake not held its record. */
const asOverruled = ({
  situation,
  conflicts,
}: { readonly situation: Situation } & Pick<Reconciled, 'conflicts'>): readonly ConflictRecord[] =>
  conflicts
    .filter(({ outcome }) => outcome === 'crm')
    .map((conflict) => ({ ...conflict, outcome: 'mirror', contactId: situation.contactId }));

export const mergeRecords = async (
  tx: MirrorTx,
  contacts: readonly { canonical: CanonicalRecord; situation: Situation }[],
  page: Page,
  context: PageContext,
): Promise<number> => {
  const merged = contacts.flatMap(({ canonical, situation: { row, ...rest } }) =>
    row === null ? [] : [{ canonical, situation: { ...rest, row }, ...reconcile({ ...rest, row }, canonical, context) }],
  );
  // What would destroy too much is left as it is, and waits for a person.
  const held = await holdsBack(tx, merged, context.brake, { approved: page.approved ?? new Set() });
  // What was edited here meanwhile stands until then, and is pushed: the CRM's value is kept where people look for it.
  const overruled = merged.filter(({ situation }) => held.has(situation.contactId));
  await tx.recordConflicts(overruled.flatMap(asOverruled));
  const living = merged.filter(({ situation }) => !held.has(situation.contactId));
  const writes = living.map(({ write }) => write).filter((write) => !isEmptyWrite(write));
  if (writes.length > 0) await tx.save(writes);
  await tx.recordConflicts(living.flatMap(({ situation, conflicts }) => conflicts.map((c) => ({ ...c, contactId: situation.contactId }))));
  // A merge can leave something to push that nobody edited just now: a union of phones, say. Where it has changed nothing, whatever is left to
  // push has its log row already, and may be parked for good.
  const changes = ({ write }: (typeof living)[number]): boolean => !isEmptyWrite({ ...write, crmTimes: null, extra: null });
  const waits = ({ situation }: (typeof living)[number]): boolean => situation.open.states.has('held');
  await tx.queue(
    living.filter((each) => each.dirty && changes(each) && !waits(each)).map(({ situation }) => situation.contactId),
    'update',
  );
  // Nothing is left to push of what the brake held: the CRM has come to the same by itself.
  await tx.release(
    'push',
    living.filter((each) => !each.dirty && waits(each)).map(({ situation }) => situation.contactId),
  );
  await tx.markVisibility(
    living.filter(({ situation }) => situation.goneAt !== null || situation.hiddenAt !== null).map(({ situation }) => situation.contactId),
    'visible',
  );
  // Activities that nobody can read stay unknown for good.
  const readable = LINK_KINDS.filter((kind) => kind !== 'activities' || context.readsActivities);
  const moved = living.filter(
    ({ write, situation }) => write.crmTimes !== null || readable.some((kind) => situation.base?.links[kind] == null),
  );
  await tx.mark(moved.flatMap(({ canonical }) => linkMarks(canonical, page, context)));
  let written = writes.length;
  for (const { canonical, situation } of contacts) {
    if (situation.row !== null) continue;
    const revived = await revive(tx, canonical, situation, page, context);
    // A held deletion has nothing left to delete.
    if (revived > 0 && situation.open.states.has('held')) await tx.release('push', [situation.contactId]);
    written += revived;
  }
  return written;
};

/**
 * A record of a contact whose row is gone. A deletion that still has to be pushed stands, unless the contact was edited in the CRM since:
 * then it is a conflict, and where the edit wins, or the contact was restored there, the row comes back under its old id.
 */
const revive = async (
  tx: MirrorTx,
  canonical: CanonicalRecord,
  situation: Situation,
  page: Page,
  context: PageContext,
): Promise<number> => {
  // Gone, and nobody is known to have deleted it: the audit holds it for a person. What he rejects comes back by its mark.
  const isHeldForPerson = hasVanished(situation) && situation.goneAt === null && situation.hiddenAt === null;
  if (isHeldForPerson && !page.answers.includes('deferred')) return 0;
  if (situation.open.deletedAt !== null && situation.deletedAt === null) {
    if (!isEditedThere(canonical, situation, context.customFields)) return 0;
    // The CRM's edit is the only one there is: `newest` lets it live, and only the policy `mirror` follows the deletion.
    const policy = context.policyOf('contact');
    const outcome = policy === 'mirror' ? 'mirror' : 'crm';
    const { base } = situation;
    await tx.recordConflicts([
      {
        contactId: situation.contactId,
        field: 'contact',
        base: base?.fields ?? null,
        local: null,
        remote: canonical.fields,
        outcome,
        policy,
        compared: null,
      },
    ]);
    if (outcome === 'mirror') {
      // Agreed to be overruled: the next page has nothing new to tell.
      const known = {
        fields: canonical.fields,
        hash: canonical.hash,
        links: eachKind((kind) => canonical.links[kind] ?? base?.links[kind] ?? null),
      };
      await tx.save([{ ...NOTHING, contactId: situation.contactId, base: known }]);
      return 0;
    }
  }
  await insertRecords(tx, [{ canonical, contactId: situation.contactId }], page, context);
  return 1;
};

const NOTHING = { fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, base: null, extra: null, crmTimes: null } as const;

export const insertRecords = async (
  tx: MirrorTx,
  contacts: readonly { canonical: CanonicalRecord; contactId?: number }[],
  page: Page,
  context: PageContext,
): Promise<void> => {
  if (contacts.length === 0) return;
  await tx.insert(contacts.map(toNewContact));
  await tx.mark(contacts.flatMap(({ canonical }) => linkMarks(canonical, page, context)));
};

const toNewContact = ({ canonical, contactId }: { canonical: CanonicalRecord; contactId?: number }): NewContact => {
  const { record, fields, links, hash, extraHash } = canonical;
  const cleared = Object.entries(record.fields.custom_fields).filter(([name]) => !(name in fields.custom_fields));
  return {
    record,
    fields: { ...fields, custom_fields: { ...fields.custom_fields, ...Object.fromEntries(cleared.map(([name]) => [name, null])) } },
    base: { fields, links },
    baseHash: hash,
    extraHash,
    ...(contactId === undefined ? {} : { contactId }),
  };
};

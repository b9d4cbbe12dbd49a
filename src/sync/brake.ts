/**
 * The brake before the CRM: asked before every call that destroys something there, single edits and bulk alike.
 *
 * - What waits counts as well: where it is more than the hour has left, the whole burst is held, in one plan, and not only what is over.
 * - What a person approved goes past it, and nothing else of the same contact: an edit that came later is asked for like any other.
 * - A contact with something held waits as a whole. Once nothing destructive is left of it (the value is back, the link attached again), it
 *   leaves the plan by itself.
 *
 * Two workers that ask in the same moment may both be let through: the hour is overrun by one contact a worker at most.
 */
import { brakeAllowance, describeLimits, destroysNothing, emptiedFields, NO_DESTRUCTION, type Destruction } from '../domain/brake.ts';
import { canonicalFields, NO_LINKS, type CustomFieldDefs } from '../domain/contact.ts';
import { eachKind, without } from '../domain/merge.ts';
import type { Approvals } from '../ports/mirror.ts';
import { underLocks, type Job } from './attempt.ts';
import type { SyncDeps } from './deps.ts';
import { nextCall, type Living, type NextCall } from './plan.ts';
import { handBack } from './settle.ts';

export const DELETES: Destruction = { ...NO_DESTRUCTION, deletes: true };

/** What a call would destroy in the CRM, as far as the base tells what is there. */
export const destructionOf = (
  next: NextCall | null,
  { situation: { row, ...situation }, context }: Pick<Job, 'situation'> & { readonly context: Pick<Job['context'], 'customFields'> },
): Destruction => (next === null || row === null ? NO_DESTRUCTION : destructionOfCall(next, { ...situation, row }, context.customFields));

const destructionOfCall = (next: NextCall, situation: Living, customFields: CustomFieldDefs): Destruction => {
  if (next.call === 'update') {
    const before = situation.base === null ? null : canonicalFields(situation.base.fields, customFields);
    const emptied = before === null ? [] : emptiedFields(before, canonicalFields(situation.row.fields, customFields));
    return { ...NO_DESTRUCTION, fields: emptied.filter((name) => next.fields.includes(name)) };
  }
  if (next.call === 'detach') return { ...NO_DESTRUCTION, links: { ...NO_LINKS, ...next.ids } };
  if (next.call !== 'sync') return NO_DESTRUCTION;
  // It replaces the set: what the base knows and the call does not name goes.
  const replaced = (kind: keyof typeof NO_LINKS): readonly number[] =>
    next.ids[kind] === undefined ? [] : without(situation.base?.links[kind] ?? [], next.ids[kind]);
  return { ...NO_DESTRUCTION, links: eachKind(replaced) };
};

/** What of it nobody has approved. */
export const withoutApproved = (destruction: Destruction, approvals: Approvals): Destruction =>
  approvals.all
    ? NO_DESTRUCTION
    : {
        deletes: destruction.deletes && !approvals.deletes,
        fields: destruction.fields.filter((name) => !approvals.fields.includes(name)),
        links: eachKind((kind) => without(destruction.links[kind], approvals.links[kind])),
      };

/** Whether an attempt may not go on: what it would destroy, or something held of the same contact, waits for a person. */
export const keepsBack = async (deps: SyncDeps, job: Job, destruction: Destruction): Promise<boolean> =>
  (job.situation.open.states.has('held') && (await waitsWithHeld(deps, job))) || (await brakeStops(deps, job, destruction));

/**
 * Whether the brake keeps a call back. If so, everything destructive that waits is held with it, and the attempt is over: nothing may be
 * sent. Also true where the claim is no longer ours.
 */
const brakeStops = async (deps: SyncDeps, job: Job, destruction: Destruction): Promise<boolean> => {
  if (destroysNothing(withoutApproved(destruction, job.situation.open.approvals))) return false;
  const { brake } = deps.settings;
  const goesOn = await underLocks(deps, job, async (tx) => {
    const { lastHour, waiting, mirrorRows } = await tx.brakeLoad('push');
    // What the log does not show (a merge's work, say) is one at least.
    if (Math.max(1, waiting) <= brakeAllowance(lastHour, mirrorRows, brake)) return true;
    const reason = `More contacts were deleted, emptied or unlinked in the mirror than may be in an hour: ${describeLimits(brake)}`;
    await tx.holdWaiting(reason, job.situation.contactId);
    return false;
  });
  return goesOn !== true;
};

/**
 * An edit of a contact that has something held already. It leaves the plan if that is harmless by now; otherwise the edit waits with it, since
 * no call could carry the one without the other. True: the attempt is over.
 */
const waitsWithHeld = async (deps: SyncDeps, job: Job): Promise<boolean> => {
  const { contactId } = job.situation;
  const end = await underLocks(deps, job, async (tx): Promise<'waits' | 'goes on' | 'decided'> => {
    // All that are harmless at once: whoever puts 10,000 values back does so in one statement.
    await tx.releaseHarmless();
    const situation = (await tx.read([contactId])).get(contactId);
    // Decided or released since the claim: what the claim has read is of before that.
    if (situation === undefined || !situation.open.states.has('held')) return 'decided';
    const { row, ...rest } = situation;
    const progress = { hasRead: true, mustRead: false, spent: new Set<never>() };
    const isLeft = row === null ? rest.crmId !== null : nextCall({ ...rest, row }, progress, job.context.customFields) !== null;
    if (isLeft) await tx.hold('push', 'An edit of a contact that was held already', [contactId]);
    else await tx.release('push', [contactId]);
    return isLeft ? 'waits' : 'goes on';
  });
  if (end === 'decided') await handBack(deps, job);
  return end !== 'goes on';
};

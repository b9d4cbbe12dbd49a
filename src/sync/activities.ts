/**
 * A contact's activities: no list and no record carries them, so where the CRM can read them at all it is one call a contact, merged under
 * the same locks and the same age rule as a page.
 */
import { canonicalIds, contentHash, sameValue, UNKNOWN_LINKS, type SeenName } from '../domain/contact.ts';
import { ERROR_CODES, type CrmFailure, type ErrorCode } from '../domain/errors.ts';
import { diffLinks, eachKind, isEmptyLinks, linkDeltas, mergeLinks, without } from '../domain/merge.ts';
import type { Lane } from '../ports/crm.ts';
import type { ContactWrite, MirrorTx, Situation } from '../ports/mirror.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { isEmptyWrite } from './reconcile.ts';

export interface Activities {
  readonly ids: readonly number[];
  readonly names: readonly SeenName[];
}

const PAGES_MAX = 1000;
const ENDLESS: CrmFailure = {
  class: 'retry',
  code: 'bad_answer',
  status: null,
  message: `${ERROR_CODES.bad_answer} (a list of activities that does not end)`,
  fields: {},
  retryAfterMs: null,
  proven: false,
};

/** All pages of one contact's activities. */
export const allActivities = async (deps: SyncDeps, crmId: number, lane: Lane): Promise<Activities | { readonly failure: CrmFailure }> => {
  const ids = new Set<number>();
  const names: SeenName[] = [];
  for (let page = 1; ; page += 1) {
    const answer = await deps.crm.listActivities(crmId, page, callOptions(deps, lane));
    if (!answer.ok) return { failure: answer.failure };
    const before = ids.size;
    for (const id of answer.value.ids) ids.add(id);
    names.push(...answer.value.names);
    if (page >= answer.value.lastPage || answer.value.ids.length === 0) return { ids: canonicalIds([...ids]), names };
    // More is promised, and the same comes again, or ever more: nobody can say what is attached.
    if (ids.size === before || page >= PAGES_MAX) return { failure: ENDLESS };
  }
};

/** Reads and stores the activities of these contacts, and takes their marks away where that went through. */
export const readActivities = async (
  deps: SyncDeps,
  crmIds: readonly number[],
  lane: Lane,
): Promise<{ readonly written: number; readonly failures: readonly { readonly crmId: number; readonly failure: CrmFailure }[] }> => {
  if (crmIds.length === 0) return { written: 0, failures: [] };
  const requestedAt = await deps.mirror.now();
  const peeks = await deps.mirror.transaction((tx) => tx.peek(crmIds));
  const read = async (crmId: number): Promise<Activities | { readonly failure: CrmFailure }> => {
    const answer = await allActivities(deps, crmId, lane);
    const takesAllAway = 'ids' in answer && answer.ids.length === 0 && (peeks.get(crmId)?.links.activities ?? []).length > 0;
    // Absence is a weak word: that nothing is left of what was known has to be said twice.
    return takesAllAway ? await allActivities(deps, crmId, lane) : answer;
  };
  const answers = await Promise.all(crmIds.map(async (crmId) => ({ crmId, answer: await read(crmId) })));
  const found = new Map<number, Activities>();
  const settled: number[] = [];
  const failures: { readonly crmId: number; readonly failure: CrmFailure }[] = [];
  for (const { crmId, answer } of answers) {
    if (!('failure' in answer)) found.set(crmId, answer);
    // There, but gone or hidden: the contact itself tells the rest, with the next pull or sweep.
    else if (answer.failure.proven && SAYS_ALL.has(answer.failure.code)) settled.push(crmId);
    else failures.push({ crmId, failure: answer.failure });
  }
  const written = await deps.mirror.transaction(async (tx) => {
    const stored = await store(tx, found, requestedAt);
    await tx.unmark([...settled, ...found.keys()], ['activities'], requestedAt);
    return stored;
  });
  return { written, failures };
};

const SAYS_ALL: ReadonlySet<ErrorCode> = new Set(['not_found', 'forbidden']);

const store = async (tx: MirrorTx, found: ReadonlyMap<number, Activities>, requestedAt: Date): Promise<number> => {
  const peeks = [...(await tx.peek([...found.keys()])).values()].filter(({ hasRow }) => hasRow);
  const ids = peeks.map(({ contactId }) => contactId);
  const [rows, states] = [await tx.lockContacts(ids, 'skip'), await tx.lockStates(ids, 'skip')];
  const situations = await tx.read(ids);
  const writes: ContactWrite[] = [];
  const deferred: number[] = [];
  const dirty: number[] = [];
  for (const peek of peeks) {
    const situation = situations.get(peek.contactId);
    const locked = rows.has(peek.contactId) && states.has(peek.contactId) && situation?.attempt === null;
    const stale = situation?.settledAt != null && situation.settledAt >= requestedAt;
    const write = locked && !stale ? writeOf(situation, found.get(peek.crmId)?.ids ?? []) : null;
    if (write === null) deferred.push(peek.crmId);
    else if (!isEmptyWrite(write)) writes.push(write);
    if (write?.base != null && situation !== undefined && leavesLinks(situation, write)) dirty.push(peek.contactId);
  }
  await tx.saveNames([...found.values()].flatMap(({ names }) => names));
  if (writes.length > 0) await tx.save(writes);
  // Counted for the brake, and not held by it: a person who approves could not have them read again by the contact's record.
  const unlinked = writes.filter(({ removeLinks }) => removeLinks.activities.length > 0);
  await tx.countDamage(
    'pull',
    unlinked.map(({ contactId }) => ({ contactId, op: 'detach' })),
  );
  // The first reading is a union: what only the row has is now known to be missing there, though nobody edited it just now.
  await tx.queue(dirty, 'update');
  // Marked anew, so that the answer we just had does not take the mark away.
  await tx.putOff(deferred.map((crmId) => ({ crmId, reason: 'activities' as const })));
  return writes.length;
};

/** Null where there is nothing to merge into yet. */
const writeOf = ({ contactId, row, base, open }: Situation, ids: readonly number[]): ContactWrite | null => {
  if (row === null || base === null) return null;
  const merged = mergeLinks(base.links, row.links, { companies: null, deals: null, activities: ids }, open);
  const deltas = linkDeltas(row.links, merged.local);
  return {
    contactId,
    fields: null,
    addLinks: deltas.add,
    removeLinks: deltas.remove,
    base: sameValue(base.links.activities, ids) ? null : { fields: base.fields, hash: contentHash(base.fields), links: merged.base },
    extra: null,
    crmTimes: null,
  };
};

const leavesLinks = ({ row, open }: Situation, { addLinks, removeLinks, base }: ContactWrite): boolean => {
  const local = eachKind((kind) => canonicalIds([...without(row?.links[kind] ?? [], removeLinks[kind]), ...addLinks[kind]]));
  const { attach, detach } = diffLinks(base?.links ?? UNKNOWN_LINKS, local, open);
  return !isEmptyLinks(attach) || !isEmptyLinks(detach);
};

/**
 * The push: what was edited here, into the CRM.
 *
 * - A contact is claimed (its state locked, its log rows to `sending` under one number, its row read in a later statement) and the claim is
 *   committed before any call: from then on no page touches the contact.
 * - What is sent is the difference between the row and the base, never the log's rows: 500 edits are one PUT, A→B→A is none.
 * - An answer is a record like any other: the fields that were sent are agreed, all others go through the merge.
 * - A call whose outcome is unknown is never repeated unread: the contact is read, merged, and only what is still different is sent.
 * - Settling touches only log rows with this attempt's number: what was committed later stays pending and gets its own turn.
 */
import { LINK_OPS, ROW_OPS, type ChangeOp } from '../domain/change.ts';
import type { RemoteContact } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { CrmResult } from '../ports/crm.ts';
import { MirrorBusy } from '../ports/mirror-errors.ts';
import { absorb } from './answer.ts';
import { announce, writeOptions, type Job } from './attempt.ts';
import { holdJob } from './audit.ts';
import { destructionOf, keepsBack } from './brake.ts';
import { claimDue, pushable } from './claim.ts';
import { clockOffsetMs } from './context.ts';
import { createInCrm } from './create.ts';
import { pushDelete } from './delete.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { allActivities } from './activities.ts';
import { onGone, type AfterFailure } from './gone.ts';
import { endsTheRound, readMarks } from './marks.ts';
import { endWithRow } from './ordered.ts';
import { afterCall, nextCall, workOf, type NextCall, type Progress } from './plan.ts';
import { LOOK_OVERLAP_MS, pullChanges } from './pull.ts';
import { endingTheLoop, finish, handBack, settleFailure, settleUnknown } from './settle.ts';
import { explainTaken } from './taken.ts';

export interface PushReport {
  /** Contacts whose attempt was settled. */
  readonly contacts: number;
  /** Nothing will work until a person acts, or the CRM asked for a pause: the loop ended early. */
  readonly stoppedBy: CrmFailure | null;
}

/** So many chunks of marks are read before edits go: the rest is the pull's, and whoever is claimed with a mark is read first anyway. */
const MARK_CHUNKS = 1;

/** What the pushes of one term remember between rounds. */
export interface PushMemory {
  /** When the base was last made fresh: on the monotonic clock, and on the CRM's. */
  pulledAtMs: number | null;
  through: Date | null;
  /** The last look saw nothing that can be believed. */
  blind: boolean;
  /** Attempts that the database would not let us settle: unknown, as after a crash, as soon as it lets us say so. */
  readonly orphans: Set<Job>;
}
export const createPushMemory = (): PushMemory => ({ pulledAtMs: null, through: null, blind: false, orphans: new Set() });

/** Pushes until nothing is due. */
export const pushDue = async (deps: SyncDeps, memory: PushMemory): Promise<PushReport> => {
  for (const orphan of memory.orphans) {
    try {
      await settleUnknown(deps, orphan);
      memory.orphans.delete(orphan);
    } catch (error) {
      // Its state is what somebody keeps locked: the others need not wait for that.
      if (!(error instanceof MirrorBusy)) throw error;
    }
  }
  const marks = await readMarks(deps, ['twin', 'deferred', 'approved'], 'edit', undefined, MARK_CHUNKS);
  if (marks.stoppedBy !== null && endsTheRound(marks.stoppedBy)) return { contacts: 0, stoppedBy: marks.stoppedBy };
  const round: Round = { queue: [], contacts: 0, stoppedBy: null, broken: null, claiming: null };
  await Promise.all(Array.from({ length: deps.settings.pushConcurrency }, () => work(deps, memory, round)));
  if (round.broken !== null) {
    // Where the database fails, giving claims back would fail as well.
    for (const job of round.queue) memory.orphans.add(job);
    throw round.broken;
  }
  // A row that somebody keeps locked must not take the claims behind it along.
  for (const job of round.queue) await handBack(deps, job).catch(() => memory.orphans.add(job));
  // A claim of an earlier leader may commit after the first look for such: frozen in the middle of it, say. Nobody else would take it up.
  if (round.contacts === 0) await deps.mirror.recoverAttempts(deps.settings.createGraceMs);
  return { contacts: round.contacts, stoppedBy: round.stoppedBy };
};

interface Round {
  readonly queue: Job[];
  contacts: number;
  stoppedBy: CrmFailure | null;
  /** What the database, or a mistake of ours, threw: the other workers finish what they have, and the round ends with it. */
  broken: Error | null;
  claiming: Promise<void> | null;
}

/** One of the workers: takes a claimed contact, claims more where there is none, until nothing is due. */
const work = async (deps: SyncDeps, memory: PushMemory, round: Round): Promise<void> => {
  const refill = async (): Promise<void> => {
    round.stoppedBy ??= await makeBaseFresh(deps, memory);
    if (round.stoppedBy === null) round.queue.push(...(await claimDue(deps, memory)));
  };
  while (round.stoppedBy === null && round.broken === null && !deps.signal.aborted) {
    const job = round.queue.shift();
    try {
      if (job !== undefined) {
        round.stoppedBy ??= await pushContact(deps, job);
        round.contacts += 1;
        continue;
      }
      round.claiming ??= refill().finally(() => (round.claiming = null));
      await round.claiming;
      if (round.queue.length === 0) return;
    } catch (error) {
      if (job !== undefined) memory.orphans.add(job);
      // A row that somebody keeps locked is this contact's trouble only; it is read again when its turn comes.
      if (!(error instanceof MirrorBusy) || job === undefined) round.broken ??= error instanceof Error ? error : new Error('unknown error');
    }
  }
};

/**
 * One changes pull for the batch if the last is older than a few seconds and an edit could lose: under the policy `mirror` it cannot. It
 * comes before the claim, since no page may touch a claimed contact.
 */
const makeBaseFresh = async (deps: SyncDeps, memory: PushMemory): Promise<CrmFailure | null> => {
  const { conflictPolicy, freshMs } = deps.settings;
  const now = deps.clock.monotonicMs();
  if (memory.pulledAtMs !== null && now - memory.pulledAtMs < freshMs) return null;
  const kinds = await pushable(deps);
  if (kinds === null || (await deps.mirror.nextDueMs(kinds)) !== 0) return null;
  const policies = await deps.mirror.fieldPolicies();
  if (conflictPolicy === 'mirror' && [...policies.values()].every((policy) => policy === 'mirror')) return null;
  const pulled = await pullChanges(deps, { overlapMs: LOOK_OVERLAP_MS, beforePush: true, since: memory.through });
  if (pulled.stoppedBy === null) Object.assign(memory, { pulledAtMs: now, through: pulled.through ?? memory.through });
  // A list without a filter is the whole account: empty or cut short, it is no look, and each contact is read before it is written.
  memory.blind = pulled.through === null && !deps.capabilities.get().filters;
  return pulled.stoppedBy;
};

/** Answers what should end the loop: a failure that would meet every other contact as well. */
const pushContact = async (deps: SyncDeps, job: Job): Promise<CrmFailure | null> => {
  const { situation } = job;
  const work = workOf(situation);
  if (work === 'ask') return await holdJob(deps, job);
  if (work === 'delete') return await pushDelete(deps, job);
  if (work === 'park') return await finish(deps, job, { parked: 'deleted_in_crm' });
  // Decided for the mirror: it is asked for, whatever is left to send, and its 404 leads to where it is brought back.
  if (situation.crmId !== null)
    return await pushUpdate(deps, situation.goneAt === null ? job : { ...job, readFirst: true }, situation.crmId);
  const created = await createInCrm(deps, job);
  return 'crmId' in created ? await pushUpdate(deps, created.job, created.crmId) : created.stoppedBy;
};

/** Field and link calls, one after the other, until the row and the CRM are equal or nothing more may be done. */
const pushUpdate = async (deps: SyncDeps, first: Job, crmId: number): Promise<CrmFailure | null> => {
  let job = first;
  let progress: Progress = { hasRead: false, mustRead: job.readFirst, spent: new Set() };
  let rereads = 0;
  for (;;) {
    const { row, ...rest } = job.situation;
    const next = row === null ? null : nextCall({ ...rest, row }, progress, job.context.customFields);
    const destroyed = destructionOf(next, job);
    if (next?.call !== 'read' && (await keepsBack(deps, job, destroyed))) return null;
    if (next === null) return await finish(deps, job, {});
    const noted = await announce(deps, job, next);
    if (noted === null) return null;
    job = noted;
    const requestedAt = await deps.mirror.now();
    const answer = await send(deps, job, crmId, next);
    if (answer.ok) {
      progress = afterCall(progress, next);
      const offset = clockOffsetMs(requestedAt, answer.meta);
      const absorbed = await absorb(deps, job, { next, progress, record: answer.value, offset, destroyed });
      if (absorbed === 'settled') return null;
      job = absorbed;
      continue;
    }
    const after = await onFailure(deps, job, crmId, next, answer.failure, rereads);
    if ('ended' in after) return after.ended;
    job = after.job;
    // Told that our picture is old: read, merge, and send only what is still different.
    if (after.readAgain) progress = { ...progress, mustRead: true, hasRead: false };
    if (after.readAgain) rereads += 1;
    // There already, it is not attached again; of a contact that was restored, the link still has to be.
    const isThere = next.call === 'attach' && (answer.failure.code !== 'not_found' || rereads >= REREADS_MAX);
    if (next.call !== 'read' && (!after.readAgain || isThere)) progress = afterCall(progress, next);
  }
};

const send = async (deps: SyncDeps, job: Job, crmId: number, next: NextCall): Promise<CrmResult<RemoteContact>> => {
  const options = writeOptions(deps, job);
  switch (next.call) {
    case 'read':
      return await readContact(deps, job, crmId);
    case 'update': {
      const needsName = deps.capabilities.get().firstNameRequired && next.body.first_name === undefined;
      const name = job.situation.base?.fields.first_name;
      return await deps.crm.update(crmId, needsName && name != null ? { first_name: name, ...next.body } : next.body, options);
    }
    case 'attach':
      return await deps.crm.attach(crmId, next.ids, options);
    case 'detach':
      return await deps.crm.detach(crmId, next.ids, options);
    case 'sync':
      return await deps.crm.sync(crmId, next.ids, options);
  }
};

/** The contact, with its activities where the CRM can read them and an edit of them is under way. */
const readContact = async (deps: SyncDeps, job: Job, crmId: number): Promise<CrmResult<RemoteContact>> => {
  const contact = await deps.crm.retrieve(crmId, callOptions(deps, 'edit'));
  const { base, row } = job.situation;
  const edited = base?.links.activities != null && row !== null && base.links.activities.join() !== row.links.activities.join();
  if (!contact.ok || !edited || !deps.capabilities.get().activities) return contact;
  const activities = await allActivities(deps, crmId, 'edit');
  if ('failure' in activities) return { ok: false, failure: activities.failure, meta: contact.meta };
  return { ...contact, value: { ...contact.value, links: { ...contact.value.links, activities: activities.ids } } };
};

/** An attempt that is told more often that its picture is old waits for its next turn. */
const REREADS_MAX = 2;

const onFailure = async (
  deps: SyncDeps,
  job: Job,
  crmId: number,
  next: NextCall,
  failure: CrmFailure,
  rereads: number,
): Promise<AfterFailure> => {
  if (next.call === 'update' && learnsFirstName(deps, next, failure)) {
    await deps.capabilities.learn({ firstNameRequired: true });
    return { job, readAgain: true };
  }
  if (failure.code === 'not_found' && failure.proven)
    return (await endWithRow(deps, job)) ?? (await onGone(deps, job, crmId, { again: rereads >= REREADS_MAX }));
  if (failure.class === 'refetch' && next.call !== 'read' && rereads < REREADS_MAX) {
    // 409 on an attach: the link is there already. Reading tells whether it is so.
    const made = next.call === 'attach' ? new Set<ChangeOp>([...job.made, 'attach']) : job.made;
    return { job: { ...job, made }, readAgain: true };
  }
  if (failure.class === 'park' && next.call !== 'read') {
    const { code, message } = next.call === 'update' ? await explainTaken(deps, job, failure) : failure;
    const ops: readonly ChangeOp[] = next.call === 'update' ? ROW_OPS : next.call === 'sync' ? LINK_OPS : [next.call];
    return { job: { ...job, refused: [...job.refused, { ops, code, message }] }, readAgain: false };
  }
  await settleFailure(deps, job, failure, undefined, destructionOf(next, job));
  return { ended: endingTheLoop(failure) };
};

/** The seed calls first_name required on update, the CRM seen does not: where it is, it is learned from the refusal, once. */
const learnsFirstName = (deps: SyncDeps, next: NextCall & { readonly call: 'update' }, failure: CrmFailure): boolean =>
  failure.class === 'park' &&
  'first_name' in failure.fields &&
  next.body.first_name === undefined &&
  !deps.capabilities.get().firstNameRequired;

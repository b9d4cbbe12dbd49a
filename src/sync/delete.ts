/** A deleted row, into the CRM: under the brake, and never over somebody's edit there. */
import { contentHash, NO_LINKS } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import { underLocks, writeOptions, type Job } from './attempt.ts';
import { DELETES, keepsBack } from './brake.ts';
import { createInCrm } from './create.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { baseArrived, isEditedThere, toCanonical, type CanonicalRecord } from './reconcile.ts';
import { endingTheLoop, finish, handBack, settleFailure } from './settle.ts';

/** A deleted row. The brake first: many deletes are more likely a mistake than a wish. */
export const pushDelete = async (deps: SyncDeps, claimed: Job): Promise<CrmFailure | null> => {
  let job = claimed;
  let { crmId } = job.situation;
  if (crmId === null && job.situation.intent !== null) {
    // Deleted while its create was unknown: if the CRM has it, it is adopted first and deleted then.
    const asked = await createInCrm(deps, job);
    if (!('crmId' in asked)) return asked.stoppedBy;
    ({ crmId, job } = asked);
  }
  if (crmId === null) return await finish(deps, job, {});
  if (!job.doubtful && (await keepsBack(deps, job, DELETES))) return null;
  if (job.readFirst) {
    const read = await deps.crm.retrieve(crmId, callOptions(deps, 'edit'));
    if (!read.ok && read.failure.code === 'not_found' && read.failure.proven) return await finish(deps, job, { called: true });
    if (!read.ok) return await deleteFailed(deps, job, read.failure);
    // No page may have told it: none touches a contact that is under way or in doubt.
    const { customFields } = job.context;
    const there = toCanonical(read.value, customFields);
    if (isEditedThere(there, job.situation, customFields)) return await letPageDecide(deps, job, crmId, there);
    // A hold ends the attempt, so whatever was in doubt had to be told first.
    if (job.doubtful && (await keepsBack(deps, { ...job, doubtful: false }, DELETES))) return null;
  }
  const answer = await deps.crm.delete(crmId, writeOptions(deps, job));
  if (answer.ok || (answer.failure.code === 'not_found' && answer.failure.proven)) return await finish(deps, job, { called: true });
  return await deleteFailed(deps, job, answer.failure);
};

/** A delete against an edit is decided in one place: where records come in. It is read again by its mark before its next turn. */
const letPageDecide = async (deps: SyncDeps, job: Job, crmId: number, there: CanonicalRecord): Promise<null> => {
  // What has arrived of our own last write is agreed from now on: the page must not take it for somebody's edit.
  await underLocks(deps, job, async (tx, situation) => {
    const { contactId } = situation;
    const base = baseArrived(situation, there, job.context.customFields);
    if (base === null) return;
    const agreed = { ...base, hash: contentHash(base.fields) };
    await tx.save([{ contactId, fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, base: agreed, extra: null, crmTimes: null }]);
  });
  await handBack(deps, { ...job, doubtful: false }, { markFor: crmId, delayMs: deps.settings.backoff.minMs });
  return null;
};

const deleteFailed = async (deps: SyncDeps, job: Job, failure: CrmFailure): Promise<CrmFailure | null> => {
  await settleFailure(deps, job, failure);
  return endingTheLoop(failure);
};

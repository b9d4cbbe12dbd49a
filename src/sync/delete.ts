/** A deleted row, into the CRM: under the brake, and never over somebody's edit there. */
import { brakeAllowance } from '../domain/brake.ts';
import type { CrmFailure } from '../domain/errors.ts';
import { endingTheLoop, finish, handBack, settleFailure, type Job } from './attempt.ts';
import { createInCrm } from './create.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { isEditedThere, toCanonical } from './reconcile.ts';

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
  if (!job.situation.open.approved && (await holdsDelete(deps, job))) return null;
  if (job.readFirst) {
    const read = await deps.crm.retrieve(crmId, callOptions(deps, 'edit'));
    if (!read.ok && read.failure.code === 'not_found' && read.failure.proven) return await finish(deps, job, { called: true });
    if (!read.ok) return await deleteFailed(deps, job, read.failure);
    // No page may have told it: none touches a contact that is under way or in doubt.
    const { customFields } = job.context;
    if (isEditedThere(toCanonical(read.value, customFields), job.situation, customFields)) return await letPageDecide(deps, job, crmId);
  }
  const answer = await deps.crm.delete(crmId, callOptions(deps, 'edit'));
  if (answer.ok || (answer.failure.code === 'not_found' && answer.failure.proven)) return await finish(deps, job, { called: true });
  return await deleteFailed(deps, job, answer.failure);
};

/** A delete against an edit is decided in one place: where records come in. It is read again by its mark before its next turn. */
const letPageDecide = async (deps: SyncDeps, job: Job, crmId: number): Promise<null> => {
  await handBack(deps, { ...job, doubtful: false }, { markFor: crmId, delayMs: deps.settings.backoff.minMs });
  return null;
};

const deleteFailed = async (deps: SyncDeps, job: Job, failure: CrmFailure): Promise<CrmFailure | null> => {
  await settleFailure(deps, job, failure);
  return endingTheLoop(failure);
};

const holdsDelete = async (deps: SyncDeps, job: Job): Promise<boolean> =>
  await deps.mirror.transaction(async (tx) => {
    const { lastHour, waiting, mirrorRows } = await tx.brakeLoad('push');
    if (waiting <= brakeAllowance(lastHour, mirrorRows, deps.settings.brake)) return false;
    const reason = `${waiting} contacts were deleted in the mirror, more than the brake lets through in an hour`;
    await tx.hold('push', reason, [job.situation.contactId]);
    return true;
  });

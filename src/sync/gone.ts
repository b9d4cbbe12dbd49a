/**
 * A write met a contact that was deleted in the CRM: deleted there, edited here. Where the edit lives, the contact is restored from the CRM's
 * trash; where there is none, or it is purged, it is created again under the same row, and only with a control that the CRM is itself.
 */
import { retryDelayMs } from '../domain/backoff.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { Policy } from '../domain/merge.ts';
import type { Situation } from '../ports/mirror.ts';
import { underLocks, type Job } from './attempt.ts';
import type { RunContext } from './context.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { controlAnswers, recordOutlived } from './removal.ts';
import { endingTheLoop, handBack, settleFailure } from './settle.ts';

/** How an attempt goes on after a failed call. */
export type AfterFailure =
  /** The attempt is settled; a failure in it ends the loop, since it would meet every other contact as well. */
  { readonly ended: CrmFailure | null } | { readonly job: Job; readonly readAgain: boolean };

/**
 * What a write that is answered with 404 leads to: a person's word stands above the policy. `prove`: whoever reads the mark proves and settles it,
 * where the edit does not live, and where there is no trash.
 */
export const wayBack = (
  { decided }: Pick<Situation, 'decided'>,
  { policyOf }: Pick<RunContext, 'policyOf'>,
  hasTrash: boolean,
): { readonly way: 'restore' | 'create' | 'prove'; readonly policy: Policy } => {
  const policy = decided ?? policyOf('contact');
  if (policy === 'crm' || policy === 'manual' || (!hasTrash && decided === null)) return { way: 'prove', policy };
  return { way: hasTrash ? 'restore' : 'create', policy };
};

/** @param again it was restored in this attempt already, and is gone once more: whatever does that is not to be fought with */
export const onGone = async (deps: SyncDeps, found: Job, crmId: number, { again }: { readonly again: boolean }): Promise<AfterFailure> => {
  // The 404 is the CRM's own word about the contact: nothing about it is in doubt any more.
  const job = { ...found, doubtful: false };
  const { trash } = deps.capabilities.get();
  const { way, policy } = wayBack(job.situation, job.context, trash);
  if (again || way === 'prove') return await proveLater(deps, job, crmId);
  if (way === 'restore') {
    const restored = await deps.crm.restore(crmId, callOptions(deps, 'edit'));
    if (restored.ok || restored.failure.class === 'unknown')
      await underLocks(deps, job, async (tx, situation) => {
        await recordOutlived(tx, situation, policy);
        if (restored.ok) await tx.markVisibility([situation.contactId], 'visible');
      });
    if (restored.ok) return { job: { ...job, readFirst: true }, readAgain: true };
    const { failure } = restored;
    if (failure.code !== 'not_found' || !failure.proven) {
      await settleFailure(deps, job, failure);
      return { ended: endingTheLoop(failure) };
    }
  }
  const control = await controlAnswers(deps, await deps.mirror.oneSeen());
  if (!control.proven) return await proveLater(deps, job, crmId);
  await underLocks(deps, job, async (tx, situation) => {
    await recordOutlived(tx, situation, policy);
    await tx.unpair(situation.contactId);
  });
  await handBack(deps, job);
  return { ended: null };
};

const proveLater = async (deps: SyncDeps, job: Job, crmId: number): Promise<AfterFailure> => {
  // Growing: where no control answers (an account of one contact, say) only the next sweep can tell.
  const delayMs = retryDelayMs(job.situation.open.attempts, deps.settings.backoff, deps.random());
  await handBack(deps, job, { markFor: crmId, delayMs });
  return { ended: null };
};

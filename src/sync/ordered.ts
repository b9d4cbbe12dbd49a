/**
 * WRITE_MODE=ordered: every committed edit reaches the CRM, in the order of the commits of each contact.
 *
 * - A claim takes the first open edit of a contact alone, in the transaction that gives the attempt its number; the others stay in the queue. A
 *   crash therefore repeats no edit and skips none: the one that was under way is in doubt, is read for first, and nothing overtakes it.
 * - What is sent is what the edit set, not what the row holds by now. The answer is merged as ever, so the row keeps what later edits made of it.
 * - An edit that the CRM refuses waits for a person or for the contact's next edit, and goes again together with that one.
 * - What a merge leaves to push has no edit of its own: it is pushed when no edit of the contact is open any more.
 */
import type { MirrorTx, Step } from '../ports/mirror.ts';
import { underLocks, type Job } from './attempt.ts';
import type { SyncDeps } from './deps.ts';
import { arrivedOps, showStep } from './ordered-step.ts';
import { finish } from './settle.ts';

/** Narrows claimed contacts down to their steps. */
export const takeSteps = async (tx: MirrorTx, attempt: number, jobs: readonly Job[]): Promise<readonly Job[]> => {
  const ids = jobs.map(({ situation }) => situation.contactId);
  const steps = await tx.readSteps(attempt, ids);
  return jobs.map((job) => {
    const { contactId } = job.situation;
    const { doubtful } = job;
    const view = async (later: MirrorTx, after: Job): Promise<Job> =>
      show(after, (await later.readSteps(attempt, [contactId])).get(contactId), doubtful);
    return show({ ...job, view }, steps.get(contactId), doubtful);
  });
};

/** @param wasDoubtful the attempt began with a call of unknown outcome; once the contact was read, the base tells what has arrived */
const show = (job: Job, step: Step | undefined, wasDoubtful: boolean): Job => {
  if (step === undefined) return job;
  const { situation, context, made, doubtful } = job;
  const arrived = wasDoubtful && !doubtful ? arrivedOps(situation, step, context.customFields) : [];
  return { ...job, situation: showStep(situation, step, made, context.customFields), made: new Set([...made, ...arrived]) };
};

/** Gone in the CRM and gone here as well: nothing is left that the step could be told to. The deletion, which comes later, finds the same. */
export const endWithRow = async (deps: SyncDeps, job: Job): Promise<{ readonly ended: null } | null> => {
  if (job.view === undefined) return null;
  const isGone = await underLocks(deps, job, async (_tx, { row }) => row === null);
  if (isGone !== true) return null;
  return { ended: await finish(deps, job, {}) };
};

/**
 * One attempt at pushing one contact: what it knows, from the claim to the settle, and the rules that each of its steps keeps.
 *
 * - A step runs under the contact's locks, and only while the claim is still ours.
 * - What a write carries is noted down in a transaction before it goes: even after a crash it is known what may have been sent.
 * - What a call destroyed is counted in the transaction that stores its answer, or says that there was none.
 *
 * How it begins is in claim.ts, what an answer means in answer.ts, how it ends in settle.ts: nothing is called, merged or settled here.
 */
import { damageOps, type Destruction } from '../domain/brake.ts';
import type { ChangeOp } from '../domain/change.ts';
import { sameValue } from '../domain/contact.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { CallOptions } from '../ports/crm.ts';
import type { MirrorTx, Situation } from '../ports/mirror.ts';
import type { RunContext } from './context.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { carriedBy, nextCall, type Living, type NextCall, type Progress } from './plan.ts';

export interface Job {
  readonly attempt: number;
  readonly context: RunContext;
  /** As read after the claim, or after the last answer. */
  readonly situation: Situation;
  /** An earlier attempt's outcome is not known, and the contact was not read since. */
  readonly doubtful: boolean;
  /** The base may be older than the CRM: nothing is sent before the contact was read. */
  readonly readFirst: boolean;
  /** Taken up by a new edit, and not because a person said so. */
  readonly wasParked: boolean;
  /** Ops for which a call went out and was answered. */
  readonly made: ReadonlySet<ChangeOp>;
  /** Ops that the CRM refused, with its own words. */
  readonly refused: readonly Refused[];
  /** Told when the first byte of a write goes. */
  readonly onSending: () => void;
  /** WRITE_MODE=ordered: the contact as the attempt is to see it, with its own step for the row. Asked again after each answer. */
  readonly view?: (tx: MirrorTx, job: Job) => Promise<Job>;
}
export interface Refused {
  readonly ops: readonly ChangeOp[];
  readonly code: ErrorCode;
  readonly message: string;
}

/** Of a call that carries the attempt's edit. */
export const writeOptions = (deps: SyncDeps, { onSending }: Job): CallOptions => ({ ...callOptions(deps, 'edit'), onSending });

/** Locks the contact and reads it anew; answers null, having done nothing, where the claim is no longer ours. */
export const underLocks = async <T>(
  deps: SyncDeps,
  job: Job,
  steps: (tx: MirrorTx, situation: Situation) => Promise<T>,
): Promise<T | null> =>
  await deps.mirror.transaction(async (tx) => {
    const { contactId } = job.situation;
    await tx.lockContacts([contactId], 'wait');
    await tx.lockStates([contactId], 'wait');
    const situation = (await tx.read([contactId])).get(contactId);
    return situation?.attempt?.number === job.attempt ? await steps(tx, situation) : null;
  });

/** The attempt with its next write noted down, so that even a crash knows what may have been sent; null where nothing is left to call. */
export const planNext = async (tx: MirrorTx, job: Job, progress: Progress): Promise<Job | null> => {
  const { row, ...rest } = job.situation;
  if (row === null) return null;
  const next = nextCall({ ...rest, row }, progress, job.context.customFields);
  return next === null ? null : await note(tx, job, { ...rest, row }, next);
};

const note = async (tx: MirrorTx, job: Job, situation: Living, next: NextCall): Promise<Job> => {
  const sent = carriedBy(situation, next, job.context.customFields);
  if (sent === null || sameValue(sent, situation.sent)) return job;
  await tx.saveSent([{ contactId: situation.contactId, sent }]);
  return { ...job, situation: { ...situation, sent } };
};

/** Before a write goes that no transaction of this attempt has noted yet: after a refused one, say. Null where the claim is no longer ours. */
export const announce = async (deps: SyncDeps, job: Job, next: NextCall): Promise<Job | null> => {
  const { row, ...rest } = job.situation;
  if (row === null) return job;
  const sent = carriedBy({ ...rest, row }, next, job.context.customFields);
  if (sent === null || sameValue(sent, rest.sent)) return job;
  return await underLocks(deps, job, (tx) => note(tx, job, { ...rest, row }, next));
};

/** For the brake: in the transaction that stores the answer, or says that there was none. */
export const countDestroyed = async (tx: MirrorTx, { situation: { contactId } }: Job, destroyed?: Destruction): Promise<void> =>
  await tx.countDamage('push', destroyed === undefined ? [] : damageOps(destroyed).map((op) => ({ contactId, op })));

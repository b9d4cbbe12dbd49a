/**
 * How an attempt ends, and for how long its edits wait: nothing left to call, a failure, a refusal by Postgres, a claim given back, a doubt.
 *
 * One short transaction each, which touches only log rows with the attempt's number: what was committed later stays pending and gets its own
 * turn. No call goes out from here, and neither row nor base is written. (What a person has to decide first is held in brake.ts and audit.ts.)
 */
import { retryDelayMs } from '../domain/backoff.ts';
import type { Destruction } from '../domain/brake.ts';
import { CHANGE_OPS, type ChangeOp, type ChangeState } from '../domain/change.ts';
import { NO_LINKS, UNKNOWN_LINKS } from '../domain/contact.ts';
import type { CrmFailure, ErrorCode, FailureClass } from '../domain/errors.ts';
import { diffLinks, isEmptyLinks } from '../domain/merge.ts';
import { LOCK_NOT_AVAILABLE, type MirrorTx, type Outcome, type Refusal, type Situation } from '../ports/mirror.ts';
import { countDestroyed, underLocks, type Job, type Refused } from './attempt.ts';
import type { SyncDeps } from './deps.ts';
import { fieldsToPush } from './plan.ts';

export interface Finish {
  /** Everything that is not refused already is parked under this code. */
  readonly parked?: ErrorCode;
  /** A delete went out and was answered. */
  readonly called?: boolean;
}

/** Ends an attempt that has nothing left to call. */
export const finish = async (deps: SyncDeps, job: Job, end: Finish): Promise<null> =>
  await underLocks(deps, job, async (tx, situation) => {
    await settleJob(tx, job, situation, end);
    return null;
  });

export const settleJob = async (tx: MirrorTx, job: Job, situation: Situation, { parked, called = false }: Finish): Promise<void> => {
  const { contactId } = situation;
  const made = called ? new Set<ChangeOp>([...job.made, 'delete']) : job.made;
  const left = leftOver(job, situation);
  // A step answers for its own links only.
  const asked = job.view === undefined ? left : leftOver(job, job.situation);
  const unseen = UNSEEN.filter(({ op }) => asked[op] && made.has(op) && !job.refused.some(({ ops }) => ops.includes(op))).map(
    ({ op, message }): Refused => ({ ops: [op], code: 'link_refused', message }),
  );
  const ended = { made, refused: [...job.refused, ...unseen] };
  const rest: Outcome = { ops: [], state: 'merged', code: null, error: null, delayMs: 0 };
  const outcomes = outcomesOf(ended, parked === undefined ? rest : { ...rest, state: 'parked', code: parked });
  await tx.settle({ contactId, attempt: job.attempt, outcomes, ends: 'release' });
  const stuck = new Set(ended.refused.flatMap(({ ops }) => ops));
  const queues =
    parked === undefined &&
    ((left.fields && !stuck.has('update')) || (left.attach && !stuck.has('attach')) || (left.detach && !stuck.has('detach')));
  if (queues) await tx.queue([contactId], 'update');
};

/** Answered with 200, and yet it is not so: without a word of refusal it would be sent again for ever. */
const UNSEEN = [
  // A company that this token may not see, say.
  { op: 'attach', message: 'The CRM calls the link attached but does not show it' },
  { op: 'detach', message: 'The CRM calls the link detached but still shows it' },
] as const;

/** What still differs though nobody edited it just now: a union that the merge made, or what the CRM refused. */
const leftOver = ({ context }: Job, { row, ...situation }: Situation): { fields: boolean; attach: boolean; detach: boolean } => {
  if (row === null || situation.crmId === null || situation.open.states.has('pending'))
    return { fields: false, attach: false, detach: false };
  const { attach, detach } = diffLinks(situation.base?.links ?? UNKNOWN_LINKS, row.links, { attached: NO_LINKS, detached: NO_LINKS });
  return {
    fields: fieldsToPush({ ...situation, row }, context.customFields).length > 0,
    attach: !isEmptyLinks(attach),
    detach: !isEmptyLinks(detach),
  };
};

/** Refused ops are parked, those with a call are done, the others end as `rest` says. */
const outcomesOf = ({ refused, made }: Pick<Job, 'refused' | 'made'>, rest: Outcome): readonly Outcome[] => {
  const outcomes: Outcome[] = [];
  const left = new Set<ChangeOp>(CHANGE_OPS);
  for (const { ops, code, message } of refused) {
    outcomes.push({ ops: ops.filter((op) => left.has(op)), state: 'parked', code, error: message, delayMs: 0 });
    for (const op of ops) left.delete(op);
  }
  const done = [...left].filter((op) => made.has(op));
  outcomes.push({ ops: done, state: 'done', code: null, error: null, delayMs: 0 });
  outcomes.push({ ...rest, ops: [...left].filter((op) => !made.has(op)) });
  return outcomes.filter(({ ops }) => ops.length > 0);
};

const STATE_AFTER: { readonly [K in FailureClass]: ChangeState } = {
  retry: 'retry',
  later: 'retry',
  refetch: 'retry',
  park: 'parked',
  unknown: 'unknown',
  fatal: 'retry',
};

/** Nothing was sent: the edit is as due as before. */
const NOT_SENT = new Set<ErrorCode>(['aborted', 'not_leader']);

/**
 * Ends an attempt on a failure. Parked is what the CRM refused; everything else waits, rows whose call went through included: what is still
 * to be done is the difference between row and base, and without a log row nobody would come back to it. A doubt that no read has cleared
 * stays one, so that no call is ever repeated unread.
 */
export const settleFailure = async (
  deps: SyncDeps,
  job: Job,
  failure: CrmFailure,
  delayMs?: number,
  destroyed?: Destruction,
): Promise<void> => {
  if (NOT_SENT.has(failure.code)) return await handBack(deps, job);
  const { backoff } = deps.settings;
  const waits = delayMs ?? retryDelayMs(job.situation.open.attempts, backoff, deps.random(), failure.retryAfterMs ?? 0);
  const doubt = failure.class === 'unknown' || (job.doubtful && failure.class !== 'park');
  const rest: Outcome = {
    ops: CHANGE_OPS,
    state: doubt ? 'unknown' : STATE_AFTER[failure.class],
    code: failure.code,
    error: failure.message,
    delayMs: waits,
  };
  const outcomes = failure.class === 'park' ? outcomesOf(job, rest) : [rest];
  await underLocks(deps, job, async (tx, situation) => {
    // It may have gone through, and nobody will know.
    if (failure.class === 'unknown') await countDestroyed(tx, job, destroyed);
    await tx.settle({ contactId: situation.contactId, attempt: job.attempt, outcomes, ends: doubt ? 'unknown' : 'release' });
  });
};

/** Gives a claim back as if it had not been made. `markFor`: the contact is read by this id before its next turn. */
export const handBack = async (
  deps: SyncDeps,
  job: Job,
  { markFor, delayMs = 0 }: { readonly markFor?: number; readonly delayMs?: number } = {},
): Promise<void> => {
  const state = job.doubtful ? 'unknown' : delayMs > 0 ? 'retry' : 'pending';
  const outcomes = [{ ops: CHANGE_OPS, state, code: null, error: null, delayMs }] as const;
  await underLocks(deps, job, async (tx, situation) => {
    await tx.settle({ contactId: situation.contactId, attempt: job.attempt, outcomes, ends: job.doubtful ? 'unknown' : 'release' });
    if (markFor !== undefined) await tx.mark([{ crmId: markFor, reason: 'deferred' }]);
  });
};

/**
 * Says that nobody knows how an attempt ended, because the database did not let us settle it. Locks the state alone: the row may be what
 * somebody keeps locked, and it is not touched.
 */
export const settleUnknown = async (deps: SyncDeps, job: Job): Promise<void> =>
  await deps.mirror.transaction(async (tx) => {
    const { contactId } = job.situation;
    await tx.lockStates([contactId], 'wait');
    const situation = (await tx.read([contactId])).get(contactId);
    if (situation?.attempt?.number === job.attempt) await settleBusy(tx, deps, job);
  });

/** The CRM has answered and Postgres would not have it: a rule of the user's is for a person, a lock of the user's is over soon. */
export const settleRefusal = async (tx: MirrorTx, deps: SyncDeps, job: Job, { sqlState, message }: Refusal): Promise<void> => {
  const { contactId } = job.situation;
  if (sqlState === LOCK_NOT_AVAILABLE) return await settleBusy(tx, deps, job);
  const parked = { ops: CHANGE_OPS, state: 'parked', code: 'database_refused', error: `${sqlState}: ${message}`, delayMs: 0 } as const;
  await tx.settle({ contactId, attempt: job.attempt, outcomes: [parked], ends: 'release' });
};

/** The call may have been made and its answer could not be stored: the next attempt reads the contact before anything else. */
const settleBusy = async (tx: MirrorTx, { settings, random }: SyncDeps, { situation, attempt }: Job): Promise<void> => {
  const delayMs = retryDelayMs(situation.open.attempts, settings.backoff, random());
  const unknown = { ops: CHANGE_OPS, state: 'unknown', code: 'mirror_busy', error: null, delayMs } as const;
  await tx.settle({ contactId: situation.contactId, attempt, outcomes: [unknown], ends: 'unknown' });
};

/** The failure, where it would meet every other contact as well: the token, or the CRM's wish for a pause. Null where the loop goes on. */
export const endingTheLoop = (failure: CrmFailure): CrmFailure | null =>
  failure.class === 'fatal' || failure.class === 'later' ? failure : null;

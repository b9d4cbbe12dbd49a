/**
 * One attempt at pushing one contact: from the claim to the settle. Everything here runs under the contact's locks and only while the claim
 * is still ours.
 */
import { retryDelayMs } from '../domain/backoff.ts';
import { CHANGE_OPS, LINK_OPS, ROW_OPS, type ChangeOp, type ChangeState } from '../domain/change.ts';
import {
  canonicalFields,
  canonicalIds,
  fieldValue,
  inferCustomFields,
  LINK_KINDS,
  NO_LINKS,
  sameValue,
  UNKNOWN_LINKS,
  withValues,
  type ContactFields,
  type FieldName,
  type KnownLinks,
  type RemoteContact,
} from '../domain/contact.ts';
import type { CrmFailure, ErrorCode, FailureClass } from '../domain/errors.ts';
import { diffLinks, isEmptyLinks, without } from '../domain/merge.ts';
import type { MirrorTx, Outcome, Situation } from '../ports/mirror.ts';
import type { RunContext } from './context.ts';
import type { SyncDeps } from './deps.ts';
import { fieldsToPush, nextCall, type NextCall, type Progress } from './plan.ts';
import { isEmptyWrite, reconcile, toCanonical } from './reconcile.ts';

export interface Job {
  readonly attempt: number;
  readonly context: RunContext;
  /** As read after the claim, or after the last answer. */
  readonly situation: Situation;
  /** An earlier attempt's outcome is not known. */
  readonly doubtful: boolean;
  /** Ops for which a call went out and was answered. */
  readonly made: ReadonlySet<ChangeOp>;
  /** Ops that the CRM refused, with its own words. */
  readonly refused: readonly Refused[];
}
interface Refused {
  readonly ops: readonly ChangeOp[];
  readonly code: ErrorCode;
  readonly message: string;
}

/** Locks the contact and reads it anew; answers null, having done nothing, where the claim is no longer ours. */
export const underLocks = async <T>(deps: SyncDeps, job: Job, steps: (tx: MirrorTx, situation: Situation) => Promise<T>): Promise<T | null> =>
  await deps.mirror.transaction(async (tx) => {
    const { contactId } = job.situation;
    await tx.lockContacts([contactId], 'wait');
    await tx.lockStates([contactId], 'wait');
    const situation = (await tx.read([contactId])).get(contactId);
    return situation?.attempt?.number === job.attempt ? await steps(tx, situation) : null;
  });

export interface Answer {
  readonly next: NextCall;
  /** With this call counted. */
  readonly progress: Progress;
  readonly record: RemoteContact;
  readonly offset: number;
}

/** Merges an answer into the contact, and settles the attempt in the same transaction if nothing is left to call. */
export const absorb = async (deps: SyncDeps, job: Job, answer: Answer): Promise<Job | 'settled'> =>
  (await underLocks(deps, job, async (tx, situation) => {
    const after = await merge(tx, job, situation, answer);
    const { row, ...rest } = after.situation;
    if (row !== null && nextCall({ ...rest, row }, answer.progress, after.context.customFields) !== null) return after;
    await settleJob(tx, after, after.situation, {});
    return 'settled' as const;
  })) ?? 'settled';

const OPS_OF: { readonly [K in NextCall['call']]: readonly ChangeOp[] } = {
  read: [],
  update: ['insert', 'update'],
  attach: ['attach'],
  detach: ['detach'],
  sync: LINK_OPS,
};

const merge = async (tx: MirrorTx, job: Job, situation: Situation, { next, record, offset }: Answer): Promise<Job> => {
  const learned = inferCustomFields(job.context.customFields, [record]);
  if (learned.length > 0) await tx.saveCustomFields(learned);
  const customFields = new Map([...job.context.customFields, ...learned.map((def) => [def.name, def] as const)]);
  const context = { ...job.context, customFields };
  const canonical = toCanonical({ ...record, links: { ...record.links, activities: activitiesAfter(situation, next, record) } }, customFields);
  const sent = job.situation.row === null ? null : canonicalFields(job.situation.row.fields, customFields);
  const ignored = next.call === 'update' && sent !== null ? ignoredFields(situation, next.fields, sent, canonical.fields) : [];
  const made = new Set([...job.made, ...OPS_OF[next.call]]);
  const refused = [...job.refused, ...refusals(ignored, next, record.links)];

  const { row, ...rest } = situation;
  if (row === null) {
    // Deleted meanwhile: what was sent is still what the CRM has now, and the deletion gets its own turn.
    const base = { fields: canonical.fields, hash: canonical.hash, links: { ...(situation.base?.links ?? canonical.links), ...known(canonical.links) } };
    await tx.save([{ contactId: situation.contactId, fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, base, extra: null, crmTimes: null }]);
    return { ...job, context, made, refused, situation: { ...situation, base } };
  }
  const asBase = next.call === 'update' && sent !== null ? agreedBase(situation, row.fields, next.fields, sent, canonical.fields, ignored, context) : undefined;
  const merged = reconcile({ ...rest, row }, canonical, { ...context, clockOffsetMs: offset }, asBase);
  await tx.saveNames(record.names);
  if (!isEmptyWrite(merged.write)) await tx.save([merged.write]);
  await tx.recordConflicts(merged.conflicts.map((conflict) => ({ ...conflict, contactId: situation.contactId })));
  const read = (await tx.read([situation.contactId])).get(situation.contactId);
  return { ...job, context, made, refused, situation: read ?? situation };
};

const known = (links: KnownLinks): Partial<KnownLinks> => Object.fromEntries(LINK_KINDS.filter((kind) => links[kind] !== null).map((kind) => [kind, links[kind]]));

/** No answer carries the activities: after a link call, what was known and what was sent tell them. */
const activitiesAfter = (situation: Situation, next: NextCall, record: RemoteContact): readonly number[] | null => {
  const before = situation.base?.links.activities ?? null;
  if (record.links.activities !== null || before === null || !('ids' in next)) return record.links.activities;
  const ids = next.ids.activities;
  if (ids === undefined) return null;
  if (next.call === 'sync') return canonicalIds(ids);
  return next.call === 'attach' ? canonicalIds([...before, ...ids]) : without(before, ids);
};

/** Fields that were sent and answered with the value from before: read only for this token, say. Not the same as a value the CRM rewrote. */
const ignoredFields = (situation: Situation, fields: readonly FieldName[], sent: ContactFields, answer: ContactFields): readonly FieldName[] =>
  fields.filter((field) => {
    const answered = fieldValue(answer, field);
    return !sameValue(answered, fieldValue(sent, field)) && situation.base !== null && sameValue(answered, fieldValue(situation.base.fields, field));
  });

const refusals = (ignored: readonly FieldName[], next: NextCall, links: KnownLinks): readonly Refused[] => {
  const refused: Refused[] = [];
  if (ignored.length > 0) refused.push({ ops: ROW_OPS, code: 'write_ignored', message: `The CRM kept its own value of ${ignored.join(', ')}` });
  if (next.call !== 'attach' && next.call !== 'sync') return refused;
  const missing = LINK_KINDS.flatMap((kind) => {
    const [asked, answered] = [next.ids[kind] ?? [], links[kind]];
    return answered === null ? [] : without(asked, answered).map((id) => `${kind} ${id}`);
  });
  if (missing.length > 0) refused.push({ ops: ['attach'], code: 'link_refused', message: `The CRM did not link ${missing.join(', ')}` });
  return refused;
};

/**
 * Base for merging the answer to an update. For a field that was sent, base is the answer's value, and the row takes it too where the row
 * still holds what was sent: as the merge's base is then the value sent, it looks like the CRM's own change. Where the row has moved on, or
 * the CRM ignored the field, base is the answer and the row stays.
 */
const agreedBase = (
  situation: Situation,
  row: ContactFields,
  fields: readonly FieldName[],
  sent: ContactFields,
  answer: ContactFields,
  ignored: readonly FieldName[],
  { customFields }: RunContext,
): ContactFields => {
  const now = canonicalFields(row, customFields);
  const values = new Map<FieldName, unknown>();
  for (const field of fields) {
    const unmoved = sameValue(fieldValue(now, field), fieldValue(sent, field)) && !ignored.includes(field);
    values.set(field, fieldValue(unmoved ? sent : answer, field));
  }
  return withValues(situation.base?.fields ?? sent, values);
};

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

const settleJob = async (tx: MirrorTx, job: Job, situation: Situation, { parked, called = false }: Finish): Promise<void> => {
  const { contactId } = situation;
  const made = called ? new Set<ChangeOp>([...job.made, 'delete']) : job.made;
  const left = leftOver(job, situation);
  // Attached, and yet not there: a company that this token may not see, say.
  const unseen: readonly Refused[] =
    left.attach && made.has('attach') && !job.refused.some(({ ops }) => ops.includes('attach'))
      ? [{ ops: ['attach'], code: 'link_refused', message: 'The CRM calls the link attached but does not show it' }]
      : [];
  const ended = { made, refused: [...job.refused, ...unseen] };
  const rest: Outcome = { ops: [], state: 'merged', code: null, error: null, delayMs: 0 };
  const outcomes = outcomesOf(ended, parked === undefined ? rest : { ...rest, state: 'parked', code: parked });
  await tx.settle({ contactId, attempt: job.attempt, outcomes, ends: 'release' });
  const stuck = new Set(ended.refused.flatMap(({ ops }) => ops));
  const queues = parked === undefined && ((left.fields && !stuck.has('update')) || (left.attach && !stuck.has('attach')) || (left.detach && !stuck.has('detach')));
  if (queues) await tx.queue([contactId], 'update');
};

/** What still differs though nobody edited it just now: a union that the merge made, or what the CRM refused. */
const leftOver = ({ context }: Job, { row, ...situation }: Situation): { fields: boolean; attach: boolean; detach: boolean } => {
  if (row === null || situation.crmId === null || situation.open.states.has('pending')) return { fields: false, attach: false, detach: false };
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

/** Ends an attempt on a failure: what was answered before it is done, the rest waits, is parked, or is unknown until it was read. */
export const settleFailure = async (deps: SyncDeps, job: Job, failure: CrmFailure, delayMs?: number): Promise<void> => {
  if (NOT_SENT.has(failure.code)) return await handBack(deps, job);
  const { backoff } = deps.settings;
  const waits = delayMs ?? retryDelayMs(job.situation.open.attempts, backoff, deps.random(), failure.retryAfterMs ?? 0);
  const rest: Outcome = { ops: [], state: STATE_AFTER[failure.class], code: failure.code, error: failure.message, delayMs: waits };
  await underLocks(deps, job, async (tx, situation) => {
    const ends = failure.class === 'unknown' ? 'unknown' : 'release';
    await tx.settle({ contactId: situation.contactId, attempt: job.attempt, outcomes: outcomesOf(job, rest), ends });
  });
};

/** Gives a claim back as if it had not been made. `markFor`: the contact is read by this id before its next turn. */
export const handBack = async (
  deps: SyncDeps,
  job: Job,
  { markFor, delayMs = 0 }: { readonly markFor?: number; readonly delayMs?: number } = {},
): Promise<void> => {
  const rest: Outcome = { ops: [], state: delayMs > 0 ? 'retry' : 'pending', code: null, error: null, delayMs };
  await underLocks(deps, job, async (tx, situation) => {
    const ends = job.doubtful ? 'unknown' : 'release';
    const outcomes = outcomesOf(job, job.doubtful ? { ...rest, state: 'unknown' } : rest);
    await tx.settle({ contactId: situation.contactId, attempt: job.attempt, outcomes, ends });
    if (markFor !== undefined) await tx.mark([{ crmId: markFor, reason: 'deferred' }]);
  });
};

/**
 * Says that nobody knows how an attempt ended, because the database did not let us settle it. Locks the state alone: the row may be what
 * somebody keeps locked, and it is not touched.
 */
export const settleUnknown = async (deps: SyncDeps, { situation: { contactId }, attempt }: Job): Promise<void> =>
  await deps.mirror.transaction(async (tx) => {
    await tx.lockStates([contactId], 'wait');
    const situation = (await tx.read([contactId])).get(contactId);
    if (situation?.attempt?.number !== attempt) return;
    const waits = retryDelayMs(situation.open.attempts, deps.settings.backoff, deps.random());
    const rest: Outcome = { ops: CHANGE_OPS, state: 'unknown', code: 'mirror_busy', error: null, delayMs: waits };
    await tx.settle({ contactId, attempt, outcomes: [rest], ends: 'unknown' });
  });

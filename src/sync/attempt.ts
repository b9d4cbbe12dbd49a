/**
 * One attempt at pushing one contact: from the claim to the settle. Everything here runs under the contact's locks and only while the claim
 * is still ours.
 */
import { retryDelayMs } from '../domain/backoff.ts';
import { CHANGE_OPS, LINK_OPS, ROW_OPS, type ChangeOp, type ChangeState } from '../domain/change.ts';
import {
  canonicalFields,
  canonicalIds,
  contentHash,
  fieldValue,
  inferCustomFields,
  LINK_KINDS,
  NO_LINKS,
  sameValue,
  UNKNOWN_LINKS,
  withValues,
  type ContactFields,
  type CustomFieldDefs,
  type FieldName,
  type KnownLinks,
  type RemoteContact,
} from '../domain/contact.ts';
import type { CrmFailure, ErrorCode, FailureClass } from '../domain/errors.ts';
import { diffLinks, isEmptyLinks, without } from '../domain/merge.ts';
import type { CallOptions } from '../ports/crm.ts';
import { LOCK_NOT_AVAILABLE, type MirrorTx, type Outcome, type Refusal, type Situation } from '../ports/mirror.ts';
import { damageOps, type Destruction } from '../domain/brake.ts';
import type { RunContext } from './context.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { destructionOfWrite, holdsBack, withoutHarm } from './incoming.ts';
import { carriedBy, fieldsToPush, nextCall, type Living, type NextCall, type Progress } from './plan.ts';
import { baseArrived, isEmptyWrite, reconcile, toCanonical, type CanonicalRecord, type Reading, type Reconciled } from './reconcile.ts';

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
interface Refused {
  readonly ops: readonly ChangeOp[];
  readonly code: ErrorCode;
  readonly message: string;
}

/** Of a call that carries the attempt's edit. */
export const writeOptions = (deps: SyncDeps, { onSending }: Job): CallOptions => ({ ...callOptions(deps, 'edit'), onSending });

/** Tells, once, how long the claimed edit has waited by then: by the database's clock until it was read, by ours from there on. */
export const tellWhenSent = ({ clock, telemetry }: SyncDeps, { open }: Situation): (() => void) => {
  const readAtMs = clock.monotonicMs();
  let { waitedMs } = open;
  return () => {
    if (waitedMs !== null) telemetry.editSent((waitedMs + clock.monotonicMs() - readAtMs) / 1000);
    waitedMs = null;
  };
};

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

export interface Answer {
  readonly next: NextCall;
  /** With this call counted. */
  readonly progress: Progress;
  readonly record: RemoteContact;
  readonly offset: number;
  /** What the call destroyed in the CRM, for the brake to count. */
  readonly destroyed?: Destruction;
}

/** For the brake: in the transaction that stores the answer, or says that there was none. */
const countDestroyed = async (tx: MirrorTx, { situation: { contactId } }: Job, destroyed?: Destruction): Promise<void> =>
  await tx.countDamage('push', destroyed === undefined ? [] : damageOps(destroyed).map((op) => ({ contactId, op })));

/** Merges an answer into the contact, and settles the attempt in the same transaction if nothing is left to call. */
export const absorb = async (deps: SyncDeps, job: Job, answer: Answer): Promise<Job | 'settled'> =>
  (await underLocks(deps, job, async (tx, situation) => {
    let after = job;
    await countDestroyed(tx, job, answer.destroyed);
    const refusal = await tx.savepoint(async () => {
      after = await merge(tx, job, situation, answer);
    });
    if (refusal !== null) {
      await settleRefusal(tx, deps, job, refusal);
      return 'settled' as const;
    }
    const seen = (await job.view?.(tx, after)) ?? after;
    const planned = await planNext(tx, seen, answer.progress);
    if (planned !== null) return planned;
    await settleJob(tx, seen, after.situation, {});
    return 'settled' as const;
  })) ?? 'settled';

/** The attempt with its next write noted down, so that even a crash knows what may have been sent; null where nothing is left to call. */
const planNext = async (tx: MirrorTx, job: Job, progress: Progress): Promise<Job | null> => {
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

/** The CRM has answered and Postgres would not have it: a rule of the user's is for a person, a lock of the user's is over soon. */
const settleRefusal = async (tx: MirrorTx, deps: SyncDeps, job: Job, { sqlState, message }: Refusal): Promise<void> => {
  const { contactId } = job.situation;
  if (sqlState === LOCK_NOT_AVAILABLE) return await settleBusy(tx, deps, job);
  const parked = { ops: CHANGE_OPS, state: 'parked', code: 'database_refused', error: `${sqlState}: ${message}`, delayMs: 0 } as const;
  await tx.settle({ contactId, attempt: job.attempt, outcomes: [parked], ends: 'release' });
};

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
  const canonical = toCanonical(
    { ...record, links: { ...record.links, activities: activitiesAfter(situation, next, record) } },
    customFields,
  );
  const sent = job.situation.row === null ? null : canonicalFields(job.situation.row.fields, customFields);
  const ignored = next.call === 'update' && sent !== null ? ignoredFields(situation, next.fields, sent, canonical.fields) : [];
  const made = new Set([...job.made, ...OPS_OF[next.call]]);
  const refused = [...job.refused, ...refusals(ignored, next, record.links)];

  // Read: whatever was in doubt is told now.
  const after = { ...job, context, made, refused, ...(next.call === 'read' && { doubtful: false, readFirst: false }) };
  const { row, ...rest } = situation;
  const asBase =
    next.call === 'update' && sent !== null ? agreedBase(situation, next.fields, sent, canonical.fields, ignored, customFields) : undefined;
  if (row === null) {
    // Deleted meanwhile: what was sent is what the CRM has now; what somebody edited there is left for the page, which knows what to do with
    // an edit against a deletion. The deletion gets its own turn.
    const fields = asBase ?? baseArrived(situation, canonical, customFields)?.fields ?? canonical.fields;
    const base = { fields, hash: contentHash(fields), links: { ...(situation.base?.links ?? canonical.links), ...known(canonical.links) } };
    await tx.save([
      { contactId: situation.contactId, fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, base, extra: null, crmTimes: null },
    ]);
    return { ...after, situation: { ...situation, base } };
  }
  const merged = await mergeUnderBrake(tx, { ...rest, row }, canonical, { ...context, clockOffsetMs: offset }, asBase);
  await tx.saveNames(record.names);
  if (!isEmptyWrite(merged.write)) await tx.save([merged.write]);
  await tx.recordConflicts(merged.conflicts.map((conflict) => ({ ...conflict, contactId: situation.contactId })));
  const read = (await tx.read([situation.contactId])).get(situation.contactId);
  return { ...after, situation: read ?? situation };
};

/** What the answer would destroy here beyond what was sent is judged like a page's; where it has to wait, the rest of the answer is merged. */
const mergeUnderBrake = async (
  tx: MirrorTx,
  living: Living,
  canonical: CanonicalRecord,
  reading: RunContext & Reading,
  asBase: ContactFields | undefined,
): Promise<Reconciled> => {
  const merged = { ...reconcile(living, canonical, reading, asBase), situation: living, canonical };
  const held = await holdsBack(tx, [merged], reading.brake);
  if (held.size === 0) return merged;
  return reconcile(living, withoutHarm(canonical, living.base, destructionOfWrite(merged)), reading, asBase);
};

const known = (links: KnownLinks): Partial<KnownLinks> =>
  Object.fromEntries(LINK_KINDS.filter((kind) => links[kind] !== null).map((kind) => [kind, links[kind]]));

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
const ignoredFields = (
  situation: Situation,
  fields: readonly FieldName[],
  sent: ContactFields,
  answer: ContactFields,
): readonly FieldName[] =>
  fields.filter((field) => {
    const answered = fieldValue(answer, field);
    return (
      !sameValue(answered, fieldValue(sent, field)) &&
      situation.base !== null &&
      sameValue(answered, fieldValue(situation.base.fields, field))
    );
  });

const refusals = (ignored: readonly FieldName[], next: NextCall, links: KnownLinks): readonly Refused[] => {
  const refused: Refused[] = [];
  if (ignored.length > 0)
    refused.push({ ops: ROW_OPS, code: 'write_ignored', message: `The CRM kept its own value of ${ignored.join(', ')}` });
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
  fields: readonly FieldName[],
  sent: ContactFields,
  answer: ContactFields,
  ignored: readonly FieldName[],
  customFields: CustomFieldDefs,
): ContactFields => {
  const now = situation.row === null ? null : canonicalFields(situation.row.fields, customFields);
  const values = new Map<FieldName, unknown>();
  for (const field of fields) {
    const unmoved = now !== null && sameValue(fieldValue(now, field), fieldValue(sent, field)) && !ignored.includes(field);
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

/** The call may have been made and its answer could not be stored: the next attempt reads the contact before anything else. */
const settleBusy = async (tx: MirrorTx, { settings, random }: SyncDeps, { situation, attempt }: Job): Promise<void> => {
  const delayMs = retryDelayMs(situation.open.attempts, settings.backoff, random());
  const unknown = { ops: CHANGE_OPS, state: 'unknown', code: 'mirror_busy', error: null, delayMs } as const;
  await tx.settle({ contactId: situation.contactId, attempt, outcomes: [unknown], ends: 'unknown' });
};

/** The failure, where it would meet every other contact as well: the token, or the CRM's wish for a pause. Null where the loop goes on. */
export const endingTheLoop = (failure: CrmFailure): CrmFailure | null =>
  failure.class === 'fatal' || failure.class === 'later' ? failure : null;

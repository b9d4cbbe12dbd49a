/**
 * What an answer means for the contact's base and row, and for the edit that was sent.
 *
 * - It is a record like any other: the fields that were sent are agreed, all others go through the merge, and under the brake.
 * - What the CRM did not take though it answered 200 counts as refused.
 * - Where nothing is left to call, the attempt is settled in the very transaction that stores the answer.
 *
 * Answers only: what follows from a failure is in push.ts.
 */
import type { Destruction } from '../domain/brake.ts';
import { LINK_OPS, ROW_OPS, type ChangeOp } from '../domain/change.ts';
import {
  canonicalFields,
  canonicalIds,
  contentHash,
  fieldValue,
  inferCustomFields,
  LINK_KINDS,
  NO_LINKS,
  sameValue,
  withValues,
  type ContactFields,
  type CustomFieldDefs,
  type FieldName,
  type KnownLinks,
  type RemoteContact,
} from '../domain/contact.ts';
import { without } from '../domain/merge.ts';
import type { MirrorTx, Situation } from '../ports/mirror.ts';
import { countDestroyed, planNext, underLocks, type Job, type Refused } from './attempt.ts';
import type { RunContext } from './context.ts';
import type { SyncDeps } from './deps.ts';
import { destructionOfWrite, holdsBack, withoutHarm } from './incoming.ts';
import type { Living, NextCall, Progress } from './plan.ts';
import { baseArrived, isEmptyWrite, reconcile, toCanonical, type CanonicalRecord, type Reading, type Reconciled } from './reconcile.ts';
import { settleJob, settleRefusal } from './settle.ts';

export interface Answer {
  readonly next: NextCall;
  /** With this call counted. */
  readonly progress: Progress;
  readonly record: RemoteContact;
  readonly offset: number;
  /** What the call destroyed in the CRM, for the brake to count. */
  readonly destroyed?: Destruction;
}

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
    // With a base, the note of what was sent is taken away (see `save`): whatever goes next is noted anew.
    return { ...after, situation: { ...situation, base, sent: null } };
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

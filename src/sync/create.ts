/**
 * A create, and the question that follows one whose outcome is unknown.
 *
 * The intent is stored, with what will be sent, before the POST goes. After a time-out, a reset, a 5xx or a crash nobody knows whether the
 * contact exists; so the CRM is asked first (`find-created.ts`): exactly one match is adopted, none after CREATE_RECHECK_MS is sent again,
 * several are parked for a person.
 */
import {
  canonicalFields,
  contentHash,
  EMPTY_FIELDS,
  fieldNames,
  fieldValue,
  NO_LINKS,
  sameValue,
  withValues,
  type ContactFields,
  type CustomField,
  type CustomFieldDefs,
  type FieldName,
  type RemoteContact,
} from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import { eachKind, without } from '../domain/merge.ts';
import { isStoredAs } from '../domain/phones.ts';
import type { ContactBody } from '../ports/crm.ts';
import type { CreateIntent, Situation } from '../ports/mirror.ts';
import { absorb } from './answer.ts';
import { underLocks, writeOptions, type Job } from './attempt.ts';
import { clockOffsetMs } from './context.ts';
import type { SyncDeps } from './deps.ts';
import { findCreated, NO_ANSWER } from './find-created.ts';
import { toBody, type NextCall } from './plan.ts';
import { endingTheLoop, finish, handBack, settleFailure } from './settle.ts';
import { explainTaken } from './taken.ts';

export type CreateEnd =
  | { readonly crmId: number; readonly job: Job }
  /** Settled for now; a failure in it ends the push loop. */
  | { readonly stoppedBy: CrmFailure | null };

/** Creates the row's contact, or adopts the one that an earlier attempt made. */
export const createInCrm = async (deps: SyncDeps, job: Job): Promise<CreateEnd> => {
  const { intent, row } = job.situation;
  if (intent !== null) {
    const asked = await ask(deps, job, intent);
    if (asked !== 'not there') return asked;
  }
  if (row === null) return { stoppedBy: await finish(deps, job, {}) };
  return await post(deps, job, canonicalFields(row.fields, job.context.customFields));
};

const post = async (deps: SyncDeps, job: Job, fields: ContactFields): Promise<CreateEnd> => {
  const { row } = job.situation;
  const links = row?.links ?? { companies: [], deals: [], activities: [] };
  // Durable before the bytes go: whatever happens now, the next attempt knows that something may have been created.
  const stored = await underLocks(deps, job, async (tx, situation) => {
    return await tx.saveIntent(situation.contactId, { fields, links });
  });
  if (stored === null) return { stoppedBy: null };
  const names = fieldNames(fields).filter((name) => !sameValue(fieldValue(fields, name), fieldValue(EMPTY_FIELDS, name)));
  const { externalIdField: keyField } = deps.settings;
  // Not among the names that were sent: the CRM's answer brings it, and the row takes it over as it does anything that is new there.
  const carried =
    keyField === null || names.includes(keyField) ? toBody(fields, names) : withKey(toBody(fields, names), keyField, stored.key);
  const body = {
    ...carried,
    ...(links.companies.length > 0 ? { companies: links.companies } : {}),
    ...(links.deals.length > 0 ? { deals: links.deals } : {}),
  };
  const requestedAt = await deps.mirror.now();
  const answer = await deps.crm.create(body, writeOptions(deps, job));
  if (answer.ok) return await adopt(deps, job, { fields, names }, answer.value, clockOffsetMs(requestedAt, answer.meta));
  if (answer.failure.class !== 'unknown') await dropIntent(deps, job);
  // A POST that was given up at a stop may go on for as long as one of a lost leader: its end is not known.
  else if (!deps.giveUp.aborted) await underLocks(deps, job, (tx, situation) => tx.doubtIntent(situation.contactId));
  const failure = await explainTaken(deps, job, answer.failure);
  // A create has no contact to read again: what is in its way is for a person.
  await settleFailure(
    deps,
    job,
    failure.class === 'refetch' ? { ...failure, class: 'park' } : failure,
    failure.class === 'unknown' ? 0 : undefined,
  );
  return { stoppedBy: endingTheLoop(failure) };
};

const withKey = (body: ContactBody, field: CustomField, key: string): ContactBody => ({
  ...body,
  custom_fields: { ...body.custom_fields, [field]: key },
});

const dropIntent = async (deps: SyncDeps, job: Job): Promise<void> => {
  await underLocks(deps, job, (tx, situation) => tx.clearIntent(situation.contactId));
};

/** The answer to the POST: the row gets its contact, and the answer is merged as the answer to an update of all fields would be. */
const adopt = async (
  deps: SyncDeps,
  job: Job,
  sent: { readonly fields: ContactFields; readonly names: readonly FieldName[] },
  record: RemoteContact,
  offset: number,
): Promise<CreateEnd> => {
  const paired = await pairWith(deps, job, record, { fields: sent.fields, links: job.situation.row?.links ?? NO_LINKS });
  if (paired === null) return { stoppedBy: null };
  // Only a row that was there is sent.
  if (job.situation.row === null) return { crmId: record.crmId, job: { ...job, situation: paired } };
  const made = new Set([...job.made, 'insert', 'update', 'attach'] as const);
  const asSent = { ...paired, row: { fields: sent.fields, links: job.situation.row.links } };
  const next: NextCall = { call: 'update', body: {}, fields: sent.names };
  // The spent update keeps the attempt from repeating what was just created.
  const progress = { hasRead: true, mustRead: false, spent: new Set(['update'] as const) };
  const absorbed = await absorb(deps, { ...job, situation: asSent, made, doubtful: false }, { next, progress, record, offset });
  return absorbed === 'settled' ? { stoppedBy: null } : { crmId: record.crmId, job: absorbed };
};

/**
 * An earlier attempt's contact is there, as it is by now: somebody may have edited it since. What was sent is what both sides agreed on then, so
 * the contact is read and merged before anything else is sent, or deleted.
 */
const adoptFound = async (deps: SyncDeps, job: Job, intent: CreateIntent, record: RemoteContact): Promise<CreateEnd> => {
  const paired = await pairWith(deps, job, record, intent);
  if (paired === null) return { stoppedBy: null };
  const made = new Set([...job.made, 'insert', 'update', 'attach'] as const);
  return { crmId: record.crmId, job: { ...job, situation: paired, made, doubtful: false, readFirst: true } };
};

/** Gives the row its contact; null where the claim is no longer ours. What was sent and has arrived is the base from now on. */
const pairWith = async (
  deps: SyncDeps,
  job: Job,
  { crmId, fields, links }: RemoteContact,
  sent: Pick<CreateIntent, 'fields' | 'links'>,
): Promise<Situation | null> =>
  await deps.mirror.transaction(async (tx) => {
    // Before any row lock, as the page inserts do: the two meet here and nowhere else.
    await tx.lockPairing();
    const { contactId } = job.situation;
    await tx.lockContacts([contactId], 'wait');
    await tx.lockStates([contactId], 'wait');
    const before = (await tx.read([contactId])).get(contactId);
    if (before?.attempt?.number !== job.attempt) return null;
    await tx.pair(contactId, crmId);
    // Without a base an edit that is made there before the answer is merged could not be told. One of before the intent is a former contact's.
    const agreed = arrived(sent.fields, fields, job.context.customFields);
    // A kind that the record does not tell is not known.
    const linked = eachKind((kind) => (links[kind] === null ? null : without(sent.links[kind], without(sent.links[kind], links[kind]))));
    const base = { fields: agreed, hash: contentHash(agreed), links: linked };
    await tx.save([{ contactId, fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, base, extra: null, crmTimes: null }]);
    await tx.clearIntent(contactId);
    return { ...before, crmId, base: { fields: base.fields, links: base.links }, baseHash: base.hash, intent: null, sent: null };
  });

/**
 * What was sent, as far as the contact holds it. The rest never arrived, or was edited there since, or the contact is one that somebody else made: taken
 * for agreed it would look as if the CRM had changed what is only here, and the row would lose it without a word.
 */
const arrived = (sent: ContactFields, theirs: ContactFields, customFields: CustomFieldDefs): ContactFields => {
  const there = canonicalFields(theirs, customFields);
  const agreed = (name: FieldName): unknown => {
    if (name === 'phones') return sent.phones.filter((phone) => there.phones.some((other) => isStoredAs(phone, other)));
    const value = fieldValue(sent, name);
    return sameValue(value, fieldValue(there, name)) ? value : fieldValue(EMPTY_FIELDS, name);
  };
  return canonicalFields(withValues(sent, new Map(fieldNames(sent).map((name) => [name, agreed(name)]))), customFields);
};

/** How often the CRM is asked until CREATE_RECHECK_MS are over. */
const ASK_AGAIN_MS = 1000;

const ask = async (deps: SyncDeps, job: Job, intent: CreateIntent): Promise<CreateEnd | 'not there'> => {
  const requestedAt = await deps.mirror.now();
  const found = await findCreated(deps, job, intent, requestedAt);
  if (!found.ok) {
    // Whatever kept the CRM from answering, the create is as unknown as before.
    await settleFailure(deps, job, { ...found.failure, class: 'unknown' });
    return { stoppedBy: endingTheLoop(found.failure) };
  }
  const { free, taken } = found;
  const [match] = free;
  // Whatever looks like it belongs to other rows: then nothing of a deleted one is left there, and a living one is its own if a person says so.
  const isAsked = job.doubtful || job.wasParked;
  const isNobodys = free.length === 0 && (job.situation.row === null ? job.wasParked || !isAsked : !isAsked);
  // Several may be ours; one that has a row by now may have been; one that only shares the name may be somebody else.
  if (!isNobodys && (free.length > 1 || (match === undefined && taken.length > 0) || found.byNameOnly)) {
    const ids = [...free, ...taken].map(({ crmId }) => crmId);
    const message = `${ids.length} contacts of the CRM may be this one: ${ids.join(', ')}`;
    return {
      stoppedBy: await finish(deps, { ...job, refused: [{ ops: ['insert', 'update', 'delete'], code: 'several_matches', message }] }, {}),
    };
  }
  if (match !== undefined) return await adoptFound(deps, job, intent, match);
  const { createRecheckMs, createGraceMs } = deps.settings;
  // Asked from the end of the POST on, not from its beginning: one that timed out may still be carried out.
  const endedMs = intent.unknownAt?.getTime() ?? intent.at.getTime() + createGraceMs - createRecheckMs;
  const waited = requestedAt.getTime() - endedMs;
  if (waited >= createRecheckMs) return 'not there';
  const delayMs = Math.min(ASK_AGAIN_MS, createRecheckMs - waited);
  // What a person, or the row's end, has decided about the others is not forgotten over the wait: unknown again, it would be asked again.
  if (taken.length > 0 && !job.doubtful) {
    await handBack(deps, job, { delayMs });
    return { stoppedBy: null };
  }
  const unknown: CrmFailure = { ...NO_ANSWER, code: 'timeout', message: 'Asking the CRM whether the contact was created' };
  await settleFailure(deps, job, unknown, delayMs);
  return { stoppedBy: null };
};

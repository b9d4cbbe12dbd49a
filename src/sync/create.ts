/**
 * A create, and the question that follows one whose outcome is unknown.
 *
 * The intent is stored, with what will be sent, before the POST goes. After a time-out, a reset, a 5xx or a crash nobody knows whether the
 * contact exists; so the CRM is asked first (by e-mail, else by phone, else the newest contacts back to the intent) and answers are compared
 * in canonical form: exactly one match is adopted, none after CREATE_RECHECK_MS is sent again, several are parked for a person.
 */
import {
  canonicalFields,
  canonicalIds,
  contentHash,
  EMPTY_FIELDS,
  fieldNames,
  fieldValue,
  NO_LINKS,
  sameValue,
  TEXT_FIELDS,
  UNKNOWN_LINKS,
  type ContactFields,
  type FieldName,
  type RemoteContact,
} from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { AnswerMeta, CrmResult } from '../ports/crm.ts';
import type { CreateIntent, Situation } from '../ports/mirror.ts';
import { absorb, endingTheLoop, finish, settleFailure, underLocks, type Job } from './attempt.ts';
import { clockOffsetMs } from './context.ts';
import { callOptions, CLOCK_ERROR_MS, type SyncDeps } from './deps.ts';
import { isWhole } from './pages.ts';
import { toBody, type NextCall } from './plan.ts';

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
    await tx.saveIntent(situation.contactId, { fields, links });
    return true;
  });
  if (stored === null) return { stoppedBy: null };
  const names = fieldNames(fields).filter((name) => !sameValue(fieldValue(fields, name), fieldValue(EMPTY_FIELDS, name)));
  const body = {
    ...toBody(fields, names),
    ...(links.companies.length > 0 ? { companies: links.companies } : {}),
    ...(links.deals.length > 0 ? { deals: links.deals } : {}),
  };
  const requestedAt = await deps.mirror.now();
  const answer = await deps.crm.create(body, callOptions(deps, 'edit'));
  if (answer.ok) return await adopt(deps, job, { fields, names }, answer.value, clockOffsetMs(requestedAt, answer.meta));
  if (answer.failure.class !== 'unknown') await dropIntent(deps, job);
  const { failure } = answer;
  // A create has no contact to read again: what is in its way is for a person.
  await settleFailure(
    deps,
    job,
    failure.class === 'refetch' ? { ...failure, class: 'park' } : failure,
    failure.class === 'unknown' ? 0 : undefined,
  );
  return { stoppedBy: endingTheLoop(failure) };
};

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
  const paired = await pairWith(deps, job, record, sent.fields);
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
  const paired = await pairWith(deps, job, record, intent.fields);
  if (paired === null) return { stoppedBy: null };
  const made = new Set([...job.made, 'insert', 'update', 'attach'] as const);
  return { crmId: record.crmId, job: { ...job, situation: paired, made, doubtful: false, readFirst: true } };
};

/** Gives the row its contact; null where the claim is no longer ours. `agreed` lives on as the base if there is none. */
const pairWith = async (deps: SyncDeps, job: Job, { crmId }: RemoteContact, agreed: ContactFields): Promise<Situation | null> =>
  await deps.mirror.transaction(async (tx) => {
    // Before any row lock, as the page inserts do: the two meet here and nowhere else.
    await tx.lockPairing();
    const { contactId } = job.situation;
    await tx.lockContacts([contactId], 'wait');
    await tx.lockStates([contactId], 'wait');
    const before = (await tx.read([contactId])).get(contactId);
    if (before?.attempt?.number !== job.attempt) return null;
    await tx.pair(contactId, crmId);
    // Without a base an edit that is made there before the answer is merged could not be told.
    if (before.base === null) {
      const base = { fields: agreed, hash: contentHash(agreed), links: UNKNOWN_LINKS };
      await tx.save([{ contactId, fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, base, extra: null, crmTimes: null }]);
    }
    await tx.clearIntent(contactId);
    return (await tx.read([contactId])).get(contactId) ?? null;
  });

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
  // Several may be ours; one that has a row by now may have been; one that only shares the name may be somebody else.
  if (free.length > 1 || (match === undefined && taken.length > 0) || found.byNameOnly) {
    const ids = [...free, ...taken].map(({ crmId }) => crmId);
    const message = `${ids.length} contacts of the CRM may be this one: ${ids.join(', ')}`;
    return {
      stoppedBy: await finish(deps, { ...job, refused: [{ ops: ['insert', 'update', 'delete'], code: 'several_matches', message }] }, {}),
    };
  }
  if (match !== undefined) return await adoptFound(deps, job, intent, match);
  const waited = requestedAt.getTime() - intent.at.getTime();
  const { createRecheckMs } = deps.settings;
  if (waited >= createRecheckMs) return 'not there';
  const unknown: CrmFailure = { ...NO_ANSWER, code: 'timeout', message: 'Asking the CRM whether the contact was created' };
  await settleFailure(deps, job, unknown, Math.min(ASK_AGAIN_MS, createRecheckMs - waited));
  return { stoppedBy: null };
};

/** What the CRM has that may be the create's: without a row of its own, and with one. */
interface Found {
  readonly ok: true;
  readonly free: readonly RemoteContact[];
  readonly taken: readonly RemoteContact[];
  /** Nothing but the name speaks for it. */
  readonly byNameOnly: boolean;
}
type Failed = Extract<CrmResult<never>, { readonly ok: false }>;

/**
 * By what identifies the contact best, and if that finds nobody by when it was created: a search index lags behind, and the CRM may have
 * stored a phone in another form than it was sent in.
 */
const findCreated = async (deps: SyncDeps, job: Job, intent: CreateIntent, requestedAt: Date): Promise<Found | Failed> => {
  for (const look of [searchExactly, createdSince]) {
    const answer = await look(deps, intent, requestedAt);
    if (!answer.ok) return answer;
    const offset = clockOffsetMs(requestedAt, answer.meta);
    const since = answer.value.filter((record) => isSince(record, intent, offset));
    // Edited there before we could ask, it is still the same person: sent again it would be two.
    for (const kind of [isOurs, isSamePerson, isNamesake]) {
      const matches = since.filter((record) => kind(record, intent, job, answer.by));
      const free = await unpaired(deps, job, matches);
      if (matches.length > 0) {
        const taken = kind === isNamesake ? [] : matches.filter((record) => !free.includes(record));
        if (free.length + taken.length > 0) return { ok: true, free, taken, byNameOnly: kind === isNamesake };
      }
    }
  }
  return { ok: true, free: [], taken: [], byNameOnly: false };
};

/** `identity`: the answer to an exact search; `time`: every contact created since the intent. */
type By = 'identity' | 'time';
type Candidates = { readonly ok: true; readonly by: By; readonly value: readonly RemoteContact[]; readonly meta: AnswerMeta } | Failed;

const searchExactly = async (deps: SyncDeps, intent: CreateIntent): Promise<Candidates> => {
  const { email, phones } = intent.fields;
  const exact = [
    { q: email, field: 'email' },
    { q: phones[0]?.number ?? null, field: 'phones.number' },
  ].find(({ q }) => q !== null);
  // A colon would switch the CRM's search to pairs of field and value.
  if (exact?.q == null || exact.q.includes(':')) return { ok: true, by: 'identity', value: [], meta: NO_META };
  const searchFields = [{ field: exact.field, operator: '=' }] as const;
  const answer = await deps.crm.search({ q: exact.q, searchFields }, callOptions(deps, 'edit'));
  if (!answer.ok) return answer;
  // One that cannot be read may be the very one: not to be mistaken for "not there".
  if (answer.value.bad.length > 0) return { ok: false, failure: UNREADABLE, meta: answer.meta };
  return { ...answer, by: 'identity', value: answer.value.records };
};

const createdSince = async (deps: SyncDeps, intent: CreateIntent, requestedAt: Date): Promise<Candidates> => {
  const { perPage } = deps.capabilities.get();
  const records: RemoteContact[] = [];
  for (let page = 1; ; page += 1) {
    const answer = await deps.crm.list({ order: { field: 'created_at', direction: 'desc' }, perPage, page }, callOptions(deps, 'edit'));
    if (!answer.ok) return answer;
    const { value, meta } = answer;
    if (value.bad.length > 0) return { ok: false, failure: UNREADABLE, meta };
    records.push(...value.records);
    const earliest = intent.at.getTime() - CLOCK_ERROR_MS - clockOffsetMs(requestedAt, meta);
    if (value.records.some(({ createdAt }) => createdAt !== null && createdAt.getTime() < earliest))
      return { ok: true, by: 'time', value: records, meta };
    // Absence counts here, so a list that is cut short, or empty while the account is not, is no answer.
    if (!isWhole(value) || (value.total === 0 && (await deps.mirror.oneSeen()) !== null)) return { ok: false, failure: CUT_SHORT, meta };
    if (page >= value.lastPage) return { ok: true, by: 'time', value: records, meta };
  }
};

const NO_ANSWER = { class: 'unknown', status: null, fields: {}, retryAfterMs: null, proven: false } as const;
const CUT_SHORT: CrmFailure = { ...NO_ANSWER, code: 'bad_answer', message: 'The list of the newest contacts is not complete' };

const UNREADABLE: CrmFailure = { ...NO_ANSWER, code: 'bad_answer', message: 'A contact that may be this one cannot be read' };
const NO_META: AnswerMeta = { date: null, status: 200, appVersion: null };

const isSince = ({ createdAt }: RemoteContact, intent: CreateIntent, offset: number): boolean =>
  createdAt === null || createdAt.getTime() + offset >= intent.at.getTime() - CLOCK_ERROR_MS;

const shares = (theirs: ContactFields, fields: ContactFields): boolean =>
  theirs.phones.some(({ number }) => fields.phones.some((phone) => phone.number === number));
const differsInEmail = (theirs: ContactFields, fields: ContactFields): boolean =>
  theirs.email !== null && fields.email !== null && theirs.email.toLowerCase() !== fields.email.toLowerCase();

/** By the e-mail, which the CRM keeps unique, or by a phone together with the first or the last name; never against the e-mail. */
const isSamePerson = (record: RemoteContact, { fields }: CreateIntent, { context }: Job): boolean => {
  const theirs = canonicalFields(record.fields, context.customFields);
  if (differsInEmail(theirs, fields)) return false;
  if (fields.email !== null && theirs.email !== null) return true;
  const named = theirs.first_name === fields.first_name || (fields.last_name !== null && theirs.last_name === fields.last_name);
  return named && shares(theirs, fields);
};

/** The same full name, and nothing that tells them apart: there are many Anna Smiths, so a person has to decide. */
const isNamesake = (record: RemoteContact, { fields }: CreateIntent, { context }: Job): boolean => {
  const theirs = canonicalFields(record.fields, context.customFields);
  if (fields.last_name === null || differsInEmail(theirs, fields)) return false;
  return theirs.first_name === fields.first_name && theirs.last_name === fields.last_name;
};

/**
 * Every field that was sent is there as it was sent. Phones may have been rewritten, so only their number is
 * compared. Where nothing but the time and the name speak for it, it must not hold anything else either: there are many Annas.
 */
const isOurs = (record: RemoteContact, intent: CreateIntent, { context }: Job, by: By): boolean => {
  const theirs = canonicalFields(record.fields, context.customFields);
  const equal = (name: FieldName): boolean => sameValue(fieldValue(theirs, name), fieldValue(intent.fields, name));
  if (by === 'time' && !(TEXT_FIELDS.every(equal) && theirs.phones.length === intent.fields.phones.length)) return false;
  return fieldNames(intent.fields)
    .filter((name) => name !== 'phones' && fieldValue(intent.fields, name) !== null)
    .every(equal);
};

/** A contact that has a row already is somebody else's. */
const unpaired = async (deps: SyncDeps, job: Job, records: readonly RemoteContact[]): Promise<readonly RemoteContact[]> => {
  const ids = canonicalIds(records.map(({ crmId }) => crmId));
  const known = await deps.mirror.transaction((tx) => tx.peek(ids));
  return records.filter(({ crmId }) => (known.get(crmId)?.contactId ?? job.situation.contactId) === job.situation.contactId);
};

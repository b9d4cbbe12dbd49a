/**
 * Did a create of which nobody knows the outcome make a contact? The CRM is asked three ways: by the correlation id, where the account has a
 * field for one (CRM_EXTERNAL_ID_FIELD), which makes the answer exact; by what identifies the contact best; and by when it was created. What is
 * found is compared in canonical form: the answer must neither miss our contact nor take somebody else's for it.
 */
import {
  canonicalFields,
  canonicalIds,
  fieldNames,
  fieldValue,
  inferCustomFields,
  sameValue,
  TEXT_FIELDS,
  type ContactFields,
  type FieldName,
  type RemoteContact,
} from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { AnswerMeta, CrmResult } from '../ports/crm.ts';
import type { CreateIntent } from '../ports/mirror.ts';
import type { Job } from './attempt.ts';
import { clockOffsetMs } from './context.ts';
import { callOptions, CLOCK_ERROR_MS, type SyncDeps } from './deps.ts';
import { isWhole } from './pages.ts';

/** What the CRM has that may be the create's: without a row of its own, and with one. */
export interface Found {
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
export const findCreated = async (deps: SyncDeps, job: Job, intent: CreateIntent, requestedAt: Date): Promise<Found | Failed> => {
  for (const look of [searchKey, searchExactly, createdSince]) {
    const answer = await look(deps, intent, requestedAt);
    if (!answer.ok) return answer;
    const own = ownKey(intent, deps);
    const keyed = own === null ? answer.value.filter((record) => keyOf(record, deps) === intent.key) : [];
    // Whoever has a row for it: a page made that one, and pairing folds the two.
    if (keyed.length > 0) return { ok: true, free: keyed, taken: [], byNameOnly: false };
    const offset = clockOffsetMs(requestedAt, answer.meta);
    // Another key is another create's, or a person's own: not ours, however alike the rest is.
    const since = answer.value.filter((record) => isSince(record, intent, offset) && keyOf(record, deps) === own);
    // Edited there before we could ask, it is still the same person: sent again it would be two.
    for (const kind of own === null && carriesKeys(deps, job) ? [isOurs, isSamePerson] : [isOurs, isSamePerson, isNamesake]) {
      const matches = since.filter((record) => kind(record, intent, job, answer.by));
      const free = await unpaired(deps, job, matches);
      if (matches.length > 0) {
        // A namesake with a row is somebody else: but for the one that has it only because this create was parked beside it.
        const taken = kind === isNamesake && !job.wasParked ? [] : matches.filter((record) => !free.includes(record));
        if (free.length + taken.length > 0) return { ok: true, free, taken, byNameOnly: kind === isNamesake };
      }
    }
  }
  return { ok: true, free: [], taken: [], byNameOnly: false };
};

/** `identity`: the answer to an exact search; `time`: every contact created since the intent. */
type By = 'identity' | 'time';
type Candidates = { readonly ok: true; readonly by: By; readonly value: readonly RemoteContact[]; readonly meta: AnswerMeta } | Failed;

/** The correlation id that a contact carries; null where it has none, or the account has no field for one. */
const keyOf = ({ fields }: RemoteContact, { settings }: SyncDeps): unknown =>
  settings.externalIdField === null ? null : (fields.custom_fields[settings.externalIdField] ?? null);

/** What a person had put into that field: it is theirs, goes as it is, and proves nothing. A row copied in SQL carries the original's key. */
const ownKey = ({ fields }: CreateIntent, { settings }: SyncDeps): unknown =>
  settings.externalIdField === null ? null : (fields.custom_fields[settings.externalIdField] ?? null);

/** The CRM has shown or declared the field: a contact of ours without its key can only be one that the CRM stored by halves. */
const carriesKeys = ({ settings }: SyncDeps, { context }: Job): boolean =>
  settings.externalIdField !== null && context.customFields.has(settings.externalIdField);

/** A CRM that does not search this field refuses to; the walk by time tells it just as well. */
const searchKey = async (deps: SyncDeps, intent: CreateIntent): Promise<Candidates> => {
  const { key } = intent;
  const field = deps.settings.externalIdField;
  if (field === null || ownKey(intent, deps) !== null) return { ok: true, by: 'identity', value: [], meta: NO_META };
  const answer = await deps.crm.search({ q: key, searchFields: [{ field, operator: '=' }] }, callOptions(deps, 'edit'));
  if (!answer.ok) return answer.failure.class === 'park' ? { ok: true, by: 'identity', value: [], meta: NO_META } : answer;
  if (answer.value.bad.length > 0) return { ok: false, failure: UNREADABLE, meta: answer.meta };
  // Searched by "=", and all the same only the very key counts.
  return { ...answer, by: 'identity', value: answer.value.records.filter((record) => keyOf(record, deps) === key) };
};

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
  let total: number | null = null;
  for (let page = 1; ; page += 1) {
    // Ids grow as contacts are made, and are what the sweep relies on as well.
    const answer = await deps.crm.list({ order: { field: 'id', direction: 'desc' }, perPage, page }, callOptions(deps, 'edit'));
    if (!answer.ok) return answer;
    const { value, meta } = answer;
    if (value.bad.length > 0) return { ok: false, failure: UNREADABLE, meta };
    // Somebody trashed a contact of an earlier page: one slid across the edge, and it may be the very one.
    if (total !== null && value.total < total) return { ok: false, failure: CUT_SHORT, meta };
    total = value.total;
    records.push(...value.records);
    const earliest = intent.at.getTime() - CLOCK_ERROR_MS - clockOffsetMs(requestedAt, meta);
    if (isDescending(records) && records.some(({ createdAt }) => createdAt !== null && createdAt.getTime() < earliest))
      return { ok: true, by: 'time', value: records, meta };
    // Absence counts here, so a list that is cut short, or empty while the account is not, is no answer.
    if (!isWhole(value) || (value.total === 0 && (await deps.mirror.oneSeen()) !== null)) return { ok: false, failure: CUT_SHORT, meta };
    if (page >= value.lastPage) return { ok: true, by: 'time', value: records, meta };
  }
};

/** A CRM that ignores the order is read to the end. */
const isDescending = (records: readonly RemoteContact[]): boolean =>
  records.every(({ crmId }, at) => at === 0 || crmId <= (records[at - 1]?.crmId ?? crmId));

export const NO_ANSWER = { class: 'unknown', status: null, fields: {}, retryAfterMs: null, proven: false } as const;
const CUT_SHORT: CrmFailure = { ...NO_ANSWER, code: 'bad_answer', message: 'The list of the newest contacts is not complete' };

const UNREADABLE: CrmFailure = { ...NO_ANSWER, code: 'bad_answer', message: 'A contact that may be this one cannot be read' };
const NO_META: AnswerMeta = { date: null, status: 200, appVersion: null };

const isSince = ({ createdAt }: RemoteContact, intent: CreateIntent, offset: number): boolean =>
  createdAt === null || createdAt.getTime() + offset >= intent.at.getTime() - CLOCK_ERROR_MS;

const shares = (theirs: ContactFields, fields: ContactFields): boolean =>
  theirs.phones.some(({ number }) => fields.phones.some((phone) => phone.number === number));
const differsInEmail = (theirs: ContactFields, fields: ContactFields): boolean =>
  theirs.email !== null && fields.email !== null && theirs.email.toLowerCase() !== fields.email.toLowerCase();

/**
 * By the e-mail, which the CRM keeps unique, or by a phone together with the first or the last name, and against the e-mail only with a phone and
 * both: phones are unique as well, and an e-mail can have been corrected there.
 */
const isSamePerson = (record: RemoteContact, { fields }: CreateIntent, { context }: Job): boolean => {
  const theirs = canonicalFields(record.fields, context.customFields);
  if (differsInEmail(theirs, fields)) return isNamed(theirs, fields) && shares(theirs, fields);
  if (fields.email !== null && theirs.email !== null) return true;
  const named = theirs.first_name === fields.first_name || (fields.last_name !== null && theirs.last_name === fields.last_name);
  return named && shares(theirs, fields);
};

const isNamed = (theirs: ContactFields, { first_name, last_name }: ContactFields): boolean =>
  theirs.first_name === first_name && theirs.last_name === last_name;

/**
 * The same full name, and nothing that tells them apart: there are many Anna Smiths, so a person has to decide. With another e-mail only where
 * everything else is as it was sent, and nothing more: that may be a corrected one.
 */
const isNamesake = (record: RemoteContact, intent: CreateIntent, job: Job, by: By): boolean => {
  const { fields } = intent;
  const theirs = canonicalFields(record.fields, job.context.customFields);
  // The CRM keeps phones unique too: whoever has ours, and one of our names, may be the one we made, corrected since.
  if (shares(theirs, fields) && (theirs.first_name === fields.first_name || theirs.last_name === fields.last_name)) return true;
  if (fields.last_name === null || !isNamed(theirs, fields)) return false;
  return (
    !differsInEmail(theirs, fields) || (by === 'time' && isOurs(record, { ...intent, fields: { ...fields, email: theirs.email } }, job, by))
  );
};

/**
 * Every field that was sent is there as it was sent. Phones may have been rewritten, so only their number is
 * compared. Where nothing but the time and the name speak for it, it must not hold anything else either: there are many Annas.
 */
const isOurs = (record: RemoteContact, intent: CreateIntent, { context }: Job, by: By): boolean => {
  // The type of a custom field may be seen here for the first time: what was sent as a date comes back as a point in time.
  const learned = inferCustomFields(context.customFields, [record]).map((def) => [def.name, def] as const);
  const customFields = new Map([...context.customFields, ...learned]);
  const [theirs, ours] = [record.fields, intent.fields].map((fields) => canonicalFields(fields, customFields)) as [
    ContactFields,
    ContactFields,
  ];
  const equal = (name: FieldName): boolean => sameValue(fieldValue(theirs, name), fieldValue(ours, name));
  if (by === 'time' && !(TEXT_FIELDS.every(equal) && theirs.phones.length === intent.fields.phones.length)) return false;
  return fieldNames(ours)
    .filter((name) => name !== 'phones' && fieldValue(ours, name) !== null)
    .every(equal);
};

/** A contact that has a row already is somebody else's. */
const unpaired = async (deps: SyncDeps, job: Job, records: readonly RemoteContact[]): Promise<readonly RemoteContact[]> => {
  const ids = canonicalIds(records.map(({ crmId }) => crmId));
  const known = await deps.mirror.transaction((tx) => tx.peek(ids));
  return records.filter(({ crmId }) => (known.get(crmId)?.contactId ?? job.situation.contactId) === job.situation.contactId);
};

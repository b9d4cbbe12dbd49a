/**
 * Finds out what this account's CRM can do beyond its public API, with reads only (at most eight).
 *
 * A capability is claimed only when an answer shows it; an account without contacts can show neither filters nor links nor activities.
 * The one exception is the order by updated_at, which the public API promises: it stands unless an answer contradicts it. An answer that
 * says "no such thing" (404, 403, 4xx, 500 for an unknown parameter, a page that is no JSON) is a no. Anything that says nothing about the
 * CRM (network, 401, 429, maintenance) ends the probe with that failure, so that a bad minute does not cost capabilities until tomorrow. Only
 * the list of custom fields, which no contact depends on, ends it with nothing but what every call would meet.
 */
import type { RemoteContact } from '../domain/contact.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { CallOptions, Capabilities, ContactPage, Crm, CrmResult, OrderDirection } from '../ports/crm.ts';

const PER_PAGE = 100;
/** Later than any record, and still a TIMESTAMP for MySQL, which ends in January 2038. */
const FAR_FUTURE = new Date('2037-12-31T00:00:00Z');
const BY_ID = { field: 'id', direction: 'asc' } as const;

/** Codes that are an answer to "can you?". */
const MEANS_NO: ReadonlySet<ErrorCode> = new Set([
  'not_found',
  'no_such_route',
  'forbidden',
  'bad_request',
  'invalid',
  'conflict',
  'server_error',
  'bad_answer',
]);

/** A list of fields that hangs, or refuses this token alone, must not keep the contacts out. */
const MEETS_EVERY_CALL: ReadonlySet<ErrorCode> = new Set([
  'aborted',
  'not_leader',
  'connection_refused',
  'tls_refused',
  'unauthorized',
  'rate_limited',
  'unavailable',
]);

/** `meta` is the first answer's. `firstNameRequired` cannot be probed by reading and is false: keep what was learned before. */
export const probeCapabilities = async (crm: Crm, options: CallOptions): Promise<CrmResult<Capabilities>> => {
  const plain = await crm.list({ order: BY_ID, perPage: PER_PAGE }, options);
  if (!plain.ok) return plain;
  const { perPage, total, records } = plain.value;
  const found = { orderByUpdatedAt: false, filters: false, withLinks: false, trash: false, activities: false, customFields: false };
  const questions: { readonly [C in keyof typeof found]: () => Promise<Answer> } = {
    orderByUpdatedAt: () => isOrdered(crm, options),
    filters: async () =>
      total > 0 && shows(crm.list({ order: BY_ID, perPage: 1, updatedSince: FAR_FUTURE }, options), (page) => page.total === 0),
    withLinks: () => shows(crm.list({ order: BY_ID, perPage: 5, with: ['companies', 'deals'] }, options), carriesLinks),
    trash: () => shows(crm.listTrashed({ order: BY_ID, perPage: 1 }, options), always),
    activities: async () => records[0] !== undefined && shows(crm.listActivities(records[0].crmId, 1, options), always),
    customFields: async () => {
      const answer = await shows(crm.customFields(options), always);
      return typeof answer === 'boolean' || MEETS_EVERY_CALL.has(answer.failure.code) ? answer : false;
    },
  };
  for (const capability of Object.keys(found) as (keyof typeof found)[]) {
    const answer = await questions[capability]();
    if (typeof answer !== 'boolean') return answer;
    found[capability] = answer;
  }
  return { ok: true, value: { perPage: Math.min(perPage, PER_PAGE), ...found, firstNameRequired: false }, meta: plain.meta };
};

/** Yes, no, or the failure that kept us from finding out. */
type Answer = boolean | Extract<CrmResult<never>, { readonly ok: false }>;

const shows = async <T>(call: Promise<CrmResult<T>>, proves: (value: T) => boolean): Promise<Answer> => {
  const result = await call;
  if (result.ok) return proves(result.value);
  return MEANS_NO.has(result.failure.code) ? false : result;
};

/** Both directions, since one alone may be sorted by chance; a second page is not needed to see an order. */
const isOrdered = async (crm: Crm, options: CallOptions): Promise<Answer> => {
  const page = (direction: OrderDirection) => crm.list({ order: { field: 'updated_at', direction }, perPage: PER_PAGE }, options);
  const descending = await shows(page('desc'), ({ records }) => isSorted(records.toReversed()));
  return descending === true ? shows(page('asc'), ({ records }) => isSorted(records)) : descending;
};

const always = (): boolean => true;

const carriesLinks = ({ records }: ContactPage): boolean =>
  records.length > 0 && records.every(({ links }) => links.companies !== null && links.deals !== null);

const isSorted = (records: readonly RemoteContact[]): boolean => {
  const times = records.flatMap(({ updatedAt }) => (updatedAt === null ? [] : [updatedAt.getTime()]));
  return times.every((time, index) => time >= (times[index - 1] ?? time));
};

/**
 * The nine calls of the CRM's public contacts API, and the undocumented ones behind `Capabilities`.
 *
 * Each is one attempt: one place in the budget, one request, one outcome; but a page that is too large is read in parts (`large-pages.ts`). A wrong argument is our own mistake and throws RangeError;
 * whatever the CRM or the network does is a value. A record that answers another id than the one asked for is a bad answer.
 */
import type { RemoteContact } from '../domain/contact.ts';
import type { AnswerMeta, CallOptions, Crm, CrmResult, LinkIds, ListParams, RecordBatch } from '../ports/crm.ts';
import { NO_TELEMETRY, type Endpoint, type Telemetry } from '../ports/telemetry.ts';
import { badAnswer } from './errors.ts';
import { listInParts } from './large-pages.ts';
import { type ClientOptions, createClient, type CrmRequest, isWrite } from './client.ts';
import { findQuery, listQuery, pageQuery } from './query.ts';
import { parseContact, parseContacts, RECORDS_MAX, toBody } from './wire.ts';
import { parseCustomFields } from './wire-fields.ts';
import { parseActivityPage, parseContactPage, type Parsed } from './wire-page.ts';

export interface CrmOptions extends ClientOptions {
  /** Told of every attempt, under the call's name: an address may hold an id. */
  readonly telemetry?: Pick<Telemetry, 'callEnded'>;
}

/** `close` ends all connections; calls after it fail as `retry`/`aborted`. Safe to call twice. */
export const createCrm = (options: CrmOptions): Crm & { close(): void } => {
  const client = createClient(options);
  const { callEnded } = options.telemetry ?? NO_TELEMETRY;

  /** One call, told when it has ended: an answer that `read` cannot take for one is none. */
  const tell = async <T>(
    endpoint: Endpoint,
    request: CrmRequest,
    call: CallOptions,
    read: (value: unknown, meta: AnswerMeta) => CrmResult<T>,
  ): Promise<CrmResult<T>> => {
    let seconds: number | null = null;
    const answer = await client.call(request, call, (took) => (seconds = took));
    const result = answer.ok ? read(answer.value, answer.meta) : answer;
    if (seconds !== null) callEnded({ endpoint, outcome: result.ok ? 'ok' : result.failure.code, seconds });
    return result;
  };
  /** One call whose 2xx carries JSON of a known shape. */
  const ask = async <T>(
    endpoint: Endpoint,
    request: CrmRequest,
    call: CallOptions,
    parse: (answer: unknown) => Parsed<T>,
  ): Promise<CrmResult<T>> =>
    await tell(endpoint, request, call, (value, meta) => {
      const parsed = parse(value);
      return 'value' in parsed ? { ok: true, value: parsed.value, meta } : refuse(request, meta, parsed.problem);
    });
  const page = async (endpoint: Endpoint, path: string, asked: ListParams, call: CallOptions) =>
    await listInParts(
      async (params) =>
        await ask(endpoint, { method: 'GET', path, query: listQuery(params) }, call, (answer) =>
          parseContactPage(answer, params.page ?? 1),
        ),
      asked,
    );
  const record = (endpoint: Endpoint, request: CrmRequest, call: CallOptions, crmId: number | null) =>
    ask(endpoint, request, call, (answer) => parseRecord(answer, crmId));
  // No query here: the CRM's validator takes every parameter of these addresses for a kind of link and answers 409.
  const links = (endpoint: Endpoint, method: 'PUT' | 'POST' | 'DELETE', crmId: number, ids: LinkIds, call: CallOptions) =>
    record(endpoint, { method, path: `associations/contacts/${idIn(crmId)}`, body: linkBody(ids) }, call, crmId);

  return {
    list: async (params, call) => page('list', 'contacts', params, call),
    retrieve: async (crmId, call) => record('get', { method: 'GET', path: `contacts/${idIn(crmId)}` }, call, crmId),
    create: async (body, call) => record('create', { method: 'POST', path: 'contacts', body: toBody(body) }, call, null),
    update: async (crmId, body, call) =>
      record('update', { method: 'PUT', path: `contacts/${idIn(crmId)}`, body: toBody(body) }, call, crmId),
    delete: async (crmId, call) => {
      const request: CrmRequest = { method: 'DELETE', path: `contacts/${idIn(crmId)}` };
      // Only 204 says that the contact is gone; a login or proxy page with 200 says nothing.
      return await tell('delete', request, call, (_, meta) => {
        if (meta.status !== 204) return refuse(request, meta, `a delete was answered with ${meta.status}`);
        return { ok: true, value: null, meta };
      });
    },
    search: async (params, call) =>
      ask('search', { method: 'GET', path: 'contacts/search', query: findQuery(params) }, call, (answer) =>
        Array.isArray(answer) ? parseMatches(answer) : { problem: 'matches are not a list' },
      ),
    attach: async (crmId, ids, call) => links('attach', 'PUT', crmId, ids, call),
    detach: async (crmId, ids, call) => links('detach', 'DELETE', crmId, ids, call),
    sync: async (crmId, ids, call) => links('sync', 'POST', crmId, ids, call),

    listTrashed: async (params, call) => page('trash', 'trashed/contacts', params, call),
    restore: async (crmId, call) => record('restore', { method: 'POST', path: `trashed/contacts/${idIn(crmId)}` }, call, crmId),
    listActivities: async (crmId, number, call) =>
      ask('activities', { method: 'GET', path: `contacts/${idIn(crmId)}/activities`, query: pageQuery(number) }, call, (answer) =>
        parseActivityPage(answer, number),
      ),
    customFields: async (call) => ask('fields', { method: 'GET', path: 'fields/contacts/update' }, call, parseCustomFields),

    close: () => client.close(),
  };
};

const refuse = (request: CrmRequest, meta: AnswerMeta, problem: string): Extract<CrmResult<never>, { readonly ok: false }> => ({
  ok: false,
  failure: badAnswer(isWrite(request), meta.status, problem, true),
  meta,
});

const parseMatches = (matches: readonly unknown[]): Parsed<RecordBatch> =>
  matches.length > RECORDS_MAX ? { problem: `more than ${RECORDS_MAX} matches` } : { value: parseContacts(matches) };

const parseRecord = (answer: unknown, crmId: number | null): Parsed<RemoteContact> => {
  const parsed = parseContact(answer);
  if ('bad' in parsed) return { problem: parsed.bad.problem };
  if (crmId !== null && parsed.contact.crmId !== crmId) return { problem: 'another contact than the one asked for' };
  return { value: parsed.contact };
};

const idIn = (crmId: number): number => {
  if (!Number.isSafeInteger(crmId) || crmId < 1) throw new RangeError(`a contact's id must be a positive integer, not ${crmId}`);
  return crmId;
};

const linkBody = ({ companies, deals, activities }: LinkIds): LinkIds => {
  const body = { ...(companies && { companies }), ...(deals && { deals }), ...(activities && { activities }) };
  if (Object.keys(body).length === 0) throw new RangeError('an association call needs at least one kind of link');
  // A string would be looked up as a company's *name*, so nothing but ids may leave.
  for (const id of Object.values(body).flat()) idIn(id);
  return body;
};

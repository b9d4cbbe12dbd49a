/**
 * The nine calls of the CRM's public contacts API, and the undocumented ones behind `Capabilities`.
 *
 * Each is one attempt: one place in the budget, one request, one outcome. A wrong argument is our own mistake and throws RangeError;
 * whatever the CRM or the network does is a value. A record that answers another id than the one asked for is a bad answer.
 */
import type { RemoteContact } from '../domain/contact.ts';
import type { AnswerMeta, CallOptions, Crm, CrmResult, LinkIds, ListParams } from '../ports/crm.ts';
import { badAnswer } from './errors.ts';
import { type ClientOptions, createClient, type CrmRequest, isWrite } from './client.ts';
import { findQuery, listQuery, pageQuery } from './query.ts';
import { parseContact, parseContacts, toBody } from './wire.ts';
import { parseCustomFields } from './wire-fields.ts';
import { parseActivityPage, parseContactPage, type Parsed } from './wire-page.ts';

export type CrmOptions = ClientOptions;

/** `close` ends all connections; calls after it fail as `retry`/`aborted`. Safe to call twice. */
export const createCrm = (options: CrmOptions): Crm & { close(): void } => {
  const client = createClient(options);

  /** One call whose 2xx carries JSON of a known shape. */
  const ask = async <T>(request: CrmRequest, call: CallOptions, parse: (answer: unknown) => Parsed<T>): Promise<CrmResult<T>> => {
    const result = await client.call(request, call);
    if (!result.ok) return result;
    const parsed = parse(result.value);
    if ('value' in parsed) return { ok: true, value: parsed.value, meta: result.meta };
    return refuse(request, result.meta, parsed.problem);
  };
  const page = (path: string, params: ListParams, call: CallOptions) =>
    ask({ method: 'GET', path, query: listQuery(params) }, call, (answer) => parseContactPage(answer, params.page ?? 1));
  const record = (request: CrmRequest, call: CallOptions, crmId: number | null) =>
    ask(request, call, (answer) => parseRecord(answer, crmId));
  // No query here: the CRM's validator takes every parameter of these addresses for a kind of link and answers 409.
  const links = (method: 'PUT' | 'POST' | 'DELETE', crmId: number, ids: LinkIds, call: CallOptions) =>
    record({ method, path: `associations/contacts/${idIn(crmId)}`, body: linkBody(ids) }, call, crmId);

  return {
    list: async (params, call) => page('contacts', params, call),
    retrieve: async (crmId, call) => record({ method: 'GET', path: `contacts/${idIn(crmId)}` }, call, crmId),
    create: async (body, call) => record({ method: 'POST', path: 'contacts', body: toBody(body) }, call, null),
    update: async (crmId, body, call) => record({ method: 'PUT', path: `contacts/${idIn(crmId)}`, body: toBody(body) }, call, crmId),
    delete: async (crmId, call) => {
      const request: CrmRequest = { method: 'DELETE', path: `contacts/${idIn(crmId)}` };
      const result = await client.call(request, call);
      if (!result.ok) return result;
      // Only 204 says that the contact is gone; a login or proxy page with 200 says nothing.
      if (result.meta.status !== 204) return refuse(request, result.meta, `a delete was answered with ${result.meta.status}`);
      return { ok: true, value: null, meta: result.meta };
    },
    search: async (params, call) =>
      ask({ method: 'GET', path: 'contacts/search', query: findQuery(params) }, call, (answer) =>
        Array.isArray(answer) ? { value: parseContacts(answer) } : { problem: 'matches are not a list' },
      ),
    attach: async (crmId, ids, call) => links('PUT', crmId, ids, call),
    detach: async (crmId, ids, call) => links('DELETE', crmId, ids, call),
    sync: async (crmId, ids, call) => links('POST', crmId, ids, call),

    listTrashed: async (params, call) => page('trashed/contacts', params, call),
    restore: async (crmId, call) => record({ method: 'POST', path: `trashed/contacts/${idIn(crmId)}` }, call, crmId),
    listActivities: async (crmId, number, call) =>
      ask({ method: 'GET', path: `contacts/${idIn(crmId)}/activities`, query: pageQuery(number) }, call, (answer) =>
        parseActivityPage(answer, number),
      ),
    customFields: async (call) => ask({ method: 'GET', path: 'fields/contacts/update' }, call, parseCustomFields),

    close: () => client.close(),
  };
};

const refuse = (request: CrmRequest, meta: AnswerMeta, problem: string): Extract<CrmResult<never>, { readonly ok: false }> => ({
  ok: false,
  failure: badAnswer(isWrite(request), meta.status, problem, true),
  meta,
});

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

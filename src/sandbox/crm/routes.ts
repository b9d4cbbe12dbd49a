import type { Answer } from './answer.ts';
import type { CallContext, SandboxApi } from './api.ts';
import type { CallName } from './call-log.ts';
import type { SandboxRequest } from './faults.ts';
import { isRecord } from './is-record.ts';

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';
  /** Below the API's base address. */
  readonly url: string;
  readonly call: CallName;
  /** In the public API: served in both modes. */
  readonly documented: boolean;
  readonly run: (api: SandboxApi, request: SandboxRequest, context: CallContext) => Answer;
}

const idOf = (request: SandboxRequest): string => request.id ?? '';

/** The nine calls of the public API. */
const DOCUMENTED: readonly Route[] = [
  { method: 'GET', url: '/contacts', call: 'list', documented: true, run: (api, { query }, context) => api.list(query, context) },
  {
    method: 'GET',
    url: '/contacts/search',
    call: 'search',
    documented: true,
    run: (api, { query }, context) => api.search(query, context),
  },
  {
    method: 'GET',
    url: '/contacts/:id',
    call: 'retrieve',
    documented: true,
    run: (api, request, context) => api.retrieve(idOf(request), context),
  },
  { method: 'POST', url: '/contacts', call: 'create', documented: true, run: (api, { body }, context) => api.create(body, context) },
  {
    method: 'PUT',
    url: '/contacts/:id',
    call: 'update',
    documented: true,
    run: (api, request, context) => api.update(idOf(request), request.body, context),
  },
  { method: 'DELETE', url: '/contacts/:id', call: 'delete', documented: true, run: (api, request) => api.delete(idOf(request)) },
  ...(
    [
      ['PUT', 'attach'],
      ['DELETE', 'detach'],
      ['POST', 'sync'],
    ] as const
  ).map(([method, verb]): Route => ({
    method,
    url: '/associations/contacts/:id',
    call: verb,
    documented: true,
    run: (api, request, context) => api.associate(verb, idOf(request), request.body, request.query, context),
  })),
  {
    method: 'PATCH',
    url: '/contacts/:id',
    call: 'unknown',
    documented: true,
    run: (_api, { path }) => ({
      status: 405,
      body: { message: `The PATCH method is not supported for route ${path.slice(1)}. Supported methods: GET, HEAD, PUT, DELETE.` },
    }),
  },
];

/** Routes that exist without being documented. */
const UNDOCUMENTED: readonly Omit<Route, 'documented'>[] = [
  { method: 'GET', url: '/trashed/contacts', call: 'listTrashed', run: (api, { query }, context) => api.listTrashed(query, context) },
  {
    method: 'GET',
    url: '/trashed/contacts/search',
    call: 'searchTrashed',
    run: (api, { query }, context) => api.searchTrashed(query, context),
  },
  {
    method: 'GET',
    url: '/trashed/contacts/:id',
    call: 'retrieveTrashed',
    run: (api, request, context) => api.retrieveTrashed(idOf(request), context),
  },
  { method: 'POST', url: '/trashed/contacts/:id', call: 'restore', run: (api, request, context) => api.restore(idOf(request), context) },
  { method: 'DELETE', url: '/trashed/contacts/:id', call: 'purge', run: (api, request) => api.purge(idOf(request)) },
  { method: 'DELETE', url: '/trashed/contacts', call: 'emptyTrash', run: (api, { query }) => api.emptyTrash(query) },
  ...(
    [
      ['companies', 'listCompanies'],
      ['deals', 'listDeals'],
      ['activities', 'listActivities'],
    ] as const
  ).map(([kind, call]): Omit<Route, 'documented'> => ({
    method: 'GET',
    url: `/contacts/:id/${kind}`,
    call,
    run: (api, request, context) => api.listLinked(kind, idOf(request), request.query, context),
  })),
  { method: 'GET', url: '/associations/contacts/:id', call: 'associations', run: (api, request) => api.associations(idOf(request)) },
  ...['/fields/contacts/create', '/fields/contacts/update', '/contacts/create-fields', '/contacts/:id/update-fields'].map(
    (url): Omit<Route, 'documented'> => ({ method: 'GET', url, call: 'customFields', run: (api) => api.fields() }),
  ),
  {
    method: 'POST',
    url: '/custom-fields',
    call: 'editCustomFields',
    run: (api, { body }) => api.saveCustomField(isRecord(body) ? body['field_id'] : null, body),
  },
  {
    method: 'PUT',
    url: '/custom-fields/:id',
    call: 'editCustomFields',
    run: (api, request) => api.saveCustomField(idOf(request), request.body),
  },
  { method: 'DELETE', url: '/custom-fields/:id', call: 'editCustomFields', run: (api, request) => api.deleteCustomField(idOf(request)) },
  { method: 'GET', url: '/contacts/rules', call: 'rules', run: (api) => api.rules() },
];

export const ROUTES: readonly Route[] = [...DOCUMENTED, ...UNDOCUMENTED.map((route) => ({ ...route, documented: false }))];

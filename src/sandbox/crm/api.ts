/**
 * The account's operations, one per call of the API, as the token's user meets them. Each returns status and body; HTTP is the server's.
 * Lookup comes before permission: 404 is missing, trashed or purged, 403 is there but not for you.
 */
import { Abort, answering, created, forbidden, noContent, notFound, ok } from './answer.ts';
import type { Answer } from './answer.ts';
import { associate } from './associations.ts';
import type { AssociationVerb } from './associations.ts';
import { contactJson } from './contact-json.ts';
import type { ContactView } from './contact-json.ts';
import { createContact, restoreContact, trashContact, updateContact } from './contact-writes.ts';
import { deleteCustomField, saveCustomField } from './custom-field-edits.ts';
import { fieldList } from './field-list.ts';
import { isRecord } from './is-record.ts';
import { readFilters, ruleNames } from './filters.ts';
import { linkedRecords, toId } from './links.ts';
import { orderedContacts, readPaging, readSelect, readTake, readWith } from './list-query.ts';
import type { Scope } from './ordered-lists.ts';
import { toEnvelope } from './paging.ts';
import { textParam } from './php-query.ts';
import type { QueryTree } from './php-query.ts';
import { recordJson } from './record-json.ts';
import { LINK_KINDS } from './records.ts';
import type { AccountContact, LinkKind } from './records.ts';
import { readSearch } from './search-query.ts';
import type { Store } from './store.ts';

/** What a request brings along besides its own parameters. */
export interface CallContext {
  /** Base address of the API, for the links of a page. */
  readonly baseUrl: string;
  /** Whether the undocumented parameters (`filters`, `with`, nested `order`) are honoured. */
  readonly undocumented: boolean;
  /** The lean shape. */
  readonly lean?: boolean;
}

/** Ids come as the path spells them; what is no id is not found. */
export interface SandboxApi {
  list(query: QueryTree, context: CallContext): Answer;
  search(query: QueryTree, context: CallContext): Answer;
  retrieve(id: string, context: CallContext): Answer;
  create(body: unknown, context: CallContext): Answer;
  update(id: string, body: unknown, context: CallContext): Answer;
  delete(id: string): Answer;
  /** `query` too: the association validator looks at every key of the input. */
  associate(verb: AssociationVerb, id: string, body: unknown, query: QueryTree, context: CallContext): Answer;
  listTrashed(query: QueryTree, context: CallContext): Answer;
  searchTrashed(query: QueryTree, context: CallContext): Answer;
  retrieveTrashed(id: string, context: CallContext): Answer;
  restore(id: string, context: CallContext): Answer;
  purge(id: string): Answer;
  emptyTrash(query: QueryTree): Answer;
  /** GET /contacts/{id}/companies, deals or activities. */
  listLinked(kind: LinkKind, id: string, query: QueryTree, context: CallContext): Answer;
  /** GET /associations/contacts/{id} */
  associations(id: string): Answer;
  /** GET /fields/contacts/update and its siblings. */
  fields(): Answer;
  /** POST /custom-fields, and PUT and DELETE /custom-fields/{id}: an administrator's. */
  saveCustomField(name: unknown, body: unknown): Answer;
  deleteCustomField(name: string): Answer;
  rules(): Answer;
}

const find = (store: Store, sent: string, scope: Scope, right: 'view' | 'update' = 'view'): AccountContact => {
  const id = toId(sent);
  const contact = id === null ? undefined : store.contacts.get(id);
  if (contact === undefined || (contact.deletedAtMs !== null) !== (scope === 'trashed')) throw new Abort(notFound(sent));
  if (contact.access === 'none' || (right === 'update' && contact.access !== 'full')) throw new Abort(forbidden());
  return contact;
};

const readView = (store: Store, kind: ContactView['kind'], query: QueryTree, context: CallContext): ContactView => ({
  kind,
  select: readSelect(store, query),
  with: readWith(query, context.undocumented),
  lean: context.lean ?? false,
});

const display = (store: Store, contact: AccountContact, context: CallContext, wasRecentlyCreated = false): unknown =>
  contactJson(store, contact, { kind: 'display', lean: context.lean ?? false, wasRecentlyCreated });

const listPage = (store: Store, scope: Scope, query: QueryTree, context: CallContext): Answer =>
  answering(() => {
    const view = readView(store, 'list', query, context);
    const search = readSearch(store, query);
    const filters = context.undocumented ? readFilters(store, query) : null;
    const all = orderedContacts(store, scope, query, context.undocumented);
    const rows = search || filters ? all.filter((contact) => (search?.(contact) ?? true) && (filters?.(contact) ?? true)) : all;
    const path = `${context.baseUrl}${scope === 'trashed' ? '/trashed' : ''}/contacts`;
    return ok(toEnvelope(rows, { ...readPaging(store, query), path }, (contact) => contactJson(store, contact, view)));
  });

/** No q, no search: an empty array. Without take, everything that matches. */
const searchAll = (store: Store, scope: Scope, query: QueryTree, context: CallContext): Answer =>
  answering(() => {
    const view = readView(store, scope === 'trashed' ? 'list' : 'search', query, context);
    const search = readSearch(store, query);
    if (search === null) return ok([]);
    const rows = orderedContacts(store, scope, query, context.undocumented).filter(search);
    return ok(rows.slice(0, readTake(query) ?? rows.length).map((contact) => contactJson(store, contact, view)));
  });

const emptyTrash = (store: Store, query: QueryTree): Answer => {
  const limit = toId(textParam(query, 'limit')) ?? Number.POSITIVE_INFINITY;
  const trashed = [...store.contacts.values()]
    .filter((contact) => contact.deletedAtMs !== null && contact.access === 'full')
    .slice(0, limit);
  for (const contact of trashed) store.purge(contact.id);
  return ok({ deleted: trashed.length });
};

/** Only what the token may see. */
const visibleLinked = (store: Store, contact: AccountContact, kind: LinkKind) =>
  linkedRecords(store, contact, kind).filter((record) => !record.hidden);

const FIRST_PAGE_ROWS = 15;

const associationsOf = (store: Store, contact: AccountContact): Answer =>
  ok(
    Object.fromEntries(
      LINK_KINDS.map((kind) => [
        kind,
        visibleLinked(store, contact, kind)
          .slice(0, FIRST_PAGE_ROWS)
          .map((record) => recordJson(kind, record)),
      ]),
    ),
  );

const linkedPage = (store: Store, kind: LinkKind, id: string, query: QueryTree, context: CallContext): Answer => {
  const contact = find(store, id, 'live');
  const request = { ...readPaging(store, query), path: `${context.baseUrl}/contacts/${contact.id}/${kind}` };
  return ok(toEnvelope(visibleLinked(store, contact, kind), request, (record) => recordJson(kind, record)));
};

export const createApi = (store: Store): SandboxApi => ({
  list: (query, context) => listPage(store, 'live', query, context),
  search: (query, context) => searchAll(store, 'live', query, context),
  retrieve: (id, context) => answering(() => ok(display(store, find(store, id, 'live'), context))),
  create: (body, context) => answering(() => created(display(store, createContact(store, body, 'token'), context, true))),
  update: (id, body, context) =>
    answering(() => ok(display(store, updateContact(store, find(store, id, 'live', 'update'), body, 'token'), context))),
  delete: (id) =>
    answering(() => {
      trashContact(store, find(store, id, 'live', 'update'));
      return noContent();
    }),
  associate: (verb, id, body, query, context) =>
    answering(() => {
      const contact = find(store, id, 'live', 'update');
      return ok(display(store, associate(store, contact, verb, { ...query, ...(isRecord(body) ? body : {}) }, 'token'), context));
    }),
  listTrashed: (query, context) => listPage(store, 'trashed', query, context),
  searchTrashed: (query, context) => searchAll(store, 'trashed', query, context),
  retrieveTrashed: (id, context) => answering(() => ok(display(store, find(store, id, 'trashed'), context))),
  restore: (id, context) => answering(() => ok(display(store, restoreContact(store, find(store, id, 'trashed')), context))),
  purge: (id) =>
    answering(() => {
      store.purge(find(store, id, 'trashed', 'update').id);
      return noContent();
    }),
  emptyTrash: (query) => emptyTrash(store, query),
  listLinked: (kind, id, query, context) => answering(() => linkedPage(store, kind, id, query, context)),
  associations: (id) => answering(() => associationsOf(store, find(store, id, 'live'))),
  fields: () => ok(fieldList(store)),
  saveCustomField: (name, body) => saveCustomField(store, name, body),
  deleteCustomField: (name) => deleteCustomField(store, name),
  rules: () =>
    ok(
      ruleNames(store).map((id) => ({
        id,
        label: id,
        operators: ['equal', 'less', 'less_or_equal', 'greater', 'greater_or_equal', 'between', 'is'],
      })),
    ),
});

/**
 * Attach, sync and detach. What happens with empty, unknown and already linked ids differs between the three, and is the product's own
 * behaviour, hazards included: sync removes what it does not list, even links that the token cannot see.
 */
import { Abort, conflict, forbidden } from './answer.ts';
import { normalised } from './contact-input.ts';
import { toId, viewableIds, withLinks } from './links.ts';
import type { LinkSetsOfSomeKinds, Viewer } from './links.ts';
import { LINK_KINDS } from './records.ts';
import type { AccountContact, LinkKind } from './records.ts';
import type { Store } from './store.ts';

export type AssociationVerb = 'attach' | 'detach' | 'sync';

interface Sent {
  readonly kind: LinkKind;
  readonly ids: readonly unknown[];
}

/** The lists sent. Every key of the input is looked at, the query string's too; a value that is no list is ignored. */
const readSent = (input: { readonly [key: string]: unknown }): readonly Sent[] => {
  const sent: Sent[] = [];
  for (const [key, raw] of Object.entries(input)) {
    const kind = LINK_KINDS.find((known) => known === key);
    if (kind === undefined) throw new Abort(conflict(`The provided "${key}" resource cannot be associated to the contact.`));
    const value = normalised(raw);
    if (Array.isArray(value)) sent.push({ kind, ids: value });
  }
  return sent;
};

const attached = (store: Store, contact: AccountContact, lists: readonly Sent[], viewer: Viewer): LinkSetsOfSomeKinds => {
  const filled = lists
    .filter(({ ids }) => ids.length > 0)
    .map(({ kind, ids }) => ({ kind, sentCount: ids.length, ids: viewableIds(store, kind, ids, viewer) }));
  if (filled.length > 0 && filled.every(({ ids }) => ids.length === 0)) throw new Abort(forbidden());
  const [only] = filled;
  const [id] = only?.ids ?? [];
  if (filled.length === 1 && only?.sentCount === 1 && id !== undefined && contact[only.kind].includes(id))
    throw new Abort(conflict('The resource is already associated.'));
  return Object.fromEntries(filled.map(({ kind, ids }) => [kind, [...new Set([...contact[kind], ...ids])]]));
};

/** Removes the ids without asking whether they may be seen. */
const detached = (contact: AccountContact, lists: readonly Sent[]): LinkSetsOfSomeKinds =>
  Object.fromEntries(
    lists.map(({ kind, ids }) => {
      const gone = new Set(ids.map(toId));
      return [kind, contact[kind].filter((id) => !gone.has(id))];
    }),
  );

/** An empty list detaches what can be seen; a list whose ids are all unknown detaches everything. */
const synced = (store: Store, contact: AccountContact, lists: readonly Sent[], viewer: Viewer): LinkSetsOfSomeKinds =>
  Object.fromEntries(
    lists.map(({ kind, ids }) => {
      if (ids.length > 0) return [kind, viewableIds(store, kind, ids, viewer)];
      const visible = new Set(viewableIds(store, kind, contact[kind], viewer));
      return [kind, contact[kind].filter((id) => !visible.has(id))];
    }),
  );

/** Aborts with 403 or 409. Stores nothing, and touches nobody, where nothing changes. */
export const associate = (
  store: Store,
  contact: AccountContact,
  verb: AssociationVerb,
  input: { readonly [key: string]: unknown },
  viewer: Viewer,
): AccountContact => {
  const lists = readSent(input);
  if (verb === 'attach' && Object.keys(input).length === 0) throw new Abort(forbidden());
  const wanted: LinkSetsOfSomeKinds =
    verb === 'attach'
      ? attached(store, contact, lists, viewer)
      : verb === 'detach'
        ? detached(contact, lists)
        : synced(store, contact, lists, viewer);
  const next = withLinks(store, contact, wanted);
  return next === contact ? contact : store.put(next);
};

/** Links between contacts and companies, deals and activities: who may see what, and whom a change touches. */
import type { AccountContact, AccountRecord, LinkKind } from './records.ts';
import { LINK_KINDS } from './records.ts';
import type { Store } from './store.ts';

/** The token's user and the persons who work in the CRM itself: the latter see everything here. */
export type Viewer = 'token' | 'admin';

const isViewable = (record: AccountRecord | undefined, viewer: Viewer): boolean =>
  record !== undefined && !record.trashed && (viewer === 'admin' || !record.hidden);

/** `7` and `"7"`; null for anything else. */
export const toId = (sent: unknown): number | null => {
  const id = typeof sent === 'number' ? sent : typeof sent === 'string' && /^\d+$/.test(sent) ? Number(sent) : Number.NaN;
  return Number.isSafeInteger(id) && id > 0 ? id : null;
};

/** The ids among those sent that exist and may be seen; the others are skipped without a word. */
export const viewableIds = (store: Store, kind: LinkKind, sent: readonly unknown[], viewer: Viewer): readonly number[] => {
  const ids = sent.map(toId).filter((id) => id !== null);
  return [...new Set(ids)].filter((id) => isViewable(store.records[kind].get(id), viewer));
};

/** In a contact's own body a company may also be named, trashed ones included: such a company is restored. */
export const viewableOrNamedIds = (
  store: Store,
  kind: 'companies' | 'deals',
  sent: readonly unknown[],
  viewer: Viewer,
): readonly number[] => {
  const table = store.records[kind];
  const resolved = sent.map((item) => {
    if (kind !== 'companies' || typeof item !== 'string' || /^\d+$/.test(item)) return item;
    const named = [...table.values()].find((record) => record.name === item);
    if (named?.trashed === true) table.set(named.id, { ...named, trashed: false, updatedAtMs: store.nowMs() });
    return named?.id;
  });
  return viewableIds(store, kind, resolved, viewer);
};

/** Linked records as an answer shows them: trashed ones drop out, without the contact's updated_at moving. */
export const linkedRecords = (store: Store, contact: AccountContact, kind: LinkKind): readonly AccountRecord[] =>
  contact[kind]
    .map((id) => store.records[kind].get(id))
    .filter((record) => record !== undefined)
    .filter((record) => !record.trashed);

export type LinkSetsOfSomeKinds = { readonly [K in LinkKind]?: readonly number[] };

/** Both sides of a link that came or went are touched; activities are not, seen from the contact. */
const touchOtherSide = (store: Store, kind: LinkKind, ids: readonly number[]): void => {
  if (kind === 'activities') return;
  for (const id of ids) {
    const record = store.records[kind].get(id);
    if (record !== undefined) store.records[kind].set(id, { ...record, updatedAtMs: store.nowMs() });
  }
};

/** The contact with new sets of links; the very same object if nothing changed. Does not store it. */
export const withLinks = (store: Store, contact: AccountContact, wanted: LinkSetsOfSomeKinds): AccountContact => {
  let result = contact;
  for (const kind of LINK_KINDS) {
    const ids = wanted[kind];
    if (ids === undefined) continue;
    const before = contact[kind];
    const changed = [...ids.filter((id) => !before.includes(id)), ...before.filter((id) => !ids.includes(id))];
    if (changed.length === 0) continue;
    touchOtherSide(store, kind, changed);
    result = { ...result, [kind]: ids.toSorted((a, b) => a - b), updatedAtMs: store.nowMs() };
  }
  return result;
};

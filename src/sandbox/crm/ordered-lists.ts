import type { AccountContact } from './records.ts';

/** Compares two contacts; total, so that ties never depend on insertion. */
export type CompareContacts = (a: AccountContact, b: AccountContact) => number;
export type Scope = 'live' | 'trashed';

interface KeptList {
  readonly scope: Scope;
  readonly compare: CompareContacts;
  rows: readonly AccountContact[];
  readonly dirty: Set<number>;
}

/** Orders in use at a time: a walk by id, the changes, the trash, the default. */
const LISTS_MAX = 6;

/** The token's view: what lists, searches and totals are made of. */
const inScope = (contact: AccountContact, scope: Scope): boolean =>
  contact.access !== 'none' && (contact.deletedAtMs !== null) === (scope === 'trashed');

const merge = (a: readonly AccountContact[], b: readonly AccountContact[], compare: CompareContacts): AccountContact[] => {
  const merged: AccountContact[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [left, right] = [a[i], b[j]];
    const takeLeft = right === undefined || (left !== undefined && compare(left, right) <= 0);
    const next = takeLeft ? left : right;
    if (next !== undefined) merged.push(next);
    if (takeLeft) i += 1;
    else j += 1;
  }
  return merged;
};

/**
 * The visible contacts in the orders that were asked for last. A list is sorted once; later changes are merged into it, because a
 * reader that pages through 100,000 contacts while a writer edits them would otherwise pay for a full sort on every page.
 */
export class OrderedLists {
  readonly #contacts: ReadonlyMap<number, AccountContact>;
  readonly #lists = new Map<string, KeptList>();

  constructor(contacts: ReadonlyMap<number, AccountContact>) {
    this.#contacts = contacts;
  }

  markChanged(id: number): void {
    for (const list of this.#lists.values()) list.dirty.add(id);
  }

  /** `key` names the order: the same key must always come with the same comparison. */
  rows(scope: Scope, key: string, compare: CompareContacts): readonly AccountContact[] {
    const name = `${scope} ${key}`;
    const list = this.#lists.get(name) ?? this.#sorted(scope, compare);
    this.#refresh(list);
    this.#lists.delete(name);
    this.#lists.set(name, list);
    const [oldest] = this.#lists.keys();
    if (this.#lists.size > LISTS_MAX && oldest !== undefined) this.#lists.delete(oldest);
    return list.rows;
  }

  #sorted(scope: Scope, compare: CompareContacts): KeptList {
    const rows = [...this.#contacts.values()].filter((contact) => inScope(contact, scope)).toSorted(compare);
    return { scope, compare, rows, dirty: new Set() };
  }

  #refresh(list: KeptList): void {
    if (list.dirty.size === 0) return;
    const unchanged = list.rows.filter((contact) => !list.dirty.has(contact.id));
    const changed: AccountContact[] = [];
    for (const id of list.dirty) {
      const contact = this.#contacts.get(id);
      if (contact !== undefined && inScope(contact, list.scope)) changed.push(contact);
    }
    list.rows = merge(unchanged, changed.toSorted(list.compare), list.compare);
    list.dirty.clear();
  }
}

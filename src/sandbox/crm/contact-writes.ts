/** Creates, updates and the ways in and out of the trash. `updatedAtMs` moves when something changed, and only then. */
import { toBody, readContactChanges } from './contact-input.ts';
import type { ContactChanges } from './contact-input.ts';
import { viewableOrNamedIds, withLinks } from './links.ts';
import type { Viewer } from './links.ts';
import { ID_COLUMNS, isMultiOption, TEXT_COLUMNS } from './records.ts';
import type { AccountContact, StoredCustomValue } from './records.ts';
import type { Store } from './store.ts';

const same = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

const withSource = (store: Store, changes: ContactChanges): ContactChanges => {
  if (changes.newSource === undefined) return changes;
  const id = store.nextId('sources');
  store.sources.set(id, { id, name: changes.newSource });
  return { ...changes, columns: { ...changes.columns, source_id: id } };
};

/** Tags are written by name; an unknown name makes a new tag. */
const toTagIds = (store: Store, names: readonly string[]): readonly number[] =>
  [...new Set(names)].map((name) => {
    const existing = [...store.tags.values()].find((tag) => tag.name === name);
    if (existing !== undefined) return existing.id;
    const id = store.nextId('tags');
    store.tags.set(id, { id, name });
    return id;
  });

/** Never set, cleared and without options are one and the same. */
const filled = (value: StoredCustomValue | undefined): StoredCustomValue =>
  value === undefined || (Array.isArray(value) && value.length === 0) ? null : value;

/** The fields that a change really changes, by the names that `silentEdits` knows where it knows them. */
const changedParts = (store: Store, before: AccountContact, after: AccountContact): readonly string[] => {
  const parts: string[] = [];
  for (const key of [...TEXT_COLUMNS, ...ID_COLUMNS, 'phones', 'tags'] as const) if (!same(before[key], after[key])) parts.push(key);
  for (const field of store.customFields.values()) {
    if (same(filled(before.custom[field.name]), filled(after.custom[field.name]))) continue;
    parts.push(isMultiOption(field.type) ? 'multiOptions' : field.name);
  }
  return parts;
};

const withFields = (store: Store, current: AccountContact, changes: ContactChanges): AccountContact => {
  const custom = Object.keys(changes.custom).length === 0 ? current.custom : { ...current.custom, ...changes.custom };
  const next: AccountContact = {
    ...current,
    ...changes.columns,
    custom,
    ...(changes.phones && { phones: store.replacePhones(current.phones, changes.phones) }),
    ...(changes.tags && { tags: toTagIds(store, changes.tags) }),
  };
  return next.user_id === current.user_id ? next : { ...next, ownerAssignedAtMs: next.user_id === null ? null : store.nowMs() };
};

const withChanges = (store: Store, current: AccountContact, sent: ContactChanges, viewer: Viewer): AccountContact => {
  const changes = withSource(store, sent);
  const next = withFields(store, current, changes);
  const silent = new Set<string>(store.settings.silentEdits);
  const touched = changedParts(store, current, next).some((part) => !silent.has(part));
  // Replaces whole sets, links that the token cannot see included: a list of only stale ids empties them.
  return withLinks(store, touched ? { ...next, updatedAtMs: store.nowMs() } : next, {
    ...(changes.companies && { companies: viewableOrNamedIds(store, 'companies', changes.companies, viewer) }),
    ...(changes.deals && { deals: viewableOrNamedIds(store, 'deals', changes.deals, viewer) }),
  });
};

const blankContact = (store: Store): AccountContact => {
  const nowMs = store.nowMs();
  return {
    id: store.nextId('contacts'),
    first_name: null,
    last_name: null,
    email: null,
    job_title: null,
    street: null,
    city: null,
    state: null,
    postal_code: null,
    user_id: null,
    source_id: null,
    country_id: null,
    phones: [],
    tags: [],
    companies: [],
    deals: [],
    activities: [],
    custom: {},
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    deletedAtMs: null,
    ownerAssignedAtMs: null,
    access: 'full',
  };
};

const companiesOfDomain = (store: Store, email: string | null): readonly number[] => {
  if (!store.settings.autoAssociateCompanies || email === null) return [];
  const domain = email.slice(email.indexOf('@') + 1).toLowerCase();
  const companies = [...store.records.companies.values()];
  return companies.filter((company) => !company.trashed && company.domain?.toLowerCase() === domain).map((company) => company.id);
};

/** Aborts with 422. */
export const createContact = (store: Store, sent: unknown, viewer: Viewer): AccountContact => {
  const changes = readContactChanges(store, toBody(sent), null);
  const contact = withChanges(store, blankContact(store), changes, viewer);
  const companies = [...new Set([...contact.companies, ...companiesOfDomain(store, contact.email)])];
  return store.put(withLinks(store, contact, { companies }));
};

/** Aborts with 422. Stores nothing, and moves no time, where nothing changes. */
export const updateContact = (store: Store, contact: AccountContact, sent: unknown, viewer: Viewer): AccountContact => {
  const changes = readContactChanges(store, toBody(sent), contact);
  const next = withChanges(store, contact, changes, viewer);
  return same(contact, next) ? contact : store.put(next);
};

/** Soft: the row, its id and its links stay; updated_at moves. */
export const trashContact = (store: Store, contact: AccountContact): AccountContact =>
  store.put({ ...contact, deletedAtMs: store.nowMs(), updatedAtMs: store.nowMs() });

export const restoreContact = (store: Store, contact: AccountContact): AccountContact =>
  store.put({ ...contact, deletedAtMs: null, updatedAtMs: store.nowMs() });

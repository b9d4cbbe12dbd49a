/**
 * A CRM account in memory. `api` is what the token's user gets to see, call by call; the other methods are people who work in the CRM
 * itself: they see everything, and what they do moves updated_at as the product moves it.
 */
import { Abort } from './answer.ts';
import { createApi } from './api.ts';
import type { SandboxApi } from './api.ts';
import { associate } from './associations.ts';
import type { AssociationVerb } from './associations.ts';
import { CallLog } from './call-log.ts';
import { createContact, restoreContact, trashContact, updateContact } from './contact-writes.ts';
import { defineCustomField, removeCustomField } from './custom-field-edits.ts';
import type { AccountContact, AccountRecord, ContactAccess, CustomField, LinkKind } from './records.ts';
import { addCountries, addPeople, seedAccount } from './seed.ts';
import type { SeedOptions } from './seed.ts';
import { Store } from './store.ts';
import type { AccountSettings } from './store.ts';

export interface SandboxAccountOptions extends Partial<AccountSettings> {
  /** The account's clock. Default: this machine's. */
  readonly clock?: { now(): Date };
  readonly customFields?: readonly CustomField[];
}

/** Ids to link, as a person would pick them. */
export type PickedLinks = { readonly [K in LinkKind]?: readonly number[] };

/** All edits throw an `Error` with the CRM's message where the CRM refuses them, and for an id that is not there. */
export interface SandboxAccount {
  readonly api: SandboxApi;
  readonly calls: CallLog;
  /** The account's clock. Stored times are cut to the second. */
  now(): Date;
  readonly settings: AccountSettings;

  /** Fills the account with people that are always the same for the same seed; see `SeedOptions`. */
  seed(options: SeedOptions): void;
  /** Makes one, or gives it another label, other options or another type; with a type its values go. No contact's time moves. */
  defineCustomField(field: CustomField): void;
  removeCustomField(name: string): void;
  customFields(): readonly CustomField[];

  /** Snapshots, by id; hidden contacts included. */
  contacts(): readonly AccountContact[];
  trashed(): readonly AccountContact[];
  /** Trashed ones too; null once purged. */
  contact(id: number): AccountContact | null;

  /** Bodies are those of the API. */
  create(body: { readonly [key: string]: unknown }): AccountContact;
  update(id: number, body: { readonly [key: string]: unknown }): AccountContact;
  /** Into the trash. */
  delete(id: number): AccountContact;
  restore(id: number): AccountContact;
  purge(id: number): void;
  attach(id: number, links: PickedLinks): AccountContact;
  detach(id: number, links: PickedLinks): AccountContact;
  sync(id: number, links: PickedLinks): AccountContact;

  /** Takes a contact out of the token's sight (absent from lists, 403 by id) and back; no time moves. */
  hide(id: number): void;
  show(id: number): void;
  /** Readable, but every write is a 403; `show` undoes it. */
  lock(id: number): void;

  /** A company, deal or activity. */
  record(kind: LinkKind, id: number): AccountRecord | null;
  records(kind: LinkKind): readonly AccountRecord[];
  addRecord(kind: LinkKind, name: string, domain?: string): AccountRecord;
  /** Renames, hides, trashes or restores one; no contact's time moves. */
  changeRecord(
    kind: LinkKind,
    id: number,
    change: { readonly name?: string; readonly hidden?: boolean; readonly trashed?: boolean },
  ): AccountRecord;
}

const DEFAULTS: AccountSettings = {
  phonesUnique: true,
  requireCallingPrefix: false,
  autoAssociateCompanies: false,
  silentEdits: [],
  userUtcOffsetMinutes: 120,
  appVersion: '1.7.0',
  perPageMax: null,
};

/** For people an abort is an error: nobody reads a status in a test's set-up. */
const orThrow = <T>(edit: () => T): T => {
  try {
    return edit();
  } catch (error) {
    if (!(error instanceof Abort)) throw error;
    throw new Error(`the sandbox CRM refused the edit: ${error.answer.status} ${JSON.stringify(error.answer.body)}`, { cause: error });
  }
};

const find = (store: Store, id: number, trashed: boolean): AccountContact => {
  const contact = store.contacts.get(id);
  if (contact === undefined || (contact.deletedAtMs !== null) !== trashed)
    throw new Error(`the sandbox CRM has no ${trashed ? 'trashed ' : ''}contact ${id}`);
  return contact;
};

const setAccess = (store: Store, id: number, access: ContactAccess): void => {
  const contact = store.contacts.get(id);
  if (contact === undefined) throw new Error(`the sandbox CRM has no contact ${id}`);
  store.put({ ...contact, access });
};

const edits = (store: Store) => {
  const link = (verb: AssociationVerb) => (id: number, links: PickedLinks) =>
    orThrow(() => associate(store, find(store, id, false), verb, links, 'admin'));
  return {
    create: (body: { readonly [key: string]: unknown }) => orThrow(() => createContact(store, body, 'admin')),
    update: (id: number, body: { readonly [key: string]: unknown }) =>
      orThrow(() => updateContact(store, find(store, id, false), body, 'admin')),
    delete: (id: number) => trashContact(store, find(store, id, false)),
    restore: (id: number) => restoreContact(store, find(store, id, true)),
    purge: (id: number) => store.purge(find(store, id, true).id),
    attach: link('attach'),
    detach: link('detach'),
    sync: link('sync'),
    hide: (id: number) => setAccess(store, id, 'none'),
    show: (id: number) => setAccess(store, id, 'full'),
    lock: (id: number) => setAccess(store, id, 'read'),
  };
};

const recordEdits = (store: Store): Pick<SandboxAccount, 'record' | 'records' | 'addRecord' | 'changeRecord'> => ({
  record: (kind, id) => store.records[kind].get(id) ?? null,
  records: (kind) => [...store.records[kind].values()],
  addRecord: (kind, name, domain) => {
    const nowMs = store.nowMs();
    const record: AccountRecord = {
      id: store.nextId(kind),
      name,
      domain: domain ?? null,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      trashed: false,
      hidden: false,
    };
    store.records[kind].set(record.id, record);
    return record;
  },
  changeRecord: (kind, id, change) => {
    const before = store.records[kind].get(id);
    if (before === undefined) throw new Error(`the sandbox CRM has no ${kind} ${id}`);
    const after = { ...before, ...change, updatedAtMs: store.nowMs() };
    store.records[kind].set(id, after);
    return after;
  },
});

/** An account with users, sources and countries, but without contacts. */
export const createSandboxAccount = (options: SandboxAccountOptions = {}): SandboxAccount => {
  const { clock = { now: () => new Date() }, customFields = [], ...settings } = options;
  const store = new Store(clock, { ...DEFAULTS, ...settings });
  addPeople(store);
  addCountries(store);
  for (const field of customFields) store.customFields.set(field.name, field);
  const ofScope = (trashed: boolean) => [...store.contacts.values()].filter((contact) => (contact.deletedAtMs !== null) === trashed);
  return {
    api: createApi(store),
    calls: new CallLog(),
    now: () => clock.now(),
    settings: store.settings,
    seed: (seedOptions) => seedAccount(store, seedOptions),
    defineCustomField: (field) => defineCustomField(store, field),
    removeCustomField: (name) => removeCustomField(store, name),
    customFields: () => [...store.customFields.values()],
    contacts: () => ofScope(false),
    trashed: () => ofScope(true),
    contact: (id) => store.contacts.get(id) ?? null,
    ...edits(store),
    ...recordEdits(store),
  };
};

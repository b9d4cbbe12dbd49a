import { OrderedLists } from './ordered-lists.ts';
import type {
  AccountContact,
  AccountCountry,
  AccountOption,
  AccountPhone,
  AccountRecord,
  AccountUser,
  CustomField,
  LinkKind,
  NumberAndType,
} from './records.ts';

/** How this account's CRM is set up; what differs between installations. */
export interface AccountSettings {
  /** No two contacts may share a number (an admin can switch it off). */
  readonly phonesUnique: boolean;
  /** Numbers without `+` get the calling code of the contact's country; without one they are a 422. */
  readonly requireCallingPrefix: boolean;
  /** A created contact is linked to the companies whose domain is its e-mail's. */
  readonly autoAssociateCompanies: boolean;
  /** Edits of only these do not move updated_at; whether the product moves it is not known. */
  readonly silentEdits: readonly ('tags' | 'multiOptions')[];
  /** Filter values without an offset are read in the token user's time zone: minutes east of UTC. */
  readonly userUtcOffsetMinutes: number;
  /** 1.6.0 and 1.7.0 read search operators differently. */
  readonly appVersion: '1.6.0' | '1.7.0';
  /** Largest page served; larger asks get this. Null: no clamp. */
  readonly perPageMax: number | null;
}

type Sequence = 'contacts' | 'phones' | 'tags' | 'sources' | 'users' | LinkKind;

const add = (index: Map<string, readonly number[]>, key: string, id: number): void => {
  index.set(key, [...(index.get(key) ?? []), id]);
};
const drop = (index: Map<string, readonly number[]>, key: string, id: number): void => {
  const rest = (index.get(key) ?? []).filter((other) => other !== id);
  if (rest.length === 0) index.delete(key);
  else index.set(key, rest);
};

/** The account's tables. Contacts go in and out only by `put` and `purge`, which keep the indexes and the ordered lists right. */
export class Store {
  readonly settings: AccountSettings;
  readonly users = new Map<number, AccountUser>();
  readonly sources = new Map<number, AccountOption>();
  readonly countries = new Map<number, AccountCountry>();
  readonly tags = new Map<number, AccountOption>();
  readonly customFields = new Map<string, CustomField>();
  readonly records: { readonly [K in LinkKind]: Map<number, AccountRecord> } = {
    companies: new Map(),
    deals: new Map(),
    activities: new Map(),
  };
  readonly #clock: { now(): Date };
  readonly #contacts = new Map<number, AccountContact>();
  readonly #lists = new OrderedLists(this.#contacts);
  readonly #emails = new Map<string, readonly number[]>();
  readonly #phones = new Map<string, readonly number[]>();
  readonly #sequences = new Map<Sequence, number>();

  constructor(clock: { now(): Date }, settings: AccountSettings) {
    this.#clock = clock;
    this.settings = settings;
  }

  /** The account's clock, cut to the second. */
  nowMs(): number {
    return Math.floor(this.#clock.now().getTime() / 1000) * 1000;
  }

  /** Ids only ever grow; `step` leaves a gap, as rolled-back inserts do. */
  nextId(sequence: Sequence, step = 1): number {
    const id = (this.#sequences.get(sequence) ?? 0) + step;
    this.#sequences.set(sequence, id);
    return id;
  }

  /** All contacts by id, trashed and hidden ones included. */
  get contacts(): ReadonlyMap<number, AccountContact> {
    return this.#contacts;
  }

  get lists(): OrderedLists {
    return this.#lists;
  }

  put(contact: AccountContact): AccountContact {
    this.#unindex(contact.id);
    this.#contacts.set(contact.id, contact);
    if (contact.email !== null) add(this.#emails, contact.email.toLowerCase(), contact.id);
    for (const phone of contact.phones) add(this.#phones, phone.number, contact.id);
    this.#lists.markChanged(contact.id);
    return contact;
  }

  /** Removes the row itself, out of the trash. */
  purge(id: number): void {
    this.#unindex(id);
    this.#contacts.delete(id);
    this.#lists.markChanged(id);
  }

  /** Ids of the contacts, trashed ones included, that hold this e-mail, whatever its case. */
  contactsWithEmail(email: string): readonly number[] {
    return this.#emails.get(email.toLowerCase()) ?? [];
  }

  /** Ids of the contacts, trashed ones included, that hold exactly this number. */
  contactsWithPhone(number: string): readonly number[] {
    return this.#phones.get(number) ?? [];
  }

  /** A full replacement keyed by number: a number that stays keeps its row's id. Rows come in id order, not in the order sent. */
  replacePhones(before: readonly AccountPhone[], wanted: readonly NumberAndType[]): readonly AccountPhone[] {
    const ids = new Map(before.map((phone) => [phone.number, phone.id]));
    const rows = wanted.map(({ number, type }) => ({ id: ids.get(number) ?? this.nextId('phones'), number, type }));
    return rows.toSorted((a, b) => a.id - b.id);
  }

  #unindex(id: number): void {
    const before = this.#contacts.get(id);
    if (before === undefined) return;
    if (before.email !== null) drop(this.#emails, before.email.toLowerCase(), id);
    for (const phone of before.phones) drop(this.#phones, phone.number, id);
  }
}

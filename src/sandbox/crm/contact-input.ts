/**
 * The body of a create or an update, as the product reads it: only the keys that are present count, strings are trimmed, an empty string
 * is null, unknown and read-only keys are dropped without a word, and what remains is either entirely valid or a 422.
 */
import { Abort, invalid } from './answer.ts';
import { readCustomValue, TEXT_LENGTH_MAX } from './custom-values.ts';
import { isRecord } from './is-record.ts';
import { readPhones } from './phones-input.ts';
import { ID_COLUMNS, TEXT_COLUMNS } from './records.ts';
import type { AccountContact, CustomField, IdColumn, NumberAndType, StoredCustomValue, TextColumn } from './records.ts';
import type { Store } from './store.ts';

/** What a valid body asks for. A key that was not sent is not here. */
export interface ContactChanges {
  readonly columns: { readonly [K in TextColumn]?: string | null } & { readonly [K in IdColumn]?: number | null };
  readonly custom: { readonly [name: string]: StoredCustomValue };
  readonly phones?: readonly NumberAndType[];
  /** Names. */
  readonly tags?: readonly string[];
  /** Ids as sent (names of companies too); not yet looked up. */
  readonly companies?: readonly unknown[];
  readonly deals?: readonly unknown[];
  /** A source that does not exist yet: its label. */
  readonly newSource?: string;
}

export type Body = { readonly [key: string]: unknown };

/** Trims every string, however deep, and turns empty ones into null. */
export const normalised = (sent: unknown): unknown => {
  if (typeof sent === 'string') return sent.trim() === '' ? null : sent.trim();
  if (Array.isArray(sent)) return sent.map(normalised);
  if (isRecord(sent)) return Object.fromEntries(Object.entries(sent).map(([key, inner]) => [key, normalised(inner)]));
  return sent;
};

/** A body that is no JSON object carries no input. */
export const toBody = (sent: unknown): Body => {
  const body = normalised(sent);
  return isRecord(body) ? body : {};
};

type Errors = Map<string, string[]>;
const report = (errors: Errors, field: string, message: string): void => {
  errors.set(field, [...(errors.get(field) ?? []), message]);
};
const spoken = (field: string): string => field.replaceAll('_', ' ');

const readTexts = (body: Body, current: AccountContact | null, errors: Errors): { [K in TextColumn]?: string | null } => {
  const texts: { [K in TextColumn]?: string | null } = {};
  if (current === null && body['first_name'] === undefined) report(errors, 'first_name', 'The first name field is required.');
  for (const column of TEXT_COLUMNS) {
    const sent = body[column];
    if (sent === undefined) continue;
    if (sent === null && column === 'first_name') report(errors, column, 'The first name field is required.');
    else if (sent !== null && typeof sent !== 'string') report(errors, column, `The ${spoken(column)} field must be a string.`);
    else if ((sent?.length ?? 0) > TEXT_LENGTH_MAX)
      report(errors, column, `The ${spoken(column)} field must not be greater than ${TEXT_LENGTH_MAX} characters.`);
    else texts[column] = sent;
  }
  return texts;
};

/** Unique over contacts, the trash included, and over the CRM's users. */
const checkEmail = (store: Store, email: string | null | undefined, current: AccountContact | null, errors: Errors): void => {
  if (email === null || email === undefined) return;
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) report(errors, 'email', 'The email field must be a valid email address.');
  const ofUser = [...store.users.values()].some((user) => user.email.toLowerCase() === email.toLowerCase());
  if (ofUser || store.contactsWithEmail(email).some((id) => id !== current?.id))
    report(errors, 'email', 'The email has already been taken.');
};

/** By label first, then by id; null where there is neither. */
const findByName = (rows: Iterable<{ readonly id: number; readonly name: string }>, sent: unknown): number | null => {
  const all = [...rows];
  const text = String(sent);
  return (all.find((row) => row.name === text) ?? all.find((row) => String(row.id) === text))?.id ?? null;
};

const readIds = (store: Store, body: Body, errors: Errors): { ids: { [K in IdColumn]?: number | null }; newSource: string | null } => {
  const ids: { [K in IdColumn]?: number | null } = {};
  let newSource: string | null = null;
  const tables = { user_id: store.users, source_id: store.sources, country_id: store.countries } as const;
  for (const column of ID_COLUMNS) {
    const sent = body[column];
    if (sent === undefined) continue;
    const id = sent === null ? null : findByName(tables[column].values(), sent);
    // A source nobody has heard of becomes a new one; a user or a country does not.
    if (sent !== null && id === null && column === 'source_id' && (typeof sent === 'string' || typeof sent === 'number'))
      newSource = String(sent);
    else if (sent !== null && id === null) report(errors, column, `The selected ${spoken(column)} is invalid.`);
    else ids[column] = id;
  }
  return { ids, newSource };
};

const isTaken = (store: Store, field: CustomField, stored: StoredCustomValue, current: AccountContact | null): boolean =>
  field.unique === true &&
  stored !== null &&
  [...store.contacts.values()].some((other) => other.id !== current?.id && other.custom[field.name] === stored);

const readCustom = (store: Store, body: Body, current: AccountContact | null, errors: Errors): { [name: string]: StoredCustomValue } => {
  const custom: { [name: string]: StoredCustomValue } = {};
  for (const field of store.customFields.values()) {
    const sent = body[field.name];
    if (field.required === true && (sent === null || (sent === undefined && current === null))) {
      report(errors, field.name, `The ${field.label} field is required.`);
    } else if (sent !== undefined) {
      const reading = readCustomValue(field, sent);
      if (!reading.ok) report(errors, field.name, reading.message);
      else if (isTaken(store, field, reading.value, current)) report(errors, field.name, `The ${field.label} has already been taken.`);
      else custom[field.name] = reading.value;
    }
  }
  return custom;
};

/** Null is "leave alone", like a key that was not sent. */
const readList = (body: Body, key: string, errors: Errors): readonly unknown[] | undefined => {
  const sent = body[key];
  if (sent === undefined || sent === null) return undefined;
  if (Array.isArray(sent)) return sent as readonly unknown[];
  report(errors, key, `The ${key} field must be an array.`);
  return undefined;
};

const readLists = (body: Body, isCreate: boolean, errors: Errors): Pick<ContactChanges, 'companies' | 'deals' | 'tags'> => {
  const generic = isCreate ? toBody(body['associations']) : {};
  const companies = readList(body, 'companies', errors) ?? readList(generic, 'companies', errors);
  const deals = readList(body, 'deals', errors) ?? readList(generic, 'deals', errors);
  const tags = readList(body, 'tags', errors)?.filter((tag) => typeof tag === 'string');
  return { ...(companies && { companies }), ...(deals && { deals }), ...(tags && { tags }) };
};

/** `current` is null for a create. Aborts with the 422. */
export const readContactChanges = (store: Store, body: Body, current: AccountContact | null): ContactChanges => {
  const errors: Errors = new Map();
  const texts = readTexts(body, current, errors);
  checkEmail(store, texts.email, current, errors);
  const { ids, newSource } = readIds(store, body, errors);
  const custom = readCustom(store, body, current, errors);
  const lists = readLists(body, current === null, errors);
  const countryId = ids.country_id === undefined ? (current?.country_id ?? null) : ids.country_id;
  const reading = body['phones'] === undefined ? null : readPhones(store, body['phones'], { id: current?.id ?? null, countryId });
  const all = { ...Object.fromEntries(errors), ...reading?.errors };
  if (Object.keys(all).length > 0) throw new Abort(invalid(all));
  return {
    columns: { ...texts, ...ids },
    custom,
    ...lists,
    ...(reading && { phones: reading.phones }),
    ...(newSource !== null && { newSource }),
  };
};

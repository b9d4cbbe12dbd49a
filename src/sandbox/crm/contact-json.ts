/** A contact as the API prints it. Lists leave out the linked records (their counts stay); single answers carry everything. */
import { toCustomJson } from './custom-values.ts';
import { linkedRecords } from './links.ts';
import { linkedRecordJson, optionJson, userJson } from './record-json.ts';
import { isMultiOption, LINK_KINDS, toTimestamp, toTimestampOrNull } from './records.ts';
import type { AccountContact, LinkKind } from './records.ts';
import type { Store } from './store.ts';

export type Json = { readonly [key: string]: unknown };

export interface ContactView {
  /** `display`: retrieve and every write. */
  readonly kind: 'list' | 'search' | 'display';
  /** Columns that were selected; the others are printed as null. Null: all. */
  readonly select?: ReadonlySet<string> | null;
  /** Relations asked for by the undocumented `with`. */
  readonly with?: ReadonlySet<string>;
  /** For a client that says it is `Zapier`. */
  readonly lean?: boolean;
  readonly wasRecentlyCreated?: boolean;
}

/** Keys that belong to the viewer, the moment or the screen: a mirror that hashes them never comes to rest. */
const volatileJson = (store: Store, contact: AccountContact, view: ContactView): Json => {
  const canUpdate = contact.access === 'full';
  return {
    next_activity_date: null,
    last_contacted_at: null,
    avatar: null,
    avatar_url: `/storage/avatars/${contact.id}.png?expires=${store.nowMs() / 1000}`,
    uploaded_avatar_url: null,
    guest_email: contact.email,
    guest_display_name: displayName(contact),
    path: `/contacts/${contact.id}`,
    timeline_subject_key: 'contacts',
    companies_count: linkedRecords(store, contact, 'companies').length,
    deals_count: linkedRecords(store, contact, 'deals').length,
    calls_count: 0,
    notes_count: 0,
    incomplete_activities_for_user_count: contact.activities.length,
    unread_emails_for_user_count: 0,
    was_recently_created: view.wasRecentlyCreated ?? false,
    authorizations: { create: true, delete: canUpdate, update: canUpdate, view: true, viewAny: true },
  };
};

const displayName = (contact: AccountContact): string => `${contact.first_name ?? ''} ${contact.last_name ?? ''}`.trim();

const fieldsJson = (store: Store, contact: AccountContact): Json => {
  const user = store.users.get(contact.user_id ?? 0);
  const source = store.sources.get(contact.source_id ?? 0);
  const country = store.countries.get(contact.country_id ?? 0);
  return {
    id: contact.id,
    first_name: contact.first_name,
    last_name: contact.last_name,
    display_name: displayName(contact),
    email: contact.email,
    phones: contact.phones.map(({ id, number, type }) => ({ id, number, type })),
    tags: contact.tags.map((id) => ({ id, name: store.tags.get(id)?.name ?? '', type: 'contacts', swatch_color: null })),
    user_id: contact.user_id,
    user: user === undefined ? null : userJson(user),
    source_id: contact.source_id,
    source: source === undefined ? null : optionJson(source),
    country_id: contact.country_id,
    country: country === undefined ? null : { ...optionJson(country), iso_3166_2: country.code, calling_code: country.callingCode },
    job_title: contact.job_title,
    street: contact.street,
    city: contact.city,
    state: contact.state,
    postal_code: contact.postal_code,
    owner_assigned_date: toTimestampOrNull(contact.ownerAssignedAtMs),
    created_at: toTimestamp(contact.createdAtMs),
    updated_at: toTimestamp(contact.updatedAtMs),
  };
};

const customJson = (store: Store, contact: AccountContact): Json => {
  const json: Record<string, unknown> = {};
  for (const field of store.customFields.values()) json[field.name] = toCustomJson(field, contact.custom[field.name] ?? null);
  return json;
};

const relationsJson = (store: Store, contact: AccountContact, view: ContactView): Json => {
  const shown = LINK_KINDS.filter((kind: LinkKind) => view.with?.has(kind) === true || (view.kind !== 'list' && kind !== 'activities'));
  return Object.fromEntries(
    shown.map((kind) => [kind, linkedRecords(store, contact, kind).map((record) => linkedRecordJson(kind, record))]),
  );
};

const LEAN_OMITS = [
  'authorizations',
  'was_recently_created',
  'actions',
  'companies',
  'deals',
  'companies_count',
  'deals_count',
  'incomplete_activities_for_user_count',
  'unread_emails_for_user_count',
];

/** What was not selected is null, just like a real null; without the id nothing that hangs on it can be loaded. */
const withSelect = (store: Store, json: Json, select: ReadonlySet<string>): Json => {
  const masked: Record<string, unknown> = { ...json };
  const columns = ['id', 'first_name', 'last_name', 'email', 'job_title', 'street', 'city', 'state', 'postal_code', 'owner_assigned_date'];
  for (const column of [...columns, 'created_at', 'updated_at']) if (!select.has(column)) masked[column] = null;
  for (const relation of ['user', 'source', 'country']) {
    if (select.has(`${relation}_id`)) continue;
    masked[`${relation}_id`] = null;
    masked[relation] = null;
  }
  for (const { name, type } of store.customFields.values()) if (!isMultiOption(type) && !select.has(name)) masked[name] = null;
  masked['display_name'] = [json['first_name'], json['last_name']]
    .filter((part, index) => typeof part === 'string' && select.has(index === 0 ? 'first_name' : 'last_name'))
    .join(' ');
  if (select.has('id')) return masked;
  for (const [key, value] of Object.entries(masked)) if (Array.isArray(value)) masked[key] = [];
  return masked;
};

export const contactJson = (store: Store, contact: AccountContact, view: ContactView): Json => {
  const json: Record<string, unknown> = {
    ...fieldsJson(store, contact),
    ...customJson(store, contact),
    ...volatileJson(store, contact, view),
    ...relationsJson(store, contact, view),
    ...(view.kind === 'display' && {
      media: [],
      actions: [{ name: 'Delete', uriKey: 'delete', destroyable: true }],
      associations_count: contact.companies.length + contact.deals.length + contact.activities.length,
    }),
  };
  if (view.lean === true) for (const key of LEAN_OMITS) delete json[key];
  return view.select == null ? json : withSelect(store, json, view.select);
};

/**
 * A contact as the CRM writes it, and as it wants to read it. The only file with the CRM's names of a contact's keys.
 *
 * Coming in, nothing is trusted: known keys are typed with zod, integers are checked to be safe, unknown keys are kept in `extra`, keys
 * that depend on the viewer, the moment or another record are dropped (they would make every reading a change). A record that does not fit
 * is reported as a `BadRecord` that names the key, never a value, and its page goes on. All text is made storable (`json.ts`).
 */
import { z } from 'zod';
import {
  canonicalIds,
  type CustomValue,
  isCustomField,
  type NameKind,
  type RemoteContact,
  type SeenName,
  stableJson,
  toPhoneType,
} from '../domain/contact.ts';
import { textLength } from '../domain/text-length.ts';
import type { BadRecord, ContactBody, RecordBatch } from '../ports/crm.ts';
import { isObject, isPrototypeKey, type JsonObject, storableJson, storableText } from './json.ts';

/** Records of one answer: fifty times what the CRM puts on a page. */
export const RECORDS_MAX = 5000;

export type ParsedRecord = { readonly contact: RemoteContact } | { readonly bad: BadRecord };

/** A whole number as JSON number or, as some PHP drivers send it, as digits; beyond 2^53 it would be another one. */
export const safeInteger = z
  .union(
    [
      z.number(),
      z
        .string()
        .regex(/^\d{1,16}$/)
        .transform(Number),
    ],
    { error: 'is not an integer' },
  )
  .refine((value) => Number.isSafeInteger(value) && value >= 0, { error: 'is not a safe integer' });

const recordId = safeInteger.refine((value) => value > 0, { error: 'is not an id' });

/** A key that is not there means null: the CRM prints every field of a contact, hidden ones aside. */
const text = z
  .string({ error: 'is not text' })
  .nullish()
  .transform((value) => (value == null ? null : storableText(value)));
const foreignId = safeInteger.nullish().transform((value) => value ?? null);

const DATE_TIME = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(Z|[+-]\d{2}:\d{2})?$/;
/** The CRM's clock runs in UTC, so a time without offset is UTC. */
const dateTime = z
  .string({ error: 'is not a date-time' })
  .nullish()
  .transform((value, context) => {
    if (value == null) return null;
    const match = DATE_TIME.exec(value);
    const at = match === null ? new Date(Number.NaN) : new Date(`${value.replace(' ', 'T')}${match[1] === undefined ? 'Z' : ''}`);
    // An offset can move the first and the last hours out of what Postgres and ISO 8601 call a year.
    if (at.getUTCFullYear() >= 1 && at.getUTCFullYear() <= 9999) return at;
    context.addIssue({ code: 'custom', message: 'is not a date-time' });
    return z.NEVER;
  });

/** More than anybody has: a record beyond these limits is refused alone, before it is looked at value by value. */
const PHONES_MAX = 1000;
const CUSTOM_FIELDS_MAX = 1000;
/** Characters; a text field of the CRM ends at 65,535 bytes. What is stored is held a dozen times over on its way. */
const RECORD_TEXT_MAX = 256 * 1024;
/** The names are a key of `sync.custom_fields`, and shown to people. */
const CUSTOM_FIELD_NAME_MAX = 255;

const phones = z
  .array(z.object({ number: text, type: z.unknown().optional() }, { error: 'is not a phone' }), { error: 'is not a list' })
  .max(PHONES_MAX, { error: `has more than ${PHONES_MAX} entries` })
  .nullish()
  .transform((list) =>
    (list ?? []).flatMap(({ number, type }) =>
      number === null ? [] : [{ number, type: toPhoneType(typeof type === 'string' ? type : null) }],
    ),
  );

/** Linked records as objects with an id; null or no key means that this answer does not tell, which is not the same as none. */
const linked = z.array(z.looseObject({ id: recordId }, { error: 'is not a record' }), { error: 'is not a list' }).nullish();

const contactSchema = z.object(
  {
    id: recordId,
    // No contact is without one. Where even this key is missing it is no contact, and reading it as one would empty every field.
    first_name: z
      .union([z.string(), z.null()], { error: 'is missing or not text' })
      .transform((value) => (value === null ? null : storableText(value))),
    last_name: text,
    email: text,
    job_title: text,
    street: text,
    city: text,
    state: text,
    postal_code: text,
    user_id: foreignId,
    source_id: foreignId,
    country_id: foreignId,
    phones,
    companies: linked,
    deals: linked,
    created_at: dateTime,
    updated_at: dateTime,
  },
  { error: 'is not an object' },
);
const KNOWN_KEYS: ReadonlySet<string> = new Set(Object.keys(contactSchema.shape));

/** Different for each viewer or moment, or derived from other keys or records. Counters and some families are told by their names below. */
const DERIVED_KEYS: ReadonlySet<string> = new Set([
  'actions',
  'activities',
  'authorizations',
  'calls',
  'changelog',
  'country',
  'display_name',
  'documents',
  'emails',
  'is_pinned',
  'last_contacted_at',
  'media',
  'next_activity_date',
  'notes',
  'path',
  'source',
  'uploaded_avatar_url',
  'user',
  'was_recently_created',
]);
const DERIVED_FAMILIES = /_count$|^avatar|^timeline_|^guest_/;

const isDerived = (key: string): boolean => DERIVED_KEYS.has(key) || DERIVED_FAMILIES.test(key);

/** One record of any answer that carries contacts. */
export const parseContact = (raw: unknown): ParsedRecord => {
  const parsed = contactSchema.safeParse(raw);
  if (!parsed.success) return badRecord(raw, problemOf(parsed.error));
  // zod has found an object.
  const record = raw as JsonObject;
  const own = ownKeys(record);
  if ('problem' in own) return badRecord(raw, own.problem);
  const { id, companies, deals, created_at, updated_at, ...fields } = parsed.data;
  if (textLength(fields) + textLength(own) > RECORD_TEXT_MAX) return badRecord(raw, `record has more than ${RECORD_TEXT_MAX} characters`);
  const contact: RemoteContact = {
    crmId: id,
    fields: { ...fields, custom_fields: own.custom },
    links: { companies: idsOf(companies), deals: idsOf(deals), activities: null },
    linkCounts: { companies: countOf(record['companies_count']), deals: countOf(record['deals_count']) },
    extra: own.extra,
    createdAt: created_at,
    updatedAt: updated_at,
    names: [...namesOf(record), ...namesIn('companies', companies ?? []), ...namesIn('deals', deals ?? [])],
  };
  return { contact };
};

export const parseContacts = (rows: readonly unknown[]): RecordBatch => {
  const records: RemoteContact[] = [];
  const bad: BadRecord[] = [];
  for (const row of rows) {
    const parsed = parseContact(row);
    if ('contact' in parsed) records.push(parsed.contact);
    else bad.push(parsed.bad);
  }
  return { records, bad };
};

/** The body of a POST or PUT. Of `custom_fields` only `cf_…` keys are written: no custom field may pass for a field of the contact. */
export const toBody = (body: ContactBody): JsonObject => {
  const { custom_fields, ...fields } = body;
  const custom = Object.entries(custom_fields ?? {}).filter(([name]) => isCustomField(name));
  return { ...Object.fromEntries(custom), ...fields };
};

const badRecord = (raw: unknown, problem: string): ParsedRecord => {
  const id = recordId.safeParse(isObject(raw) ? raw['id'] : null);
  return { bad: { crmId: id.success ? id.data : null, problem } };
};

/** The first problem as `phones.0.number is not text`. */
export const problemOf = (error: z.ZodError): string => {
  const issue = error.issues[0];
  return issue === undefined ? 'does not fit' : `${issue.path.length === 0 ? 'record' : issue.path.join('.')} ${issue.message}`;
};

interface OwnKeys {
  readonly custom: Record<string, CustomValue>;
  readonly extra: Record<string, unknown>;
}

/** Everything that zod does not know: custom fields, and what else the CRM sends. */
const ownKeys = (record: JsonObject): OwnKeys | { readonly problem: string } => {
  const own: OwnKeys = { custom: {}, extra: {} };
  let customFields = 0;
  for (const [key, raw] of Object.entries(record)) {
    const name = storableText(key);
    if (KNOWN_KEYS.has(name) || isPrototypeKey(name) || isDerived(name)) continue;
    if (isCustomField(name) && name.length > CUSTOM_FIELD_NAME_MAX)
      return { problem: `a custom field's name has more than ${CUSTOM_FIELD_NAME_MAX} characters` };
    if (isCustomField(name) && (customFields += 1) > CUSTOM_FIELDS_MAX)
      return { problem: `has more than ${CUSTOM_FIELDS_MAX} custom fields` };
    const stored = storableJson(raw);
    if (stored === null) return { problem: `${name} is nested too deeply` };
    if (isCustomField(name)) own.custom[name] = toCustomValue(stored.value);
    else own.extra[name] = name === 'tags' ? tagNames(stored.value) : stored.value;
  }
  return own;
};

/**
 * A custom value in the form that the CRM accepts back: options come as objects and are sent as their ids. A shape that no documented type
 * has is kept as JSON text, so that it is visible and compares equal to itself.
 */
const toCustomValue = (value: unknown): CustomValue => {
  const item = idOrScalar(value);
  if (item !== undefined) return item;
  if (Array.isArray(value)) {
    const items = value.map(idOrScalar);
    if (items.every((one) => typeof one === 'string' || typeof one === 'number')) return items;
  }
  return stableJson(value);
};

const idOrScalar = (value: unknown): string | number | boolean | null | undefined => {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (!isObject(value)) return undefined;
  const { id } = value;
  return typeof id === 'string' || typeof id === 'number' ? id : undefined;
};

/** Tags by name, in an order that does not depend on the answer; an unknown shape as received. */
const tagNames = (tags: unknown): unknown => {
  if (!Array.isArray(tags)) return tags;
  const names = tags.map((tag: unknown) => (isObject(tag) ? tag['name'] : tag));
  return names.every((name) => typeof name === 'string') ? names.sort() : tags;
};

const idsOf = (records: readonly { readonly id: number }[] | null | undefined): readonly number[] | null =>
  records == null ? null : canonicalIds(records.map(({ id }) => id));

const countOf = (value: unknown): number | null => safeInteger.safeParse(value).data ?? null;

/** Names beside ids, wherever a nested record carries both. Never a reason to refuse the record. */
const namesOf = (record: JsonObject): readonly SeenName[] => [
  ...namesIn('users', [record['user']]),
  ...namesIn('sources', [record['source']]),
  ...namesIn('countries', [record['country']]),
];

export const namesIn = (kind: NameKind, records: readonly unknown[]): readonly SeenName[] =>
  records.flatMap((record) => {
    if (!isObject(record)) return [];
    const id = recordId.safeParse(record['id']);
    const name = [record['name'], record['display_name'], record['title']].find((value) => typeof value === 'string' && value !== '');
    return id.success && typeof name === 'string' ? [{ kind, id: id.data, name: storableText(name) }] : [];
  });

/**
 * A contact as both sides agree to see it, and its canonical form.
 *
 * Everything that is compared, merged, hashed or stored as `base` goes through `canonicalFields` first: trimmed strings, empty = null,
 * phones a set keyed by number, custom fields by their declared type, link ids as sorted sets. The function is pure and idempotent.
 *
 * Field names are the mirror's column names. Two of them hold more than one value: `phones` is merged number by number, and
 * `custom_fields` is never a field by itself: each `cf_…` key in it is one.
 */
import { createHash } from 'node:crypto';

/** Text columns, in the mirror's order. */
export const TEXT_FIELDS = ['first_name', 'last_name', 'email', 'job_title', 'street', 'city', 'state', 'postal_code'] as const;
/** Columns that hold an id of the CRM (no foreign key in the mirror). */
export const ID_FIELDS = ['user_id', 'source_id', 'country_id'] as const;
export const SCALAR_FIELDS = [...TEXT_FIELDS, ...ID_FIELDS] as const;
export const PHONE_TYPES = ['mobile', 'work', 'other'] as const;
export const LINK_KINDS = ['companies', 'deals', 'activities'] as const;

export type TextField = (typeof TEXT_FIELDS)[number];
export type IdField = (typeof ID_FIELDS)[number];
export type ScalarField = (typeof SCALAR_FIELDS)[number];
export type PhoneType = (typeof PHONE_TYPES)[number];
export type LinkKind = (typeof LINK_KINDS)[number];
/** A custom field's name as the CRM spells it, for example `cf_score`. */
export type CustomField = `cf_${string}`;
/** What policies, conflicts and diffs are keyed by. */
export type FieldName = ScalarField | 'phones' | CustomField;

export interface Phone {
  readonly number: string;
  readonly type: PhoneType;
}

/** A custom value in the form that the CRM accepts. A multi-option value is a sorted array of option ids. */
export type CustomValue = string | number | boolean | null | readonly (string | number)[];
export type CustomFields = { readonly [name: string]: CustomValue };

/** How a custom field's values are brought to one form. `text` is also what an undeclared field gets unless its values show more. */
export type CustomType = 'text' | 'number' | 'boolean' | 'date' | 'datetime' | 'option' | 'options';
export interface CustomFieldDef {
  readonly name: string;
  readonly type: CustomType;
  readonly label: string | null;
  /** Options of `option` and `options` fields: [] where there are none or they are not known. */
  readonly options: readonly { readonly id: number | string; readonly label: string }[];
  /** `crm`: declared by the account's field list. `inferred`: read off the values seen. */
  readonly origin: 'crm' | 'inferred';
  /** The CRM's own word for the type, which tells more (`Email`, `MultiSelect`); null where it has not told. */
  readonly crmType: string | null;
  /** Whether the CRM's list of fields has it: one that a form's settings hide may be carried by records all the same. true where it was inferred. */
  readonly listed: boolean;
  /** Neither listed nor carried by records any more. */
  readonly gone: boolean;
}
export type CustomFieldDefs = ReadonlyMap<string, CustomFieldDef>;

/** A contact's own fields: what a PUT can carry, links aside. */
export type ContactFields = { readonly [K in TextField]: string | null } & { readonly [K in IdField]: number | null } & {
  readonly phones: readonly Phone[];
  readonly custom_fields: CustomFields;
};

/** The ids linked to a contact, one sorted set a kind. */
export type LinkSets = { readonly [K in LinkKind]: readonly number[] };
/** The same as far as the CRM has told: null is *not known*, which differs from empty and is compared with nothing. */
export type KnownLinks = { readonly [K in LinkKind]: readonly number[] | null };

export const NO_LINKS: LinkSets = { companies: [], deals: [], activities: [] };
export const UNKNOWN_LINKS: KnownLinks = { companies: null, deals: null, activities: null };

/** Names beside ids, as answers happen to carry them. */
export const NAME_KINDS = ['companies', 'deals', 'activities', 'users', 'sources', 'countries'] as const;
export type NameKind = (typeof NAME_KINDS)[number];
export interface SeenName {
  readonly kind: NameKind;
  readonly id: number;
  readonly name: string;
}

/** One record of an answer of the CRM, parsed and typed; its fields are not yet canonical. */
export interface RemoteContact {
  readonly crmId: number;
  readonly fields: ContactFields;
  readonly links: KnownLinks;
  /** How many links the CRM counts, where the record says so: a list row carries the counts, not the ids. */
  readonly linkCounts: { readonly companies: number | null; readonly deals: number | null };
  /** Whatever else the CRM sends and is neither volatile nor derived: tags, dates, fields it adds tomorrow. */
  readonly extra: { readonly [key: string]: unknown };
  readonly createdAt: Date | null;
  /** The CRM's `updated_at`, one-second precision, on the CRM's clock. */
  readonly updatedAt: Date | null;
  readonly names: readonly SeenName[];
}

export const EMPTY_FIELDS: ContactFields = {
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
  custom_fields: {},
};

const isPhoneType = (value: string): value is PhoneType => (PHONE_TYPES as readonly string[]).includes(value);

/** Sorted by code unit, so that the order does not depend on a locale. */
const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const canonicalText = (value: string | null): string | null => {
  const trimmed = value?.trim() ?? '';
  return trimmed === '' ? null : trimmed;
};

/** An unrecognised type is a mobile one, as the CRM reads it. */
export const toPhoneType = (value: string | null | undefined): PhoneType => (value != null && isPhoneType(value) ? value : 'mobile');

/** A set keyed by exact number string: the last of two equal numbers stands, a phone without number is none. */
export const canonicalPhones = (phones: readonly Phone[]): readonly Phone[] => {
  const byNumber = new Map<string, PhoneType>();
  for (const phone of phones) {
    const number = phone.number.trim();
    // A row written with plain SQL may leave the type out: mobile, as everywhere.
    if (number !== '') byNumber.set(number, toPhoneType(phone.type));
  }
  return [...byNumber].map(([number, type]) => ({ number, type })).sort((a, b) => byCodeUnit(a.number, b.number));
};

/** Sorted, without repeats. */
export const canonicalIds = (ids: Iterable<number>): readonly number[] => [...new Set(ids)].sort((a, b) => a - b);

/** Numbers before texts: comparing a number with a text as text is no order at all (2 < 10 < "15" < 2). */
const byOption = (a: string | number, b: string | number): number => {
  if (typeof a === 'number') return typeof b === 'number' ? a - b : -1;
  return typeof b === 'number' ? 1 : byCodeUnit(a, b);
};

/** A date, or a date-time that says no more than one: any other time of day is an edit that must not vanish. */
const DATE = /^(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?\s*(?:Z|[+-]00:?00)?)?$/;
const DATE_TIME = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/;

const canonicalDateTime = (value: string): string => {
  const match = DATE_TIME.exec(value);
  if (match === null) return value;
  // Without an offset the CRM reads a date-time as UTC, so it is UTC here as well, whatever the machine's time zone.
  const offset = (match[4] ?? 'Z').replace(/^([+-]\d{2})(\d{2})$/, '$1:$2');
  const at = new Date(`${match[1]}T${match[2] ?? '00:00'}:${match[3] ?? '00'}${offset}`);
  if (Number.isNaN(at.getTime()) || !isCalendarDay(match[1] as string)) return value;
  const iso = at.toISOString();
  // Before year 0 or after 9999 the text is longer than the form of a date-time.
  return iso.length === ISO_LENGTH ? `${iso.slice(0, 19)}Z` : value;
};

const ISO_LENGTH = '2026-01-23T04:58:56.000Z'.length;

/** JavaScript reads 30 February as 2 March. */
const isCalendarDay = (date: string): boolean => new Date(date).toISOString().startsWith(date);

/** `option`: ids only. "1.50" and "007" may be labels, which are other options than 1.5 and 7. */
const NUMERAL = { number: /^-?\d+(\.\d+)?$/, option: /^(0|[1-9]\d*)$/ };

const canonicalNumeral = (text: string, as: keyof typeof NUMERAL): number | string =>
  NUMERAL[as].test(text) && Number.isSafeInteger(Math.trunc(Number(text))) ? Number(text) : text;

const canonicalItems = (value: readonly unknown[], type: CustomType): CustomValue => {
  // What is no list of ids or labels is left to the CRM's judgement.
  if (!value.every((item) => typeof item === 'string' || typeof item === 'number')) return value as CustomValue;
  const trimmed = value.map((item) => (typeof item === 'string' ? item.trim() : item)).filter((item) => item !== '');
  const items = type === 'options' ? trimmed.map((item) => (typeof item === 'string' ? canonicalNumeral(item, 'option') : item)) : trimmed;
  return items.length === 0 ? null : [...new Set(items.toSorted(byOption))];
};

/** One custom value in the form that the CRM accepts. A value that does not fit its type is left as it is: only the CRM can judge it. */
export const canonicalCustomValue = (value: CustomValue, type: CustomType): CustomValue => {
  if (Array.isArray(value)) return canonicalItems(value, type);
  if (type === 'options' && (typeof value === 'number' || typeof value === 'string')) return canonicalItems([value], type);
  if (type === 'boolean' && (value === 1 || value === 0)) return value === 1;
  if (typeof value !== 'string') return value;
  const text = value.trim();
  if (text === '') return null;
  switch (type) {
    case 'date':
      return DATE.exec(text)?.[1] ?? text;
    case 'datetime':
      return canonicalDateTime(text);
    case 'number':
    case 'option':
      return canonicalNumeral(text, type);
    case 'boolean':
      return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : text;
    case 'text':
    case 'options':
      return text;
  }
};

const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z$/;

/**
 * The type that one value of the CRM speaks for, or null where it says nothing (null, blank). A CRM that does not tell its field types
 * sends dates as midnight timestamps, so a field counts as a date until a value shows a time of day.
 */
export const inferCustomType = (value: CustomValue): CustomType | null => {
  if (value === null || (typeof value === 'string' && value.trim() === '')) return null;
  if (Array.isArray(value)) return 'options';
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'boolean';
  const time = TIMESTAMP.exec(value as string)?.[1];
  if (time === undefined) return 'text';
  return time === '00:00:00' ? 'date' : 'datetime';
};

/**
 * What a page of records teaches about undeclared custom fields: the definitions that are new or widened (date to date-time, two types to
 * text). Declared fields are left alone.
 */
export const inferCustomFields = (known: CustomFieldDefs, records: readonly RemoteContact[]): readonly CustomFieldDef[] => {
  const learned = new Map<string, CustomFieldDef>();
  for (const record of records) {
    for (const [name, value] of Object.entries(record.fields.custom_fields)) {
      const before = learned.get(name) ?? known.get(name);
      if (before?.origin === 'crm') continue;
      const type = inferCustomType(value);
      if (type === null || type === before?.type) continue;
      const seen = { label: null, options: [], origin: 'inferred', crmType: null, listed: true, gone: false } as const;
      learned.set(name, { name, type: widerType(before?.type, type), ...seen });
    }
  }
  return [...learned.values()].filter((def) => known.get(def.name)?.type !== def.type);
};

const widerType = (before: CustomType | undefined, now: CustomType): CustomType => {
  if (before === undefined || before === now) return now;
  const both = [before, now];
  return both.includes('date') && both.includes('datetime') ? 'datetime' : 'text';
};

const typeOf = (name: string, defs: CustomFieldDefs): CustomType => defs.get(name)?.type ?? 'text';

/** The canonical form of a contact's fields. Custom fields that are null (absent and cleared are the same) and other keys are left out. */
export const canonicalFields = (fields: ContactFields, defs: CustomFieldDefs): ContactFields => {
  const custom: Record<string, CustomValue> = {};
  for (const name of Object.keys(fields.custom_fields).filter(isCustomField).sort(byCodeUnit)) {
    const value = canonicalCustomValue(fields.custom_fields[name] ?? null, typeOf(name, defs));
    if (value !== null) custom[name] = value;
  }
  return {
    first_name: canonicalText(fields.first_name),
    last_name: canonicalText(fields.last_name),
    email: canonicalText(fields.email),
    job_title: canonicalText(fields.job_title),
    street: canonicalText(fields.street),
    city: canonicalText(fields.city),
    state: canonicalText(fields.state),
    postal_code: canonicalText(fields.postal_code),
    user_id: fields.user_id,
    source_id: fields.source_id,
    country_id: fields.country_id,
    phones: canonicalPhones(fields.phones),
    custom_fields: custom,
  };
};

/** JSON with sorted keys, so that equal values have equal text. */
export const stableJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => byCodeUnit(a, b)))
      : inner,
  );

/** Whether two canonical values are the same. */
export const sameValue = (a: unknown, b: unknown): boolean => a === b || stableJson(a) === stableJson(b);

/** 32 hex digits over canonical content; equal content, equal hash. */
export const contentHash = (value: unknown): string => createHash('sha256').update(stableJson(value)).digest('hex').slice(0, 32);

export const isCustomField = (name: string): name is CustomField => name.startsWith('cf_');

/** A field's value, custom fields included; null where the contact has none. */
export const fieldValue = (fields: ContactFields, name: FieldName): unknown =>
  isCustomField(name) ? (fields.custom_fields[name] ?? null) : fields[name];

/** The names of all fields that either contact holds. */
export const fieldNames = (...contacts: readonly ContactFields[]): readonly FieldName[] => {
  const custom = new Set<CustomField>();
  for (const contact of contacts) {
    for (const name of Object.keys(contact.custom_fields)) if (isCustomField(name)) custom.add(name);
  }
  return [...SCALAR_FIELDS, 'phones', ...[...custom].sort(byCodeUnit)];
};

/** A copy with some fields replaced, custom fields included. A custom field set to null stays as a null: it was cleared. */
export const withValues = (fields: ContactFields, values: ReadonlyMap<FieldName, unknown>): ContactFields => {
  const flat: Record<string, unknown> = { ...fields };
  const custom: Record<string, unknown> = { ...fields.custom_fields };
  for (const [name, value] of values) {
    if (isCustomField(name)) custom[name] = value;
    else flat[name] = value;
  }
  // The map's keys are field names and its values come from fieldValue of such contacts: the shape is kept.
  return { ...flat, custom_fields: custom } as ContactFields;
};

/** The fields in which two canonical contacts differ. */
export const diffFields = (a: ContactFields, b: ContactFields): readonly FieldName[] =>
  fieldNames(a, b).filter((name) => !sameValue(fieldValue(a, name), fieldValue(b, name)));

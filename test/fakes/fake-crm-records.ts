/**
 * The sandbox's JSON as the port's values.
 *
 * Written apart from `src/crm/wire.ts`: the contract suite compares the two, which proves something only while they share nothing. It can be
 * short because it reads one known writer, and it is quick because it checks nothing, which thousands of simulated schedules need.
 */
import type { CustomFieldDef, CustomType, CustomValue, NameKind, Phone, RemoteContact, SeenName } from '../../src/domain/contact.ts';
import type { ActivityPage, ContactPage } from '../../src/ports/crm.ts';

interface NamedJson {
  readonly id: number;
  readonly name?: string;
  readonly display_name?: string;
}
interface ContactJson {
  readonly id: number;
  readonly phones: readonly Phone[];
  readonly tags: readonly { readonly name: string }[];
  readonly companies?: readonly NamedJson[];
  readonly deals?: readonly NamedJson[];
  readonly companies_count: number;
  readonly deals_count: number;
  readonly user: NamedJson | null;
  readonly source: NamedJson | null;
  readonly country: NamedJson | null;
  readonly owner_assigned_date: string | null;
  readonly created_at: string | null;
  readonly updated_at: string | null;
  readonly [field: string]: unknown;
}
interface PageJson<T> {
  readonly data: readonly T[];
  readonly meta: { readonly current_page: number; readonly per_page: number; readonly last_page: number; readonly total: number };
}

const text = (value: unknown): string | null => (value ?? null) as string | null;
const id = (value: unknown): number | null => (value ?? null) as number | null;
const date = (value: string | null): Date | null => (value === null ? null : new Date(value));

/** Several options come as objects and are sent as ids. */
const customValue = (value: unknown): CustomValue =>
  Array.isArray(value) ? value.map((option: { readonly id: number }) => option.id) : (value as CustomValue);

const names = (kind: NameKind, records: readonly (NamedJson | null | undefined)[]): readonly SeenName[] =>
  records.flatMap((record) => {
    const name = record?.name ?? record?.display_name;
    return record == null || name === undefined ? [] : [{ kind, id: record.id, name }];
  });

const sortedIds = (records: readonly NamedJson[]): readonly number[] => records.map((record) => record.id).sort((a, b) => a - b);

export const toRecord = (json: ContactJson): RemoteContact => ({
  crmId: json.id,
  fields: {
    first_name: text(json['first_name']),
    last_name: text(json['last_name']),
    email: text(json['email']),
    job_title: text(json['job_title']),
    street: text(json['street']),
    city: text(json['city']),
    state: text(json['state']),
    postal_code: text(json['postal_code']),
    user_id: id(json['user_id']),
    source_id: id(json['source_id']),
    country_id: id(json['country_id']),
    phones: json.phones.map(({ number, type }) => ({ number, type })),
    custom_fields: Object.fromEntries(
      Object.entries(json)
        .filter(([key]) => key.startsWith('cf_'))
        .map(([key, value]) => [key, customValue(value)]),
    ),
  },
  links: {
    companies: json.companies === undefined ? null : sortedIds(json.companies),
    deals: json.deals === undefined ? null : sortedIds(json.deals),
    activities: null,
  },
  linkCounts: { companies: json.companies_count, deals: json.deals_count },
  extra: { tags: json.tags.map(({ name }) => name).sort(), owner_assigned_date: json.owner_assigned_date },
  createdAt: date(json.created_at),
  updatedAt: date(json.updated_at),
  names: [
    ...names('users', [json.user]),
    ...names('sources', [json.source]),
    ...names('countries', [json.country]),
    ...names('companies', json.companies ?? []),
    ...names('deals', json.deals ?? []),
  ],
});

export const toContactPage = ({ data, meta }: PageJson<ContactJson>): ContactPage => ({
  records: data.map(toRecord),
  bad: [],
  page: meta.current_page,
  perPage: meta.per_page,
  lastPage: meta.last_page,
  total: meta.total,
});

export const toActivityPage = ({ data, meta }: PageJson<NamedJson>): ActivityPage => ({
  ids: sortedIds(data),
  names: names('activities', data),
  lastPage: meta.last_page,
});

interface FieldJson {
  readonly attribute: string;
  readonly label: string;
  readonly fieldType: string;
  readonly options?: readonly { readonly value: number; readonly label: string }[];
}

const TYPES: { readonly [fieldType: string]: CustomType } = {
  Number: 'number',
  Numeric: 'number',
  Boolean: 'boolean',
  Date: 'date',
  DateTime: 'datetime',
  Select: 'option',
  Radio: 'option',
  MultiSelect: 'options',
  Checkbox: 'options',
};

export const toCustomFields = (fields: readonly FieldJson[]): readonly CustomFieldDef[] =>
  fields
    .filter(({ attribute }) => attribute.startsWith('cf_'))
    .map(({ attribute, label, fieldType, options = [] }) => ({
      name: attribute,
      type: TYPES[fieldType] ?? 'text',
      label,
      options: options.map(({ value, label: option }) => ({ id: value, label: option })),
      origin: 'crm',
      crmType: fieldType,
      listed: true,
      gone: false,
    }));

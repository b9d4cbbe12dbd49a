/**
 * What the sandbox account stores. Every record is immutable: a change puts a new object in its place, so a snapshot is just a reference.
 *
 * Custom values are stored in the form that the API accepts (`AccountContact.custom`); `custom-values.ts` turns them into what it answers.
 */

export const TEXT_COLUMNS = ['first_name', 'last_name', 'email', 'job_title', 'street', 'city', 'state', 'postal_code'] as const;
export const ID_COLUMNS = ['user_id', 'source_id', 'country_id'] as const;
export const LINK_KINDS = ['companies', 'deals', 'activities'] as const;
export const PHONE_TYPES = ['mobile', 'work', 'other'] as const;

export type TextColumn = (typeof TEXT_COLUMNS)[number];
export type IdColumn = (typeof ID_COLUMNS)[number];
export type LinkKind = (typeof LINK_KINDS)[number];
export type PhoneType = (typeof PHONE_TYPES)[number];

export interface NumberAndType {
  readonly number: string;
  readonly type: PhoneType;
}
export interface AccountPhone extends NumberAndType {
  readonly id: number;
}

/** Options as ids, several of them sorted; dates `YYYY-MM-DD`, date-times `YYYY-MM-DDTHH:MM:SSZ`. */
export type StoredCustomValue = string | number | boolean | null | readonly number[];

/** What the token's user may do with a contact: everything, only look, or not even know it from a list. */
export type ContactAccess = 'full' | 'read' | 'none';

export type AccountContact = { readonly [K in TextColumn]: string | null } & { readonly [K in IdColumn]: number | null } & {
  readonly [K in LinkKind]: readonly number[];
} & {
  readonly id: number;
  readonly phones: readonly AccountPhone[];
  /** Ids of tags. */
  readonly tags: readonly number[];
  readonly custom: { readonly [name: string]: StoredCustomValue };
  /** Whole seconds, as all the account's times. */
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Null outside the trash. */
  readonly deletedAtMs: number | null;
  readonly ownerAssignedAtMs: number | null;
  readonly access: ContactAccess;
};

/** A company, deal or activity: as much of it as a contact shows. */
export interface AccountRecord {
  readonly id: number;
  readonly name: string;
  /** A company's web domain. */
  readonly domain: string | null;
  readonly updatedAtMs: number;
  readonly createdAtMs: number;
  readonly trashed: boolean;
  /** Not viewable for the token's user. */
  readonly hidden: boolean;
}
export interface AccountUser {
  readonly id: number;
  readonly name: string;
  readonly email: string;
}
export interface AccountOption {
  readonly id: number;
  readonly name: string;
}
export interface AccountCountry extends AccountOption {
  readonly code: string;
  readonly callingCode: string;
}

export const CUSTOM_FIELD_TYPES = [
  'Text',
  'Textarea',
  'Email',
  'Url',
  'Number',
  'Numeric',
  'Boolean',
  'Date',
  'DateTime',
  'Select',
  'Radio',
  'MultiSelect',
  'Checkbox',
  'Timezone',
  'ColorSwatch',
] as const;
export type CustomFieldType = (typeof CUSTOM_FIELD_TYPES)[number];

export interface CustomField {
  /** `cf_…` */
  readonly name: `cf_${string}`;
  readonly label: string;
  readonly type: CustomFieldType;
  /** Of Select, Radio, MultiSelect and Checkbox. */
  readonly options?: readonly { readonly id: number; readonly label: string }[];
  /** No two contacts, trashed ones included, may hold the same value. */
  readonly unique?: boolean;
  /** A create without it is a 422. */
  readonly required?: boolean;
  /** Left out of the field lists by the admin's form settings; records carry it all the same. */
  readonly hiddenInForms?: boolean;
}

export const isMultiOption = (type: CustomFieldType): boolean => type === 'MultiSelect' || type === 'Checkbox';
export const isSingleOption = (type: CustomFieldType): boolean => type === 'Select' || type === 'Radio';

/** `2026-01-23T04:58:56.000000Z`: six fraction digits, always zeros. */
export const toTimestamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}.000000Z`;
export const toTimestampOrNull = (ms: number | null): string | null => (ms === null ? null : toTimestamp(ms));

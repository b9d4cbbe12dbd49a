/** The fields of the contact form, custom ones included, as `/fields/contacts/update` lists them. */
import { isMultiOption, isSingleOption } from './records.ts';
import type { CustomField } from './records.ts';
import type { Store } from './store.ts';

type FieldJson = { readonly [key: string]: unknown };

const ORDINARY: readonly (readonly [attribute: string, label: string, fieldType: string, component: string])[] = [
  ['first_name', 'First Name', 'Text', 'form-text-field'],
  ['last_name', 'Last Name', 'Text', 'form-text-field'],
  ['email', 'E-Mail Address', 'Email', 'form-email-field'],
  ['phones', 'Phone', 'Phone', 'form-phone-field'],
  ['tags', 'Tags', 'Tags', 'form-tags-field'],
  ['user_id', 'Owner', 'User', 'form-belongs-to-field'],
  ['source_id', 'Source', 'Source', 'form-belongs-to-field'],
  ['companies', 'Companies', 'Companies', 'form-selectable-companies-field'],
  ['deals', 'Deals', 'Deals', 'form-selectable-deals-field'],
  ['job_title', 'Job Title', 'Text', 'form-text-field'],
  ['street', 'Street Address', 'Text', 'form-text-field'],
  ['city', 'City', 'Text', 'form-text-field'],
  ['state', 'State', 'Text', 'form-text-field'],
  ['postal_code', 'Postal Code', 'Text', 'form-text-field'],
  ['country_id', 'Country', 'Country', 'form-belongs-to-field'],
];

const choicesOf = (store: Store, attribute: string): readonly { readonly id: number; readonly name: string }[] | null => {
  if (attribute === 'user_id') return [...store.users.values()];
  if (attribute === 'source_id') return [...store.sources.values()];
  return attribute === 'country_id' ? [...store.countries.values()] : null;
};

const ordinaryJson = (store: Store, [attribute, label, fieldType, component]: (typeof ORDINARY)[number]): FieldJson => {
  const choices = choicesOf(store, attribute);
  return {
    attribute,
    label,
    component,
    fieldType,
    isRequired: attribute === 'first_name',
    ...(choices && { options: choices.map(({ id, name }) => ({ value: id, label: name })) }),
  };
};

const customFieldJson = (field: CustomField): FieldJson => {
  const hasOptions = isMultiOption(field.type) || isSingleOption(field.type);
  return {
    attribute: field.name,
    label: field.label,
    component: `form-${field.type.toLowerCase()}-field`,
    fieldType: field.type,
    isRequired: field.required ?? false,
    isUnique: field.unique ?? false,
    ...(hasOptions && { options: (field.options ?? []).map(({ id, label }) => ({ value: id, label })) }),
  };
};

export const fieldList = (store: Store): readonly FieldJson[] => [
  ...ORDINARY.map((field) => ordinaryJson(store, field)),
  ...[...store.customFields.values()].filter((field) => field.hiddenInForms !== true).map(customFieldJson),
];

/**
 * The account's custom fields, from the field list of the CRM's own edit form (`GET /fields/contacts/update`, undocumented).
 *
 * Its shape is known only loosely, so this reads every spelling that was seen and leaves out what it does not understand: an undeclared
 * field is inferred from its values, a wrongly declared one would be mangled.
 */
import { type CustomFieldDef, type CustomType, isCustomField } from '../domain/contact.ts';
import { isObject, type JsonObject, storableText } from './json.ts';
import type { Parsed } from './wire-page.ts';

/** The CRM's field types, by lower-case letters only: `MultiSelect`, `multi-select-field` and `multiselect` are one. */
const TYPES: { readonly [kind: string]: CustomType | undefined } = {
  text: 'text',
  textarea: 'text',
  email: 'text',
  url: 'text',
  timezone: 'text',
  color: 'text',
  colorswatch: 'text',
  number: 'number',
  numeric: 'number',
  boolean: 'boolean',
  date: 'date',
  datetime: 'datetime',
  select: 'option',
  radio: 'option',
  multiselect: 'options',
  selectmultiple: 'options',
  checkbox: 'options',
};

/** A list, bare or under `data` or `fields`. Entries that are no custom field, or of a type that is not known, are left out. */
export const parseCustomFields = (answer: unknown): Parsed<readonly CustomFieldDef[]> => {
  const list = Array.isArray(answer) ? answer : isObject(answer) ? (answer['data'] ?? answer['fields']) : null;
  if (!Array.isArray(list)) return { problem: 'field list is not a list' };
  const byName = new Map<string, CustomFieldDef>();
  for (const entry of list) {
    const def = isObject(entry) ? toDefinition(entry) : null;
    if (def !== null) byName.set(def.name, def);
  }
  return { value: [...byName.values()] };
};

const toDefinition = (entry: JsonObject): CustomFieldDef | null => {
  const custom = isObject(entry['customField']) ? entry['customField'] : {};
  const name = textIn(entry['attribute'], entry['name'], entry['field_id'], custom['field_id']);
  const kinds = [custom['field_type'], entry['fieldType'], entry['field_type'], entry['type'], entry['component']];
  const type = kinds.map(typeOf).find((known) => known !== null);
  if (name === null || !isCustomField(name) || type === undefined || type === null) return null;
  const options = type === 'option' || type === 'options' ? toOptions(entry['options'] ?? custom['options']) : [];
  const crmType = textIn(...kinds.filter((kind) => typeOf(kind) !== null));
  return { name, type, label: textIn(entry['label'], custom['label']), options, origin: 'crm', crmType, listed: true, gone: false };
};

const typeOf = (kind: unknown): CustomType | null => {
  if (typeof kind !== 'string') return null;
  const plain = kind
    .toLowerCase()
    .replace(/[^a-z]/g, '')
    .replace(/^form/, '')
    .replace(/field$/, '');
  return Object.hasOwn(TYPES, plain) ? (TYPES[plain] ?? null) : null;
};

const toOptions = (options: unknown): CustomFieldDef['options'] => {
  if (!Array.isArray(options)) return [];
  return options.filter(isObject).flatMap((option) => {
    const id = option['id'] ?? option['value'];
    const label = textIn(option['label'], option['name']);
    return (typeof id === 'number' && Number.isSafeInteger(id)) || typeof id === 'string' ? [{ id, label: label ?? String(id) }] : [];
  });
};

const textIn = (...candidates: readonly unknown[]): string | null => {
  const found = candidates.find((value) => typeof value === 'string' && value !== '');
  return typeof found === 'string' ? storableText(found) : null;
};

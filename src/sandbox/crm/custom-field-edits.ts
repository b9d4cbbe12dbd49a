/**
 * An administrator's work on the custom fields, while everybody else works on. No contact's time moves.
 *
 * A field's values are in a column of its type: another type is another column, and what was in the old one is gone.
 */
import { invalid, noContent, notFound, ok } from './answer.ts';
import type { Answer } from './answer.ts';
import { isRecord } from './is-record.ts';
import { CUSTOM_FIELD_TYPES, isMultiOption, isSingleOption } from './records.ts';
import type { CustomField, CustomFieldType } from './records.ts';
import type { Store } from './store.ts';

const isKind = (type: unknown): type is CustomFieldType => (CUSTOM_FIELD_TYPES as readonly unknown[]).includes(type);

const dropValues = (store: Store, name: string): void => {
  for (const contact of store.contacts.values()) {
    if (contact.custom[name] === undefined) continue;
    const { [name]: _, ...custom } = contact.custom;
    store.put({ ...contact, custom });
  }
};

/** Makes a field, or changes one: its label, its options, its type. */
export const defineCustomField = (store: Store, field: CustomField): void => {
  const before = store.customFields.get(field.name);
  if (before !== undefined && before.type !== field.type) dropValues(store, field.name);
  store.customFields.set(field.name, field);
};

/** With all its values. */
export const removeCustomField = (store: Store, name: string): void => {
  store.customFields.delete(name);
  dropValues(store, name);
};

/** Labels, or `{id, label}`; an option that is called as before keeps its id. */
const readOptions = (sent: unknown, before: CustomField | undefined): CustomField['options'] => {
  if (!Array.isArray(sent)) return before?.options ?? [];
  const known = before?.options ?? [];
  let last = Math.max(0, ...known.map(({ id }) => id));
  return sent.flatMap((option: unknown) => {
    const { id, label } = isRecord(option) ? option : { id: undefined, label: option };
    if (typeof label !== 'string' || label === '') return [];
    const same = known.find((one) => one.id === id || (id === undefined && one.label === label));
    return [{ id: typeof id === 'number' ? id : (same?.id ?? (last += 1)), label }];
  });
};

/** `{label, field_type, options}`, as POST and PUT send it; what a change leaves out stays. */
export const saveCustomField = (store: Store, sentName: unknown, body: unknown): Answer => {
  const sent = isRecord(body) ? body : {};
  const name = typeof sentName === 'string' ? sentName : '';
  if (!/^cf_[a-z0-9_]+$/.test(name)) return invalid({ field_id: ['The field id must begin with cf_ and hold small letters only.'] });
  const before = store.customFields.get(name);
  const type = sent['field_type'] ?? before?.type;
  if (!isKind(type)) return invalid({ field_type: ['The selected field type is invalid.'] });
  const label = typeof sent['label'] === 'string' ? sent['label'] : (before?.label ?? name);
  const options = isMultiOption(type) || isSingleOption(type) ? { options: readOptions(sent['options'], before) ?? [] } : {};
  const field = { ...before, name: name as CustomField['name'], label, type, ...options };
  defineCustomField(store, field);
  return ok(field);
};

export const deleteCustomField = (store: Store, name: string): Answer => {
  if (!store.customFields.has(name)) return notFound(name);
  removeCustomField(store, name);
  return noContent();
};

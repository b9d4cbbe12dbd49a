/** A contact that the CRM has and whose row is gone, though nobody is known to have deleted it: no deletion, but a question to a person. */
import { canonicalFields, EMPTY_FIELDS, fieldNames, fieldValue, sameValue } from '../domain/contact.ts';
import type { ContactFields, CustomFieldDefs, FieldName } from '../domain/contact.ts';
import type { FoundEdit, Situation } from '../ports/mirror.ts';

export const VANISHED = 'contacts are gone from the mirror though nobody is known to have deleted them';

/** No deletion is among what is open for it, and none was settled. */
export const hasVanished = ({ row, crmId, deletedAt, open }: Situation): boolean =>
  row === null && crmId !== null && deletedAt === null && !open.ops.has('delete');

/** The deletion that would be logged, with what the row held when it was last agreed on. */
export const deletionOf = ({ contactId, base }: Situation, customFields: CustomFieldDefs): FoundEdit => {
  const oldValues = base === null ? {} : filledValues(canonicalFields(base.fields, customFields));
  return { contactId, op: 'delete', oldValues, newValues: null };
};

export type Values = { readonly [field: string]: unknown };

/** As the log spells them: custom fields under their own names. */
export const valuesOf = (fields: ContactFields, names: readonly FieldName[]): Values =>
  Object.fromEntries(names.map((name) => [name, fieldValue(fields, name)]));

/** What a canonical contact holds, empty fields left out. */
export const filledValues = (fields: ContactFields): Values =>
  valuesOf(
    fields,
    fieldNames(fields).filter((name) => !sameValue(fieldValue(fields, name), fieldValue(EMPTY_FIELDS, name))),
  );

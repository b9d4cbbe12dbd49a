/** Whether a mirror and a sandbox account hold the same contacts, field by field and link by link. */
import {
  canonicalFields,
  canonicalIds,
  contentHash,
  diffFields,
  LINK_KINDS,
  type ContactFields,
  type LinkKind,
  type LinkSets,
} from '../domain/contact.ts';
import type { AccountContact } from './crm/records.ts';

interface Mirrored {
  readonly crmId: number | null;
  readonly fields: ContactFields;
  readonly links: LinkSets;
}

/** One line for each difference, naming the contact and what differs; no values. Empty: they are equal. */
export const differences = (
  mirrored: readonly Mirrored[],
  account: readonly AccountContact[],
  kinds: readonly LinkKind[] = LINK_KINDS,
): readonly string[] => {
  const rows = new Map(mirrored.flatMap((row) => (row.crmId === null ? [] : [[row.crmId, row] as const])));
  const unpaired = mirrored.filter((row) => row.crmId === null).length;
  const lines = unpaired === 0 ? [] : [`${unpaired} rows without crm_id`];
  for (const contact of account) {
    const row = rows.get(contact.id);
    rows.delete(contact.id);
    if (row === undefined) lines.push(`contact ${contact.id}: no row`);
    else lines.push(...differencesOf(row, contact, kinds));
  }
  for (const crmId of rows.keys()) lines.push(`contact ${crmId}: not in the CRM`);
  return lines;
};

const differencesOf = (row: Mirrored, contact: AccountContact, kinds: readonly LinkKind[]): readonly string[] => {
  const { phones, custom, ...columns } = contact;
  const theirs = canonicalFields({ ...columns, phones, custom_fields: custom }, new Map());
  const ours = canonicalFields(row.fields, new Map());
  const links = kinds.filter((kind) => contentHash(canonicalIds(contact[kind])) !== contentHash(canonicalIds(row.links[kind])));
  return [...diffFields(ours, theirs), ...links].map((name) => `contact ${contact.id}: ${name}`);
};

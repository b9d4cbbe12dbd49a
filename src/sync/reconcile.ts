/**
 * One record against one contact: what is written, what is in conflict, what is left to push. Pure; the caller holds the locks and has
 * read the situation after taking them.
 */
import {
  canonicalFields,
  contentHash,
  diffFields,
  EMPTY_FIELDS,
  LINK_KINDS,
  sameValue,
  UNKNOWN_LINKS,
  withValues,
  type ContactFields,
  type CustomFieldDefs,
  type FieldName,
  type KnownLinks,
  type LinkKind,
  type RemoteContact,
} from '../domain/contact.ts';
import {
  baseAfter,
  diffLinks,
  isEmptyLinks,
  linkDeltas,
  linksAfter,
  mergeFields,
  mergeLinks,
  type Arbiter,
  type FieldConflict,
  type Policy,
} from '../domain/merge.ts';
import type { Base, ContactWrite, Situation } from '../ports/mirror.ts';

/** A record brought to canonical form once, with the hashes that tell whether it brings anything new. */
export interface CanonicalRecord {
  readonly record: RemoteContact;
  readonly fields: ContactFields;
  readonly links: KnownLinks;
  readonly hash: string;
  readonly extraHash: string;
}

/** How one page, or one answer, is read. */
export interface Reading {
  readonly customFields: CustomFieldDefs;
  readonly policyOf: (field: FieldName | 'contact') => Policy;
  /** Added to a time of the CRM's clock to bring it to the database's. */
  readonly clockOffsetMs: number;
}

export interface Reconciled {
  readonly write: ContactWrite;
  readonly conflicts: readonly FieldConflict[];
  /** The row differs from the new base: something has to be pushed. */
  readonly dirty: boolean;
}

/** A list row that counts no companies or deals tells that kind: none. */
const countedLinks = ({ links, linkCounts }: RemoteContact): KnownLinks => ({
  ...links,
  companies: links.companies ?? (linkCounts.companies === 0 ? [] : null),
  deals: links.deals ?? (linkCounts.deals === 0 ? [] : null),
});

export const toCanonical = (record: RemoteContact, customFields: CustomFieldDefs): CanonicalRecord => {
  const fields = canonicalFields(record.fields, customFields);
  return { record, fields, links: countedLinks(record), hash: contentHash(fields), extraHash: contentHash(record.extra) };
};

const arbiterFor = (situation: Situation, record: RemoteContact, reading: Reading): Arbiter => ({
  policyOf: reading.policyOf,
  editedAt: (field) => (field === 'contact' ? newest(situation) : (situation.open.editedAt.get(field) ?? null)),
  remoteAt: record.updatedAt === null ? null : new Date(record.updatedAt.getTime() + reading.clockOffsetMs),
});

/** When the row as a whole was last edited or deleted here. */
const newest = ({ open }: Situation): Date | null => {
  const times = [...open.editedAt.values(), ...(open.deletedAt === null ? [] : [open.deletedAt])];
  return times.length === 0 ? null : new Date(Math.max(...times.map((time) => time.getTime())));
};

/**
 * @param asBase the fields that base is taken to hold, for an answer to our own write (what was sent is agreed); default: the situation's,
 *   with whatever has arrived of a write of which nobody knows
 */
export const reconcile = (
  situation: Situation & { readonly row: NonNullable<Situation['row']> },
  canonical: CanonicalRecord,
  reading: Reading,
  asBase: ContactFields | null = baseArrived(situation, canonical, reading.customFields)?.fields ?? null,
): Reconciled => {
  const { record } = canonical;
  const local = canonicalFields(situation.row.fields, reading.customFields);
  const base = asBase === null ? null : canonicalFields(asBase, reading.customFields);
  const arbiter = arbiterFor(situation, record, reading);
  const merged = mergeFields(base, local, canonical.fields, situation.heldFields, arbiter);
  const agreedLinks = baseArrived(situation, canonical, reading.customFields)?.links ?? UNKNOWN_LINKS;
  const links = mergeLinks(agreedLinks, situation.row.links, canonical.links, situation.open);
  const deltas = linkDeltas(situation.row.links, links.local);
  const rowChanges = diffFields(local, merged.local);
  const held = new Set([...situation.heldFields, ...merged.conflicts.filter((c) => c.outcome === 'open').map((c) => c.field)]);
  const baseHash = contentHash(merged.base);
  const toPush = diffLinks(links.base, links.local, situation.open);
  return {
    write: {
      contactId: situation.contactId,
      fields: rowChanges.length === 0 ? null : rowFields(situation.row.fields, merged.local, rowChanges),
      isMerge: rowChanges.length > 0 && diffFields(merged.local, canonical.fields).length > 0,
      addLinks: deltas.add,
      removeLinks: deltas.remove,
      base: sameBase(situation, baseHash, links.base) ? null : { fields: merged.base, hash: baseHash, links: links.base },
      extra: situation.extraHash === canonical.extraHash ? null : { value: record.extra, hash: canonical.extraHash },
      crmTimes: sameValue(situation.crmUpdatedAt?.getTime() ?? null, record.updatedAt?.getTime() ?? null)
        ? null
        : { createdAt: record.createdAt, updatedAt: record.updatedAt },
    },
    conflicts: merged.conflicts,
    dirty:
      diffFields(merged.local, merged.base).some((field) => !held.has(field)) ||
      !isEmptyLinks(toPush.attach) ||
      !isEmptyLinks(toPush.detach),
  };
};

/** The base as it is if our last write has arrived as far as the record shows: see `baseAfter` and `linksAfter`. Null where there is none. */
export const baseArrived = (
  { base, sent }: Situation,
  { fields, links }: Pick<CanonicalRecord, 'fields' | 'links'>,
  customFields: CustomFieldDefs,
): Base | null => {
  if (base === null || sent === null) return base;
  const carried = canonicalFields(withValues(EMPTY_FIELDS, new Map(Object.entries(sent.fields) as [FieldName, unknown][])), customFields);
  const before = canonicalFields(base.fields, customFields);
  return {
    fields: baseAfter(before, carried, Object.keys(sent.fields) as FieldName[], fields),
    links: linksAfter(base.links, sent, links),
  };
};

/** Edited in the CRM since both sides last agreed, and not by us. A link that came or went counts as well, where both know the kind. */
export const isEditedThere = (canonical: CanonicalRecord, situation: Situation, customFields: CustomFieldDefs): boolean => {
  const before = baseArrived(situation, canonical, customFields);
  if (before === null) return false;
  const differs = (kind: LinkKind): boolean => {
    const [there, agreed] = [canonical.links[kind], before.links[kind]];
    return there !== null && agreed !== null && !sameValue(there, agreed);
  };
  return !sameValue(canonical.fields, canonicalFields(before.fields, customFields)) || LINK_KINDS.some(differs);
};

const sameBase = (situation: Situation, hash: string, links: KnownLinks): boolean =>
  situation.base !== null &&
  // Stored again, it takes the note of our own write away: the record has told what became of that.
  situation.sent === null &&
  situation.baseHash === hash &&
  LINK_KINDS.every((kind) => sameValue(situation.base?.links[kind] ?? null, links[kind]));

/** The row as it should be: fields that did not change keep the form in which they were written here; a cleared custom field is a null. */
const rowFields = (row: ContactFields, merged: ContactFields, changes: readonly FieldName[]): ContactFields => {
  const scalars: Record<string, unknown> = { ...row };
  const custom: Record<string, unknown> = { ...row.custom_fields };
  for (const field of changes) {
    if (field in merged && field !== ('custom_fields' as FieldName)) scalars[field] = merged[field as keyof ContactFields];
    else custom[field] = merged.custom_fields[field] ?? null;
  }
  return { ...scalars, custom_fields: custom } as ContactFields;
};

/** Whether a write changes anything at all: quiet sides write no tuple. */
export const isEmptyWrite = (write: ContactWrite): boolean =>
  write.fields === null &&
  write.base === null &&
  write.extra === null &&
  write.crmTimes === null &&
  isEmptyLinks(write.addLinks) &&
  isEmptyLinks(write.removeLinks);

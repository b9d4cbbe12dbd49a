/**
 * What a contact needs next: the fewest calls that make the CRM equal to the row. Pure; asked again after each answer, since an answer is a
 * record like any other and may change what is left.
 */
import {
  canonicalFields,
  diffFields,
  fieldValue,
  LINK_KINDS,
  NO_LINKS,
  type ContactFields,
  type CustomFieldDefs,
  type CustomValue,
  type FieldName,
  type LinkKind,
} from '../domain/contact.ts';
import { diffLinks, eachKind, without } from '../domain/merge.ts';
import type { ContactBody, LinkIds } from '../ports/crm.ts';
import type { Sent, Situation } from '../ports/mirror.ts';
import { hasVanished } from './vanished.ts';

/** How far an attempt is. */
export interface Progress {
  /** The contact was read in this attempt. */
  readonly hasRead: boolean;
  /** An earlier write's outcome is not known: nothing is sent before the contact was read. */
  readonly mustRead: boolean;
  /** Calls made, or parked, in this attempt: at most one of a kind. */
  readonly spent: ReadonlySet<WriteCall>;
}
export type WriteCall = 'update' | 'attach' | 'detach' | 'sync';

export type NextCall =
  | { readonly call: 'read' }
  | { readonly call: 'update'; readonly body: ContactBody; readonly fields: readonly FieldName[] }
  | { readonly call: 'attach' | 'detach' | 'sync'; readonly ids: LinkIds };

export type Living = Situation & { readonly row: NonNullable<Situation['row']> };

/**
 * What an attempt at a contact comes to. `ask`: gone without a deletion, which is a person's to explain; `park`: gone in the CRM, and its removal
 * here is held or was rejected.
 */
export const workOf = (situation: Situation): 'ask' | 'delete' | 'park' | 'update' | 'create' => {
  if (hasVanished(situation)) return 'ask';
  if (situation.row === null) return 'delete';
  if (situation.goneAt !== null && situation.decided !== 'mirror') return 'park';
  return situation.crmId === null ? 'create' : 'update';
};

/** The next call, or null when nothing is left that this attempt may do. */
export const nextCall = (situation: Living, progress: Progress, customFields: CustomFieldDefs): NextCall | null => {
  if (progress.mustRead && !progress.hasRead) return { call: 'read' };
  const fields = progress.spent.has('update') ? [] : fieldsToPush(situation, customFields);
  // A phone list is written whole, so it is read just before.
  if (fields.includes('phones') && !progress.hasRead) return { call: 'read' };
  if (fields.length > 0) return { call: 'update', fields, body: toBody(canonicalFields(situation.row.fields, customFields), fields) };
  return nextLinkCall(situation, progress);
};

/** With a call that was made, or refused, counted. */
export const afterCall = (progress: Progress, { call }: NextCall): Progress =>
  call === 'read' ? { ...progress, hasRead: true } : { ...progress, spent: new Set([...progress.spent, call]) };

/** Fields in which the row differs from what both sides last agreed on, but for those that wait for a person. */
export const fieldsToPush = (situation: Living, customFields: CustomFieldDefs): readonly FieldName[] => {
  if (situation.base === null) return [];
  const local = canonicalFields(situation.row.fields, customFields);
  const base = canonicalFields(situation.base.fields, customFields);
  return diffFields(local, base).filter((field) => !situation.heldFields.has(field));
};

const nextLinkCall = (situation: Living, { hasRead, spent }: Progress): NextCall | null => {
  const base = situation.base?.links ?? { companies: null, deals: null, activities: null };
  const { attach, detach } = diffLinks(base, situation.row.links, situation.open);
  const ids = { attach: {} as Writable, detach: {} as Writable, sync: {} as Writable };
  for (const kind of LINK_KINDS) {
    const [adds, removes] = [attach[kind].length > 0, detach[kind].length > 0];
    // A sync call replaces the set. It is wiped if the CRM knows none of the ids, so one that it does know has to stay in it.
    const safe = situation.row.links[kind].some((id) => base[kind]?.includes(id) === true);
    if (adds && removes && safe && !spent.has('sync')) ids.sync[kind] = situation.row.links[kind];
    else {
      if (adds) ids.attach[kind] = attach[kind];
      if (removes) ids.detach[kind] = detach[kind];
    }
  }
  // The set that a sync call replaces is read just before.
  if (!isEmpty(ids.sync)) return hasRead ? { call: 'sync', ids: ids.sync } : { call: 'read' };
  for (const call of ['attach', 'detach'] as const) if (!isEmpty(ids[call]) && !spent.has(call)) return { call, ids: ids[call] };
  return null;
};

/** What a call carries, to be stored before its bytes go; null where it writes nothing. */
export const carriedBy = (situation: Living, next: NextCall | null, customFields: CustomFieldDefs): Sent | null => {
  if (next === null || next.call === 'read') return null;
  if (next.call === 'update') {
    const local = canonicalFields(situation.row.fields, customFields);
    const fields = Object.fromEntries(next.fields.map((name) => [name, fieldValue(local, name)]));
    return { fields, attach: NO_LINKS, detach: NO_LINKS };
  }
  const { ids, call } = next;
  const known = situation.base?.links;
  const replaced = (kind: LinkKind): readonly number[] => (call === 'sync' && ids[kind] !== undefined ? (known?.[kind] ?? []) : []);
  return {
    fields: {},
    attach: call === 'detach' ? NO_LINKS : eachKind((kind) => without(ids[kind] ?? [], replaced(kind))),
    detach: call === 'detach' ? eachKind((kind) => ids[kind] ?? []) : eachKind((kind) => without(replaced(kind), ids[kind] ?? [])),
  };
};

type Writable = { [K in LinkKind]?: readonly number[] };
const isEmpty = (ids: LinkIds): boolean => Object.keys(ids).length === 0;

/** A body with these fields only: every field sent may overwrite somebody's newer edit. */
export const toBody = (fields: ContactFields, names: readonly FieldName[]): ContactBody => {
  const body: Record<string, unknown> = {};
  const custom: Record<string, CustomValue> = {};
  for (const name of names) {
    if (name in fields) body[name] = fields[name as keyof ContactFields];
    else custom[name] = fields.custom_fields[name] ?? null;
  }
  return Object.keys(custom).length === 0 ? body : { ...body, custom_fields: custom };
};

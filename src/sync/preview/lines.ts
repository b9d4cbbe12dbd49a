/** What a dry run tells: one line for each contact that would change, each conflict, and what has to be known beside them. */
import type { ContactFields, FieldName, LinkKind } from '../../domain/contact.ts';
import { diffFields, EMPTY_FIELDS, fieldValue, LINK_KINDS } from '../../domain/contact.ts';
import type { LinksDiff } from '../../domain/merge.ts';
import type { Endpoint } from '../../ports/telemetry.ts';

export type Direction = 'pull' | 'push';

/** `pair`: a row and a contact that were there on both sides are found to be one. */
export type PlanAction = 'create' | 'update' | 'delete' | 'pair';

/**
 * `due`: done as soon as its turn comes. `held`: the brake, or a hold that is open, keeps it for a person. `parked`: would be refused at once.
 * `waiting`: for the first load, or for an attempt that is under way. `unknown`: an earlier call is asked about first.
 */
export type PlanState = 'due' | 'held' | 'parked' | 'waiting' | 'unknown';

export interface PlanChange {
  readonly kind: 'change';
  readonly direction: Direction;
  readonly action: PlanAction;
  readonly state: PlanState;
  /** Null for a row that is not there yet. */
  readonly contact_id: number | null;
  readonly crm_id: number | null;
  readonly name: string | null;
  readonly fields: { readonly [field: string]: { readonly before: unknown; readonly after: unknown } };
  readonly links: { readonly [K in LinkKind]?: { readonly attach: readonly number[]; readonly detach: readonly number[] } };
  readonly reason: string | null;
  /** Calls that it takes, as they are named in sync.calls. */
  readonly calls: readonly Endpoint[];
}

export interface PlanConflict {
  readonly kind: 'conflict';
  readonly contact_id: number;
  readonly crm_id: number | null;
  /** `contact`: deleted on one side, edited on the other. */
  readonly field: string;
  readonly base: unknown;
  readonly mirror: unknown;
  readonly crm: unknown;
  readonly policy: string;
  /** Whose value would stand; `open`: a person decides. */
  readonly outcome: string;
}

/** Something that holds for the whole plan. */
export interface PlanNote {
  readonly kind: 'note';
  readonly code: PlanNoteCode;
  readonly detail: string;
}
export type PlanNoteCode = 'no_mirror' | 'paused' | 'restored' | 'full_comparison_needed' | 'twins' | 'incomplete' | 'stopped';

export interface PlanCounts {
  readonly creates: number;
  readonly updates: number;
  readonly deletes: number;
  readonly links: number;
  readonly held: number;
  readonly parked: number;
  readonly waiting: number;
}

export interface PlanTotal {
  readonly kind: 'total';
  readonly pull: PlanCounts;
  readonly push: PlanCounts;
  readonly conflicts: number;
  /** Calls that the work would take, by name. */
  readonly calls: { readonly [E in Endpoint]?: number };
  readonly calls_total: number;
  readonly calls_per_minute: number;
  readonly minutes: number;
  /** Calls that this dry run has made, all of them reads. */
  readonly calls_made: number;
}

export type PlanLine = PlanChange | PlanConflict | PlanNote | PlanTotal;
export type Tell = (line: PlanLine) => void;

/** Both values of each field in which they differ. */
export const changesBetween = (
  before: ContactFields | null,
  after: ContactFields | null,
  only?: readonly FieldName[],
): PlanChange['fields'] => {
  const [from, to] = [before ?? EMPTY_FIELDS, after ?? EMPTY_FIELDS];
  const names = only ?? diffFields(from, to);
  return Object.fromEntries(names.map((name) => [name, { before: fieldValue(from, name), after: fieldValue(to, name) }]));
};

export const linkChanges = ({ attach, detach }: LinksDiff): PlanChange['links'] =>
  Object.fromEntries(
    LINK_KINDS.filter((kind) => attach[kind].length + detach[kind].length > 0).map((kind) => [
      kind,
      { attach: attach[kind], detach: detach[kind] },
    ]),
  );

export const nameOf = (fields: ContactFields | null | undefined): string | null => {
  const name = [fields?.first_name, fields?.last_name].filter((part) => part != null && part !== '').join(' ');
  return name === '' ? null : name;
};

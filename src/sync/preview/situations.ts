/** Situations of a rehearsal: what a step leaves in the log of a contact. Pure. */
import { emptiedFields, NO_DESTRUCTION } from '../../domain/brake.ts';
import type { ChangeState } from '../../domain/change.ts';
import { canonicalIds, NO_LINKS, type LinkSets } from '../../domain/contact.ts';
import { without } from '../../domain/merge.ts';
import type { FoundEdit, OpenEdits, Situation } from '../../ports/mirror.ts';

export const NOTHING_OPEN: OpenEdits = {
  ops: new Set(),
  editedAt: new Map(),
  deletedAt: null,
  attached: NO_LINKS,
  detached: NO_LINKS,
  attempts: 0,
  states: new Set(),
  approved: false,
  waitedMs: null,
  approvals: { ...NO_DESTRUCTION, all: false },
};

/** A contact of which nothing is known. */
export const blankSituation = (contactId: number): Situation => ({
  contactId,
  crmId: null,
  row: null,
  base: null,
  baseHash: null,
  extraHash: null,
  crmUpdatedAt: null,
  settledAt: null,
  attempt: null,
  intent: null,
  sent: null,
  open: NOTHING_OPEN,
  heldFields: new Set(),
  decided: null,
  goneAt: null,
  hiddenAt: null,
  deletedAt: null,
  holdId: null,
});

const withState = (open: OpenEdits, state: ChangeState): OpenEdits => ({ ...open, states: new Set([...open.states, state]) });

/** Something local has to be pushed that nobody edited just now. */
export const withQueued = (open: OpenEdits): OpenEdits => withState({ ...open, ops: new Set([...open.ops, 'update']) }, 'pending');

/** As the audit logs it. */
export const withFound = (open: OpenEdits, found: FoundEdit, at: Date): OpenEdits => {
  const logged = withState({ ...open, ops: new Set([...open.ops, found.op]) }, 'pending');
  if (found.op === 'delete') return { ...logged, deletedAt: at };
  if (!('kind' in found)) return logged;
  const { kind, id } = found;
  const adding = (links: LinkSets): LinkSets => ({ ...links, [kind]: canonicalIds([...links[kind], id]) });
  const lacking = (links: LinkSets): LinkSets => ({ ...links, [kind]: without(links[kind], [id]) });
  return found.op === 'attach'
    ? { ...logged, attached: adding(open.attached), detached: lacking(open.detached) }
    : { ...logged, attached: lacking(open.attached), detached: adding(open.detached) };
};

/** All that is open waits for a person. */
export const held = (open: OpenEdits): OpenEdits => ({ ...open, states: new Set(['held'] as const) });
/** … and no longer does. */
export const released = (open: OpenEdits): OpenEdits => ({
  ...open,
  states: new Set([...open.states].map((state) => (state === 'held' ? 'pending' : state))),
});

/** What the brake counts as waiting, as far as one contact tells: something destructive that is logged, and that nobody approved. */
export const waitsToDestroy = ({ open, crmId, base, row }: Situation): boolean => {
  const isParked = open.states.size === 1 && open.states.has('parked');
  if (crmId === null || open.approved || isParked) return false;
  if (open.ops.has('delete') || open.ops.has('detach')) return true;
  return open.ops.has('update') && base !== null && row !== null && emptiedFields(base.fields, row.fields).length > 0;
};

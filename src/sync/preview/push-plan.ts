/**
 * What the push would send for one contact, call by call: the same pure steps that an attempt goes through, with each answer taken to be what was
 * sent. Nothing is asked of the CRM.
 */
import { destroysNothing, NO_DESTRUCTION, type Destruction } from '../../domain/brake.ts';
import {
  canonicalFields,
  canonicalIds,
  EMPTY_FIELDS,
  fieldNames,
  fieldValue,
  NO_LINKS,
  sameValue,
  withValues,
  type ContactFields,
  type LinkSets,
} from '../../domain/contact.ts';
import { eachKind, isEmptyLinks, without, type Policy } from '../../domain/merge.ts';
import type { OpenEdit } from '../../ports/mirror-view.ts';
import type { Situation } from '../../ports/mirror.ts';
import type { Endpoint } from '../../ports/telemetry.ts';
import { DELETES, destructionOf, withoutApproved } from '../brake.ts';
import { caution } from '../claim.ts';
import type { RunContext } from '../context.ts';
import { wayBack } from '../gone.ts';
import { afterCall, nextCall, workOf, type Living, type NextCall, type Progress } from '../plan.ts';
import { changesBetween, linkChanges, nameOf, type PlanChange, type PlanConflict, type PlanState } from './lines.ts';
import { situationsOf } from './ordered-plan.ts';

export interface PushView {
  readonly context: RunContext;
  /** The contact's record was deferred: it is read before anything is sent. */
  readonly isDeferred: boolean;
  /** Creates wait for the first complete sweep, or for one that is being looked for. `after`: that sweep was not rehearsed, and may find the row. */
  readonly creates: 'now' | 'after' | 'wait';
  /** The brake lets nothing destructive through that nobody approved: why. */
  readonly braked: string | null;
  /** Nothing is pushed before a person has approved it: why. */
  readonly waitsFor: string | null;
  /** Why what is held is. */
  readonly heldBecause: string;
  /** WRITE_MODE=ordered: the edits one by one; null: their net effect. */
  readonly edits: readonly OpenEdit[] | null;
  /** The CRM lists it in its trash, or answers 404 for it. */
  readonly gone: 'trashed' | 'missing' | null;
  readonly hasTrash: boolean;
}

/** Lines for one contact: one, or with `edits` one for each step, and the conflict that the push would meet; none where nothing is left to send. */
export const planPush = (situation: Situation, view: PushView): readonly (PlanChange | PlanConflict)[] => {
  const lines = planContact(situation, view);
  const { waitsFor } = view;
  if (waitsFor === null) return lines;
  return lines.flatMap((line) => (line.kind === 'change' ? [{ ...line, state: 'held' as const, reason: waitsFor }] : []));
};

const planContact = (situation: Situation, view: PushView): readonly (PlanChange | PlanConflict)[] => {
  const first = lineOf(situation, 'due', {});
  if (situation.attempt?.state === 'sending') return [{ ...first, state: 'waiting', reason: 'an attempt is under way' }];
  if (situation.open.states.has('held')) return [{ ...withDifference(first, situation, view), state: 'held', reason: view.heldBecause }];
  const work = workOf(situation);
  if (work === 'ask')
    return [{ ...first, action: 'delete', state: 'held', reason: 'the row is gone, and nobody is known to have deleted it' }];
  if (work === 'park') return [describeParked(situation, 'deleted in the CRM', view)];
  const steps = view.edits === null ? [situation] : situationsOf(situation, view.edits, view.context);
  const lines = steps.flatMap((step, at) => planOne(step, at === 0 ? situation : null, view));
  // The brake holds a contact as a whole.
  const held = lines.find((line) => line.kind === 'change' && line.state === 'held') as PlanChange | undefined;
  if (held === undefined) return lines;
  return lines.flatMap((line) => (line.kind === 'change' ? [{ ...line, state: 'held' as const, reason: held.reason }] : []));
};

/** What waits for a person because the CRM refused it, or would. */
export const describeParked = (situation: Situation, reason: string, view: Pick<PushView, 'context'>): PlanChange =>
  withDifference(lineOf(situation, 'parked', { reason }), situation, view);

/** @param claimed before its first step; null before a later one */
const planOne = (situation: Situation, claimed: Situation | null, view: PushView): readonly (PlanChange | PlanConflict)[] => {
  const { doubtful, readFirst } = caution(claimed ?? undefined);
  const isGone = situation.goneAt !== null;
  const mustRead = claimed !== null && (readFirst || view.isDeferred || isGone);
  const state: PlanState = doubtful ? 'unknown' : 'due';
  if (situation.row === null) return planDelete(situation, state, mustRead, view);
  const living = { ...situation, row: situation.row };
  if (living.crmId === null) return planCreate(living, state, view);
  // Once it is back, the next step finds it.
  const gone = claimed === null ? null : (view.gone ?? (isGone ? 'missing' : null));
  return gone === null ? planUpdate(living, state, mustRead, view) : planGone(living, mustRead, gone, view);
};

const planDelete = (situation: Situation, state: PlanState, mustRead: boolean, view: PushView): readonly PlanChange[] => {
  if (situation.crmId === null && situation.intent === null) return [];
  const line = lineOf(situation, state, { action: 'delete', calls: [...(mustRead ? (['get'] as const) : []), 'delete'] });
  return [braked(line, DELETES, situation, view)];
};

const planCreate = (living: Living, state: PlanState, view: PushView): readonly PlanChange[] => {
  const fields = canonicalFields(living.row.fields, view.context.customFields);
  const names = fieldNames(fields).filter((name) => !sameValue(fieldValue(fields, name), fieldValue(EMPTY_FIELDS, name)));
  const asked = living.intent === null ? [] : (['search'] as const);
  // A POST carries companies and deals; activities are attached behind it.
  const calls: readonly Endpoint[] = [...asked, 'create', ...(living.row.links.activities.length > 0 ? (['attach'] as const) : [])];
  const line = lineOf(living, living.intent === null ? state : 'unknown', {
    action: 'create',
    calls,
    fields: changesBetween(null, fields, names),
    links: linkChanges({ attach: living.row.links, detach: NO_LINKS }),
  });
  if (view.creates === 'after') return [{ ...line, reason: 'after the first load, unless that finds it in the CRM' }];
  return [view.creates === 'now' ? line : { ...line, state: 'waiting', reason: 'creates wait for the first complete sweep' }];
};

const planUpdate = (living: Living, state: PlanState, mustRead: boolean, view: PushView): readonly PlanChange[] => {
  const steps = stepsOfAttempt(living, mustRead, view);
  const writes = steps.filter(({ next }) => next.call !== 'read');
  if (steps.length === 0) return [];
  const line = withDifference(lineOf(living, state, { calls: endpointsOf(steps, view) }), living, view);
  if (writes.length === 0) return [line];
  const destroyed = writes.map(({ next, before }) => destructionOf(next, { situation: before, context: view.context }));
  return [braked(line, uniteAll(destroyed), living, view)];
};

/** Its first call is answered with 404: deleted there, edited here. */
const planGone = (
  living: Living,
  mustRead: boolean,
  gone: NonNullable<PushView['gone']>,
  view: PushView,
): readonly (PlanChange | PlanConflict)[] => {
  const first = stepsOfAttempt(living, mustRead, view).slice(0, 1);
  if (first.length === 0) return [];
  const { way, policy } = wayBack(living, view.context, view.hasTrash);
  const asked = endpointsOf(first, view).slice(0, 1);
  const line = withDifference(lineOf(living, 'due', { calls: asked }), living, view);
  if (way === 'prove') return [{ ...line, reason: 'gone in the CRM: asked for once more, and then settled as the policy says' }];
  // Restored, it is read before anything is sent to it; made anew, a control is asked for before that.
  const again = way === 'restore' ? endpointsOf(stepsOfAttempt(living, true, view), view) : (['get', 'create'] as const);
  const calls: readonly Endpoint[] = [...asked, ...(way === 'restore' ? (['restore'] as const) : []), ...again];
  const back = braked({ ...line, calls, reason: WAYS_BACK[way === 'create' ? 'create' : gone] }, NO_DESTRUCTION, living, view);
  return living.decided === null ? [outlived(living, policy), back] : [back];
};

const WAYS_BACK = {
  trashed: "deleted in the CRM, edited here: brought back from the CRM's trash",
  missing: "gone in the CRM, edited here: brought back from the CRM's trash, or made anew where it was purged",
  create: 'gone in the CRM, edited here: made anew',
} as const;

const outlived = ({ contactId, crmId, base, row }: Living, policy: Policy): PlanConflict => ({
  kind: 'conflict',
  contact_id: contactId,
  crm_id: crmId,
  field: 'contact',
  base: base?.fields ?? null,
  mirror: row.fields,
  crm: null,
  policy,
  outcome: 'mirror',
});

interface AttemptStep {
  readonly next: NextCall;
  readonly before: Living;
}

const ENDPOINT_OF = { read: 'get', update: 'update', attach: 'attach', detach: 'detach', sync: 'sync' } as const satisfies {
  readonly [C in NextCall['call']]: Endpoint;
};

const endpointsOf = (steps: readonly AttemptStep[], { context: { readsActivities } }: PushView): readonly Endpoint[] =>
  steps.flatMap(({ next, before: { base, row } }): readonly Endpoint[] => {
    const agreed = base?.links.activities ?? null;
    const asksActivities = next.call === 'read' && readsActivities && agreed !== null && !sameValue(agreed, row.links.activities);
    return [ENDPOINT_OF[next.call], ...(asksActivities ? (['activities'] as const) : [])];
  });

/** As many as one attempt can make: one of each kind, and a read before. */
const CALLS_MAX = 6;

const stepsOfAttempt = (first: Living, mustRead: boolean, { context }: PushView): readonly AttemptStep[] => {
  const steps: AttemptStep[] = [];
  let living = first;
  let progress: Progress = { hasRead: false, mustRead, spent: new Set() };
  for (let next = nextCall(living, progress, context.customFields); next !== null && steps.length < CALLS_MAX;) {
    steps.push({ next, before: living });
    progress = afterCall(progress, next);
    living = answered(living, next, context);
    next = nextCall(living, progress, context.customFields);
  }
  return steps;
};

/** With the answer taken to be what was sent: that much is agreed from then on. */
const answered = (living: Living, next: NextCall, { customFields }: RunContext): Living => {
  const { base, row } = living;
  if (base === null || next.call === 'read') return living;
  if (next.call === 'update') {
    const local = canonicalFields(row.fields, customFields);
    const values = new Map(next.fields.map((name) => [name, fieldValue(local, name)] as const));
    return { ...living, base: { ...base, fields: withValues(base.fields, values) } };
  }
  const { call, ids } = next;
  const links = eachKind((kind) => {
    const [known, sent] = [base.links[kind], ids[kind]];
    if (sent === undefined || (known === null && call !== 'sync')) return known;
    if (call === 'sync') return canonicalIds(sent);
    return call === 'attach' ? canonicalIds([...(known ?? []), ...sent]) : without(known ?? [], sent);
  });
  return { ...living, base: { ...base, links } };
};

const uniteAll = (all: readonly Destruction[]): Destruction => ({
  ...NO_DESTRUCTION,
  fields: all.flatMap(({ fields }) => fields),
  links: eachKind((kind) => canonicalIds(all.flatMap(({ links }) => links[kind]))),
});

const braked = (line: PlanChange, destruction: Destruction, { open }: Situation, view: PushView): PlanChange =>
  view.braked === null || destroysNothing(withoutApproved(destruction, open.approvals))
    ? line
    : { ...line, state: 'held', reason: view.braked };

const lineOf = (situation: Situation, state: PlanState, more: Partial<PlanChange>): PlanChange => ({
  kind: 'change',
  direction: 'push',
  action: 'update',
  state,
  contact_id: situation.contactId,
  crm_id: situation.crmId !== null && situation.crmId > 0 ? situation.crmId : null,
  name: nameOf(situation.row?.fields ?? situation.base?.fields),
  fields: {},
  links: {},
  reason: null,
  calls: [],
  ...more,
});

/** With what would change in the CRM, as far as the base tells what is there. */
const withDifference = (line: PlanChange, situation: Situation, { context }: Pick<PushView, 'context'>): PlanChange => {
  const { row, base, open } = situation;
  if (row === null) return { ...line, action: 'delete' };
  if (situation.crmId === null)
    return { ...line, action: 'create', fields: changesBetween(null, canonicalFields(row.fields, context.customFields)) };
  const [local, agreed] = [row.fields, base?.fields ?? row.fields].map((fields) => canonicalFields(fields, context.customFields)) as [
    ContactFields,
    ContactFields,
  ];
  const fields = Object.fromEntries(Object.entries(changesBetween(agreed, local)).filter(([name]) => !isHeldField(situation, name)));
  const known = (kind: keyof LinkSets): readonly number[] | null => base?.links[kind] ?? null;
  const attach = eachKind((kind) => {
    const before = known(kind);
    return before === null ? open.attached[kind].filter((id) => row.links[kind].includes(id)) : without(row.links[kind], before);
  });
  const detach = eachKind((kind) => without(known(kind) ?? open.detached[kind], row.links[kind]));
  return { ...line, fields, links: isEmptyLinks(attach) && isEmptyLinks(detach) ? {} : linkChanges({ attach, detach }) };
};

const isHeldField = ({ heldFields }: Situation, name: string): boolean => ([...heldFields] as readonly string[]).includes(name);

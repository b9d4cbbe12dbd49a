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
  type ContactFields,
  type LinkSets,
} from '../../domain/contact.ts';
import { eachKind, isEmptyLinks, without } from '../../domain/merge.ts';
import type { OpenEdit } from '../../ports/mirror-view.ts';
import type { Situation, Step } from '../../ports/mirror.ts';
import type { Endpoint } from '../../ports/telemetry.ts';
import { DELETES, destructionOf, withoutApproved } from '../brake.ts';
import { caution } from '../claim.ts';
import type { RunContext } from '../context.ts';
import { showStep } from '../ordered-step.ts';
import { afterCall, nextCall, workOf, type Living, type NextCall, type Progress } from '../plan.ts';
import { changesBetween, linkChanges, nameOf, type PlanChange, type PlanState } from './lines.ts';

export interface PushView {
  readonly context: RunContext;
  /** The contact's record was deferred: it is read before anything is sent. */
  readonly isDeferred: boolean;
  /** Creates wait for the first complete sweep. */
  readonly mayCreate: boolean;
  /** The brake lets nothing destructive through that nobody approved. */
  readonly braked: string | null;
  /** WRITE_MODE=ordered: the edits one by one; null: their net effect. */
  readonly edits: readonly OpenEdit[] | null;
}

/** Lines for one contact: one, or with `edits` one for each step; none where nothing is left to send. */
export const planPush = (situation: Situation, view: PushView): readonly PlanChange[] => {
  const first = lineOf(situation, 'due', {});
  if (situation.attempt?.state === 'sending') return [{ ...first, state: 'waiting', reason: 'an attempt is under way' }];
  if (situation.open.states.has('held')) return [{ ...withDifference(first, situation, view), state: 'held', reason: 'held already' }];
  const work = workOf(situation);
  if (work === 'ask')
    return [{ ...first, action: 'delete', state: 'held', reason: 'the row is gone, and nobody is known to have deleted it' }];
  if (work === 'park') return [{ ...first, state: 'parked', reason: 'deleted in the CRM' }];
  const steps = view.edits === null ? [situation] : situationsOf(situation, view.edits, view.context);
  const lines = steps.flatMap((step, at) => planOne(step, at === 0 ? situation : null, view));
  // The brake holds a contact as a whole.
  const held = lines.find(({ state }) => state === 'held');
  return held === undefined ? lines : lines.map((line) => ({ ...line, state: 'held', reason: held.reason }));
};

const planOne = (situation: Situation, claimed: Situation | null, view: PushView): readonly PlanChange[] => {
  const { doubtful, readFirst } = caution(claimed ?? undefined);
  const mustRead = claimed !== null && (readFirst || view.isDeferred || situation.goneAt !== null);
  const state: PlanState = doubtful ? 'unknown' : 'due';
  if (situation.row === null) return planDelete(situation, state, mustRead, view);
  const living = { ...situation, row: situation.row };
  return living.crmId === null ? planCreate(living, state, view) : planUpdate(living, state, mustRead, view);
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
  return [view.mayCreate ? line : { ...line, state: 'waiting', reason: 'creates wait for the first complete sweep' }];
};

const planUpdate = (living: Living, state: PlanState, mustRead: boolean, view: PushView): readonly PlanChange[] => {
  const calls = callsOf(living, mustRead, view);
  const writes = calls.filter(({ call }) => call !== 'read');
  if (calls.length === 0) return [];
  const line = withDifference(lineOf(living, state, { calls: calls.map(({ call }) => ENDPOINT_OF[call]) }), living, view);
  if (writes.length === 0) return [line];
  const destroyed = writes.map((next) => destructionOf(next, { situation: living, context: view.context }));
  return [braked(line, uniteAll(destroyed), living, view)];
};

const ENDPOINT_OF = { read: 'get', update: 'update', attach: 'attach', detach: 'detach', sync: 'sync' } as const satisfies {
  readonly [C in NextCall['call']]: Endpoint;
};

/** As many as one attempt can make: one of each kind, and a read before. */
const CALLS_MAX = 6;

const callsOf = (living: Living, mustRead: boolean, { context }: PushView): readonly NextCall[] => {
  const calls: NextCall[] = [];
  let progress: Progress = { hasRead: false, mustRead, spent: new Set() };
  for (let next = nextCall(living, progress, context.customFields); next !== null && calls.length < CALLS_MAX;) {
    calls.push(next);
    progress = afterCall(progress, next);
    next = nextCall(living, progress, context.customFields);
  }
  return calls;
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
const withDifference = (line: PlanChange, situation: Situation, { context }: PushView): PlanChange => {
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

/** WRITE_MODE=ordered: the contact before each of its steps, as the attempt that takes it will see it. */
const situationsOf = (situation: Situation, edits: readonly OpenEdit[], { customFields }: RunContext): readonly Situation[] => {
  const shown: Situation[] = [];
  let now = situation;
  for (const step of stepsOf(edits, situation)) {
    const seen = showStep({ ...now, open: { ...now.open, states: new Set() } }, step, new Set(), customFields);
    shown.push(seen);
    if (seen.row === null) break;
    // Taken to have arrived: the next step starts from there. A contact that was just created has some id.
    const { fields, links } = seen.row;
    now = { ...situation, crmId: seen.crmId ?? 0, base: { fields, links }, sent: null, attempt: null, intent: null };
  }
  return shown;
};

/** Links that one transaction attached, or detached, in a row are one step; every other edit is one of its own. */
const stepsOf = (edits: readonly OpenEdit[], { row }: Situation): readonly Step[] => {
  const steps: { readonly edits: OpenEdit[] }[] = [];
  for (const edit of edits) {
    const [before] = steps.at(-1)?.edits ?? [];
    const isSame = before !== undefined && edit.link !== null && before.link !== null && before.op === edit.op && before.txid === edit.txid;
    if (isSame) steps.at(-1)?.edits.push(edit);
    else steps.push({ edits: [edit] });
  }
  const set = new Map<string, unknown>(
    edits.flatMap(({ after, op }) => (op === 'insert' || op === 'update' ? Object.entries(after ?? {}) : [])),
  );
  const flat: { readonly [field: string]: unknown } = row === null ? {} : { ...row.fields, ...row.fields.custom_fields };
  const newest =
    row === null ? new Map() : new Map([...set].map(([field, value]) => [field, { set: value, holds: flat[field] ?? null }] as const));
  return steps.map((step) => ({ edits: step.edits, newest }));
};

/**
 * WRITE_MODE=ordered: what a contact looks like to the push when only one step of its edits counts. Pure.
 *
 * The row that the push then compares with the base is the base plus what the step set: so the plan, the merge of the answer and the questions
 * after a lost one are those of the other mode, and what they send is the step's own values and nothing else.
 */
import {
  canonicalFields,
  canonicalIds,
  EMPTY_FIELDS,
  fieldValue,
  LINK_KINDS,
  NO_LINKS,
  sameValue,
  toPhoneType,
  withValues,
  type ContactFields,
  type CustomFieldDefs,
  type FieldName,
  type LinkKind,
  type LinkSets,
  type Phone,
} from '../domain/contact.ts';
import type { ChangeOp } from '../domain/change.ts';
import { eachKind, mergeFields, without, type Arbiter } from '../domain/merge.ts';
import type { Situation, Step, StepEdit } from '../ports/mirror.ts';

/** A row of our own making: it stands for whatever is left of the difference. */
const isOwn = ({ before, after, link }: StepEdit): boolean => before === null && after === null && link === null;

/**
 * The contact as one attempt of the mode sees it.
 * @param made what the attempt has done already: fields that were answered are not sent again
 */
export const showStep = (situation: Situation, step: Step, made: ReadonlySet<ChangeOp>, customFields: CustomFieldDefs): Situation => {
  const { row, base, crmId, open } = situation;
  const inserts = step.edits.some((edit) => edit.op === 'insert' && !isOwn(edit));
  if (step.edits.some(isOwn) || (crmId === null && !inserts)) {
    // The net difference is for the end: an edit that was committed since has its own turn before it.
    return crmId !== null && base !== null && open.states.has('pending') ? nothingToPush(situation, base.fields) : situation;
  }
  if (row === null && step.edits.some(({ op }) => op === 'delete')) return situation;
  const agreed = canonicalFields(crmId === null || base === null ? EMPTY_FIELDS : base.fields, customFields);
  const fields = made.has('update') || made.has('insert') ? agreed : valuesOf(step, agreed, customFields);
  const { attached, detached } = linkEdits(step);
  const links = eachKind((kind) => canonicalIds([...without(base?.links[kind] ?? [], detached[kind]), ...attached[kind]]));
  return { ...situation, row: { fields, links }, open: { ...open, attached, detached } };
};

/** A row that equals the base: the attempt may read and merge, and sends nothing. */
const nothingToPush = (situation: Situation, fields: ContactFields): Situation => ({
  ...situation,
  row: { fields, links: eachKind((kind) => situation.base?.links[kind] ?? []) },
  open: { ...situation.open, attached: NO_LINKS, detached: NO_LINKS },
});

/** What the step sets, over what both sides last agreed on. */
const valuesOf = (step: Step, agreed: ContactFields, customFields: CustomFieldDefs): ContactFields => {
  const lost = lostFields(step, customFields);
  let fields = agreed;
  for (const edit of step.edits) {
    if (edit.after === null || (edit.op !== 'insert' && edit.op !== 'update')) continue;
    const [before, after] = [edit.before ?? {}, edit.after].map((values) => asFields(values, customFields)) as [
      ContactFields,
      ContactFields,
    ];
    const names = Object.keys(edit.after) as FieldName[];
    const values = names
      .filter((name) => !lost.has(name) || name === 'phones')
      .map((name) => [name, name === 'phones' ? phonesOf(before, after, fields, lost.has('phones')) : fieldValue(after, name)] as const);
    fields = withValues(fields, new Map<FieldName, unknown>(values));
  }
  return fields;
};

/** The log's values as canonical fields; what they do not name is empty. */
const asFields = (values: { readonly [field: string]: unknown }, customFields: CustomFieldDefs): ContactFields => {
  const entries = Object.entries(values).map(([name, value]) => [name as FieldName, name === 'phones' ? asPhones(value) : value] as const);
  return canonicalFields(withValues(EMPTY_FIELDS, new Map<FieldName, unknown>(entries)), customFields);
};

/** As the row's: a number may be written as a JSON number. */
const asPhones = (value: unknown): readonly Phone[] =>
  (Array.isArray(value) ? (value as readonly { readonly number?: string | number | null; readonly type?: string | null }[]) : []).map(
    ({ number, type }) => ({ number: String(number ?? ''), type: toPhoneType(type) }),
  );

/**
 * Fields in which the row no longer holds what the newest edit set. Every edit of the row is logged and open, so it was the CRM's value that came
 * in and stands: sent now, the step would put an older value over the winner.
 */
const lostFields = ({ newest }: Step, customFields: CustomFieldDefs): ReadonlySet<string> => {
  const lost = new Set<string>();
  for (const [field, { set, holds }] of newest) {
    const [ours, now] = [set, holds].map((value) => fieldValue(asFields({ [field]: value }, customFields), field as FieldName));
    const isLost = field === 'phones' ? sharesRetyped(ours as readonly Phone[], now as readonly Phone[]) : !sameValue(ours, now);
    if (isLost) lost.add(field);
  }
  return lost;
};

/** Phones are merged number by number, so a list that differs is none that was lost; a number with another type is. */
const sharesRetyped = (ours: readonly Phone[], now: readonly Phone[]): boolean =>
  ours.some(({ number, type }) => now.some((phone) => phone.number === number && phone.type !== type));

/** The step's change of the list, made to the list as both sides agreed on it by now. */
const phonesOf = (before: ContactFields, after: ContactFields, agreed: ContactFields, isLost: boolean): readonly Phone[] => {
  const arbiter: Arbiter = { policyOf: () => (isLost ? 'crm' : 'mirror'), editedAt: () => null, remoteAt: null };
  const only = ({ phones }: ContactFields): ContactFields => ({ ...EMPTY_FIELDS, phones });
  return mergeFields(only(before), only(after), only(agreed), new Set(), arbiter).local.phones;
};

/** The step's link edits; of each link the last. */
const linkEdits = (step: Step): { readonly attached: LinkSets; readonly detached: LinkSets } => {
  const last = new Map<string, { readonly op: ChangeOp; readonly kind: LinkKind; readonly id: number }>();
  for (const { op, link } of step.edits) if (link !== null) last.set(`${link.kind} ${link.id}`, { op, ...link });
  const net = (wanted: ChangeOp): LinkSets =>
    eachKind((kind) => canonicalIds([...last.values()].filter((edit) => edit.op === wanted && edit.kind === kind).map(({ id }) => id)));
  return { attached: net('attach'), detached: net('detach') };
};

/** Ops of a step that both sides agree on already: after a doubt was cleared up, they have arrived. */
export const arrivedOps = (situation: Situation, step: Step, customFields: CustomFieldDefs): readonly ChangeOp[] => {
  const { base } = situation;
  if (base === null) return [];
  const agreed = canonicalFields(base.fields, customFields);
  const holdsAll = ({ after }: StepEdit): boolean => {
    const set = asFields(after ?? {}, customFields);
    return Object.keys(after ?? {}).every((name) => sameValue(fieldValue(set, name as FieldName), fieldValue(agreed, name as FieldName)));
  };
  const { attached, detached } = linkEdits(step);
  const isAgreed = (kind: LinkKind): boolean => {
    const known = base.links[kind];
    if (known === null) return attached[kind].length === 0 && detached[kind].length === 0;
    return without(attached[kind], known).length === 0 && without(known, detached[kind]).length === known.length;
  };
  const isHeld: { readonly [O in ChangeOp]: (edit: StepEdit) => boolean } = {
    insert: holdsAll,
    update: holdsAll,
    delete: () => false,
    attach: () => LINK_KINDS.every(isAgreed),
    detach: () => LINK_KINDS.every(isAgreed),
  };
  return step.edits.filter((edit) => !isOwn(edit) && isHeld[edit.op](edit)).map(({ op }) => op);
};

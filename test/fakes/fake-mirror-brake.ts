/** Steps on the brake: what waits, what is held and let go, what went through. */
import { emptiedFields } from '../../src/domain/brake.ts';
import { canonicalIds, LINK_KINDS, sameValue, type FieldName, type LinkKind, type LinkSets } from '../../src/domain/contact.ts';
import { eachKind, without } from '../../src/domain/merge.ts';
import type { BrakeDirection, BrakeLoad, Incoming, MirrorTx, Part } from '../../src/ports/mirror.ts';
import { situationOf } from './fake-mirror-contacts.ts';
import {
  countDamage,
  openLog,
  putLog,
  putState,
  type DamageRow,
  type HoldRow,
  type LogRow,
  type PlanLine,
  type Step,
} from './fake-rows.ts';

const HOUR_MS = 3_600_000;
const isBlank = (value: unknown): boolean =>
  value == null || (typeof value === 'string' && value.trim() === '') || (Array.isArray(value) && value.length === 0);

const isApproved = ({ tx, world }: Step, row: LogRow): boolean =>
  row.holdId !== null && tx.get(world.tables.holds, row.holdId)?.state === 'approved';

const destroys = ({ op, oldValues, newValues }: LogRow): boolean =>
  op === 'delete' ||
  op === 'detach' ||
  (op === 'update' && Object.entries(oldValues ?? {}).some(([name, old]) => !isBlank(old) && isBlank(newValues?.[name])));

const waitingDamage = (step: Step): ReadonlySet<number> => {
  const { tx, world } = step;
  const rows = tx.all(world.tables.log).filter((row) => row.settledAt === null && row.state !== 'parked' && destroys(row));
  const open = rows.filter((row) => !isApproved(step, row) && (tx.get(world.tables.states, row.contactId)?.crmId ?? null) !== null);
  return new Set(open.map((row) => row.contactId));
};

const openHold = ({ tx, world }: Step, direction: BrakeDirection): HoldRow | undefined =>
  tx.all(world.tables.holds).find((row) => row.direction === direction && row.state === 'open' && row.cause !== 'identity');

const lineFrom = (contactId: number, crmId: number | null, fields: readonly FieldName[], links: LinkSets): PlanLine | null => {
  const gone = Object.fromEntries(LINK_KINDS.filter((kind) => links[kind].length > 0).map((kind) => [kind, links[kind]]));
  const hasLinks = Object.keys(gone).length > 0;
  if (!hasLinks && fields.length === 0) return null;
  const parts = { ...(fields.length > 0 && { fields: [...fields].sort() }), ...(hasLinks && { links: gone }) };
  return { contact_id: contactId, crm_id: crmId, op: hasLinks ? 'detach' : 'update', ...parts };
};

/** What pushing a contact as it is would destroy; null where that is nothing. */
const destruction = (step: Step, contactId: number): PlanLine | null => {
  const situation = situationOf(step, contactId);
  const crmId = situation?.crmId ?? null;
  if (situation === null || situation.row === null) return { contact_id: contactId, crm_id: crmId, op: 'delete' };
  const { row, base, open, heldFields } = situation;
  const fields = base === null ? [] : emptiedFields(base.fields, row.fields).filter((name) => !heldFields.has(name));
  const links = eachKind((kind) => without(base?.links[kind] ?? open.detached[kind], row.links[kind]));
  return lineFrom(contactId, crmId, fields, links);
};

/** Into the open plan of the direction, or a new one. */
const addLines = (step: Step, direction: BrakeDirection, reason: string, lines: readonly PlanLine[]): number => {
  const { tx, world } = step;
  const open = openHold(step, direction);
  const before: HoldRow = open ?? { id: world.nextId('holds'), direction, reason, plan: [], state: 'open' };
  const known = before.plan.map((old) => lines.find((line) => line.contact_id === old.contact_id) ?? old);
  const added = lines.filter((line) => !before.plan.some((old) => old.contact_id === line.contact_id));
  const plan = [...known, ...added];
  if (open === undefined || !sameValue(plan, before.plan)) tx.put(world.tables.holds, before.id, { ...before, plan });
  return before.id;
};

const bare = (step: Step, contactId: number, op: PlanLine['op']): PlanLine => ({
  contact_id: contactId,
  crm_id: situationOf(step, contactId)?.crmId ?? null,
  op,
});

const holdLog = (step: Step, contactId: number, holdId: number, only?: ReadonlySet<string>): void => {
  for (const row of openLog(step, contactId)) {
    if (only?.has(row.state) === false) continue;
    putLog(step, { ...row, state: 'held', holdId, nextAttemptAt: null });
  }
};

const hold = (step: Step, direction: BrakeDirection, reason: string, contactIds: readonly number[]): number => {
  const ids = canonicalIds(contactIds);
  const lineOf = (id: number): PlanLine =>
    direction === 'pull' ? bare(step, id, 'delete') : (destruction(step, id) ?? bare(step, id, 'update'));
  const holdId = addLines(step, direction, reason, ids.map(lineOf));
  for (const id of ids) {
    const state = step.tx.get(step.world.tables.states, id);
    if (direction === 'push') holdLog(step, id, holdId);
    if (state === undefined) continue;
    if (direction === 'pull') putState(step, id, { holdId, goneAt: state.goneAt ?? step.world.now() });
    else if (state.attempt !== null) putState(step, id, { attempt: null, sent: null });
  }
  return holdId;
};

const NOT_TAKEN: ReadonlySet<string> = new Set(['pending', 'retry']);

const holdWaiting = (step: Step, reason: string, contactId: number): number => {
  const { tx, world } = step;
  const isFree = (id: number): boolean =>
    (tx.get(world.tables.states, id)?.attempt ?? null) === null && openLog(step, id).some(({ state }) => NOT_TAKEN.has(state));
  const others = [...waitingDamage(step)].filter((id) => id !== contactId && isFree(id));
  const lines = others.flatMap((id) => destruction(step, id) ?? []);
  const own = destruction(step, contactId) ?? bare(step, contactId, 'update');
  const holdId = addLines(
    step,
    'push',
    reason,
    [...lines, own].sort((a, b) => a.contact_id - b.contact_id),
  );
  holdLog(step, contactId, holdId);
  if ((tx.get(world.tables.states, contactId)?.attempt ?? null) !== null) putState(step, contactId, { attempt: null, sent: null });
  for (const line of lines) holdLog(step, line.contact_id, holdId, NOT_TAKEN);
  return holdId;
};

/** The new line, with what the old one said of the parts that the new one is silent about. */
const keepSilent = (line: PlanLine, old: PlanLine | undefined, silent: readonly Part[]): PlanLine => {
  const links = Object.fromEntries(
    Object.entries(old?.released === true ? {} : (old?.links ?? {})).filter(([kind]) => silent.includes(kind as LinkKind)),
  );
  const fields = silent.includes('fields') ? old?.fields : undefined;
  return {
    ...line,
    ...(Object.keys(links).length > 0 && { op: 'detach' as const, links: { ...links, ...line.links } }),
    ...(fields !== undefined && { fields }),
  };
};

const holdIncoming = (step: Step, reason: string, incoming: readonly Incoming[]): void => {
  const { tx, world } = step;
  const lines = incoming.flatMap(({ contactId, destruction: { fields, links }, silent }) => {
    const crmId = tx.get(world.tables.states, contactId)?.crmId ?? null;
    const line = lineFrom(contactId, crmId, fields, links);
    const isRead = tx.get(world.tables.marks, `${crmId ?? 0} approved`) === undefined;
    const old = openHold(step, 'pull')?.plan.find((known) => known.contact_id === contactId);
    return line !== null && isRead ? [keepSilent(line, old, silent)] : [];
  });
  if (lines.length === 0) return;
  const holdId = addLines(step, 'pull', reason, lines);
  for (const { contact_id: id } of lines) {
    const state = tx.get(world.tables.states, id);
    if (state?.holdId !== holdId || state.goneAt !== null) putState(step, id, { holdId, goneAt: null });
  }
};

const release = (
  step: Step,
  direction: BrakeDirection,
  contactIds: readonly number[],
  silent: ReadonlyMap<number, readonly Part[]> = new Map(),
): void => {
  const { tx, world } = step;
  const open = openHold(step, direction);
  if (open === undefined) return;
  const names = (line: PlanLine, part: Part): boolean => (part === 'fields' ? line.fields !== undefined : line.links?.[part] !== undefined);
  const isFree = (line: PlanLine): boolean =>
    contactIds.includes(line.contact_id) &&
    line.released !== true &&
    !(silent.get(line.contact_id) ?? []).some((part) => names(line, part));
  const free = open.plan.filter(isFree);
  if (free.length === 0) return;
  for (const { contact_id: id } of free) {
    if (direction === 'pull') putState(step, id, { holdId: null });
    else {
      for (const row of openLog(step, id)) {
        if (row.state === 'held' && row.holdId === open.id)
          putLog(step, { ...row, state: 'pending', holdId: null, nextAttemptAt: world.now() });
      }
    }
  }
  const plan = open.plan.map((line) => (free.includes(line) ? { ...line, released: true as const } : line));
  tx.put(world.tables.holds, open.id, { ...open, plan, state: plan.every((line) => line.released === true) ? 'released' : 'open' });
};

const releaseHarmless = (step: Step): number => {
  const held = (openHold(step, 'push')?.plan ?? []).filter((line) => line.released !== true && (line.op !== 'update' || line.fields));
  const harmless = held.filter((line) => destruction(step, line.contact_id) === null).map((line) => line.contact_id);
  release(step, 'push', harmless);
  return harmless.length;
};

const brakeLoad = (step: Step, direction: BrakeDirection): BrakeLoad => {
  const { tx, world } = step;
  const since = world.now().getTime() - HOUR_MS;
  const isBack = ({ op, contactId }: DamageRow): boolean => op === 'delete' && tx.get(world.tables.contacts, contactId) !== undefined;
  const damaged = tx.all(world.tables.damage).filter((row) => row.direction === direction && row.at.getTime() > since && !isBack(row));
  const deletes = tx.all(world.tables.log).filter((row) => row.op === 'delete' && row.settledAt === null);
  const missing = new Set(deletes.map((row) => row.contactId).filter((id) => tx.get(world.tables.contacts, id) === undefined));
  const held = openHold(step, 'pull')?.id;
  const waiting =
    direction === 'push'
      ? waitingDamage(step).size
      : tx.all(world.tables.states).filter(({ holdId }) => holdId !== null && holdId === held).length;
  return {
    lastHour: new Set(damaged.map((row) => row.contactId)).size,
    waiting,
    mirrorRows: tx.all(world.tables.contacts).length + missing.size,
  };
};

type BrakeSteps = Pick<MirrorTx, 'hold' | 'holdWaiting' | 'holdIncoming' | 'release' | 'releaseHarmless' | 'countDamage' | 'brakeLoad'>;

export const createBrakeSteps = (step: Step): BrakeSteps => ({
  hold: async (direction, reason, contactIds) => hold(step, direction, reason, contactIds),
  holdWaiting: async (reason, contactId) => holdWaiting(step, reason, contactId),
  holdIncoming: async (reason, incoming) => holdIncoming(step, reason, incoming),
  release: async (direction, contactIds, silent) => release(step, direction, contactIds, silent),
  releaseHarmless: async () => releaseHarmless(step),
  countDamage: async (direction, damage) => countDamage(step, direction, damage),
  brakeLoad: async (direction) => brakeLoad(step, direction),
});

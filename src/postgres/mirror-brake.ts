/** Holding back what is too big to be meant, letting go of what has become harmless, and counting what went through. */
import { LINK_KINDS } from '../domain/contact.ts';
import type { BrakeDirection, BrakeLoad, Incoming, MirrorTx, Part } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import {
  ADD_TO_HOLD,
  COUNT_DAMAGE,
  HARMLESS,
  HOLD_INCOMING,
  HOLD_PULL,
  HOLD_PUSH,
  HOLD_WAITING,
  LOAD_PULL,
  LOAD_PUSH,
  LOCK_HOLDS,
  MAKE_HOLD,
  NOT_APPROVED,
  OPEN_HOLD,
  PLAN,
  PLAN_WAITING,
  RELEASE_LINES,
  RELEASE_PULL,
  RELEASE_PUSH,
  TOLD,
} from './sql/brake.ts';

interface Line {
  readonly contact_id: number;
  readonly [key: string]: unknown;
}

/** Into the open plan of the direction, or a new one. The caller holds the lock. */
const addLines = async (session: Session, direction: BrakeDirection, reason: string, lines: readonly Line[]): Promise<number> => {
  const plan = JSON.stringify(lines);
  const open = (await session.query<{ id: number }>(OPEN_HOLD, [direction])).rows[0];
  if (open !== undefined) {
    await session.query(ADD_TO_HOLD, [open.id, plan]);
    return open.id;
  }
  const made = (await session.query<{ id: number }>(MAKE_HOLD, [direction, reason, plan])).rows[0];
  if (made === undefined) throw new Error('sync.holds answered no id.');
  return made.id;
};

const hold = async (session: Session, direction: BrakeDirection, reason: string, contactIds: readonly number[]): Promise<number> => {
  await session.query(LOCK_HOLDS);
  const { rows } = await session.query<{ plan: readonly Line[] }>(PLAN, [contactIds, direction]);
  const holdId = await addLines(session, direction, reason, rows[0]?.plan ?? []);
  await session.query(direction === 'push' ? HOLD_PUSH : HOLD_PULL, [contactIds, holdId]);
  return holdId;
};

const holdWaiting = async (session: Session, reason: string, contactId: number): Promise<number> => {
  await session.query(LOCK_HOLDS);
  const { rows } = await session.query<{ plan: readonly Line[] }>(PLAN_WAITING, [contactId]);
  const lines = rows[0]?.plan ?? [];
  const holdId = await addLines(session, 'push', reason, lines);
  await session.query(HOLD_PUSH, [[contactId], holdId]);
  await session.query(HOLD_WAITING, [lines.map((line) => line.contact_id), holdId]);
  return holdId;
};

/** As the plan spells it: names of fields, ids of links, and only what there is. */
const toLine = ({ contactId, destruction: { fields, links }, silent }: Incoming, crmId: number | null): Line => {
  const gone = Object.fromEntries(LINK_KINDS.filter((kind) => links[kind].length > 0).map((kind) => [kind, links[kind]]));
  const hasLinks = Object.keys(gone).length > 0;
  return {
    contact_id: contactId,
    crm_id: crmId,
    op: hasLinks ? 'detach' : 'update',
    ...(fields.length > 0 && { fields: [...fields].sort() }),
    ...(hasLinks && { links: gone }),
    silent,
  };
};

const holdIncoming = async (session: Session, reason: string, incoming: readonly Incoming[]): Promise<void> => {
  await session.query(LOCK_HOLDS);
  const ids = incoming.map(({ contactId }) => contactId);
  const { rows } = await session.query<{ contact_id: number; crm_id: number | null }>(NOT_APPROVED, [ids]);
  const crmIds = new Map(rows.map((row) => [row.contact_id, row.crm_id]));
  const lines = incoming.flatMap((each) => (crmIds.has(each.contactId) ? [toLine(each, crmIds.get(each.contactId) ?? null)] : []));
  if (lines.length === 0) return;
  const holdId = await addLines(session, 'pull', reason, lines);
  await session.query(HOLD_INCOMING, [lines.map((line) => line.contact_id), holdId]);
};

const release = async (
  session: Session,
  direction: BrakeDirection,
  wanted: readonly number[],
  silent: ReadonlyMap<number, readonly Part[]> = new Map(),
): Promise<void> => {
  if (wanted.length === 0) return;
  await session.query(LOCK_HOLDS);
  const contactIds = silent.size === 0 ? wanted : await told(session, wanted, silent);
  await session.query(direction === 'push' ? RELEASE_PUSH : RELEASE_PULL, [contactIds]);
  await session.query(RELEASE_LINES, [direction, contactIds]);
};

const told = async (
  session: Session,
  contactIds: readonly number[],
  silent: ReadonlyMap<number, readonly Part[]>,
): Promise<readonly number[]> => {
  const { rows } = await session.query<{ id: number }>(TOLD, [contactIds, contactIds.map((id) => (silent.get(id) ?? []).join(','))]);
  return rows.map(({ id }) => id);
};

const releaseHarmless = async (session: Session): Promise<number> => {
  await session.query(LOCK_HOLDS);
  const { rows } = await session.query<{ id: number }>(HARMLESS);
  await release(
    session,
    'push',
    rows.map(({ id }) => id),
  );
  return rows.length;
};

const brakeLoad = async (query: Query, direction: BrakeDirection): Promise<BrakeLoad> => {
  const { rows } = await query<{ last_hour: number; waiting: number; mirror_rows: number }>(direction === 'push' ? LOAD_PUSH : LOAD_PULL);
  return { lastHour: rows[0]?.last_hour ?? 0, waiting: rows[0]?.waiting ?? 0, mirrorRows: rows[0]?.mirror_rows ?? 0 };
};

export const createBrakeReads = (query: Query): Pick<MirrorTx, 'brakeLoad'> => ({ brakeLoad: (direction) => brakeLoad(query, direction) });

type BrakeSteps = Pick<MirrorTx, 'hold' | 'holdWaiting' | 'holdIncoming' | 'release' | 'releaseHarmless' | 'countDamage' | 'brakeLoad'>;

export const createBrakeSteps = (session: Session): BrakeSteps => ({
  hold: (direction, reason, contactIds) => hold(session, direction, reason, contactIds),
  holdWaiting: (reason, contactId) => holdWaiting(session, reason, contactId),
  holdIncoming: async (reason, incoming) => {
    if (incoming.length > 0) await holdIncoming(session, reason, incoming);
  },
  release: (direction, contactIds, silent) => release(session, direction, contactIds, silent),
  releaseHarmless: () => releaseHarmless(session),
  countDamage: async (direction, damage) => {
    if (damage.length === 0) return;
    await session.query(COUNT_DAMAGE, [direction, damage.map(({ contactId }) => contactId), damage.map(({ op }) => op)]);
  },
  ...createBrakeReads(session.query),
});

/** Holding back what is too big to be meant. */
import type { BrakeDirection, BrakeLoad, MirrorTx } from '../ports/mirror.ts';
import type { Session } from './mirror-session.ts';
import { ADD_TO_HOLD, HOLD_PULL, HOLD_PUSH, LOAD_PULL, LOAD_PUSH, LOCK_HOLDS, MAKE_HOLD, PLAN } from './sql/brake.ts';

const hold = async (session: Session, direction: BrakeDirection, reason: string, contactIds: readonly number[]): Promise<number> => {
  await session.query(LOCK_HOLDS);
  const { rows } = await session.query<{ plan: unknown }>(PLAN, [contactIds, direction]);
  const plan = JSON.stringify(rows[0]?.plan ?? []);
  const added = await session.query<{ id: number }>(ADD_TO_HOLD, [direction, plan]);
  const holder = added.rows[0] ?? (await session.query<{ id: number }>(MAKE_HOLD, [direction, reason, plan])).rows[0];
  if (holder === undefined) throw new Error('sync.holds answered no id.');
  await session.query(direction === 'push' ? HOLD_PUSH : HOLD_PULL, [contactIds, holder.id]);
  return holder.id;
};

const brakeLoad = async (session: Session, direction: BrakeDirection): Promise<BrakeLoad> => {
  const { rows } = await session.query<{ last_hour: number; waiting: number; mirror_rows: number }>(
    direction === 'push' ? LOAD_PUSH : LOAD_PULL,
  );
  return { lastHour: rows[0]?.last_hour ?? 0, waiting: rows[0]?.waiting ?? 0, mirrorRows: rows[0]?.mirror_rows ?? 0 };
};

export const createBrakeSteps = (session: Session): Pick<MirrorTx, 'hold' | 'brakeLoad'> => ({
  hold: (direction, reason, contactIds) => hold(session, direction, reason, contactIds),
  brakeLoad: (direction) => brakeLoad(session, direction),
});

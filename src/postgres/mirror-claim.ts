/** Claim, settle and what lies between them. */
import type { Mirror, MirrorTx, Settlement } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import {
  CLAIM,
  CLEAR_INTENT,
  LOCK_DUE,
  MAKE_DUE_STATES,
  NEXT_DUE,
  QUEUE,
  RECOVER_ATTEMPTS,
  SAVE_INTENT,
  SETTLE_LOG,
  SETTLE_STATE,
} from './sql/claim.ts';

const settle = async (session: Session, { contactId, attempt, outcomes, ends }: Settlement): Promise<void> => {
  const rows = outcomes.map(({ ops, state, code, error, delayMs }) => ({ ops, state, code, error, delay_ms: delayMs }));
  await session.query(SETTLE_LOG, [contactId, attempt, JSON.stringify(rows)]);
  const deleted = outcomes.some(({ ops, state }) => ops.includes('delete') && (state === 'done' || state === 'merged'));
  await session.query(SETTLE_STATE, [contactId, attempt, ends, deleted]);
};

type ClaimSteps = Pick<MirrorTx, 'lockDue' | 'claim' | 'saveIntent' | 'clearIntent' | 'settle' | 'queue'>;

export const createClaimSteps = (session: Session): ClaimSteps => ({
  lockDue: async (limit, { creates }) => {
    await session.query(MAKE_DUE_STATES, [limit, creates]);
    const { rows } = await session.query<{ contact_id: number }>(LOCK_DUE, [limit, creates]);
    return rows.map((row) => row.contact_id);
  },
  claim: async (contactIds) => {
    const { rows } = await session.query<{ attempt: number }>(CLAIM, [contactIds, session.epoch]);
    const attempt = rows[0]?.attempt;
    if (attempt === undefined) throw new Error('sync.attempt_seq gave no number.');
    return attempt;
  },
  saveIntent: async (contactId, intent) => {
    await session.query(SAVE_INTENT, [contactId, JSON.stringify(intent)]);
  },
  clearIntent: async (contactId) => {
    await session.query(CLEAR_INTENT, [contactId]);
  },
  settle: (settlement) => settle(session, settlement),
  queue: async (contactIds, op) => {
    if (contactIds.length > 0) await session.query(QUEUE, [contactIds, op]);
  },
});

export const recoverAttempts = async (session: Session, createGraceMs: number): Promise<number> => {
  const { rows } = await session.query<{ contacts: number }>(RECOVER_ATTEMPTS, [session.epoch, createGraceMs]);
  return rows[0]?.contacts ?? 0;
};

export const nextDueMs = async (query: Query, { creates }: Parameters<Mirror['nextDueMs']>[0]): Promise<number | null> => {
  const { rows } = await query<{ ms: number }>(NEXT_DUE, [creates]);
  return rows[0]?.ms ?? null;
};

/** Claim, settle and what lies between them. */
import type { Mirror, MirrorTx, Settled, Settlement } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import {
  AS_PLANNED,
  CLAIM,
  CLEAR_INTENT,
  DOUBT_INTENT,
  LOCK_DUE,
  MAKE_DUE_STATES,
  NEXT_DUE,
  QUEUE,
  RECOVER_ATTEMPTS,
  SAVE_INTENT,
  SAVE_SENT,
  SETTLE_LOG,
  SETTLE_STATE,
  WALK_THE_INDEX,
} from './sql/claim.ts';

const settle = async (session: Session, { contactId, attempt, outcomes, ends }: Settlement): Promise<readonly Settled[]> => {
  const rows = outcomes.map(({ ops, state, code, error, delayMs }) => ({ ops, state, code, error, delay_ms: delayMs }));
  const settled = await session.query<Settled>(SETTLE_LOG, [contactId, attempt, JSON.stringify(rows)]);
  const deleted = outcomes.some(({ ops, state }) => ops.includes('delete') && (state === 'done' || state === 'merged'));
  await session.query(SETTLE_STATE, [contactId, attempt, ends, deleted]);
  return settled.rows;
};

type ClaimSteps = Pick<MirrorTx, 'lockDue' | 'claim' | 'saveSent' | 'saveIntent' | 'doubtIntent' | 'clearIntent' | 'settle' | 'queue'>;

export const createClaimSteps = (session: Session): ClaimSteps => ({
  lockDue: async (limit, { creates, ordered = false }) => {
    await session.query(WALK_THE_INDEX);
    await session.query(MAKE_DUE_STATES, [limit, creates, ordered]);
    const { rows } = await session.query<{ contact_id: number }>(LOCK_DUE, [limit, creates, ordered]);
    await session.query(AS_PLANNED);
    return rows.map((row) => row.contact_id);
  },
  claim: async (contactIds) => {
    const { rows } = await session.query<{ attempt: number }>(CLAIM, [contactIds, session.epoch]);
    const attempt = rows[0]?.attempt;
    if (attempt === undefined) throw new Error('sync.attempt_seq gave no number.');
    return attempt;
  },
  saveSent: async (writes) => {
    if (writes.length === 0) return;
    await session.query(SAVE_SENT, [JSON.stringify(writes.map(({ contactId, sent }) => ({ contact_id: contactId, sent })))]);
  },
  saveIntent: async (contactId, intent) => {
    const { rows } = await session.query<{ at: Date; key: string }>(SAVE_INTENT, [contactId, JSON.stringify(intent)]);
    const [stored] = rows;
    if (stored === undefined) throw new Error('A contact without a state cannot be created.');
    return { ...stored, unknownAt: null, ...intent };
  },
  doubtIntent: async (contactId) => {
    await session.query(DOUBT_INTENT, [contactId]);
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

export const nextDueMs = async (query: Query, { creates, ordered = false }: Parameters<Mirror['nextDueMs']>[0]): Promise<number | null> => {
  const { rows } = await query<{ ms: number }>(NEXT_DUE, [creates, ordered]);
  return rows[0]?.ms ?? null;
};

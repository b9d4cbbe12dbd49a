/** Looking without a lock, locking, and reading what is true under the lock. */
import type { MirrorTx, Peek } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import { toSituation, type SituationRow } from './mirror-situation.ts';
import { LOCK_CONTACTS_SKIP, LOCK_CONTACTS_WAIT, LOCK_STATES_SKIP, LOCK_STATES_WAIT } from './sql/lock.ts';
import { PEEK } from './sql/peek.ts';
import { READ } from './sql/read.ts';

interface PeekRow {
  readonly contact_id: number;
  readonly crm_id: number;
  readonly base_hash: string | null;
  readonly extra_hash: string | null;
  readonly companies: readonly number[] | null;
  readonly deals: readonly number[] | null;
  readonly activities: readonly number[] | null;
  readonly crm_updated_at: Date | null;
  readonly has_row: boolean;
  readonly settled_at: Date | null;
  readonly busy: boolean;
  readonly deleted_at: Date | null;
  readonly gone_at: Date | null;
  readonly hidden_at: Date | null;
  readonly hold_id: number | null;
}

const toPeek = (row: PeekRow): Peek => ({
  contactId: row.contact_id,
  crmId: row.crm_id,
  baseHash: row.base_hash,
  extraHash: row.extra_hash,
  links: { companies: row.companies, deals: row.deals, activities: row.activities },
  crmUpdatedAt: row.crm_updated_at,
  hasRow: row.has_row,
  settledAt: row.settled_at,
  busy: row.busy,
  deletedAt: row.deleted_at,
  goneAt: row.gone_at,
  hiddenAt: row.hidden_at,
  holdId: row.hold_id,
});

const lock = async (session: Session, statement: string, ids: readonly number[]): Promise<ReadonlySet<number>> => {
  if (ids.length === 0) return new Set();
  const { rows } = await session.query<{ id: number }>(statement, [ids]);
  return new Set(rows.map((row) => row.id));
};

/** Without a lock. */
export const createPeekReads = (query: Query): Pick<MirrorTx, 'peek' | 'read'> => ({
  peek: async (crmIds) => {
    if (crmIds.length === 0) return new Map();
    const { rows } = await query<PeekRow>(PEEK, [crmIds]);
    return new Map(rows.map((row) => [row.crm_id, toPeek(row)]));
  },
  read: async (ids) => {
    if (ids.length === 0) return new Map();
    const { rows } = await query<SituationRow>(READ, [ids]);
    return new Map(rows.map((row) => [row.contact_id, toSituation(row)]));
  },
});

export const createReadSteps = (session: Session): Pick<MirrorTx, 'peek' | 'lockContacts' | 'lockStates' | 'read'> => ({
  ...createPeekReads(session.query),
  lockContacts: (ids, mode) => lock(session, mode === 'skip' ? LOCK_CONTACTS_SKIP : LOCK_CONTACTS_WAIT, ids),
  lockStates: (ids, mode) => lock(session, mode === 'skip' ? LOCK_STATES_SKIP : LOCK_STATES_WAIT, ids),
});

/** Reads that need no transaction: the account, the CRM's abilities and policies. */
import type { Policy } from '../domain/merge.ts';
import { DOCUMENTED_ONLY, type Capabilities } from '../ports/crm.ts';
import type { Mark, Mirror } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import { ACCOUNT, CAPABILITIES, CONTACT_COUNT, FIELD_POLICIES, NOW, SAVE_CAPABILITIES } from './sql/account.ts';
import { COUNT_MARKS, MARKS } from './sql/notes.ts';

interface AccountRow {
  readonly changes_watermark: Date | null;
  readonly trash_watermark: Date | null;
  readonly first_sweep_at: Date | null;
  readonly last_complete_sweep_at: Date | null;
  readonly paused: boolean;
  readonly twins: boolean;
  readonly identity_hold_id: number | null;
  readonly identity_swept: boolean | null;
}

const only = async <T>(query: Query, sql: string): Promise<T> => {
  const { rows } = await query<T>(sql);
  if (rows[0] === undefined) throw new Error('A table of one row is empty: were the migrations run?');
  return rows[0];
};

type AccountReads = Pick<Mirror, 'now' | 'account' | 'contactCount' | 'capabilities' | 'fieldPolicies' | 'marks' | 'countMarks'>;

export const createAccountReads = (query: Query): AccountReads => ({
  now: async () => (await only<{ now: Date }>(query, NOW)).now,
  account: async () => {
    const row = await only<AccountRow>(query, ACCOUNT);
    return {
      changesWatermark: row.changes_watermark,
      trashWatermark: row.trash_watermark,
      firstSweepAt: row.first_sweep_at,
      lastCompleteSweepAt: row.last_complete_sweep_at,
      paused: row.paused,
      identityHold: row.identity_hold_id === null ? null : { holdId: row.identity_hold_id, swept: row.identity_swept ?? false },
      twins: row.twins,
    };
  },
  contactCount: async () => (await only<{ contacts: number }>(query, CONTACT_COUNT)).contacts,
  capabilities: async () => {
    const row = await only<{ found: Partial<Capabilities> | null; checked_at: Date | null }>(query, CAPABILITIES);
    if (row.found === null || row.checked_at === null) return null;
    // An ability that a newer version knows and nobody has probed yet counts as not there.
    return { found: { ...DOCUMENTED_ONLY, ...row.found }, checkedAt: row.checked_at };
  },
  fieldPolicies: async () => {
    const { rows } = await query<{ field: string; policy: Policy }>(FIELD_POLICIES);
    return new Map(rows.map((row) => [row.field, row.policy]));
  },
  marks: async (reasons, limit, before) => {
    const { rows } = await query<{ crm_id: number; reason: Mark['reason'] }>(MARKS, [reasons, limit, before.toISOString()]);
    return rows.map((row) => ({ crmId: row.crm_id, reason: row.reason }));
  },
  countMarks: async (reasons) => {
    const { rows } = await query<{ marks: number }>(COUNT_MARKS, [reasons]);
    return rows[0]?.marks ?? 0;
  },
});

export const saveCapabilities = async (session: Session, capabilities: Capabilities): Promise<void> => {
  await session.query(SAVE_CAPABILITIES, [JSON.stringify(capabilities)]);
};

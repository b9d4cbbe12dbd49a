/** What the audit reads without a lock, and what it logs under the locks. */
import type { FoundEdit, Mirror, MirrorTx } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import { AUDIT_BATCH, LOG_FOUND, MAKE_FOUND_STATES, VANISHED } from './sql/audit.ts';
import { LINK_TABLES } from './sql/columns.ts';

export const createAuditReads = (query: Query): Pick<Mirror, 'auditBatch' | 'vanished'> => ({
  auditBatch: async (afterId, limit) => {
    const { rows } = await query<{ last_id: number | null; rows: number; suspects: readonly number[] }>(AUDIT_BATCH, [afterId, limit]);
    return { lastId: rows[0]?.last_id ?? null, rows: rows[0]?.rows ?? 0, suspects: rows[0]?.suspects ?? [] };
  },
  vanished: async (afterId, limit) => {
    const { rows } = await query<{ contact_id: number }>(VANISHED, [afterId, limit]);
    return rows.map((row) => row.contact_id);
  },
});

/** As the capture writes it: a link is its id under the name of its column. */
const toLogRow = (found: FoundEdit) => {
  if ('kind' in found) {
    const link = { [LINK_TABLES[found.kind].column]: found.id };
    const values = found.op === 'attach' ? { old_values: null, new_values: link } : { old_values: link, new_values: null };
    return { contact_id: found.contactId, op: found.op, ...values };
  }
  return { contact_id: found.contactId, op: found.op, old_values: found.oldValues, new_values: found.newValues };
};

export const createAuditSteps = (session: Session): Pick<MirrorTx, 'logFound'> => ({
  logFound: async (found) => {
    if (found.length === 0) return new Set();
    await session.query(MAKE_FOUND_STATES, [found.map(({ contactId }) => contactId)]);
    const { rows } = await session.query<{ contact_id: number }>(LOG_FOUND, [JSON.stringify(found.map(toLogRow))]);
    return new Set(rows.map((row) => row.contact_id));
  },
});

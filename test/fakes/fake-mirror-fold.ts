/** Two rows of one CRM contact become one. */
import { NO_LINKS, fieldValue, withValues, type FieldName } from '../../src/domain/contact.ts';
import type { ContactWrite, Situation } from '../../src/ports/mirror.ts';
import { putLog, type Step } from './fake-rows.ts';
import { deleteRow } from './fake-user.ts';

interface Tools {
  readonly situationOf: (step: Step, contactId: number) => Situation | null;
  readonly saveOne: (step: Step, write: ContactWrite) => void;
}

/** Links, log, conflicts and the edits that live only in the younger row go to the older one. */
export const foldInto = (step: Step, olderId: number, youngerId: number, { situationOf, saveOne }: Tools): void => {
  const { tx, world } = step;
  const older = situationOf(step, olderId);
  const younger = situationOf(step, youngerId);
  if (older !== null && older.row !== null && younger !== null && younger.row !== null) {
    const edits = new Map<FieldName, unknown>();
    for (const [name, at] of younger.open.editedAt) {
      const olderAt = older.open.editedAt.get(name);
      if (olderAt === undefined || olderAt < at) edits.set(name, fieldValue(younger.row.fields, name));
    }
    const fields = edits.size === 0 ? null : withValues(older.row.fields, edits);
    const nothing = { removeLinks: NO_LINKS, base: null, extra: null, crmTimes: null };
    saveOne(step, { contactId: olderId, fields, addLinks: younger.row.links, ...nothing });
  }
  for (const row of tx.all(world.tables.log)) if (row.contactId === youngerId) putLog(step, { ...row, contactId: olderId });
  for (const conflict of tx.all(world.tables.conflicts)) {
    if (conflict.contactId !== youngerId) continue;
    const twin = tx
      .all(world.tables.conflicts)
      .some((other) => other.contactId === olderId && other.field === conflict.field && other.state === 'open');
    tx.put(world.tables.conflicts, conflict.id, {
      ...conflict,
      contactId: olderId,
      ...(twin && conflict.state === 'open' && { state: 'decided' as const }),
    });
  }
  if (tx.get(world.tables.contacts, youngerId) !== undefined) deleteRow(step, youngerId);
  tx.put(world.tables.states, youngerId, undefined);
};

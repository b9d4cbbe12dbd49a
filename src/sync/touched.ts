/** A mirror that tells which contacts' rows it wrote, once that is committed; a savepoint that was taken back may tell one too many. */
import type { ContactWrite, Mirror, MirrorTx } from '../ports/mirror.ts';

const noting = (tx: MirrorTx, ids: Set<number>): MirrorTx => ({
  ...tx,
  insert: async (contacts) => {
    const inserted = await tx.insert(contacts);
    for (const contactId of inserted.values()) ids.add(contactId);
    return inserted;
  },
  save: async (writes: readonly ContactWrite[]) => {
    await tx.save(writes);
    for (const { contactId, fields } of writes) if (fields !== null) ids.add(contactId);
  },
});

export const tellTouched = (mirror: Mirror, touched: (contactIds: Iterable<number>) => void): Mirror => ({
  ...mirror,
  transaction: async (steps, origin) => {
    const ids = new Set<number>();
    const result = await mirror.transaction((tx) => steps(noting(tx, ids)), origin);
    touched(ids);
    return result;
  },
});

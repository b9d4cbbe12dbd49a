/** What the SQL functions of drizzle/ do for people, on the fake: decisions about conflicts and holds, and edits that no trigger saw. */
import { fieldValue, withValues, type FieldName, type LinkKind } from '../../src/domain/contact.ts';
import { Blocked, waitFor } from '../fakes/fake-database.ts';
import type { FakeMirror } from '../fakes/fake-mirror.ts';
import { addLog, linkKey, putState, type Step } from '../fakes/fake-rows.ts';
import type { UserSession } from '../fakes/fake-user.ts';
import type { Observer } from './database.ts';
import type { Author } from './history.ts';

/** Waits for locks as long as it takes. Nothing happens between the looks: what is new after the statement is this person's. */
const whenFree = async (mirror: FakeMirror, observer: Observer, work: (step: Step) => void, by: Author = 'person'): Promise<void> => {
  for (;;) {
    try {
      observer.observe('sync');
      mirror.statement(work);
      return observer.observe(by);
    } catch (error) {
      if (!(error instanceof Blocked)) throw error;
      await waitFor(error.owner);
    }
  }
};

const USER = 'user';

/** The CRM's value, taken over at a person's word, is no edit of theirs. */
export const authorOf = (choice: 'crm' | 'mirror'): Author => (choice === 'crm' ? 'sync' : 'person');

/** As sync.resolve: the field's base becomes the CRM's value; what differs from it is then a plain local edit. */
export const resolve = async (mirror: FakeMirror, who: number, choice: 'crm' | 'mirror', observer: Observer): Promise<void> => {
  const open = [...mirror.tables.conflicts.committed.values()].filter(({ state, field }) => state === 'open' && field !== 'contact');
  const chosen = open[who % Math.max(1, open.length)];
  if (chosen === undefined) return;
  await whenFree(
    mirror,
    observer,
    (step) => {
      const { tx, world } = step;
      const { conflicts, contacts, states } = world.tables;
      const row = tx.get(contacts, chosen.contactId);
      if (row === undefined) return;
      tx.lock(`contacts ${row.id}`);
      tx.lock(`states ${row.id}`);
      const conflict = tx.get(conflicts, chosen.id);
      if (conflict?.state !== 'open') return;
      const field = conflict.field as FieldName;
      const base = tx.get(states, row.id)?.base ?? null;
      if (base !== null) putState(step, row.id, { base: withValues(base, new Map([[field, conflict.remote ?? null]])), baseHash: null });
      const mine = fieldValue(row.fields, field);
      if (choice === 'crm')
        tx.put(contacts, row.id, { ...row, fields: withValues(row.fields, new Map([[field, conflict.remote ?? null]])) });
      else {
        const values = { oldValues: { [field]: conflict.remote }, newValues: { [field]: mine } };
        addLog(step, { contactId: row.id, crmId: row.crmId, op: 'update', ...values, changedBy: USER });
      }
      tx.put(conflicts, conflict.id, { ...conflict, local: mine, state: 'decided', outcome: choice });
    },
    authorOf(choice),
  );
};

/** Every statement is one of its own, and nothing is logged. */
export const uncapturedSession = (mirror: FakeMirror, observer: Observer): UserSession => {
  const none = (): Promise<never> => Promise.reject(new Error('only edits go uncaptured'));
  const link = (contactId: number, kind: LinkKind, id: number, isThere: boolean): Promise<void> =>
    whenFree(mirror, observer, ({ tx, world: { tables } }) => {
      const value = { kind, contactId, id };
      if (tx.get(tables.contacts, contactId) !== undefined) tx.put(tables.links, linkKey(value), isThere ? value : undefined);
    });
  return {
    insert: none,
    update: (contactId, edit) =>
      whenFree(mirror, observer, ({ tx, world: { tables } }) => {
        const row = tx.get(tables.contacts, contactId);
        if (row !== undefined) tx.put(tables.contacts, contactId, { ...row, fields: { ...row.fields, ...edit } });
      }),
    delete: none,
    attach: (contactId, kind, id) => link(contactId, kind, id, true),
    detach: (contactId, kind, id) => link(contactId, kind, id, false),
    commit: async () => undefined,
    rollback: async () => undefined,
  };
};

/** People's edits of schema crm, captured into the change log as the triggers do it. */
import { EMPTY_FIELDS, fieldNames, fieldValue, sameValue, type ContactFields, type LinkKind } from '../../src/domain/contact.ts';
import { Blocked, RefusedByRule, waitFor, type Transaction } from './fake-database.ts';
import { addLog, linkKey, type ContactRow, type Step, type World } from './fake-rows.ts';

/** What a person edits: the fields given, the rest stays. `custom_fields` replaces the whole object, as SQL does. */
export type Edit = Partial<ContactFields>;

/** One session of a person: a transaction that is open until commit or rollback. Waits for locks as long as it takes. */
export interface UserSession {
  insert(fields: Edit): Promise<number>;
  update(contactId: number, edit: Edit): Promise<void>;
  delete(contactId: number): Promise<void>;
  attach(contactId: number, kind: LinkKind, id: number): Promise<void>;
  detach(contactId: number, kind: LinkKind, id: number): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

const USER = 'user';

/** All values that are not empty, under their field names. */
const filled = (fields: ContactFields): { readonly [name: string]: unknown } =>
  Object.fromEntries(
    fieldNames(fields)
      .map((name) => [name, fieldValue(fields, name)] as const)
      .filter(([name, value]) => value !== null && !(name === 'phones' && fields.phones.length === 0)),
  );

export const logUpdate = (step: Step, row: ContactRow, from: ContactFields, to: ContactFields, changedBy: string): void => {
  const changed = fieldNames(from, to).filter((name) => !sameValue(fieldValue(from, name), fieldValue(to, name)));
  if (changed.length === 0) return;
  const values = (fields: ContactFields) => Object.fromEntries(changed.map((name) => [name, fieldValue(fields, name)]));
  addLog(step, { contactId: row.id, crmId: row.crmId, op: 'update', oldValues: values(from), newValues: values(to), changedBy });
};

export const deleteRow = ({ tx, world }: Step, contactId: number): void => {
  tx.put(world.tables.contacts, contactId, undefined);
  for (const link of tx.all(world.tables.links)) {
    if (link.contactId === contactId) tx.put(world.tables.links, linkKey(link), undefined);
  }
};

const ROW_GONE = '23503';

const logLink = (step: Step, contactId: number, kind: LinkKind, id: number, op: 'attach' | 'detach'): void => {
  const { tx, world } = step;
  const key = linkKey({ kind, contactId, id });
  const there = tx.get(world.tables.links, key) !== undefined;
  if (there === (op === 'attach')) return;
  const row = tx.get(world.tables.contacts, contactId);
  if (row === undefined) throw new RefusedByRule(ROW_GONE, 'insert on a link table violates its foreign key');
  tx.put(world.tables.links, key, op === 'attach' ? { kind, contactId, id } : undefined);
  const values = { [kind]: id };
  const logged = op === 'attach' ? { oldValues: null, newValues: values } : { oldValues: values, newValues: null };
  addLog(step, { contactId, crmId: row.crmId, op, ...logged, changedBy: USER });
};

/** Runs one statement; where a lock is held by another transaction it waits for that one to end. */
const whenFree = async <T>(statement: () => T): Promise<T> => {
  for (;;) {
    try {
      return statement();
    } catch (error) {
      if (!(error instanceof Blocked)) throw error;
      await waitFor(error.owner);
    }
  }
};

export const createUserSession = (tx: Transaction, world: World): UserSession => {
  const step: Step = { tx, world, epoch: 0 };
  const { contacts } = world.tables;
  const change = (contactId: number, work: (row: ContactRow) => void): Promise<void> =>
    whenFree(() => {
      const row = tx.get(contacts, contactId);
      if (row !== undefined) work(row);
    });
  return {
    insert: (edit) =>
      whenFree(() => {
        const fields = world.before({ ...EMPTY_FIELDS, ...edit });
        world.check(fields);
        const id = world.nextId('contacts');
        tx.put(contacts, id, { id, crmId: null, fields, extra: null, createdAt: null, updatedAt: null });
        addLog(step, { contactId: id, crmId: null, op: 'insert', oldValues: null, newValues: filled(fields), changedBy: USER });
        return id;
      }),
    update: (contactId, edit) =>
      change(contactId, (row) => {
        const fields = world.before({ ...row.fields, ...edit });
        world.check(fields);
        tx.put(contacts, contactId, { ...row, fields });
        logUpdate(step, row, row.fields, fields, USER);
      }),
    delete: (contactId) =>
      change(contactId, (row) => {
        deleteRow(step, contactId);
        addLog(step, { contactId, crmId: row.crmId, op: 'delete', oldValues: filled(row.fields), newValues: null, changedBy: USER });
      }),
    attach: (contactId, kind, id) => whenFree(() => logLink(step, contactId, kind, id, 'attach')),
    detach: (contactId, kind, id) => whenFree(() => logLink(step, contactId, kind, id, 'detach')),
    commit: async () => tx.commit(),
    rollback: async () => tx.rollback(),
  };
};

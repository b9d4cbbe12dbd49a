/** Writing contacts: rows, links and states, a page at a time. */
import pg from 'pg';
import { LINK_KINDS, type ContactFields, type LinkSets } from '../domain/contact.ts';
import { LOCK_NOT_AVAILABLE, type ContactWrite, type MirrorTx, type NewContact, type Refusal } from '../ports/mirror.ts';
import type { Session } from './mirror-session.ts';
import { isTryAgain } from './mirror-transaction.ts';
import { LINK_TABLES, type LinkTable } from './sql/columns.ts';
import { INSERT_CONTACTS } from './sql/insert-contacts.ts';
import { MARK_GONE, MARK_HIDDEN, MARK_VISIBLE, REMOVE_CONTACTS } from './sql/remove-contacts.ts';
import { SAVE_ROWS, SAVE_STATES, TOUCH, TOUCH_NEEDED, addLinks, removeLinks } from './sql/save-contacts.ts';

const toInsertJson = (contact: NewContact): object => ({
  contact_id: contact.contactId ?? null,
  crm_id: contact.record.crmId,
  ...contact.fields,
  extra: contact.record.extra,
  crm_created_at: contact.record.createdAt,
  crm_updated_at: contact.record.updatedAt,
  base: contact.base.fields,
  base_hash: contact.baseHash,
  extra_hash: contact.extraHash,
  ...contact.base.links,
});

const insert = async (session: Session, contacts: readonly NewContact[]): Promise<ReadonlyMap<number, number>> => {
  if (contacts.length === 0) return new Map();
  await session.ownWrite();
  const { rows } = await session.query<{ id: number; crm_id: number }>(INSERT_CONTACTS, [JSON.stringify(contacts.map(toInsertJson))]);
  return new Map(rows.map((row) => [row.crm_id, row.id]));
};

const NO_FIELDS: Partial<ContactFields> = {};

const toRowJson = (write: ContactWrite): object => ({
  contact_id: write.contactId,
  has_fields: write.fields !== null,
  ...(write.fields ?? NO_FIELDS),
  has_extra: write.extra !== null,
  extra: write.extra?.value ?? null,
  has_times: write.crmTimes !== null,
  crm_created_at: write.crmTimes?.createdAt ?? null,
  crm_updated_at: write.crmTimes?.updatedAt ?? null,
});

const toStateJson = (write: ContactWrite): object => ({
  contact_id: write.contactId,
  base: write.base?.fields ?? null,
  base_hash: write.base?.hash ?? null,
  extra_hash: write.extra?.hash ?? null,
  ...write.base?.links,
});

const writeLinks = async (
  session: Session,
  writes: readonly ContactWrite[],
  setsOf: (write: ContactWrite) => LinkSets,
  statement: (table: LinkTable) => string,
): Promise<void> => {
  for (const kind of LINK_KINDS) {
    const pairs = writes.flatMap((write) => setsOf(write)[kind].map((id) => [write.contactId, id] as const));
    if (pairs.length === 0) continue;
    await session.ownWrite();
    await session.query(statement(LINK_TABLES[kind]), [pairs.map(([contactId]) => contactId), pairs.map(([, id]) => id)]);
  }
};

interface Suppressed {
  readonly suppressed: number;
}

/** A BEFORE trigger that answered null: Postgres calls that done, and nothing was. */
class WriteSuppressed extends Error {
  override readonly name = 'WriteSuppressed';
}
/** SQLSTATE triggered_data_change_violation. */
const SUPPRESSED_STATE = '27000';

const refuseSuppressed = ([answer]: readonly Suppressed[]): void => {
  if (answer !== undefined && answer.suppressed > 0) throw new WriteSuppressed('a trigger kept a row from being written');
};

const save = async (session: Session, writes: readonly ContactWrite[]): Promise<void> => {
  const rows = writes.filter((write) => write.fields !== null || write.extra !== null || write.crmTimes !== null);
  // Apart, because a statement has one origin in the history. Merges are few.
  for (const isMerge of [false, true]) {
    const alike = rows.filter((write) => (write.isMerge ?? false) === isMerge);
    if (alike.length === 0) continue;
    await session.ownWrite(isMerge ? 'merge' : undefined);
    refuseSuppressed((await session.query<Suppressed>(SAVE_ROWS, [JSON.stringify(alike.map(toRowJson))])).rows);
  }
  await writeLinks(session, writes, (write) => write.removeLinks, removeLinks);
  await writeLinks(session, writes, (write) => write.addLinks, addLinks);
  const states = writes.filter((write) => write.base !== null || write.extra !== null);
  if (states.length > 0) await session.query(SAVE_STATES, [JSON.stringify(states.map(toStateJson))]);
};

const touch: (session: Session) => MirrorTx['touch'] = (session) => async (rows) => {
  if (rows.length === 0) return;
  const values = [rows.map((row) => row.contactId), rows.map((row) => row.crmUpdatedAt.toISOString())];
  const { rows: answer } = await session.query<{ needed: boolean }>(TOUCH_NEEDED, values);
  if (answer[0]?.needed !== true) return;
  await session.ownWrite();
  await session.query(TOUCH, values);
};

/** SQLSTATE classes that speak of the values or of a user's rule: data, constraint, view check, raise, size limit. */
const REFUSING_CLASSES: ReadonlySet<string> = new Set(['22', '23', '44', 'P0', '54']);

/**
 * A refusal is about this record; everything else (lost connection, locks, no rights, disk full) is about us and fails the transaction.
 * Class 42 is one only out of a function, that is a user's broken trigger: without that context it would be our own statement.
 */
const toRefusal = (error: unknown): Refusal | null => {
  if (error instanceof WriteSuppressed) return { sqlState: SUPPRESSED_STATE, message: error.message };
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return null;
  // A lock of a user's that outlasts ours concerns its own record only; what else may work when run again is the transaction's to repeat.
  if (error.code === LOCK_NOT_AVAILABLE) return { sqlState: error.code, message: error.message };
  if (isTryAgain(error)) return null;
  const sqlClass = error.code.slice(0, 2);
  const inFunction = sqlClass === '42' && error.where !== undefined && error.where.includes('function');
  return REFUSING_CLASSES.has(sqlClass) || inFunction ? { sqlState: error.code, message: error.message } : null;
};

type WriteSteps = Pick<MirrorTx, 'insert' | 'save' | 'touch' | 'remove' | 'markVisibility' | 'savepoint'>;

export const createWriteSteps = (session: Session): WriteSteps => ({
  insert: (contacts) => insert(session, contacts),
  save: (writes) => save(session, writes),
  touch: touch(session),
  remove: async (ids) => {
    if (ids.length === 0) return;
    await session.ownWrite();
    refuseSuppressed((await session.query<Suppressed>(REMOVE_CONTACTS, [ids])).rows);
  },
  markVisibility: async (ids, visibility) => {
    if (ids.length === 0) return;
    const statement = { visible: MARK_VISIBLE, hidden: MARK_HIDDEN, gone: MARK_GONE }[visibility];
    await session.query(statement, [ids]);
  },
  savepoint: async (steps) => {
    try {
      await session.nested(steps);
      return null;
    } catch (error) {
      const refusal = toRefusal(error);
      if (refusal === null) throw error;
      return refusal;
    }
  },
});

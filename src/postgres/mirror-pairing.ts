/** Which row is which CRM contact: matching, pairing, folding two rows of one contact into one, unpairing. */
import { NO_LINKS, canonicalPhones, withValues, fieldValue, type FieldName, type RemoteContact } from '../domain/contact.ts';
import type { Matches, MirrorTx, Situation } from '../ports/mirror.ts';
import { createReadSteps } from './mirror-read.ts';
import { createWriteSteps } from './mirror-write.ts';
import type { Query, Session } from './mirror-session.ts';
import { ALL_LINK_TABLES } from './sql/columns.ts';
import { LOCK_PAIRING } from './sql/lock.ts';
import { LOCK_UNPAIRED, MATCH_UNPAIRED } from './sql/match-unpaired.ts';
import {
  DELETE_ROW,
  DELETE_STATE,
  LOCK_ROW,
  MOVE_CONFLICTS,
  MOVE_LOG,
  OLDEST_OPEN_CREATE,
  OTHER_HOLDER,
  PAIR_ROW,
  PAIR_STATE,
  UNPAIR_ROW,
  UNPAIR_STATE,
  moveLinks,
} from './sql/pair.ts';

interface Candidate {
  readonly id: number;
  readonly crm_id: number;
  readonly creating: boolean;
}

const findUnpaired = async (query: Query, records: readonly RemoteContact[], byContent: boolean): Promise<readonly Candidate[]> => {
  if (records.length === 0) return [];
  const wanted = records.map(({ crmId, fields }) => ({
    crm_id: crmId,
    email: fields.email,
    first_name: fields.first_name,
    last_name: fields.last_name,
    numbers: canonicalPhones(fields.phones).map((phone) => phone.number),
  }));
  return (await query<Candidate>(MATCH_UNPAIRED, [JSON.stringify(wanted), byContent])).rows;
};

/** @param isFree whether a row's lock was had */
const toMatches = (rows: readonly Candidate[], isFree: (id: number) => boolean): Matches => {
  const idle = rows.filter(({ creating }) => !creating);
  return {
    paired: new Map(idle.filter(({ id }) => isFree(id)).map((row) => [row.crm_id, row.id])),
    locked: new Set(idle.filter(({ id }) => !isFree(id)).map((row) => row.crm_id)),
    creating: new Set(rows.filter(({ creating }) => creating).map((row) => row.crm_id)),
  };
};

const matchUnpaired = async (session: Session, records: readonly RemoteContact[], byContent: boolean): Promise<Matches> => {
  const rows = await findUnpaired(session.query, records, byContent);
  if (rows.length === 0) return NO_MATCHES;
  const idle = rows.flatMap(({ creating, id }) => (creating ? [] : [id]));
  const { rows: locked } = await session.query<{ id: number }>(LOCK_UNPAIRED, [idle]);
  const free = new Set(locked.map(({ id }) => id));
  return toMatches(rows, (id) => free.has(id));
};

const NO_MATCHES: Matches = { paired: new Map(), locked: new Set(), creating: new Set() };

/** The fields that a user has edited in the younger row and not later in the older one: their values live nowhere else. */
const editsOf = (younger: Situation, older: Situation): ReadonlyMap<FieldName, unknown> => {
  const values = new Map<FieldName, unknown>();
  if (younger.row === null) return values;
  for (const [name, at] of younger.open.editedAt) {
    const olderAt = older.open.editedAt.get(name);
    if (olderAt === undefined || olderAt < at) values.set(name, fieldValue(younger.row.fields, name));
  }
  return values;
};

/** Makes one contact of two: links, log and edits of the younger row go to the older one, then the younger one goes. */
const fold = async (session: Session, olderId: number, youngerId: number): Promise<void> => {
  await session.query(LOCK_ROW, [[olderId, youngerId]]);
  const situations = await createReadSteps(session).read([olderId, youngerId]);
  const older = situations.get(olderId);
  const younger = situations.get(youngerId);
  await session.ownWrite();
  if (older !== undefined && older.row !== null && younger !== undefined) {
    for (const table of ALL_LINK_TABLES) await session.query(moveLinks(table), [olderId, youngerId]);
    const edits = editsOf(younger, older);
    if (edits.size > 0) {
      const fields = withValues(older.row.fields, edits);
      const untouched = { isMerge: true, addLinks: NO_LINKS, removeLinks: NO_LINKS, base: null, extra: null, crmTimes: null };
      await createWriteSteps(session).save([{ contactId: olderId, fields, ...untouched }]);
    }
  }
  await session.ownWrite();
  await session.query(MOVE_LOG, [olderId, youngerId]);
  await session.query(MOVE_CONFLICTS, [olderId, youngerId]);
  await session.query(DELETE_ROW, [youngerId]);
  await session.query(DELETE_STATE, [youngerId]);
};

type PairingSteps = Pick<MirrorTx, 'lockPairing' | 'oldestOpenCreate' | 'matchUnpaired' | 'pair' | 'unpair'>;

const oldestOpenCreate = async (query: Query): Promise<Date | null> =>
  (await query<{ at: Date | null }>(OLDEST_OPEN_CREATE)).rows[0]?.at ?? null;

/** Without a lock: every row counts as free. */
export const createPairingReads = (query: Query): Pick<MirrorTx, 'oldestOpenCreate' | 'matchUnpaired'> => ({
  oldestOpenCreate: () => oldestOpenCreate(query),
  matchUnpaired: async (records, { byContent }) => toMatches(await findUnpaired(query, records, byContent), () => true),
});

export const createPairingSteps = (session: Session): PairingSteps => ({
  lockPairing: async () => {
    await session.query(LOCK_PAIRING);
  },
  oldestOpenCreate: () => oldestOpenCreate(session.query),
  matchUnpaired: (records, { byContent }) => matchUnpaired(session, records, byContent),
  pair: async (contactId, crmId) => {
    const { rows } = await session.query<{ contact_id: number }>(OTHER_HOLDER, [contactId, crmId]);
    for (const other of rows) await fold(session, contactId, other.contact_id);
    await session.ownWrite();
    await session.query(PAIR_ROW, [contactId, crmId]);
    await session.query(PAIR_STATE, [contactId, crmId]);
  },
  unpair: async (contactId) => {
    await session.ownWrite();
    await session.query(UNPAIR_ROW, [contactId]);
    await session.query(UNPAIR_STATE, [contactId]);
  },
});

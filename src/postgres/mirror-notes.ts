/** Conflicts, marks, refused records and names. */
import { NAME_KINDS, type NameKind, type SeenName } from '../domain/contact.ts';
import { MARK_RETRY, type MirrorTx } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import { CLEAR_REFUSED, DEFERRED, MARK, NEW_NAMES, PUT_OFF, RECORD_CONFLICTS, REFUSE, UNMARK, saveNamesOf } from './sql/notes.ts';

const saveNames = async (session: Session, names: readonly SeenName[]): Promise<void> => {
  if (names.length === 0) return;
  // Of one id's several names in a page the last one stands; the statement below could not update a row twice.
  const latest = new Map(names.map((name) => [`${name.kind} ${name.id}`, name]));
  const { rows } = await session.query<SeenName>(NEW_NAMES, [JSON.stringify([...latest.values()])]);
  if (rows.length === 0) return;
  await session.ownWrite();
  for (const kind of NAME_KINDS) {
    const ofKind = rows.filter((row) => row.kind === kind);
    if (ofKind.length > 0)
      await session.query(saveNamesOf(kind satisfies NameKind), [ofKind.map((row) => row.id), ofKind.map((row) => row.name)]);
  }
};

type NoteSteps = Pick<MirrorTx, 'recordConflicts' | 'mark' | 'putOff' | 'deferred' | 'unmark' | 'refuse' | 'clearRefused' | 'saveNames'>;

export const createNoteReads = (query: Query): Pick<MirrorTx, 'deferred'> => ({
  deferred: async (crmIds) => {
    const { rows } = await query<{ crm_id: number }>(DEFERRED, [crmIds]);
    return new Set(rows.map((row) => row.crm_id));
  },
});

export const createNoteSteps = (session: Session): NoteSteps => ({
  recordConflicts: async (conflicts) => {
    if (conflicts.length === 0) return;
    const records = conflicts.map(({ contactId, ...conflict }) => ({ contact_id: contactId, ...conflict }));
    await session.query(RECORD_CONFLICTS, [JSON.stringify(records)]);
  },
  mark: async (marks) => {
    if (marks.length > 0) await session.query(MARK, [marks.map((mark) => mark.crmId), marks.map((mark) => mark.reason)]);
  },
  putOff: async (marks) => {
    const { minMs, maxMs } = MARK_RETRY;
    if (marks.length > 0) await session.query(PUT_OFF, [marks.map((mark) => mark.crmId), marks.map((mark) => mark.reason), minMs, maxMs]);
  },
  ...createNoteReads(session.query),
  unmark: async (crmIds, reasons, requestedAt) => {
    if (crmIds.length > 0) await session.query(UNMARK, [crmIds, reasons, requestedAt.toISOString()]);
  },
  refuse: async (crmId, code, message) => {
    await session.query(REFUSE, [crmId, code, message]);
  },
  clearRefused: async (crmIds) => {
    if (crmIds.length > 0) await session.query(CLEAR_REFUSED, [crmIds]);
  },
  saveNames: (names) => saveNames(session, names),
});

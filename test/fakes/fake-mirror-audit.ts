/** The audit's reads, and what it logs. */
import { EMPTY_FIELDS, LINK_KINDS, sameValue } from '../../src/domain/contact.ts';
import { AUDITOR, type Mirror, type MirrorTx } from '../../src/ports/mirror.ts';
import { linksOf } from './fake-mirror-contacts.ts';
import { addLog, openLog, putState, type ContactRow, type StateRow, type Step } from './fake-rows.ts';

const isBusy = (state: StateRow): boolean =>
  [state.attempt, state.goneAt, state.hiddenAt, state.holdId, state.intent].some((mark) => mark !== null);

/** As the statement does it: raw values, not canonical ones. */
const isSuspect = (step: Step, row: ContactRow): boolean => {
  const state = step.tx.get(step.world.tables.states, row.id);
  if (openLog(step, row.id).length > 0 || (state !== undefined && isBusy(state))) return false;
  if (state === undefined || state.base === null) return true;
  const links = linksOf(step, row.id);
  const known = state.links;
  return (
    !sameValue({ ...EMPTY_FIELDS, ...row.fields }, { ...EMPTY_FIELDS, ...state.base }) ||
    LINK_KINDS.some((kind) => known[kind] !== null && !sameValue(known[kind], links[kind]))
  );
};

export const auditBatch = (step: Step, afterId: number, limit: number): Awaited<ReturnType<Mirror['auditBatch']>> => {
  const rows = step.tx.all(step.world.tables.contacts).filter((row) => row.id > afterId);
  const batch = [...rows].sort((a, b) => a.id - b.id).slice(0, limit);
  const suspects = batch.filter((row) => isSuspect(step, row)).map((row) => row.id);
  return { lastId: batch.at(-1)?.id ?? null, rows: batch.length, suspects };
};

const comesBack = ({ tx, world }: Step, crmId: number | null): boolean => tx.get(world.tables.marks, `${crmId} deferred`) !== undefined;

export const vanished = (step: Step, afterId: number, limit: number): readonly number[] => {
  const { tx, world } = step;
  return tx
    .all(world.tables.states)
    .filter((state) => state.contactId > afterId && state.crmId !== null && state.deletedAt === null && !isBusy(state))
    .filter((state) => tx.get(world.tables.contacts, state.contactId) === undefined && openLog(step, state.contactId).length === 0)
    .filter((state) => !comesBack(step, state.crmId))
    .map((state) => state.contactId)
    .sort((a, b) => a - b)
    .slice(0, limit);
};

export const createAuditSteps = (step: Step): Pick<MirrorTx, 'logFound'> => ({
  logFound: async (found) => {
    const { tx, world } = step;
    const logged = new Set<number>();
    for (const edit of found) {
      const { contactId, op } = edit;
      const row = tx.get(world.tables.contacts, contactId);
      if (row !== undefined && tx.get(world.tables.states, contactId) === undefined) putState(step, contactId, { crmId: row.crmId });
      const crmId = tx.get(world.tables.states, contactId)?.crmId ?? null;
      if (op === 'delete' && comesBack(step, crmId)) continue;
      const link = 'kind' in edit ? { [edit.kind]: edit.id } : null;
      const values =
        'kind' in edit
          ? { oldValues: op === 'detach' ? link : null, newValues: op === 'attach' ? link : null }
          : { oldValues: edit.oldValues, newValues: edit.newValues };
      addLog(step, { contactId, crmId, op, ...values, changedBy: AUDITOR });
      logged.add(contactId);
    }
    return logged;
  },
});

/** Steps on contacts: peek, lock, read, write, pair. */
import {
  canonicalIds,
  canonicalPhones,
  LINK_KINDS,
  sameValue,
  type FieldName,
  type LinkKind,
  type LinkSets,
} from '../../src/domain/contact.ts';
import {
  AUDITOR,
  type Approvals,
  type ContactWrite,
  type Matches,
  type MirrorTx,
  type NewContact,
  type OpenEdits,
  type Situation,
} from '../../src/ports/mirror.ts';
import { RefusedByRule } from './fake-database.ts';
import {
  countDamage,
  linkKey,
  openLog,
  putLog,
  putState,
  NEW_STATE,
  type ContactRow,
  type LogRow,
  type StateRow,
  type Step,
} from './fake-rows.ts';
import { deleteRow, logUpdate } from './fake-user.ts';
import { foldInto } from './fake-mirror-fold.ts';

const TRIGGER = 'a trigger inside a write of relate-mirror';

export const linksOf = ({ tx, world }: Step, contactId: number): LinkSets => {
  const links = tx.all(world.tables.links).filter((link) => link.contactId === contactId);
  const ids = (kind: LinkKind) => canonicalIds(links.filter((link) => link.kind === kind).map((link) => link.id));
  return { companies: ids('companies'), deals: ids('deals'), activities: ids('activities') };
};

const approvalsOf = (rows: readonly LogRow[]): Approvals => {
  const detached = (kind: LinkKind) =>
    canonicalIds(rows.filter(({ op }) => op === 'detach').flatMap(({ oldValues }) => (oldValues?.[kind] as number | undefined) ?? []));
  return {
    all: rows.some(({ op, oldValues, newValues }) => op === 'update' && oldValues === null && newValues === null),
    deletes: rows.some(({ op }) => op === 'delete'),
    fields: rows.filter(({ op }) => op === 'update').flatMap(({ oldValues }) => Object.keys(oldValues ?? {}) as FieldName[]),
    links: { companies: detached('companies'), deals: detached('deals'), activities: detached('activities') },
  };
};

const summedUp = (step: Step, rows: readonly LogRow[]): OpenEdits => {
  const editedAt = new Map<FieldName, Date>();
  const lastLinks = new Map<string, { readonly kind: LinkKind; readonly id: number; readonly op: string }>();
  const ordered = [...rows].sort((a, b) => a.id - b.id);
  for (const row of ordered) {
    const values = { ...row.oldValues, ...row.newValues };
    if ((row.op === 'insert' || row.op === 'update') && row.changedBy !== AUDITOR) {
      for (const name of Object.keys(values) as FieldName[]) editedAt.set(name, row.changedAt);
    }
    if (row.op !== 'attach' && row.op !== 'detach') continue;
    for (const kind of LINK_KINDS) {
      const id = values[kind];
      if (typeof id === 'number') lastLinks.set(`${kind} ${id}`, { kind, id, op: row.op });
    }
  }
  const net = (op: string): LinkSets => {
    const ids = (kind: LinkKind) =>
      canonicalIds([...lastLinks.values()].filter((link) => link.op === op && link.kind === kind).map((link) => link.id));
    return { companies: ids('companies'), deals: ids('deals'), activities: ids('activities') };
  };
  const approved = rows.filter((row) => row.holdId !== null && step.tx.get(step.world.tables.holds, row.holdId)?.state === 'approved');
  const firstClaimed = rows.filter(
    ({ state, attempts, changedBy }) => state === 'sending' && attempts === 1 && changedBy !== 'relate-mirror' && changedBy !== AUDITOR,
  );
  return {
    ops: new Set(rows.map((row) => row.op)),
    editedAt,
    deletedAt: ordered.findLast((row) => row.op === 'delete')?.changedAt ?? null,
    attached: net('attach'),
    detached: net('detach'),
    attempts: Math.max(0, ...rows.map((row) => row.attempts)),
    states: new Set(rows.map((row) => row.state)),
    approved: approved.length > 0,
    waitedMs:
      firstClaimed.length === 0 ? null : Math.max(...firstClaimed.map(({ changedAt }) => step.world.now().getTime() - changedAt.getTime())),
    approvals: approvalsOf(approved),
  };
};

const decidedOf = ({ tx, world }: Step, contactId: number, goneAt: Date | null): 'crm' | 'mirror' | null => {
  const whole = tx
    .all(world.tables.conflicts)
    .filter((row) => row.contactId === contactId && row.field === 'contact' && row.policy === 'manual');
  const last = whole.filter((row) => goneAt !== null && row.decidedAt !== null && row.decidedAt >= goneAt).sort((a, b) => b.id - a.id)[0];
  return last === undefined || last.outcome === 'open' ? null : last.outcome;
};

export const situationOf = (step: Step, contactId: number): Situation | null => {
  const { tx, world } = step;
  const row = tx.get(world.tables.contacts, contactId);
  const state = tx.get(world.tables.states, contactId);
  if (row === undefined && state === undefined) return null;
  const known: StateRow = state ?? { contactId, ...NEW_STATE };
  const held = tx
    .all(world.tables.conflicts)
    .filter((conflict) => conflict.contactId === contactId && conflict.state === 'open' && conflict.policy === 'manual');
  return {
    contactId,
    crmId: known.crmId ?? row?.crmId ?? null,
    row: row === undefined ? null : { fields: row.fields, links: linksOf(step, contactId) },
    base: known.base === null ? null : { fields: known.base, links: known.links },
    baseHash: known.baseHash,
    extraHash: known.extraHash,
    crmUpdatedAt: row?.updatedAt ?? null,
    settledAt: known.settledAt,
    attempt: known.attempt === null ? null : { number: known.attempt.number, state: known.attempt.state },
    intent: known.intent,
    sent: known.sent,
    open: summedUp(step, openLog(step, contactId)),
    heldFields: new Set(held.map((conflict) => conflict.field as FieldName)),
    decided: decidedOf(step, contactId, known.goneAt),
    goneAt: known.goneAt,
    hiddenAt: known.hiddenAt,
    deletedAt: known.deletedAt,
    holdId: known.holdId,
  };
};

/** A row of ours goes through the user's own rules, and what a BEFORE trigger made of it is a local edit. */
const writeRow = (step: Step, row: ContactRow): void => {
  const { tx, world } = step;
  const twin = tx.all(world.tables.contacts).find((other) => other.crmId !== null && other.crmId === row.crmId && other.id !== row.id);
  if (twin !== undefined) throw new RefusedByRule('23505', 'duplicate key value violates unique constraint "contacts_crm_id_unique"');
  const fields = world.before(row.fields);
  world.check(fields);
  tx.put(world.tables.contacts, row.id, { ...row, fields });
  logUpdate(step, row, row.fields, fields, TRIGGER);
};

const insertOne = (step: Step, contact: NewContact): number => {
  const { tx, world } = step;
  const id = contact.contactId ?? world.nextId('contacts');
  const { crmId, extra, createdAt, updatedAt } = contact.record;
  writeRow(step, { id, crmId, fields: contact.fields, extra, createdAt, updatedAt });
  const { baseHash, extraHash, base } = contact;
  for (const conflict of tx.all(world.tables.conflicts)) {
    if (contact.contactId !== id || conflict.contactId !== id || conflict.state !== 'open') continue;
    tx.put(world.tables.conflicts, conflict.id, { ...conflict, state: 'decided', outcome: 'crm', decidedAt: world.now() });
  }
  const alive = { sent: null, deletedAt: null, deletedBy: null, goneAt: null, hiddenAt: null, holdId: null };
  putState(step, id, { crmId, base: base.fields, baseHash, extraHash, links: base.links, ...alive });
  for (const kind of LINK_KINDS) {
    for (const link of base.links[kind] ?? [])
      tx.put(world.tables.links, linkKey({ kind, contactId: id, id: link }), { kind, contactId: id, id: link });
  }
  return id;
};

const saveRow = (step: Step, write: ContactWrite): void => {
  const row = step.tx.get(step.world.tables.contacts, write.contactId);
  if (row === undefined) return;
  const next: ContactRow = {
    ...row,
    ...(write.fields !== null && { fields: write.fields }),
    ...(write.extra !== null && { extra: write.extra.value }),
    ...(write.crmTimes !== null && { createdAt: write.crmTimes.createdAt, updatedAt: write.crmTimes.updatedAt }),
  };
  if (!sameValue(row, next)) writeRow(step, next);
};

const saveState = (step: Step, write: ContactWrite): void => {
  if (write.base === null && write.extra === null) return;
  const { tx, world } = step;
  const before = tx.get(world.tables.states, write.contactId);
  const change: Partial<StateRow> = {
    crmId: before?.crmId ?? tx.get(world.tables.contacts, write.contactId)?.crmId ?? null,
    ...(write.base !== null && { base: write.base.fields, baseHash: write.base.hash, links: write.base.links, sent: null }),
    ...(write.extra !== null && { extraHash: write.extra.hash }),
  };
  if (before === undefined || !sameValue(before, { ...before, ...change })) putState(step, write.contactId, change);
};

const saveOne = (step: Step, write: ContactWrite): void => {
  const { tx, world } = step;
  saveRow(step, write);
  for (const kind of LINK_KINDS) {
    const link = (id: number) => ({ kind, contactId: write.contactId, id });
    const isThere = (id: number): boolean => tx.get(world.tables.links, linkKey(link(id))) !== undefined;
    for (const id of write.removeLinks[kind]) if (isThere(id)) tx.put(world.tables.links, linkKey(link(id)), undefined);
    for (const id of write.addLinks[kind]) if (!isThere(id)) tx.put(world.tables.links, linkKey(link(id)), link(id));
  }
  saveState(step, write);
};

const removeOne = (step: Step, contactId: number): void => {
  const { tx, world } = step;
  const row = tx.get(world.tables.contacts, contactId);
  const state = tx.get(world.tables.states, contactId);
  if (row === undefined && state === undefined) return;
  if (row !== undefined) {
    deleteRow(step, contactId);
    countDamage(step, 'pull', [{ contactId, op: 'delete' }]);
  }
  for (const conflict of tx.all(world.tables.conflicts)) {
    if (conflict.contactId !== contactId || conflict.state !== 'open') continue;
    tx.put(world.tables.conflicts, conflict.id, { ...conflict, state: 'decided', outcome: 'crm', decidedAt: world.now() });
  }
  const now = world.now();
  for (const log of openLog(step, contactId)) putLog(step, { ...log, state: 'merged', settledAt: now, nextAttemptAt: null });
  if (state !== undefined && state.deletedAt !== null && state.baseHash === null) return;
  const { base, baseHash, extraHash, links, goneAt, hiddenAt, holdId } = NEW_STATE;
  const crmId = state?.crmId ?? row?.crmId ?? null;
  putState(step, contactId, {
    crmId,
    base,
    baseHash,
    extraHash,
    links,
    goneAt,
    hiddenAt,
    holdId,
    sent: null,
    deletedAt: now,
    deletedBy: 'crm',
  });
};

const text = (value: string | null): string => (value ?? '').trim().toLowerCase();

const matchUnpaired = (step: Step, records: Parameters<MirrorTx['matchUnpaired']>[0], byContent: boolean): Matches => {
  const { tx, world } = step;
  const former = records.flatMap((record) =>
    tx
      .all(world.tables.states)
      .filter((state) => state.crmId === null && state.formerCrmId === record.crmId)
      .map((state) => ({ crmId: record.crmId, id: state.contactId, creating: state.intent !== null || state.attempt !== null })),
  );
  const unpaired = tx.all(world.tables.contacts).filter((row) => {
    const state = tx.get(world.tables.states, row.id);
    return (
      byContent &&
      row.crmId === null &&
      (state?.formerCrmId ?? null) === null &&
      (state?.crmId ?? null) === null &&
      (state?.intent ?? null) === null &&
      (state?.attempt ?? null) === null
    );
  });
  const pairsBy = (match: (record: (typeof records)[number], row: ContactRow) => boolean) =>
    records.flatMap((record) => unpaired.filter((row) => match(record, row)).map((row) => ({ crmId: record.crmId, id: row.id })));
  const byEmail = pairsBy((record, row) => text(record.fields.email) !== '' && text(record.fields.email) === text(row.fields.email));
  const numbers = (phones: ContactRow['fields']['phones']) => canonicalPhones(phones).map((phone) => phone.number);
  const byPhone = pairsBy(
    (record, row) =>
      !byEmail.some((pair) => pair.crmId === record.crmId || pair.id === row.id) &&
      numbers(record.fields.phones).some((number) => numbers(row.fields.phones).includes(number)) &&
      text(record.fields.first_name) === text(row.fields.first_name) &&
      text(record.fields.last_name) === text(row.fields.last_name),
  );
  const pairs = [...byEmail, ...byPhone].filter((pair) => !former.some((known) => known.crmId === pair.crmId));
  const single = pairs.filter(
    (pair) =>
      pairs.filter((other) => other.crmId === pair.crmId).length === 1 && pairs.filter((other) => other.id === pair.id).length === 1,
  );
  const idle = [...former.filter(({ creating }) => !creating), ...single];
  const isFree = ({ id }: { readonly id: number }): boolean =>
    tx.get(world.tables.contacts, id) === undefined || tx.tryLock(`contacts ${id}`);
  const free = idle.filter(isFree);
  return {
    paired: new Map(free.map((pair) => [pair.crmId, pair.id])),
    locked: new Set(idle.filter((pair) => !free.includes(pair)).map(({ crmId }) => crmId)),
    creating: new Set(former.filter(({ creating }) => creating).map(({ crmId }) => crmId)),
  };
};

/** Existing keys of a table, locked in id order. */
const lockAll = (step: Step, table: 'contacts' | 'states', ids: readonly number[], mode: 'skip' | 'wait'): ReadonlySet<number> => {
  const locked = new Set<number>();
  for (const id of canonicalIds(ids)) {
    if (step.tx.get<number, ContactRow | StateRow>(step.world.tables[table], id) === undefined) continue;
    if (mode === 'wait') step.tx.lock(`${table} ${id}`);
    if (mode === 'wait' || step.tx.tryLock(`${table} ${id}`)) locked.add(id);
  }
  return locked;
};

type ContactSteps = Pick<
  MirrorTx,
  | 'peek'
  | 'lockContacts'
  | 'lockStates'
  | 'read'
  | 'lockPairing'
  | 'oldestOpenCreate'
  | 'matchUnpaired'
  | 'insert'
  | 'save'
  | 'touch'
  | 'remove'
  | 'markVisibility'
  | 'unpair'
  | 'pair'
>;

export const createContactSteps = (step: Step): ContactSteps => {
  const { tx, world } = step;
  const { contacts, states } = world.tables;
  return {
    peek: async (crmIds) => {
      const wanted = new Set(crmIds);
      const peeks = tx.all(states).flatMap((state) => {
        if (state.crmId === null || !wanted.has(state.crmId)) return [];
        const row = tx.get(contacts, state.contactId);
        const { contactId, crmId, baseHash, extraHash, links, settledAt, deletedAt, goneAt, hiddenAt, holdId } = state;
        const known = { contactId, crmId, baseHash, extraHash, links, settledAt, deletedAt, goneAt, hiddenAt, holdId };
        return [
          [crmId, { ...known, crmUpdatedAt: row?.updatedAt ?? null, hasRow: row !== undefined, busy: state.attempt !== null }] as const,
        ];
      });
      return new Map(peeks);
    },
    lockContacts: async (ids, mode) => lockAll(step, 'contacts', ids, mode),
    lockStates: async (ids, mode) => lockAll(step, 'states', ids, mode),
    read: async (ids) =>
      new Map(
        canonicalIds(ids).flatMap((id) => {
          const situation = situationOf(step, id);
          return situation === null ? [] : [[id, situation] as const];
        }),
      ),
    lockPairing: async () => tx.lock('advisory pairing'),
    oldestOpenCreate: async () => {
      const isDeleted = (contactId: number): boolean =>
        openLog(step, contactId).some(({ op, state }) => op === 'delete' && state !== 'parked');
      const open = tx
        .all(states)
        .flatMap(({ contactId, intent, attempt }) => (intent !== null && (attempt !== null || isDeleted(contactId)) ? [intent.at] : []));
      return open.sort((a, b) => a.getTime() - b.getTime())[0] ?? null;
    },
    matchUnpaired: async (records, { byContent }) => matchUnpaired(step, records, byContent),
    insert: async (batch) => new Map(batch.map((contact) => [contact.record.crmId, insertOne(step, contact)])),
    save: async (writes) => writes.forEach((write) => saveOne(step, write)),
    touch: async (rows) => {
      for (const { contactId, crmUpdatedAt } of rows) {
        const row = tx.get(contacts, contactId);
        if (row === undefined || row.updatedAt?.getTime() === crmUpdatedAt.getTime()) continue;
        if (tx.tryLock(`contacts ${contactId}`)) tx.put(contacts, contactId, { ...row, updatedAt: crmUpdatedAt });
      }
    },
    remove: async (ids) => ids.forEach((id) => removeOne(step, id)),
    markVisibility: async (ids, visibility) => {
      for (const id of ids) {
        const state = tx.get(states, id);
        if (state === undefined) continue;
        const goneAt = visibility === 'gone' ? (state.goneAt ?? world.now()) : null;
        const hiddenAt = visibility === 'hidden' ? (state.hiddenAt ?? world.now()) : null;
        if (goneAt === state.goneAt && hiddenAt === state.hiddenAt) continue;
        putState(step, id, { goneAt, hiddenAt, ...(visibility === 'visible' && { holdId: null }) });
      }
    },
    unpair: async (contactId) => {
      const row = tx.get(contacts, contactId);
      if (row !== undefined && row.crmId !== null) tx.put(contacts, contactId, { ...row, crmId: null });
      const formerCrmId = tx.get(states, contactId)?.crmId ?? null;
      if (formerCrmId !== null) putState(step, contactId, { crmId: null, formerCrmId, sent: null, goneAt: null });
    },
    pair: async (contactId, crmId) => {
      const others = [...tx.all(states), ...tx.all(contacts).map((row) => ({ contactId: row.id, crmId: row.crmId }))];
      const younger = canonicalIds(
        others.filter((other) => other.crmId === crmId && other.contactId !== contactId).map((other) => other.contactId),
      );
      for (const id of younger) foldInto(step, contactId, id, { situationOf, saveOne });
      const row = tx.get(contacts, contactId);
      if (row !== undefined && row.crmId !== crmId) tx.put(contacts, contactId, { ...row, crmId });
      if (tx.get(states, contactId)?.crmId !== crmId) putState(step, contactId, { crmId });
    },
  };
};

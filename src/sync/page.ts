/**
 * One page of records into the mirror, in one transaction.
 *
 * The order of the steps is the promise: what brings nothing new needs no lock and no write; the others are locked (rows, then states),
 * read in a new statement, and only then merged. What is not free, or was changed by us after the request was sent, is marked to be read
 * again by its id: a mark is stored in this very transaction, so the watermark may pass it and nothing is lost.
 */
import type { BrakeLimits } from '../domain/brake.ts';
import type { CustomFieldDefs, RemoteContact } from '../domain/contact.ts';
import { inferCustomFields, LINK_KINDS, NO_LINKS, sameValue } from '../domain/contact.ts';
import { eachKind } from '../domain/merge.ts';
import { textLength } from '../domain/text-length.ts';
import type { BadRecord } from '../ports/crm.ts';
import {
  type ConflictRecord,
  LOCK_NOT_AVAILABLE,
  type Mark,
  type MarkReason,
  type MirrorTx,
  type NewContact,
  type Peek,
  type Situation,
} from '../ports/mirror.ts';
import { CLOCK_ERROR_MS } from './deps.ts';
import { holdsBack } from './incoming.ts';
import { isEditedThere, isEmptyWrite, reconcile, toCanonical, type CanonicalRecord, type Reading, type Reconciled } from './reconcile.ts';
import { hasVanished } from './vanished.ts';

export interface Page {
  readonly records: readonly RemoteContact[];
  readonly bad: readonly BadRecord[];
  /** The database's time, taken before the request was sent: a record is as old as its request. */
  readonly requestedAt: Date;
  /** Marks that these records answer. */
  readonly answers: readonly MarkReason[];
  /** CRM ids whose destructive change a person approved: past the brake. */
  readonly approved?: ReadonlySet<number>;
}

export interface PageContext extends Omit<Reading, 'customFields'> {
  readonly customFields: CustomFieldDefs;
  /** The CRM has a call that reads a contact's activities. */
  readonly readsActivities: boolean;
  /** Rows that were here first are paired with the CRM's contacts: before the first complete sweep, or where one of these was locked then. */
  readonly firstRun: boolean;
  readonly brake: BrakeLimits;
}

export interface PageReport {
  /** Contacts whose row, links or base were written. */
  readonly written: number;
  readonly deferred: number;
  /** At least one tuple was written. */
  readonly changed: boolean;
  /** The definitions with what this page taught: the next page of the same run starts from them. */
  readonly customFields: CustomFieldDefs;
}

export const applyPage = async (tx: MirrorTx, page: Page, context: PageContext): Promise<PageReport> => {
  const learned = inferCustomFields(context.customFields, page.records);
  if (learned.length > 0) await tx.saveCustomFields(learned);
  const customFields = new Map([...context.customFields, ...learned.map((def) => [def.name, def] as const)]);
  const known = { ...context, customFields };

  const records = lastOfEach(page.records).map((record) => toCanonical(record, customFields));
  const peeks = await tx.peek(records.map(({ record }) => record.crmId));
  const news = records.filter((record) => bringsNews(record, peeks.get(record.record.crmId)));
  const quiet = records.filter((record) => !news.includes(record));

  const report = { written: 0, deferred: 0, changed: learned.length > 0 };
  await storeHalving(tx, news, page, known, report);
  report.changed ||= await touchQuiet(tx, quiet, peeks, page, known);
  for (const bad of page.bad) if (bad.crmId !== null) await tx.refuse(bad.crmId, 'bad_answer', bad.problem);
  if (page.answers.length > 0)
    await tx.unmark(
      records.map(({ record }) => record.crmId),
      page.answers,
      page.requestedAt,
    );
  return { ...report, changed: report.changed || report.written > 0 || report.deferred > 0, customFields };
};

/** A page may repeat a record that moved while it was read: the last one stands. */
const lastOfEach = (records: readonly RemoteContact[]): readonly RemoteContact[] => [
  ...new Map(records.map((record) => [record.crmId, record])).values(),
];

const bringsNews = (canonical: CanonicalRecord, peek: Peek | undefined): boolean => {
  // Without a row: deleted here and still to be pushed, restored there, or its deletion was rejected; only the log tells which.
  if (peek === undefined || !peek.hasRow || peek.goneAt !== null || peek.hiddenAt !== null || peek.holdId !== null) return true;
  if (peek.baseHash !== canonical.hash || peek.extraHash !== canonical.extraHash) return true;
  return LINK_KINDS.some((kind) => canonical.links[kind] !== null && !sameValue(canonical.links[kind], peek.links[kind]));
};

/** Same content; crm_updated_at follows the CRM all the same, and a moved one may mean that links changed which the record does not carry. */
const touchQuiet = async (
  tx: MirrorTx,
  records: readonly CanonicalRecord[],
  peeks: ReadonlyMap<number, Peek>,
  page: Page,
  context: PageContext,
): Promise<boolean> => {
  const moved = records.flatMap((canonical) => {
    const { record } = canonical;
    const peek = peeks.get(record.crmId);
    if (peek === undefined || !peek.hasRow || record.updatedAt === null || isStale(peek, page) || isOvertaken(canonical, peek, page))
      return [];
    return peek.crmUpdatedAt?.getTime() === record.updatedAt.getTime() && !countsDiffer(canonical, peek) ? [] : [{ canonical, peek }];
  });
  if (moved.length === 0) return false;
  await tx.touch(
    moved.map(({ canonical, peek }) => ({ contactId: peek.contactId, crmUpdatedAt: canonical.record.updatedAt ?? new Date(0) })),
  );
  await tx.mark(moved.flatMap(({ canonical }) => linkMarks(canonical, page, context)));
  return true;
};

const countsDiffer = ({ record, links }: CanonicalRecord, peek: Peek): boolean =>
  (['companies', 'deals'] as const).some((kind) => {
    const count = record.linkCounts[kind];
    return links[kind] === null && count !== null && peek.links[kind] !== null && count !== peek.links[kind].length;
  });

/** Settled or removed since the request was sent, or a call is in flight or unknown: the record may tell the time before that. */
const isStale = (contact: Pick<Situation, 'settledAt' | 'deletedAt'> & { readonly busy?: boolean }, page: Page): boolean =>
  contact.busy === true || [contact.settledAt, contact.deletedAt].some((at) => at !== null && at >= page.requestedAt);

/** A list that was asked for before another one was stored: the row tells a later second than the record. By its id it is read as it is now. */
const isOvertaken = ({ record }: CanonicalRecord, { crmUpdatedAt }: Pick<Situation, 'crmUpdatedAt'>, page: Page): boolean =>
  page.answers.length === 0 && record.updatedAt !== null && crmUpdatedAt !== null && record.updatedAt < crmUpdatedAt;

/** What has to be read by id, because this record does not carry it and it may have changed. */
const linkMarks = ({ record, links }: CanonicalRecord, page: Page, context: PageContext): readonly Mark[] => {
  const marks: Mark[] = [];
  if (!page.answers.includes('links') && (links.companies === null || links.deals === null))
    marks.push({ crmId: record.crmId, reason: 'links' });
  if (context.readsActivities && !page.answers.includes('activities') && links.activities === null) {
    marks.push({ crmId: record.crmId, reason: 'activities' });
  }
  return marks;
};

/** Stores records behind a savepoint; what Postgres refuses is found by halving and parked alone, so that the page goes on. */
const storeHalving = async (
  tx: MirrorTx,
  records: readonly CanonicalRecord[],
  page: Page,
  context: PageContext,
  report: { written: number; deferred: number },
): Promise<void> => {
  if (records.length === 0) return;
  const storeHalves = async (): Promise<void> => {
    const half = Math.ceil(records.length / 2);
    await storeHalving(tx, records.slice(0, half), page, context, report);
    await storeHalving(tx, records.slice(half), page, context, report);
  };
  if (records.length > 1 && textOf(records) > TEXT_AT_ONCE) return await storeHalves();
  const stored = { written: 0, deferred: 0 };
  const refusal = await tx.savepoint(async () => {
    Object.assign(stored, await store(tx, records, page, context));
  });
  const [only] = records;
  if (refusal === null) {
    report.written += stored.written;
    report.deferred += stored.deferred;
    await tx.clearRefused(records.map(({ record }) => record.crmId));
  } else if (records.length === 1 && only !== undefined && refusal.sqlState === LOCK_NOT_AVAILABLE) {
    // A user is at work on one of its links: later, and by its id.
    // In a first run its row may be here already, and nobody has looked.
    const { crmId } = only.record;
    const isKnown = (await tx.peek([crmId])).has(crmId);
    await defer(tx, page, [{ crmId, reason: context.firstRun && !isKnown ? 'twin' : reasonFor(page, crmId) }]);
    report.deferred += 1;
  } else if (records.length === 1 && only !== undefined) {
    await tx.refuse(only.record.crmId, 'database_refused', `${refusal.sqlState}: ${refusal.message}`);
  } else await storeHalves();
};

/** Characters that one statement carries: on their way to the database and back they are held a dozen times over. */
const TEXT_AT_ONCE = 256 * 1024;
const textOf = (records: readonly CanonicalRecord[]): number =>
  records.reduce((sum, { fields, record }) => sum + textLength(fields) + textLength(record.extra), 0);

/** What a person approved stays approved until it could be applied. */
const reasonFor = (page: Page, crmId: number): MarkReason => (page.approved?.has(crmId) === true ? 'approved' : 'deferred');

/** To be read by id: at once after a page, after a while where that was what has just been done. */
const defer = async (tx: MirrorTx, page: Page, marks: readonly Mark[]): Promise<void> =>
  await (page.answers.length === 0 ? tx.mark(marks) : tx.putOff(marks));

interface Stored {
  readonly written: number;
  readonly deferred: number;
}

const store = async (tx: MirrorTx, records: readonly CanonicalRecord[], page: Page, context: PageContext): Promise<Stored> => {
  await tx.saveNames(records.flatMap(({ record }) => record.names));
  // Looked up again, inside the savepoint: pairing may have happened since.
  const peeks = await tx.peek(records.map(({ record }) => record.crmId));
  const known = records.filter(({ record }) => peeks.has(record.crmId));
  const unknown = records.filter(({ record }) => !peeks.has(record.crmId));
  const updated = await storeKnown(tx, known, peeks, page, context);
  const inserted = await storeUnknown(tx, unknown, page, context);
  return { written: updated.written + inserted.written, deferred: updated.deferred + inserted.deferred };
};

const storeKnown = async (
  tx: MirrorTx,
  records: readonly CanonicalRecord[],
  peeks: ReadonlyMap<number, Peek>,
  page: Page,
  context: PageContext,
): Promise<Stored> => {
  if (records.length === 0) return { written: 0, deferred: 0 };
  const idOf = (canonical: CanonicalRecord): number => peeks.get(canonical.record.crmId)?.contactId ?? 0;
  const ids = records.map(idOf);
  const rows = await tx.lockContacts(ids, 'skip');
  const states = await tx.lockStates(ids, 'skip');
  // A new statement, only now that the locks are held: it sees every edit that committed before them.
  const situations = await tx.read(ids);

  const deferred: Mark[] = [];
  const free: { canonical: CanonicalRecord; situation: Situation }[] = [];
  for (const canonical of records) {
    const contactId = idOf(canonical);
    const situation = situations.get(contactId);
    const locked = situation !== undefined && states.has(contactId) && (situation.row === null || rows.has(contactId));
    const late = locked && (isStale({ ...situation, busy: situation.attempt !== null }, page) || isOvertaken(canonical, situation, page));
    if (locked && !late) free.push({ canonical, situation });
    else deferred.push({ crmId: canonical.record.crmId, reason: reasonFor(page, canonical.record.crmId) });
  }
  await defer(tx, page, deferred);
  const written = await mergeAll(tx, free, page, context);
  return { written, deferred: deferred.length };
};

/** Conflicts that the CRM would have won, had the brake not held its record. */
const asOverruled = ({
  situation,
  conflicts,
}: { readonly situation: Situation } & Pick<Reconciled, 'conflicts'>): readonly ConflictRecord[] =>
  conflicts
    .filter(({ outcome }) => outcome === 'crm')
    .map((conflict) => ({ ...conflict, outcome: 'mirror', contactId: situation.contactId }));

const mergeAll = async (
  tx: MirrorTx,
  contacts: readonly { canonical: CanonicalRecord; situation: Situation }[],
  page: Page,
  context: PageContext,
): Promise<number> => {
  const merged = contacts.flatMap(({ canonical, situation: { row, ...rest } }) =>
    row === null ? [] : [{ canonical, situation: { ...rest, row }, ...reconcile({ ...rest, row }, canonical, context) }],
  );
  // What would destroy too much is left as it is, and waits for a person.
  const held = await holdsBack(tx, merged, context.brake, { approved: page.approved ?? new Set() });
  // What was edited here meanwhile stands until then, and is pushed: the CRM's value is kept where people look for it.
  const overruled = merged.filter(({ situation }) => held.has(situation.contactId));
  await tx.recordConflicts(overruled.flatMap(asOverruled));
  const living = merged.filter(({ situation }) => !held.has(situation.contactId));
  const writes = living.map(({ write }) => write).filter((write) => !isEmptyWrite(write));
  if (writes.length > 0) await tx.save(writes);
  await tx.recordConflicts(living.flatMap(({ situation, conflicts }) => conflicts.map((c) => ({ ...c, contactId: situation.contactId }))));
  // A merge can leave something to push that nobody edited just now: a union of phones, say. Where it has changed nothing, whatever is left to
  // push has its log row already, and may be parked for good.
  const changes = ({ write }: (typeof living)[number]): boolean => !isEmptyWrite({ ...write, crmTimes: null, extra: null });
  const waits = ({ situation }: (typeof living)[number]): boolean => situation.open.states.has('held');
  await tx.queue(
    living.filter((each) => each.dirty && changes(each) && !waits(each)).map(({ situation }) => situation.contactId),
    'update',
  );
  // Nothing is left to push of what the brake held: the CRM has come to the same by itself.
  await tx.release(
    'push',
    living.filter((each) => !each.dirty && waits(each)).map(({ situation }) => situation.contactId),
  );
  await tx.markVisibility(
    living.filter(({ situation }) => situation.goneAt !== null || situation.hiddenAt !== null).map(({ situation }) => situation.contactId),
    'visible',
  );
  // Activities that nobody can read stay unknown for good.
  const readable = LINK_KINDS.filter((kind) => kind !== 'activities' || context.readsActivities);
  const moved = living.filter(
    ({ write, situation }) => write.crmTimes !== null || readable.some((kind) => situation.base?.links[kind] == null),
  );
  await tx.mark(moved.flatMap(({ canonical }) => linkMarks(canonical, page, context)));
  let written = writes.length;
  for (const { canonical, situation } of contacts) {
    if (situation.row !== null) continue;
    const revived = await revive(tx, canonical, situation, page, context);
    // A held deletion has nothing left to delete.
    if (revived > 0 && situation.open.states.has('held')) await tx.release('push', [situation.contactId]);
    written += revived;
  }
  return written;
};

/**
 * A record of a contact whose row is gone. A deletion that still has to be pushed stands, unless the contact was edited in the CRM since:
 * then it is a conflict, and where the edit wins, or the contact was restored there, the row comes back under its old id.
 */
const revive = async (
  tx: MirrorTx,
  canonical: CanonicalRecord,
  situation: Situation,
  page: Page,
  context: PageContext,
): Promise<number> => {
  // Gone, and nobody is known to have deleted it: the audit holds it for a person. What he rejects comes back by its mark.
  const isHeldForPerson = hasVanished(situation) && situation.goneAt === null && situation.hiddenAt === null;
  if (isHeldForPerson && !page.answers.includes('deferred')) return 0;
  if (situation.open.deletedAt !== null && situation.deletedAt === null) {
    if (!isEditedThere(canonical, situation, context.customFields)) return 0;
    // The CRM's edit is the only one there is: `newest` lets it live, and only the policy `mirror` follows the deletion.
    const policy = context.policyOf('contact');
    const outcome = policy === 'mirror' ? 'mirror' : 'crm';
    const { base } = situation;
    await tx.recordConflicts([
      {
        contactId: situation.contactId,
        field: 'contact',
        base: base?.fields ?? null,
        local: null,
        remote: canonical.fields,
        outcome,
        policy,
        compared: null,
      },
    ]);
    if (outcome === 'mirror') {
      // Agreed to be overruled: the next page has nothing new to tell.
      const known = {
        fields: canonical.fields,
        hash: canonical.hash,
        links: eachKind((kind) => canonical.links[kind] ?? base?.links[kind] ?? null),
      };
      await tx.save([{ ...NOTHING, contactId: situation.contactId, base: known }]);
      return 0;
    }
  }
  await insertAll(tx, [{ canonical, contactId: situation.contactId }], page, context);
  return 1;
};

const NOTHING = { fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, base: null, extra: null, crmTimes: null } as const;

const storeUnknown = async (tx: MirrorTx, records: readonly CanonicalRecord[], page: Page, context: PageContext): Promise<Stored> => {
  if (records.length === 0) return { written: 0, deferred: 0 };
  // From here on no create can be settled until this transaction ends, so an id that is unknown now stays unknown.
  await tx.lockPairing();
  const [paired, openCreate] = [await tx.peek(records.map(({ record }) => record.crmId)), await tx.oldestOpenCreate()];
  const mayBeOurs = ({ record }: CanonicalRecord): boolean =>
    openCreate !== null &&
    (record.createdAt === null || record.createdAt.getTime() + context.clockOffsetMs >= openCreate.getTime() - CLOCK_ERROR_MS);
  const late = records.filter((canonical) => paired.has(canonical.record.crmId) || mayBeOurs(canonical));
  const candidates = records.filter((canonical) => !late.includes(canonical));

  const matches = await tx.matchUnpaired(
    candidates.map(({ record }) => record),
    { byContent: context.firstRun },
  );
  const waits = ({ record: { crmId } }: CanonicalRecord): boolean => matches.locked.has(crmId) || matches.creating.has(crmId);
  const deferred = [...late, ...candidates.filter(waits)];
  await defer(
    tx,
    page,
    deferred.map(({ record: { crmId } }) => ({ crmId, reason: matches.locked.has(crmId) ? 'twin' : 'deferred' })),
  );
  for (const [crmId, contactId] of matches.paired) await tx.pair(contactId, crmId);
  const situations = await tx.read([...matches.paired.values()]);
  const newcomers = candidates.filter((canonical) => !waits(canonical));
  const met = newcomers.flatMap((canonical) => {
    const situation = situations.get(matches.paired.get(canonical.record.crmId) ?? -1);
    return situation === undefined ? [] : [{ canonical, situation }];
  });
  await mergeAll(tx, met, page, context);
  const fresh = newcomers.filter(({ record }) => !matches.paired.has(record.crmId));
  await insertAll(
    tx,
    fresh.map((canonical) => ({ canonical })),
    page,
    context,
  );
  return { written: newcomers.length, deferred: deferred.length };
};

const insertAll = async (
  tx: MirrorTx,
  contacts: readonly { canonical: CanonicalRecord; contactId?: number }[],
  page: Page,
  context: PageContext,
): Promise<void> => {
  if (contacts.length === 0) return;
  await tx.insert(contacts.map(toNewContact));
  await tx.mark(contacts.flatMap(({ canonical }) => linkMarks(canonical, page, context)));
};

const toNewContact = ({ canonical, contactId }: { canonical: CanonicalRecord; contactId?: number }): NewContact => {
  const { record, fields, links, hash, extraHash } = canonical;
  const cleared = Object.entries(record.fields.custom_fields).filter(([name]) => !(name in fields.custom_fields));
  return {
    record,
    fields: { ...fields, custom_fields: { ...fields.custom_fields, ...Object.fromEntries(cleared.map(([name]) => [name, null])) } },
    base: { fields, links },
    baseHash: hash,
    extraHash,
    ...(contactId === undefined ? {} : { contactId }),
  };
};

/**
 * One page of records into the mirror, in one transaction.
 *
 * The order of the steps is the promise: what brings nothing new needs no lock and no write; the others are locked (rows, then states),
 * read in a new statement, and only then merged. What is not free, or was changed by us after the request was sent, is marked to be read
 * again by its id: a mark is stored in this very transaction, so the watermark may pass it and nothing is lost.
 *
 * What a record does to a contact is in merge-records.ts, who it is where nobody knows its id in newcomers.ts.
 */
import type { CustomFieldDefs, RemoteContact } from '../domain/contact.ts';
import { inferCustomFields, LINK_KINDS, sameValue } from '../domain/contact.ts';
import { textLength } from '../domain/text-length.ts';
import { LOCK_NOT_AVAILABLE, type Mark, type MirrorTx, type Peek, type Situation } from '../ports/mirror.ts';
import type { PageContext } from './context.ts';
import { revived, showsNewOption } from './custom-fields.ts';
import { mergeRecords } from './merge-records.ts';
import { storeNewcomers, type Stored } from './newcomers.ts';
import { defer, linkMarks, reasonFor, type Page } from './page-marks.ts';
import { toCanonical, type CanonicalRecord } from './reconcile.ts';

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
  const fresh = news.map(({ record }) => record);
  await tx.reviveCustomFields(revived(fresh, context.customFields));
  // Of a record that brings nothing new it was noticed before: a list that does not tell an option is not asked for it again and again.
  if (showsNewOption(fresh, context.customFields)) await tx.wantCustomFields();
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

const store = async (tx: MirrorTx, records: readonly CanonicalRecord[], page: Page, context: PageContext): Promise<Stored> => {
  await tx.saveNames(records.flatMap(({ record }) => record.names));
  // Looked up again, inside the savepoint: pairing may have happened since.
  const peeks = await tx.peek(records.map(({ record }) => record.crmId));
  const known = records.filter(({ record }) => peeks.has(record.crmId));
  const unknown = records.filter(({ record }) => !peeks.has(record.crmId));
  const updated = await storeKnown(tx, known, peeks, page, context);
  const inserted = await storeNewcomers(tx, unknown, page, context);
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
  const written = await mergeRecords(tx, free, page, context);
  return { written, deferred: deferred.length };
};

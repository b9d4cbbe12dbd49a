/**
 * Records whose id no contact here has: each gets a row, unless a row of ours is it already, or may be.
 *
 * - No create is settled until this transaction ends (one advisory lock), so that one id never gets two rows.
 * - What may be the answer to an open create, or a row that somebody keeps locked, waits: it is marked and read again by its id.
 * - What is a row that was here first is paired with it, and merged like any other record (merge-records.ts).
 *
 * This is about who a record is. What it does to a row once that is known does not belong here.
 */
import type { MirrorTx } from '../ports/mirror.ts';
import type { PageContext } from './context.ts';
import { CLOCK_ERROR_MS } from './deps.ts';
import { insertRecords, mergeRecords } from './merge-records.ts';
import { defer, type Page } from './page-marks.ts';
import type { CanonicalRecord } from './reconcile.ts';

export interface Stored {
  readonly written: number;
  readonly deferred: number;
}

export const storeNewcomers = async (
  tx: MirrorTx,
  records: readonly CanonicalRecord[],
  page: Page,
  context: PageContext,
): Promise<Stored> => {
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
  await mergeRecords(tx, met, page, context);
  const fresh = newcomers.filter(({ record }) => !matches.paired.has(record.crmId));
  await insertRecords(
    tx,
    fresh.map((canonical) => ({ canonical })),
    page,
    context,
  );
  return { written: newcomers.length, deferred: deferred.length };
};

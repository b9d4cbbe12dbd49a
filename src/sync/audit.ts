/**
 * The audit: edits that no trigger saw (a restored backup, a replica's session, a user's trigger that undid a write of ours).
 *
 * - It looks for rows that differ from base, fields or known links, though nothing is open for them; for rows that nobody ever sent; and for
 *   states whose row is gone though nobody deleted it. What it finds is logged as an edit and takes the way of every edit.
 * - It looks without a lock and writes nothing where nothing differs. What looks different is locked (rows, then states), read in a new
 *   statement and compared again before it is logged.
 * - It never deletes: a row that is gone without a deletion is held for a person, whatever the brake says.
 * - What it found is known before any of it is logged: more than the brake lets through is held as a whole.
 */
import { brakeAllowance } from '../domain/brake.ts';
import { canonicalFields, LINK_KINDS, NO_LINKS, type CustomFieldDefs } from '../domain/contact.ts';
import { diffLinks } from '../domain/merge.ts';
import type { FoundEdit, MirrorTx, Situation } from '../ports/mirror.ts';
import { underLocks, type Job } from './attempt.ts';
import type { SyncDeps } from './deps.ts';
import { fieldsToPush } from './plan.ts';
import { handBack } from './settle.ts';
import { deletionOf, filledValues, hasVanished, valuesOf, VANISHED } from './vanished.ts';

export interface AuditReport {
  /** Contacts compared. */
  readonly rows: number;
  /** Contacts whose edits were queued. */
  readonly queued: number;
  /** Contacts that wait for a person's approval. */
  readonly held: number;
  /** Why it ended before it had seen everything. */
  readonly stoppedBy: 'aborted' | 'paused' | null;
}

/** Rows read at once: some 50 ms each time, and below what makes Postgres compile the plan. */
const BATCH_ROWS = 2000;
/** Suspects compared at once, in canonical form. */
const COMPARE_ROWS = 500;
/** Contacts locked at once. More where they are held: each addition to a plan reads the whole plan. */
const LOCK_ROWS = 100;
const HOLD_ROWS = 2000;

export const audit = async (deps: SyncDeps): Promise<AuditReport> => {
  const customFields = await deps.mirror.customFields();
  const looked = await look(deps, customFields);
  if (looked.stoppedBy !== null) return { ...looked, queued: 0, held: 0 };
  const edits = await logEdits(deps, looked.edited, customFields);
  const gone = await holdVanished(deps, looked.vanished, customFields);
  return { rows: looked.rows, queued: edits.queued, held: edits.held + gone, stoppedBy: null };
};

interface Looked {
  readonly rows: number;
  readonly edited: readonly number[];
  readonly vanished: readonly number[];
  readonly stoppedBy: AuditReport['stoppedBy'];
}

/** Everything once, without a lock: what differs now, in canonical form. Ids only, so that a million of them fit. */
const look = async (deps: SyncDeps, customFields: CustomFieldDefs): Promise<Looked> => {
  const { mirror } = deps;
  const edited: number[] = [];
  const vanished: number[] = [];
  let rows = 0;
  for (let afterId: number | null = 0; afterId !== null;) {
    const stoppedBy = deps.signal.aborted ? 'aborted' : (await mirror.account()).paused ? 'paused' : null;
    if (stoppedBy !== null) return { rows, edited: [], vanished: [], stoppedBy };
    const batch = await mirror.auditBatch(afterId, BATCH_ROWS);
    rows += batch.rows;
    for (const chunk of chunksOf(batch.suspects, COMPARE_ROWS)) {
      const situations = await mirror.transaction((tx) => tx.read(chunk));
      edited.push(...chunk.filter((id) => differs(situations.get(id), customFields)));
    }
    afterId = batch.lastId;
  }
  for (let chunk = await mirror.vanished(0, BATCH_ROWS); chunk.length > 0; chunk = await mirror.vanished(chunk.at(-1) ?? 0, BATCH_ROWS)) {
    vanished.push(...chunk);
  }
  return { rows, edited, vanished, stoppedBy: null };
};

const chunksOf = <T>(all: readonly T[], size: number): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size));

const differs = (situation: Situation | undefined, customFields: CustomFieldDefs): boolean =>
  situation !== undefined && foundIn(situation, customFields).length > 0;

/** What of a contact differs though nothing is open for it. What is in flight, held, gone or hidden is somebody else's business. */
const foundIn = (situation: Situation, customFields: CustomFieldDefs): readonly FoundEdit[] => {
  const { contactId, crmId, row, base, open } = situation;
  if (situation.attempt !== null || situation.intent !== null || open.ops.size > 0) return [];
  if (situation.goneAt !== null || situation.hiddenAt !== null || situation.holdId !== null) return [];
  if (row === null) {
    return crmId === null || situation.deletedAt !== null ? [] : [deletionOf(situation, customFields)];
  }
  const local = canonicalFields(row.fields, customFields);
  if (base === null) {
    // Paired by somebody else (a subscription that carries crm_ids, say): it is read before anybody can tell what differs.
    if (crmId !== null) return [{ contactId, op: 'update', oldValues: null, newValues: null }];
    return [{ contactId, op: 'insert', oldValues: null, newValues: filledValues(local) }];
  }
  const fields = fieldsToPush({ ...situation, row }, customFields);
  const agreed = canonicalFields(base.fields, customFields);
  const { attach, detach } = diffLinks(base.links, row.links, { attached: NO_LINKS, detached: NO_LINKS });
  return [
    ...(fields.length === 0
      ? []
      : [{ contactId, op: 'update' as const, oldValues: valuesOf(agreed, fields), newValues: valuesOf(local, fields) }]),
    ...LINK_KINDS.flatMap((kind) => [
      ...attach[kind].map((id) => ({ contactId, op: 'attach' as const, kind, id })),
      ...detach[kind].map((id) => ({ contactId, op: 'detach' as const, kind, id })),
    ]),
  ];
};

/**
 * Locks as a page does, looks again, and logs what is still so. What is not free is edited right now, or found by the next audit.
 * @param wanted edits are queued and deletions held: a row that went since the look must not be queued as one
 */
const logUnderLocks = async (
  tx: MirrorTx,
  ids: readonly number[],
  wanted: 'edits' | 'deletions',
  customFields: CustomFieldDefs,
): Promise<readonly FoundEdit[]> => {
  const rows = await tx.lockContacts(ids, 'skip');
  const states = await tx.lockStates(ids, 'skip');
  // A new statement, only now that the locks are held: it sees every edit that committed before them.
  const situations = await tx.read(ids);
  const found = ids.flatMap((id) => {
    const situation = situations.get(id);
    if (situation === undefined || (situation.row !== null && !rows.has(id))) return [];
    // A row that was never sent has no state to lock.
    const isLocked = states.has(id) || (situation.base === null && situation.row !== null);
    return isLocked ? foundIn(situation, customFields).filter(({ op }) => (op === 'delete') === (wanted === 'deletions')) : [];
  });
  const logged = await tx.logFound(found);
  const unread = [...situations.values()].filter(({ contactId, row, base }) => logged.has(contactId) && row !== null && base === null);
  await tx.mark(unread.flatMap(({ crmId }) => (crmId === null ? [] : [{ crmId, reason: 'deferred' as const }])));
  return found.filter(({ contactId }) => logged.has(contactId));
};

const logEdits = async (
  deps: SyncDeps,
  ids: readonly number[],
  customFields: CustomFieldDefs,
): Promise<{ readonly queued: number; readonly held: number }> => {
  const counts = { queued: 0, held: 0 };
  if (ids.length === 0) return counts;
  const { lastHour, waiting, mirrorRows } = await deps.mirror.transaction((tx) => tx.brakeLoad('push'));
  const holds = ids.length + waiting > brakeAllowance(lastHour, mirrorRows, deps.settings.brake);
  const reason = `${ids.length} contacts differ from what was last agreed on though nobody is known to have edited them: more than the brake lets through in an hour`;
  for (const chunk of chunksOf(ids, holds ? HOLD_ROWS : LOCK_ROWS)) {
    const logged = await deps.mirror.transaction(async (tx) => {
      const found = await logUnderLocks(tx, chunk, 'edits', customFields);
      if (holds && found.length > 0) await tx.hold('push', reason, contactsOf(found));
      if (!holds) await countFound(tx, found);
      return contactsOf(found).length;
    });
    counts[holds ? 'held' : 'queued'] += logged;
  }
  return counts;
};

/** An attempt finds its row gone though nobody deleted it: that is no deletion to push, but one to be held. */
export const holdJob = async (deps: SyncDeps, job: Job): Promise<null> => {
  const held = await underLocks(deps, job, async (tx, situation) => {
    const logged = hasVanished(situation) ? await tx.logFound([deletionOf(situation, job.context.customFields)]) : new Set();
    if (logged.size > 0) await tx.hold('push', VANISHED, [situation.contactId]);
    return logged.size > 0;
  });
  // Its row is about to be read again, or is back.
  if (held === false) await handBack(deps, job, { delayMs: deps.settings.backoff.minMs });
  return null;
};

const contactsOf = (found: readonly FoundEdit[]): readonly number[] => [...new Set(found.map(({ contactId }) => contactId))];

/** What destroys something is counted when it is pushed, as anybody's edit is; counted here as well, it would stand in its own way. */
const countFound = async (tx: MirrorTx, found: readonly FoundEdit[]): Promise<void> => {
  const destructive = new Set(contactsOf(found.filter(destroys)));
  const others = contactsOf(found).filter((contactId) => !destructive.has(contactId));
  await tx.countDamage(
    'push',
    others.map((contactId) => ({ contactId, op: 'audit' })),
  );
};

const destroys = (found: FoundEdit): boolean => {
  if ('kind' in found) return found.op === 'detach';
  const isEmpty = (value: unknown): boolean => value === null || (Array.isArray(value) && value.length === 0);
  return Object.entries(found.oldValues ?? {}).some(([name, value]) => !isEmpty(value) && isEmpty(found.newValues?.[name] ?? null));
};

const holdVanished = async (deps: SyncDeps, ids: readonly number[], customFields: CustomFieldDefs): Promise<number> => {
  let held = 0;
  for (const chunk of chunksOf(ids, HOLD_ROWS)) {
    held += await deps.mirror.transaction(async (tx) => {
      const gone = contactsOf(await logUnderLocks(tx, chunk, 'deletions', customFields));
      if (gone.length > 0) await tx.hold('push', VANISHED, gone);
      return gone.length;
    });
  }
  return held;
};

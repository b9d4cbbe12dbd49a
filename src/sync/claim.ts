/**
 * The claim: whose edits are pushed now, and how each attempt begins.
 *
 * - The state is locked, the log rows go to `sending` under one number, and the row is read in a later statement: what commits after that stays
 *   pending.
 * - What the first call will carry is noted in the same transaction.
 *
 * One transaction, so nothing may be asked of the CRM here: the base is made fresh before (push.ts), and what has to be read first is only told.
 */
import type { DueKinds, MirrorTx, Sent, Situation } from '../ports/mirror.ts';
import type { Job } from './attempt.ts';
import { loadContext, type RunContext } from './context.ts';
import type { SyncDeps } from './deps.ts';
import { takeSteps } from './ordered.ts';
import { carriedBy, nextCall } from './plan.ts';

/** Contacts claimed at once for each worker: few, since a crash leaves them to be read again. */
const CLAIMS_PER_WORKER = 2;

/**
 * Which edits may be pushed now; null while a person has paused it, which holds in the middle of a bulk edit as well, or has yet to say that this
 * database is the mirror's own. Creates wait for the first complete sweep: what is here already may be there already.
 */
export const pushable = async ({ mirror, settings }: SyncDeps): Promise<DueKinds | null> => {
  const { paused, firstSweepAt, twins, identityHold } = await mirror.account();
  return paused || identityHold !== null ? null : { creates: firstSweepAt !== null && !twins, ordered: settings.writeMode === 'ordered' };
};

/** What a claim needs of the memory of the pushes. */
interface ClaimMemory {
  /** The last look saw nothing that can be believed: each contact is read before it is written. */
  readonly blind: boolean;
  /** Gets what may be claimed without our knowing. */
  readonly orphans: Set<Job>;
}

export const claimDue = async (deps: SyncDeps, memory: ClaimMemory): Promise<readonly Job[]> => {
  const kinds = await pushable(deps);
  if (kinds === null) return [];
  const context = await loadContext(deps);
  let claimed: readonly Job[] = [];
  try {
    await deps.mirror.transaction(async (tx) => {
      const due = await tx.lockDue(deps.settings.pushConcurrency * CLAIMS_PER_WORKER, kinds);
      claimed = due.length === 0 ? [] : await claimAll(deps, tx, due, { context, kinds, blind: memory.blind });
    });
    return claimed;
  } catch (error) {
    // A commit whose answer was lost may have claimed them; where it did not, the attempt's number is nobody's and settling it does nothing.
    for (const job of claimed) memory.orphans.add(job);
    throw error;
  }
};

interface Claiming {
  readonly context: RunContext;
  readonly kinds: DueKinds;
  readonly blind: boolean;
}

const claimAll = async (
  deps: SyncDeps,
  tx: MirrorTx,
  due: readonly number[],
  { context, kinds: { ordered }, blind }: Claiming,
): Promise<readonly Job[]> => {
  const before = await tx.read(due);
  const attempt = await (ordered === true ? tx.claimSteps(due) : tx.claim(due));
  // In a later statement: what commits after this stays pending and is not lost.
  const situations = await tx.read(due);
  const claimed = due.flatMap((contactId): readonly Job[] => {
    const situation = situations.get(contactId);
    if (situation === undefined) return [];
    const cautious = caution(before.get(contactId));
    const readFirst = cautious.readFirst || blind;
    const onSending = tellWhenSent(deps, situation);
    return [{ attempt, context, situation, ...cautious, readFirst, made: new Set(), refused: [], onSending }];
  });
  const taken = ordered === true ? await takeSteps(tx, attempt, claimed) : claimed;
  const jobs = (await readDeferredFirst(tx, taken)).map((job) => ({ ...job, situation: { ...job.situation, sent: firstWrite(job) } }));
  await tx.saveSent(jobs.flatMap(({ situation: { contactId, sent } }) => (sent === null ? [] : [{ contactId, sent }])));
  return jobs;
};

/** Tells, once, how long the claimed edit has waited by then: by the database's clock until it was read, by ours from there on. */
const tellWhenSent = ({ clock, telemetry }: SyncDeps, { open }: Situation): (() => void) => {
  const readAtMs = clock.monotonicMs();
  let { waitedMs } = open;
  return () => {
    if (waitedMs !== null) telemetry.editSent((waitedMs + clock.monotonicMs() - readAtMs) / 1000);
    waitedMs = null;
  };
};

/** What the attempt's first call will carry: noted in the claim itself, so that a plain edit costs no transaction more. */
const firstWrite = ({ situation, readFirst, context }: Job): Sent | null => {
  const { row, ...rest } = situation;
  if (row === null || rest.crmId === null || rest.goneAt !== null) return rest.sent;
  const living = { ...rest, row };
  const next = nextCall(living, { hasRead: false, mustRead: readFirst, spent: new Set() }, context.customFields);
  return carriedBy(living, next, context.customFields) ?? rest.sent;
};

/** How an attempt begins, by how the last one ended. What was parked may have waited for long. */
export const caution = (before: Situation | undefined): Pick<Job, 'doubtful' | 'readFirst' | 'wasParked'> => {
  const isUnknown = before?.attempt?.state === 'unknown' || before?.open.states.has('unknown') === true;
  const doubtful = isUnknown || (before?.sent ?? null) !== null;
  const wasParked = before?.open.states.has('parked') === true;
  return { doubtful, readFirst: doubtful || wasParked, wasParked };
};

/**
 * A contact whose record was deferred (its row was locked when the page came) has a base that is older than what the CRM has shown: pushed like
 * that, it would overwrite the very edit that the page had brought.
 */
const readDeferredFirst = async (tx: MirrorTx, jobs: readonly Job[]): Promise<readonly Job[]> => {
  const deferred = await tx.deferred(jobs.flatMap(({ situation }) => situation.crmId ?? []));
  return jobs.map((job) => (deferred.has(job.situation.crmId ?? 0) ? { ...job, readFirst: true } : job));
};

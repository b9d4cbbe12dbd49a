/**
 * The mirror port on Postgres. What each step does stands beside its statements: `mirror-read`, `mirror-write`, `mirror-pairing`,
 * `mirror-claim`, `mirror-brake`, `mirror-audit`, `mirror-identity`, `mirror-notes`, `mirror-runs`; here they are put together.
 *
 * Whatever writes goes through one transaction that checks the leader's epoch first; reads that decide nothing do not.
 */
import type pg from 'pg';
import type { Log, Random } from '../ports/ambient.ts';
import type { Mirror, MirrorTx } from '../ports/mirror.ts';
import { createAccountReads, saveCapabilities } from './mirror-account.ts';
import { createAuditReads, createAuditSteps } from './mirror-audit.ts';
import { createBrakeSteps } from './mirror-brake.ts';
import { createClaimSteps, nextDueMs, recoverAttempts } from './mirror-claim.ts';
import { createCustomFieldReads, createCustomFieldSteps } from './mirror-custom-fields.ts';
import { checkIdentity, planIdentity } from './mirror-identity.ts';
import { createNoteSteps } from './mirror-notes.ts';
import { createOrderedSteps } from './mirror-ordered.ts';
import { createPairingSteps } from './mirror-pairing.ts';
import { createReadSteps } from './mirror-read.ts';
import { clearSeen, createRunSteps, createSeenReads, finishRun, prune, resumableRun, startRun, takeRequest } from './mirror-runs.ts';
import { queryOn, type Session } from './mirror-session.ts';
import { createTransactor } from './mirror-transaction.ts';
import { createWriteSteps } from './mirror-write.ts';
import { MARK_ALL } from './sql/notes.ts';

export interface MirrorOptions {
  readonly pool: pg.Pool;
  /** The epoch under which this process leads; null while it does not. */
  readonly lease: { epoch(): number | null };
  readonly log: Log;
  /** Jitter of the pauses between two runs of a transaction. */
  readonly random?: Random;
}

const createSteps = (session: Session): MirrorTx => ({
  ...createReadSteps(session),
  ...createWriteSteps(session),
  ...createPairingSteps(session),
  ...createClaimSteps(session),
  ...createOrderedSteps(session),
  ...createBrakeSteps(session),
  ...createAuditSteps(session),
  ...createNoteSteps(session),
  ...createCustomFieldSteps(session),
  ...createRunSteps(session),
});

/**
 * @throws LostLeadership from everything that writes, where the lease is not ours or the database's epoch is another.
 * @throws MirrorBusy from the same, where rows stayed locked through all attempts.
 */
export const createMirror = ({ pool, lease, log, random = Math.random }: MirrorOptions): Mirror => {
  const transact = createTransactor({ pool, lease, log, random });
  const query = queryOn(pool);
  return {
    ...createAccountReads(query),
    ...createCustomFieldReads(query),
    ...createSeenReads(query),
    ...createAuditReads(query),
    transaction: (steps, origin) => transact((session) => steps(createSteps(session)), origin),
    saveCapabilities: (capabilities) => transact((session) => saveCapabilities(session, capabilities)),
    checkIdentity: (crmUrl) => transact((session) => checkIdentity(session, crmUrl)),
    planIdentity: () => transact(planIdentity),
    markAll: (reasons) => transact(async (session) => (await session.query(MARK_ALL, [reasons])).count),
    nextDueMs: (kinds) => nextDueMs(query, kinds),
    recoverAttempts: (createGraceMs) => transact((session) => recoverAttempts(session, createGraceMs)),
    prune: (olderThanDays) => transact((session) => prune(session, olderThanDays)),
    startRun: (kind, withLinks) => transact((session) => startRun(session, kind, withLinks)),
    resumableRun: (kind) => transact((session) => resumableRun(session, kind)),
    finishRun: (runId, end) => transact((session) => finishRun(session, runId, end)),
    takeRequest: () => transact(takeRequest),
    clearSeen: () => transact(clearSeen),
  };
};

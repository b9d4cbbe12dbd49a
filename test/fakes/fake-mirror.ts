/** The mirror port in memory: the same locks, ages and outcomes as on Postgres, without a server. It runs the same contract suite. */
import type { ContactFields } from '../../src/domain/contact.ts';
import type { Policy } from '../../src/domain/merge.ts';
import { LostLeadership, MirrorBusy } from '../../src/ports/mirror-errors.ts';
import { TWIN_TRIES_MAX, type AccountState, type Mirror, type MirrorTx, type RunKind } from '../../src/ports/mirror.ts';
import { Blocked, FakeDatabase, waitFor } from './fake-database.ts';
import { auditBatch, createAuditSteps, vanished } from './fake-mirror-audit.ts';
import { createBrakeSteps } from './fake-mirror-brake.ts';
import { createCustomFieldSteps } from './fake-mirror-custom-fields.ts';
import { createContactSteps } from './fake-mirror-contacts.ts';
import { createOrderedSteps } from './fake-mirror-ordered.ts';
import { approveIdentity, checkIdentity, identityHold, planIdentity } from './fake-mirror-identity.ts';
import { createQueueSteps, nextDueMs, recoverAttempts } from './fake-mirror-queue.ts';
import { createRecordSteps, finishRun, requestRun, resumableRun, startRun, takeRequest } from './fake-mirror-records.ts';
import { createTables, type Step, type Tables, type World } from './fake-rows.ts';
import { createUserSession, type UserSession } from './fake-user.ts';

export interface FakeMirrorOptions {
  readonly lease: { epoch(): number | null };
  /** The database's clock. */
  readonly now?: () => Date;
}

/** What a test does beside the port: people's edits, people's decisions, looking inside. */
export interface FakeMirror extends Mirror {
  /** What is committed. Rows are plain values. */
  readonly tables: Tables;
  /** Raised by every commit that wrote anything. */
  version(): number;
  /** A session whose edits are committed together. */
  begin(): UserSession;
  /** One captured edit, committed at once. */
  edit<T>(work: (user: UserSession) => Promise<T>): Promise<T>;
  /** The epoch that the database knows; another one than the lease's makes every write LostLeadership. */
  setLeaderEpoch(epoch: number): void;
  setPaused(paused: boolean): void;
  setPolicy(field: string, policy: Policy): void;
  approve(holdId: number): void;
  requestRun(kind: RunKind, withLinks: boolean): number;
  /** One statement outside of the port and of the capture, as psql would run it. @throws Blocked where somebody holds a lock */
  statement<T>(work: (step: Step) => T): T;
  /** Stands for a CHECK constraint of the user's: throws RefusedByRule. */
  setCheck(check: (fields: ContactFields) => void): void;
  /** Stands for a BEFORE trigger of the user's. */
  setBefore(before: (fields: ContactFields) => ContactFields): void;
  /** What a crash of Postgres does to an unlogged table. */
  loseSeen(): void;
  /** The same data in another database: restored, cloned or failed over. */
  moveTo(database: string): void;
}

const ATTEMPTS_MAX = 12;
const NEW_ACCOUNT: AccountState = {
  changesWatermark: null,
  trashWatermark: null,
  firstSweepAt: null,
  lastCompleteSweepAt: null,
  paused: false,
  twins: false,
  identityHold: null,
};

const createWorld = (now: () => Date): World => {
  const sequences = new Map<string, number>();
  const tables = createTables();
  tables.account.committed.set('only', NEW_ACCOUNT);
  return {
    tables,
    now,
    nextId: (sequence) => {
      const id = (sequences.get(sequence) ?? 0) + 1;
      sequences.set(sequence, id);
      return id;
    },
    check: () => undefined,
    before: (fields) => fields,
  };
};

const createSteps = (step: Step): MirrorTx => ({
  ...createContactSteps(step),
  ...createQueueSteps(step),
  ...createBrakeSteps(step),
  ...createOrderedSteps(step),
  ...createRecordSteps(step),
  ...createCustomFieldSteps(step),
  ...createAuditSteps(step),
});

const markAll = ({ tx, world }: Step, reasons: Parameters<Mirror['markAll']>[0]): number => {
  const paired = tx.all(world.tables.contacts).flatMap((row) => (row.crmId === null ? [] : [row.crmId]));
  const marks = paired.flatMap((crmId) => reasons.map((reason) => ({ crmId, reason })));
  for (const mark of marks)
    tx.put(world.tables.marks, `${mark.crmId} ${mark.reason}`, { ...mark, at: world.now(), attempts: 0, nextAt: world.now() });
  return marks.length;
};

const prune = ({ tx, world: { tables, now } }: Step, olderThanDays: number): number => {
  const isOld = (at: Date | null, days = olderThanDays): boolean => at !== null && at.getTime() < now().getTime() - days * 86_400_000;
  let removed = 0;
  for (const row of tx.all(tables.log).filter(({ settledAt }) => isOld(settledAt))) {
    tx.put(tables.log, row.id, undefined);
    removed += 1;
  }
  for (const row of tx
    .all(tables.states)
    .filter(({ deletedAt, attempt }) => isOld(deletedAt, Math.max(olderThanDays, 60)) && attempt === null)) {
    if (tx.all(tables.log).some(({ contactId, settledAt }) => contactId === row.contactId && settledAt === null)) continue;
    tx.put(tables.states, row.contactId, undefined);
    removed += 1;
  }
  for (const row of tx.all(tables.damage).filter(({ at }) => isOld(at, 1))) {
    tx.put(tables.damage, row.id, undefined);
    removed += 1;
  }
  return removed;
};

export const createFakeMirror = ({ lease, now = () => new Date() }: FakeMirrorOptions): FakeMirror => {
  const database = new FakeDatabase();
  const world = createWorld(now);
  const { tables } = world;
  let leaderEpoch = lease.epoch() ?? 0;
  let databaseName = 'first';

  const runOnce = async <T>(steps: (step: Step) => Promise<T>): Promise<T> => {
    const epoch = lease.epoch();
    if (epoch === null || epoch !== leaderEpoch) throw new LostLeadership();
    const tx = database.begin();
    try {
      const result = await steps({ tx, world, epoch });
      tx.commit();
      return result;
    } catch (error) {
      tx.rollback();
      throw error;
    }
  };
  const transact = async <T>(steps: (step: Step) => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await runOnce(steps);
      } catch (error) {
        if (!(error instanceof Blocked)) throw error;
        if (attempt === ATTEMPTS_MAX) throw new MirrorBusy(attempt, error);
        await waitFor(error.owner);
      }
    }
  };
  /** One statement outside of the port, as psql would run it. */
  const statement = <T>(work: (step: Step) => T): T => {
    const tx = database.begin();
    try {
      const result = work({ tx, world, epoch: leaderEpoch });
      tx.commit();
      return result;
    } catch (error) {
      tx.rollback();
      throw error;
    }
  };
  const account = (): AccountState => tables.account.committed.get('only') ?? NEW_ACCOUNT;

  return {
    tables,
    version: () => database.version,
    begin: () => createUserSession(database.begin(), world),
    edit: async (work) => {
      const user = createUserSession(database.begin(), world);
      try {
        const result = await work(user);
        await user.commit();
        return result;
      } catch (error) {
        await user.rollback();
        throw error;
      }
    },
    setLeaderEpoch: (epoch) => {
      leaderEpoch = epoch;
    },
    statement,
    setPaused: (paused) => statement(({ tx }) => tx.put(tables.account, 'only', { ...account(), paused })),
    setPolicy: (field, policy) => statement(({ tx }) => tx.put(tables.policies, field, { field, policy })),
    approve: (holdId) =>
      statement(({ tx }) => {
        const hold = tx.get(tables.holds, holdId);
        if (hold !== undefined) approveIdentity({ tx, world, epoch: leaderEpoch }, hold, databaseName);
        if (hold !== undefined) tx.put(tables.holds, holdId, { ...hold, state: 'approved' });
        for (const row of tx.all(tables.log)) {
          if (row.holdId === holdId && row.state === 'held') tx.put(tables.log, row.id, { ...row, state: 'pending', nextAttemptAt: now() });
        }
        for (const state of tx.all(tables.states)) {
          if (state.holdId !== holdId) continue;
          tx.put(tables.states, state.contactId, { ...state, holdId: null });
          const mark = { crmId: state.crmId ?? 0, reason: 'approved', at: now(), attempts: 0, nextAt: now() } as const;
          tx.put(tables.marks, `${mark.crmId} approved`, mark);
        }
      }),
    requestRun: (kind, withLinks) => statement((step) => requestRun(step, kind, withLinks)),
    setCheck: (check) => {
      world.check = check;
    },
    setBefore: (before) => {
      world.before = before;
    },
    loseSeen: () => tables.seen.committed.clear(),
    moveTo: (database) => {
      databaseName = database;
    },

    now: async () => now(),
    transaction: (steps) => transact((step) => steps(createSteps(step))),
    account: async () => ({
      ...account(),
      identityHold: statement(identityHold),
      twins: [...tables.marks.committed.values()].some(({ reason, attempts }) => reason === 'twin' && attempts < TWIN_TRIES_MAX),
    }),
    checkIdentity: (crmUrl) => transact(async (step) => checkIdentity(step, crmUrl, databaseName)),
    planIdentity: () => transact(async (step) => planIdentity(step)),
    contactCount: async () => tables.contacts.committed.size,
    capabilities: async () => tables.capabilities.committed.get('all') ?? null,
    saveCapabilities: (capabilities) =>
      transact(async ({ tx }) => tx.put(tables.capabilities, 'all', { found: capabilities, checkedAt: now() })),
    customFields: async () => new Map(tables.customFields.committed),
    customFieldList: async () => tables.customFieldList.committed.get('only') ?? { readAt: null, wantedAt: null },
    fieldPolicies: async () => new Map([...tables.policies.committed.values()].map(({ field, policy }) => [field, policy])),
    marks: async (reasons, limit, before) =>
      [...tables.marks.committed.values()]
        .filter((mark) => reasons.includes(mark.reason) && mark.at <= before && mark.nextAt <= before)
        .sort((a, b) => a.nextAt.getTime() - b.nextAt.getTime() || a.crmId - b.crmId)
        .slice(0, limit)
        .map(({ crmId, reason }) => ({ crmId, reason })),
    prune: (olderThanDays) => transact(async (step) => prune(step, olderThanDays)),
    markAll: (reasons) => transact(async (step) => markAll(step, reasons)),
    countMarks: async (reasons) => [...tables.marks.committed.values()].filter((mark) => reasons.includes(mark.reason)).length,
    auditBatch: async (afterId, limit) => statement((step) => auditBatch(step, afterId, limit)),
    vanished: async (afterId, limit) => statement((step) => vanished(step, afterId, limit)),
    nextDueMs: async (kinds) => statement((step) => nextDueMs(step, kinds)),
    recoverAttempts: (createGraceMs) => transact(async (step) => recoverAttempts(step, createGraceMs)),
    startRun: (kind, withLinks) => transact(async (step) => startRun(step, kind, withLinks)),
    resumableRun: (kind) => transact(async (step) => resumableRun(step, kind)),
    finishRun: (runId, end) => transact(async (step) => finishRun(step, runId, end)),
    takeRequest: () => transact(async (step) => takeRequest(step)),
    clearSeen: async () => tables.seen.committed.clear(),
    countSeen: async (maxId) => [...tables.seen.committed.keys()].filter((id) => id <= maxId).length,
    unseen: async (afterId, limit) =>
      [...tables.contacts.committed.values()]
        .filter((row) => {
          const state = tables.states.committed.get(row.id);
          const isVisible = (state?.goneAt ?? null) === null && (state?.hiddenAt ?? null) === null;
          return row.crmId !== null && row.crmId > afterId && isVisible && !tables.seen.committed.has(row.crmId);
        })
        .map((row) => row.crmId as number)
        .sort((a, b) => a - b)
        .slice(0, limit),
    oneSeen: async () => {
      const rows = new Set([...tables.contacts.committed.values()].map((row) => row.crmId));
      return [...tables.seen.committed.keys()].find((id) => rows.has(id)) ?? null;
    },
  };
};

/** Which database this is: a name stands for system identifier, timeline and oid. */
import type { AccountState, Identity } from '../../src/ports/mirror.ts';
import { openLog, putLog, putState, type HoldRow, type Step, type StoredIdentity } from './fake-rows.ts';

const NO_IDENTITY: StoredIdentity = { crmUrl: null, database: null, holdId: null, heldAt: new Date(0) };

const stored = ({ tx, world }: Step): StoredIdentity => tx.get(world.tables.identity, 'only') ?? NO_IDENTITY;
const store = (step: Step, change: Partial<StoredIdentity>): void =>
  step.tx.put(step.world.tables.identity, 'only', { ...stored(step), ...change });

const makeHold = ({ tx, world }: Step, direction: 'push' | 'pull', reason: string): number => {
  const hold: HoldRow = { id: world.nextId('holds'), direction, cause: 'identity', reason, plan: [], state: 'open' };
  tx.put(world.tables.holds, hold.id, hold);
  return hold.id;
};

/** As sync.hold_identity(). */
const holdIdentity = (step: Step, reason: string): void => {
  const { tx, world } = step;
  const before = stored(step).holdId;
  const open = before === null ? undefined : tx.get(world.tables.holds, before);
  const isOpen = open?.state === 'open';
  if (isOpen) tx.put(world.tables.holds, open.id, { ...open, reason });
  const holdId = isOpen ? open.id : makeHold(step, 'push', reason);
  store(step, { holdId, heldAt: world.now() });
  const deleted = new Set(
    tx
      .all(world.tables.log)
      .filter((row) => row.settledAt === null && row.op === 'delete')
      .map((row) => row.contactId),
  );
  for (const contactId of deleted) {
    const state = tx.get(world.tables.states, contactId);
    if (state?.attempt?.state === 'sending') continue;
    if (state !== undefined && state.attempt !== null) putState(step, contactId, { attempt: null });
    for (const row of openLog(step, contactId)) {
      if (row.state !== 'held') putLog(step, { ...row, state: 'held', holdId, nextAttemptAt: null });
    }
  }
  planIdentity(step);
};

export const checkIdentity = (step: Step, crmUrl: string, database: string): Identity => {
  const { tx, world } = step;
  const known = stored(step);
  const undecided = tx
    .all(world.tables.holds)
    .filter(({ cause, direction, state }) => cause === 'identity' && direction === 'pull' && (state === 'open' || state === 'rejected'));
  if (known.crmUrl !== null && known.crmUrl !== crmUrl) {
    const reason = `CRM_URL is ${crmUrl} and this mirror was filled from ${known.crmUrl}`;
    const hold = undecided.find((row) => row.reason === reason);
    return { verdict: 'other_account', holdId: hold?.id ?? makeHold(step, 'pull', reason), reason, isNew: hold === undefined };
  }
  for (const row of undecided) tx.put(world.tables.holds, row.id, { ...row, state: 'released' });
  let isNew = false;
  if (known.database !== null && known.database !== database) {
    const reason = `This database is ${database} instead of ${known.database}`;
    const hold = known.holdId === null ? undefined : tx.get(world.tables.holds, known.holdId);
    isNew = hold?.reason !== reason;
    if (isNew) holdIdentity(step, reason);
  } else if (known.crmUrl === null || known.database === null) store(step, { crmUrl, database });
  const { holdId } = stored(step);
  const reason = holdId === null ? null : (tx.get(world.tables.holds, holdId)?.reason ?? null);
  return { verdict: holdId === null ? 'own' : 'changed', holdId, reason, isNew };
};

export const planIdentity = (step: Step): void => {
  const { tx, world } = step;
  const { holdId } = stored(step);
  const hold = holdId === null ? undefined : tx.get(world.tables.holds, holdId);
  if (hold?.state !== 'open') return;
  const open = new Set(
    tx
      .all(world.tables.log)
      .filter((row) => row.settledAt === null)
      .map((row) => row.contactId),
  );
  const plan = [...open]
    .sort((a, b) => a - b)
    .map((contactId) => {
      const ops = new Set(openLog(step, contactId).map(({ op }) => op));
      const op = (['delete', 'insert', 'detach', 'update', 'attach'] as const).find((worst) => ops.has(worst)) ?? 'update';
      return { contact_id: contactId, crm_id: tx.get(world.tables.states, contactId)?.crmId ?? null, op };
    });
  if (JSON.stringify(plan) !== JSON.stringify(hold.plan)) tx.put(world.tables.holds, hold.id, { ...hold, plan });
};

export const identityHold = (step: Step): AccountState['identityHold'] => {
  const { holdId, heldAt } = stored(step);
  if (holdId === null) return null;
  const isSweep = (kind: string): boolean => kind === 'sweep' || kind === 'resync';
  const swept = step.tx
    .all(step.world.tables.runs)
    .some((run) => isSweep(run.kind) && run.complete === true && (run.startedAt ?? heldAt) > heldAt);
  return { holdId, swept };
};

/** As the trigger on sync.holds. */
export const approveIdentity = (step: Step, hold: HoldRow, database: string): void => {
  if (hold.cause !== 'identity') return;
  if (hold.direction === 'pull') return store(step, { crmUrl: null });
  if (identityHold(step)?.holdId !== hold.id) return;
  if (identityHold(step)?.swept !== true)
    throw new Error(`hold ${hold.id} cannot be approved yet: no complete sweep has ended that began after it`);
  store(step, { holdId: null, database });
};

/**
 * A contact leaves the mirror: only with proof for its very id, under the brake, and never over an edit.
 *
 * Proof is the CRM's trash listing the id, or its own 404 for the id together with a control: another id, seen in this run, that answers
 * 200. Without the control, a token that lost its rights or a broken deployment would look like an empty account.
 */
import { brakeAllowance, describeLimits } from '../domain/brake.ts';
import type { CrmFailure } from '../domain/errors.ts';
import { UNKNOWN_LINKS } from '../domain/contact.ts';
import { diffLinks, isEmptyLinks, type ConflictOutcome, type Policy } from '../domain/merge.ts';
import { LOCK_NOT_AVAILABLE, type MirrorTx, type Situation } from '../ports/mirror.ts';
import { loadContext, type RunContext } from './context.ts';
import { callOptions, type SyncDeps } from './deps.ts';
import { fieldsToPush } from './plan.ts';

export interface RemovalReport {
  readonly removed: number;
  readonly held: number;
}

/**
 * Removes the rows of contacts that are proven gone. What is edited here lives on, as the policy says; what is not free keeps its mark.
 * @param requestedAt the database's time before the proof was asked for
 * @param approved a person approved it: the brake has been passed
 */
export const removeGone = async (
  deps: SyncDeps,
  crmIds: readonly number[],
  requestedAt: Date,
  { approved = false }: { readonly approved?: boolean } = {},
): Promise<RemovalReport> => {
  if (crmIds.length === 0) return { removed: 0, held: 0 };
  const context = await loadContext(deps);
  return await deps.mirror.transaction(async (tx) => {
    const peeks = await tx.peek(crmIds);
    // One without a row: gone on both sides, though nobody was seen to delete it here. With that, there is nothing left to ask about.
    const present = [...peeks.values()].filter(({ hasRow, goneAt, deletedAt }) =>
      hasRow ? goneAt === null || approved : deletedAt === null,
    );
    if (present.length === 0) return { removed: 0, held: 0 };
    const ids = present.map(({ contactId }) => contactId);
    const [rows, states] = [await tx.lockContacts(ids, 'skip'), await tx.lockStates(ids, 'skip')];
    const situations = await tx.read(ids);
    const free: Situation[] = [];
    for (const { contactId, crmId } of present) {
      const situation = situations.get(contactId);
      const isLocked = situation !== undefined && states.has(contactId) && (situation.row === null || rows.has(contactId));
      const busy = !isLocked || situation.attempt !== null;
      // Its deletion is due, and finds the same.
      if (situation?.row === null && situation.open.ops.has('delete')) continue;
      // What a person approved stays approved until it could be done.
      if (busy || (situation.settledAt !== null && situation.settledAt >= requestedAt))
        await tx.mark([{ crmId, reason: approved ? 'approved' : 'deferred' }]);
      else free.push(situation);
    }
    return await removeFree(tx, free, context, deps, approved);
  });
};

const removeFree = async (
  tx: MirrorTx,
  free: readonly Situation[],
  context: RunContext,
  deps: SyncDeps,
  approved: boolean,
): Promise<RemovalReport> => {
  const removable: Situation[] = [];
  for (const situation of free) if (!(await outlives(tx, situation, context, deps.capabilities.get().trash))) removable.push(situation);
  const load = await tx.brakeLoad('pull');
  // What waits already counts as well: a burst that comes in parts is one.
  const mayGo = approved || removable.length + load.waiting <= brakeAllowance(load.lastHour, load.mirrorRows, deps.settings.brake);
  const now = mayGo ? removable : [];
  const held = removable.slice(now.length).map(({ contactId }) => contactId);
  await tx.release(
    'pull',
    now.filter(({ holdId }) => holdId !== null).map(({ contactId }) => contactId),
  );
  const removed = await removeHalving(tx, now);
  if (held.length > 0) {
    await tx.hold('pull', `More contacts are gone in the CRM than may go in an hour: ${describeLimits(deps.settings.brake)}`, held);
  }
  return { removed, held: held.length };
};

/** A rule of the user's that keeps one row, or a lock on one of its links, is found by halving and keeps nobody else. Answers how many went. */
const removeHalving = async (tx: MirrorTx, contacts: readonly Situation[]): Promise<number> => {
  if (contacts.length === 0) return 0;
  const crmIds = contacts.flatMap(({ crmId }) => crmId ?? []);
  const refusal = await tx.savepoint(async () => {
    await tx.remove(contacts.map(({ contactId }) => contactId));
    await tx.clearRefused(crmIds);
  });
  if (refusal === null) return contacts.length;
  if (contacts.length > 1) {
    const half = Math.ceil(contacts.length / 2);
    return (await removeHalving(tx, contacts.slice(0, half))) + (await removeHalving(tx, contacts.slice(half)));
  }
  for (const crmId of crmIds) {
    if (refusal.sqlState === LOCK_NOT_AVAILABLE) await tx.mark([{ crmId, reason: 'deferred' }]);
    else await tx.refuse(crmId, 'database_refused', `${refusal.sqlState}: ${refusal.message}`);
  }
  return 0;
};

/**
 * Deleted there, edited here: a conflict, always recorded. Where the edit lives, the push restores the contact from the trash if there is one
 * (and records the conflict then, since the trash is read again and again), and otherwise creates it again under the same id. An edit that is
 * parked keeps its row until a person has decided.
 */
const outlives = async (tx: MirrorTx, situation: Situation, context: RunContext, hasTrash: boolean): Promise<boolean> => {
  if (!isEdited(situation, context)) return false;
  const policy = situation.decided ?? context.policyOf('contact');
  if (policy === 'crm' || policy === 'manual') {
    await record(tx, situation, policy, policy === 'crm' ? 'crm' : 'open');
    if (policy === 'manual') await tx.markVisibility([situation.contactId], 'gone');
    return policy === 'manual';
  }
  if (!hasTrash) {
    await recordOutlived(tx, situation, policy);
    await tx.unpair(situation.contactId);
  }
  // An edit that nobody logged has nothing yet that would push it.
  if (situation.open.ops.size === 0) await tx.queue([situation.contactId], 'update');
  return true;
};

/** By what was logged, or by what no trigger saw and the audit has not found yet: either lives nowhere else. */
const isEdited = ({ row, ...rest }: Situation, { customFields }: RunContext): boolean => {
  if (row === null) return false;
  if (rest.open.ops.size > 0) return true;
  const { attach, detach } = diffLinks(rest.base?.links ?? UNKNOWN_LINKS, row.links, rest.open);
  return fieldsToPush({ ...rest, row }, customFields).length > 0 || !isEmptyLinks(attach) || !isEmptyLinks(detach);
};

/** The contact was deleted in the CRM and lives on for the sake of what was edited here. */
export const recordOutlived = async (tx: MirrorTx, situation: Situation, policy: Policy): Promise<void> =>
  await record(tx, situation, policy, 'mirror');

const record = async (tx: MirrorTx, situation: Situation, policy: Policy, outcome: ConflictOutcome): Promise<void> => {
  const { contactId, base, row, decided } = situation;
  // What a person decided is on record already.
  if (decided !== null) return;
  const values = { base: base?.fields ?? null, local: row?.fields ?? null, remote: null };
  await tx.recordConflicts([{ contactId, field: 'contact', ...values, outcome, policy, compared: null }]);
};

export type Proof = { readonly proven: true } | { readonly proven: false; readonly failure: CrmFailure | null };

/** Whether the CRM still answers 200 for an id that it just showed us: only then does its 404 for another one mean anything. */
export const controlAnswers = async (deps: SyncDeps, controlId: number | null): Promise<Proof> => {
  if (controlId === null) return { proven: false, failure: null };
  const answer = await deps.crm.retrieve(controlId, callOptions(deps, 'sweep'));
  return answer.ok ? { proven: true } : { proven: false, failure: answer.failure };
};

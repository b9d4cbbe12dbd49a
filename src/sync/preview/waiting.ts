/** What waits for a person already, and no step of the rehearsal tells: what a hold keeps from the mirror, what is parked, conflicts that are open. */
import type { DamageOp } from '../../domain/brake.ts';
import { NO_LINKS } from '../../domain/contact.ts';
import type { HeldLine, MirrorView } from '../../ports/mirror-view.ts';
import type { Part, Situation } from '../../ports/mirror.ts';
import type { RunContext } from '../context.ts';
import type { SyncDeps } from '../deps.ts';
import { changesBetween, linkChanges, nameOf, type PlanChange, type Tell } from './lines.ts';
import { conflictKey, type RehearsalNotes } from './notes.ts';
import { describeParked } from './push-plan.ts';

export interface Waiting {
  readonly deps: SyncDeps;
  readonly view: MirrorView;
  readonly notes: RehearsalNotes;
  readonly context: RunContext;
  readonly tell: Tell;
}

const BATCH = 500;

/** Batch by batch, to the end or to the signal. */
const eachBatch = async <T>(
  { signal }: SyncDeps,
  read: (afterId: number, limit: number) => Promise<readonly T[]>,
  idOf: (item: T) => number,
  use: (batch: readonly T[]) => Promise<void> | void,
): Promise<void> => {
  for (let after = 0; !signal.aborted;) {
    const batch = await read(after, BATCH);
    const last = batch.at(-1);
    if (last === undefined) return;
    await use(batch);
    after = idOf(last);
  }
};

const read = async ({ deps }: Waiting, ids: readonly number[]): Promise<ReadonlyMap<number, Situation>> =>
  await deps.mirror.transaction((tx) => tx.read(ids));

export const tellWaiting = async (waiting: Waiting): Promise<void> => {
  await tellHeld(waiting);
  await tellRefused(waiting);
  await tellParked(waiting);
  await tellConflicts(waiting);
};

const tellHeld = async (waiting: Waiting): Promise<void> => {
  const { deps, view, notes, tell } = waiting;
  const isTold = ({ contactId, ...line }: HeldLine): boolean => {
    if (notes.heldIncoming.has(contactId) || notes.decided.has(contactId)) return true;
    const silent = notes.leftPlan.get(contactId);
    // What nothing was read of stays in the plan.
    return silent !== undefined && !partsOf(line).some((part) => silent.includes(part));
  };
  await eachBatch(
    deps,
    (after, limit) => view.heldLines(after, limit),
    ({ contactId }) => contactId,
    async (batch) => {
      const lines = batch.filter((line) => !isTold(line));
      const situations = await read(
        waiting,
        lines.map(({ contactId }) => contactId),
      );
      for (const line of lines) tell(describeHeld(line, situations.get(line.contactId)));
    },
  );
};

const partsOf = ({ fields, links }: Pick<HeldLine, 'fields' | 'links'>): readonly Part[] => [
  ...(fields.length > 0 ? (['fields'] as const) : []),
  ...(Object.keys(links) as Part[]),
];

const ACTION_OF: { readonly [O in HeldLine['op'] & (DamageOp | 'update')]: PlanChange['action'] } = {
  delete: 'delete',
  detach: 'update',
  update: 'update',
};

const describeHeld = ({ contactId, crmId, holdId, op, fields, links }: HeldLine, situation: Situation | undefined): PlanChange => {
  const row = situation?.row?.fields ?? null;
  return {
    ...WAITS,
    direction: 'pull',
    action: ACTION_OF[op],
    state: 'held',
    contact_id: contactId,
    crm_id: crmId,
    name: nameOf(row ?? situation?.base?.fields),
    fields: op === 'delete' ? {} : changesBetween(row, null, fields as Parameters<typeof changesBetween>[2]),
    links: op === 'delete' ? {} : linkChanges({ attach: NO_LINKS, detach: { ...NO_LINKS, ...links } }),
    reason: `hold ${holdId}`,
  };
};

const WAITS = { kind: 'change', fields: {}, links: {}, calls: [] } as const;

const tellRefused = async ({ deps, view, notes, tell }: Waiting): Promise<void> =>
  await eachBatch(
    deps,
    (after, limit) => view.refusedRecords(after, limit),
    ({ crmId }) => crmId,
    (batch) => {
      for (const { crmId, contactId, code } of batch.filter((each) => !notes.toldRefusals.has(each.crmId)))
        tell({
          ...WAITS,
          direction: 'pull',
          action: contactId === null ? 'create' : 'update',
          state: 'parked',
          contact_id: contactId,
          crm_id: crmId,
          name: null,
          reason: code,
        });
    },
  );

const tellParked = async (waiting: Waiting): Promise<void> => {
  const { deps, view, notes, context, tell } = waiting;
  await eachBatch(
    deps,
    (after, limit) => view.parkedContacts(after, limit),
    ({ contactId }) => contactId,
    async (batch) => {
      const left = batch.filter(({ contactId }) => !notes.queued.has(contactId));
      const situations = await read(
        waiting,
        left.map(({ contactId }) => contactId),
      );
      for (const { contactId, code } of left) {
        const situation = situations.get(contactId);
        // Settled by what was rehearsed: its row is gone, say.
        if (situation === undefined || situation.open.ops.size === 0) continue;
        tell(describeParked(situation, code ?? 'refused', { context }));
      }
    },
  );
};

const tellConflicts = async ({ deps, view, notes, tell }: Waiting): Promise<void> =>
  await eachBatch(
    deps,
    (after, limit) => view.openConflicts(after, limit),
    ({ id }) => id,
    (batch) => {
      for (const { contactId, crmId, field, base, local, remote, policy } of batch) {
        if (notes.decided.has(contactId) || notes.toldConflicts.has(conflictKey(contactId, field))) continue;
        const values = { base, mirror: local, crm: remote };
        tell({ kind: 'conflict', contact_id: contactId, crm_id: crmId, field, ...values, policy, outcome: 'open' });
      }
    },
  );

/**
 * A mirror that tells what its transactions did, once they are committed: what a savepoint takes back, and a transaction that is run again, is
 * not counted. The steps themselves are as they were.
 */
import { eachKind } from '../domain/merge.ts';
import type { ContactWrite, Mirror, MirrorTx, Settled } from '../ports/mirror.ts';
import type { RowsMoved, Telemetry } from '../ports/telemetry.ts';

type PullOutcome = Extract<RowsMoved, { readonly direction: 'pull' }>['outcome'];
type PushOutcome = Extract<RowsMoved, { readonly direction: 'push' }>['outcome'];

interface Tally {
  readonly pull: Map<PullOutcome, number>;
  readonly push: Map<PushOutcome, number>;
}

/** What is handed back was not sent, and what waits for a person to approve it has not ended. */
const OUTCOME_OF: { readonly [S in Settled['state']]: PushOutcome | null } = {
  pending: null,
  sending: null,
  held: null,
  done: 'done',
  merged: 'merged',
  retry: 'retry',
  parked: 'parked',
  unknown: 'unknown',
};

const add = <K>(counts: Map<K, number>, key: K, rows: number): void => {
  if (rows > 0) counts.set(key, (counts.get(key) ?? 0) + rows);
};

/** Readers see something else: a base alone, or the time of the last change, is the daemon's own note. */
const isSeen = ({ fields, extra, addLinks, removeLinks }: ContactWrite): boolean =>
  fields !== null || extra !== null || Object.values(eachKind((kind) => addLinks[kind].length + removeLinks[kind].length)).some(Boolean);

/** `created`: what the transaction has inserted, links and all; a save of it is no update. */
const counted = (tx: MirrorTx, { pull, push }: Tally, created = new Set<number>()): MirrorTx => ({
  ...tx,
  insert: async (contacts) => {
    const inserted = await tx.insert(contacts);
    add(pull, 'created', inserted.size);
    for (const contactId of inserted.values()) created.add(contactId);
    return inserted;
  },
  save: async (writes) => {
    await tx.save(writes);
    add(pull, 'updated', writes.filter((write) => !created.has(write.contactId) && isSeen(write)).length);
  },
  remove: async (contactIds) => {
    await tx.remove(contactIds);
    add(pull, 'removed', contactIds.length);
  },
  mark: async (marks) => {
    await tx.mark(marks);
    add(pull, 'deferred', marks.filter(({ reason }) => reason === 'deferred').length);
  },
  refuse: async (crmId, code, message) => {
    await tx.refuse(crmId, code, message);
    add(pull, 'parked', 1);
  },
  settle: async (settlement) => {
    const settled = await tx.settle(settlement);
    for (const { state, rows } of settled) {
      const outcome = OUTCOME_OF[state];
      if (outcome !== null) add(push, outcome, rows);
    }
    return settled;
  },
  savepoint: async (steps) => {
    const before = { pull: [...pull], push: [...push] };
    const refusal = await tx.savepoint(steps);
    if (refusal !== null) {
      restore(pull, before.pull);
      restore(push, before.push);
    }
    return refusal;
  },
});

const restore = <K>(counts: Map<K, number>, before: readonly (readonly [K, number])[]): void => {
  counts.clear();
  for (const [key, rows] of before) counts.set(key, rows);
};

export const countRows = (mirror: Mirror, { rowsMoved }: Pick<Telemetry, 'rowsMoved'>): Mirror => ({
  ...mirror,
  transaction: async (steps, origin) => {
    let tally: Tally = { pull: new Map(), push: new Map() };
    const result = await mirror.transaction((tx) => {
      tally = { pull: new Map(), push: new Map() };
      return steps(counted(tx, tally));
    }, origin);
    for (const [outcome, rows] of tally.pull) rowsMoved({ direction: 'pull', outcome, rows });
    for (const [outcome, rows] of tally.push) rowsMoved({ direction: 'push', outcome, rows });
    return result;
  },
});

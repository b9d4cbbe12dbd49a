/**
 * The mirror of a dry run: the paths of the sync run on it as they run on the real one, read what is there, and write nothing. What they would have
 * written is told, and remembered for the steps that follow.
 *
 * So the plan is made by the very code that would carry it out, up to the last step before a row is touched.
 */
import { damageOps } from '../../domain/brake.ts';
import { NO_LINKS, type CustomFieldDef } from '../../domain/contact.ts';
import { isEmptyLinks } from '../../domain/merge.ts';
import type { MirrorReads, MirrorView } from '../../ports/mirror-view.ts';
import type { BrakeDirection, Mark, Mirror, MirrorTx, RunProgress, Situation } from '../../ports/mirror.ts';
import { changesBetween, linkChanges, nameOf, type PlanChange, type Tell } from './lines.ts';
import { linksOf, type RehearsalNotes } from './notes.ts';
import { createSeen } from './seen.ts';

export interface Rehearsal {
  readonly view: MirrorView;
  readonly notes: RehearsalNotes;
  readonly tell: Tell;
  /** When it began, by the database's clock. */
  readonly at: Date;
  /** A walk's progress. */
  readonly onRun: (progress: RunProgress) => void;
}

const never = (step: string) => (): never => {
  throw new Error(`A dry run does not do this: ${step}`);
};
const nothing = async (): Promise<void> => {};

export const createRehearsalMirror = (rehearsal: Rehearsal): Mirror => {
  const { view, notes, onRun } = rehearsal;
  const memory: Memory = { damaged: { pull: new Set(), push: new Set() }, answered: new Set(), learned: new Map() };
  const { answered, learned } = memory;
  const seen = createSeen(view, notes.gone);
  return {
    now: () => view.now(),
    // A pause keeps nobody from looking at what would be done after it.
    account: async () => ({ ...(await view.account()), paused: false }),
    contactCount: () => view.contactCount(),
    capabilities: () => view.capabilities(),
    customFields: async () => new Map([...(await view.customFields()), ...learned]),
    customFieldList: async () => ({ readAt: null, wantedAt: null }),
    fieldPolicies: () => view.fieldPolicies(),
    countMarks: (reasons) => view.countMarks(reasons),
    marks: async (reasons, limit, before) =>
      (await view.marks(reasons, limit + answered.size, before)).filter((mark) => !answered.has(keyOf(mark))).slice(0, limit),
    transaction: async (steps) =>
      await view.look((reads) =>
        steps({ ...createSteps(rehearsal, reads, memory), ...seen.steps, saveRun: async (_id, run) => onRun(run) }),
      ),
    ...seen.reads,
    saveCapabilities: nothing,
    checkIdentity: never('checkIdentity'),
    planIdentity: never('planIdentity'),
    markAll: never('markAll'),
    auditBatch: (afterId, limit) => view.auditBatch(afterId, limit),
    vanished: (afterId, limit) => view.vanished(afterId, limit),
    nextDueMs: never('nextDueMs'),
    recoverAttempts: never('recoverAttempts'),
    prune: never('prune'),
    startRun: never('startRun'),
    resumableRun: never('resumableRun'),
    finishRun: never('finishRun'),
    takeRequest: never('takeRequest'),
  };
};

const keyOf = ({ crmId, reason }: Mark): string => `${reason} ${crmId}`;

const EMPTY_CHANGE = {
  kind: 'change',
  direction: 'pull',
  state: 'due',
  name: null,
  fields: {},
  links: {},
  reason: null,
  calls: [],
} as const;

const changeOf = (situation: Situation | undefined, contactId: number): Omit<PlanChange, 'action'> => ({
  ...EMPTY_CHANGE,
  contact_id: contactId > 0 ? contactId : null,
  crm_id: situation?.crmId ?? null,
  name: nameOf(situation?.row?.fields ?? situation?.base?.fields),
});

/** What is no note about a contact. */
interface Memory {
  readonly damaged: { readonly [D in BrakeDirection]: Set<number> };
  readonly answered: Set<string>;
  readonly learned: Map<string, CustomFieldDef>;
}
type Steps = Omit<MirrorTx, 'saveSeen' | 'saveRun'>;

const createSteps = (rehearsal: Rehearsal, reads: MirrorReads, memory: Memory): Steps => {
  const { notes, at } = rehearsal;
  const { answered, learned } = memory;
  const all = async (ids: readonly number[]): Promise<ReadonlySet<number>> => new Set(ids);
  return {
    peek: async (crmIds) => notes.peeked(await reads.peek(crmIds), crmIds),
    read: async (ids) => notes.seen(await reads.read(ids), ids),
    lockContacts: all,
    lockStates: all,
    lockPairing: nothing,
    oldestOpenCreate: () => reads.oldestOpenCreate(),
    matchUnpaired: (records, options) => reads.matchUnpaired(records, options),
    deferred: (crmIds) => reads.deferred(crmIds),
    ...createToldSteps(rehearsal, reads, memory),
    ...createBrakeSteps(rehearsal, reads, memory),
    touch: nothing,
    markVisibility: async (ids, visibility) => ids.forEach((id) => notes.markVisibility(id, visibility, at)),
    unpair: async (contactId) => notes.unpair(contactId),
    logFound: async (found) => {
      notes.found(found, at);
      return new Set(found.map(({ contactId }) => contactId));
    },
    mark: async (marks) => notes.mark(marks),
    putOff: async (marks) => marks.forEach((mark) => answered.add(keyOf(mark))),
    unmark: async (crmIds, reasons) => {
      for (const crmId of crmIds) for (const reason of reasons) answered.add(keyOf({ crmId, reason }));
    },
    clearRefused: async (crmIds) => crmIds.forEach((crmId) => notes.refusal(crmId)),
    saveNames: nothing,
    saveCustomFields: async (defs) => defs.forEach((def) => learned.set(def.name, def)),
    declareCustomFields: async (defs) => defs.forEach((def) => learned.set(def.name, def)),
    wantCustomFields: nothing,
    reviveCustomFields: nothing,
    saveWatermark: nothing,
    savepoint: async (steps) => {
      await steps();
      return null;
    },
    lockDue: never('lockDue'),
    claim: never('claim'),
    claimSteps: never('claimSteps'),
    readSteps: never('readSteps'),
    saveSent: never('saveSent'),
    saveIntent: never('saveIntent'),
    doubtIntent: never('doubtIntent'),
    clearIntent: never('clearIntent'),
    settle: never('settle'),
  };
};

type ToldSteps = Pick<MirrorTx, 'insert' | 'save' | 'remove' | 'pair' | 'queue' | 'recordConflicts' | 'refuse'>;

const createToldSteps = ({ notes, tell, at }: Rehearsal, reads: MirrorReads, { damaged }: Memory): ToldSteps => ({
  insert: async (contacts) => {
    const ids = new Map<number, number>();
    for (const contact of contacts) {
      const { record, fields } = contact;
      const contactId = notes.insert(contact);
      ids.set(record.crmId, contactId);
      const links = linkChanges({ attach: linksOf(record), detach: NO_LINKS });
      const known = { ...changeOf(undefined, contactId), crm_id: record.crmId, name: nameOf(fields) };
      tell({ ...known, action: 'create', fields: changesBetween(null, fields), links });
    }
    return ids;
  },
  save: async (writes) => {
    for (const write of writes) {
      const situation = notes.lastRead(write.contactId);
      notes.save(write);
      const links = linkChanges({ attach: write.addLinks, detach: write.removeLinks });
      const fields = write.fields === null ? {} : changesBetween(situation?.row?.fields ?? null, write.fields);
      // What only the daemon keeps (the base, the CRM's times, what it sends besides) is no change to a reader of the mirror.
      if (Object.keys(fields).length === 0 && isEmptyLinks(write.addLinks) && isEmptyLinks(write.removeLinks)) continue;
      tell({ ...changeOf(situation, write.contactId), action: 'update', fields, links });
    }
  },
  remove: async (contactIds) => {
    for (const contactId of contactIds) {
      tell({ ...changeOf(notes.lastRead(contactId), contactId), action: 'delete', reason: 'deleted in the CRM' });
      notes.remove(contactId, at);
      damaged.pull.add(contactId);
    }
  },
  pair: async (contactId, crmId) => {
    notes.pair(contactId, crmId);
    notes.seen(await reads.read([contactId]), [contactId]);
    tell({ ...changeOf(notes.lastRead(contactId), contactId), crm_id: crmId, action: 'pair', reason: 'there on both sides' });
  },
  queue: async (contactIds) => contactIds.forEach((contactId) => notes.queue(contactId)),
  recordConflicts: async (conflicts) => {
    for (const { contactId, field, base, local, remote, policy, outcome } of conflicts) {
      const crmId = notes.lastRead(contactId)?.crmId ?? null;
      notes.conflict(contactId, field, outcome === 'open');
      tell({ kind: 'conflict', contact_id: contactId, crm_id: crmId, field, base, mirror: local, crm: remote, policy, outcome });
    }
  },
  refuse: async (crmId, code, message) => {
    notes.refusal(crmId);
    tell({ ...changeOf(undefined, 0), crm_id: crmId, action: 'update', state: 'parked', reason: `${code}: ${message}` });
  },
});

type BrakeSteps = Pick<MirrorTx, 'hold' | 'holdWaiting' | 'holdIncoming' | 'release' | 'releaseHarmless' | 'countDamage' | 'brakeLoad'>;

const createBrakeSteps = ({ notes, tell, at }: Rehearsal, reads: MirrorReads, { damaged }: Memory): BrakeSteps => ({
  brakeLoad: async (direction) => {
    const load = await reads.brakeLoad(direction);
    const more = direction === 'push' ? notes.waitingMore() : 0;
    return { ...load, lastHour: load.lastHour + damaged[direction].size, waiting: Math.max(0, load.waiting + more) };
  },
  countDamage: async (direction, damage) => damage.forEach(({ contactId }) => damaged[direction].add(contactId)),
  hold: async (direction, reason, contactIds) => {
    for (const contactId of contactIds) {
      // The push tells it, when its turn comes.
      if (direction === 'push') notes.holdPush(contactId, reason);
      else {
        tell({ ...changeOf(notes.lastRead(contactId), contactId), action: 'delete', state: 'held', reason });
        notes.holdPull(contactId, at);
      }
    }
    return 0;
  },
  holdIncoming: async (reason, incoming) => {
    for (const { contactId, destruction } of incoming) {
      if (damageOps(destruction).length === 0) continue;
      const situation = notes.lastRead(contactId);
      const before = situation?.row?.fields ?? null;
      const links = linkChanges({ attach: NO_LINKS, detach: destruction.links });
      const known = { ...changeOf(situation, contactId), fields: changesBetween(before, null, destruction.fields), links };
      tell({ ...known, action: 'update', state: 'held', reason });
      notes.holdPull(contactId, null);
    }
  },
  release: async (direction, contactIds, silent) => {
    for (const contactId of contactIds) {
      if (direction === 'push') notes.releasePush(contactId);
      else notes.releasePull(contactId, silent?.get(contactId) ?? []);
    }
  },
  releaseHarmless: async () => 0,
  holdWaiting: never('holdWaiting'),
});

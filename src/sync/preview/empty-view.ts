/** A mirror that was not made yet: nothing is known, and everything is still to be loaded. */
import type { Clock } from '../../ports/ambient.ts';
import type { MirrorReads, MirrorView } from '../../ports/mirror-view.ts';

const NOBODY: MirrorReads = {
  peek: async () => new Map(),
  read: async () => new Map(),
  oldestOpenCreate: async () => null,
  deferred: async () => new Set(),
  brakeLoad: async () => ({ lastHour: 0, waiting: 0, mirrorRows: 0 }),
  matchUnpaired: async () => ({ paired: new Map(), locked: new Set(), creating: new Set() }),
};

export const createEmptyView = (clock: Pick<Clock, 'now'>): MirrorView => ({
  isThere: async () => false,
  now: async () => clock.now(),
  account: async () => ({
    changesWatermark: null,
    trashWatermark: null,
    firstSweepAt: null,
    lastCompleteSweepAt: null,
    paused: false,
    identityHold: null,
    twins: false,
  }),
  contactCount: async () => 0,
  capabilities: async () => null,
  customFields: async () => new Map(),
  fieldPolicies: async () => new Map(),
  marks: async () => [],
  countMarks: async () => 0,
  auditBatch: async () => ({ lastId: null, rows: 0, suspects: [] }),
  vanished: async () => [],
  look: async (steps) => await steps(NOBODY),
  openContacts: async () => [],
  openEdits: async () => new Map(),
  heldIn: async () => new Map(),
  heldLines: async () => [],
  parkedContacts: async () => [],
  refusedRecords: async () => [],
  openConflicts: async () => [],
  pairedIds: async () => [],
  crmUrl: async () => null,
  leadersBudget: async () => null,
});

/** What the push would do, contact by contact, on the rows that the rehearsed pull would have left. */
import { brakeAllowance, describeLimits, type BrakeLimits } from '../../domain/brake.ts';
import type { MirrorView, OpenEdit } from '../../ports/mirror-view.ts';
import type { BrakeLoad, Situation } from '../../ports/mirror.ts';
import type { RunContext } from '../context.ts';
import type { SyncDeps } from '../deps.ts';
import type { Tell } from './lines.ts';
import type { RehearsalNotes } from './notes.ts';
import type { ReadCrm } from './only-reads.ts';
import { planPush, type PushView } from './push-plan.ts';
import { blankSituation, withQueued } from './situations.ts';

export interface PushPreview {
  readonly deps: SyncDeps;
  readonly view: MirrorView;
  readonly notes: RehearsalNotes;
  readonly context: RunContext;
  readonly creates: PushView['creates'];
  readonly goneAs: ReadCrm['goneAs'];
  readonly tell: Tell;
}

const BATCH = 500;

export const previewPush = async (preview: PushPreview): Promise<void> => {
  const { deps, view, notes } = preview;
  const { identityHold } = await view.account();
  const load = await deps.mirror.transaction((tx) => tx.brakeLoad('push'));
  const common: CommonView = {
    context: preview.context,
    creates: preview.creates,
    braked: brakedBy(load, deps.settings.brake),
    waitsFor: identityHold === null ? null : `hold ${identityHold.holdId}: nothing is pushed before it is approved`,
    hasTrash: deps.capabilities.get().trash,
  };
  const planned = new Set<number>();
  for (let after = 0; !deps.signal.aborted;) {
    const ids = await view.openContacts(after, BATCH);
    const last = ids.at(-1);
    if (last === undefined) break;
    await planBatch(preview, ids, common);
    for (const id of ids) planned.add(id);
    after = last;
  }
  // What the merge of this pull leaves to push, or the audit has found, though nobody edited it just now.
  const left = [...notes.queued].filter((id) => !planned.has(id));
  for (let at = 0; at < left.length && !deps.signal.aborted; at += BATCH) await planBatch(preview, left.slice(at, at + BATCH), common);
};

type CommonView = Pick<PushView, 'context' | 'creates' | 'braked' | 'waitsFor' | 'hasTrash'>;

const planBatch = async ({ deps, view, notes, goneAs, tell }: PushPreview, ids: readonly number[], common: CommonView): Promise<void> => {
  const read = await deps.mirror.transaction((tx) => tx.read(ids));
  const edits = deps.settings.writeMode === 'ordered' ? await view.openEdits(ids) : null;
  const deferred = await view.look((reads) => reads.deferred([...read.values()].flatMap(({ crmId }) => crmId ?? [])));
  const held = await view.heldIn([...read.values()].filter(isHeld).map(({ contactId }) => contactId));
  for (const id of ids) {
    const own = edits === null ? null : ownEdits(edits.get(id) ?? [], notes.queued.has(id));
    const situation = read.get(id) ?? (own === null ? undefined : comeAndGone(id));
    // Settled by what was rehearsed: its row is gone, say.
    if (situation === undefined || situation.open.ops.size === 0) continue;
    const because = notes.heldBecause.get(id) ?? `hold ${held.get(id) ?? ''}`.trim();
    const crmId = situation.crmId ?? 0;
    const more = { isDeferred: deferred.has(crmId), heldBecause: because, edits: own, gone: goneAs(crmId) };
    for (const line of planPush(situation, { ...common, ...more })) tell(line);
  }
};

const isHeld = ({ open }: Situation): boolean => open.states.has('held');

/** A row that came and went before anybody was told: it has not even a state. Each of its edits is an order all the same. */
const comeAndGone = (contactId: number): Situation => {
  const blank = blankSituation(contactId);
  return { ...blank, open: withQueued(blank.open) };
};

/** What we queue ourselves stands for the whole difference, and comes last. */
const ownEdits = (edits: readonly OpenEdit[], isQueued: boolean): readonly OpenEdit[] =>
  isQueued ? [...edits, { op: 'update', before: null, after: null, link: null, txid: '' }] : edits;

/** Why nothing destructive goes that nobody approved; null where it may. */
const brakedBy = ({ lastHour, waiting, mirrorRows }: BrakeLoad, limits: BrakeLimits): string | null => {
  const allowance = brakeAllowance(lastHour, mirrorRows, limits);
  // What the log does not show (a merge's work, say) is one at least.
  const asked = Math.max(1, waiting);
  if (asked <= allowance) return null;
  const contacts = `${asked.toLocaleString('en')} ${asked === 1 ? 'contact waits' : 'contacts wait'} to be deleted, emptied or unlinked`;
  const used = lastHour === 0 ? '' : `, since the last hour has seen ${lastHour.toLocaleString('en')}`;
  return `${contacts}, and ${allowance === 0 ? 'none' : allowance.toLocaleString('en')} may be now${used}: ${describeLimits(limits)}`;
};

/** WRITE_MODE=ordered: each value that somebody set here was in the CRM, or was decided, and came there in the order of the commits. */
import { agreedBefore, heldSince, type Ends } from './edits-kept.ts';
import { isElement, type Change } from './history.ts';
import { did, faults } from './given.ts';
import { hasConflict, openConflicts, type Scene } from './scene.ts';

/** Values that nobody else sets: whoever has one got it from this edit. */
const isTelling = ({ side, by, field, value }: Change): boolean =>
  side === 'row' && by === 'person' && value !== null && field !== 'life' && field !== 'pair' && !isElement(field);

export const sentInOrder = (scene: Scene, tag: string, ends: Ends, changes: readonly Change[]): readonly string[] => {
  // Twins are paired field by field, and what was set before they met may lose then.
  const isPlain =
    !tag.startsWith('P') &&
    ends.row !== null &&
    ends.contact !== null &&
    !changes.some(({ field, value }) => field === 'life' && value !== 'alive');
  // What no trigger saw has no place in an order; what the CRM refuses is parked, and goes again together with the edit that may be its cure.
  const isRefused = did(scene.schedule, 'hide', 'lock') || ['422', '403-record'].some((kind) => faults(scene.schedule, kind));
  if (scene.schedule.writeMode !== 'ordered' || did(scene.schedule, 'uncaptured') || isRefused || !isPlain) return [];
  const waiting = new Set(openConflicts(scene, tag).map((conflict) => conflict.field));
  const lines: string[] = [];
  // When the newest edit of the transactions before this one came there, and of this one.
  let [before, latest, look] = [0, 0, 0];
  const sentAt = new Map<string, number>();
  for (const edit of changes.filter(isTelling)) {
    const { field, value, seq } = edit;
    if (edit.look !== look) [before, look] = [latest, edit.look];
    const ofField = changes.filter((change) => change.field === field);
    if (value === agreedBefore(ofField, seq)) continue;
    // It waits for a person, and whoever edits it meanwhile changes what waits.
    if (waiting.has(field)) continue;
    const isSending = (after: number) => (change: Change) =>
      change.side === 'crm' && change.by === 'sync' && change.seq > after && change.value === value;
    // A value that was set twice was sent twice: the second time is behind the first.
    const sent = ofField.find(isSending(Math.max(seq, sentAt.get(field) ?? 0))) ?? ofField.find(isSending(seq));
    if (sent !== undefined) sentAt.set(field, sent.seq);
    if (sent !== undefined && sent.look < before) lines.push(`${tag}: ${field} ${value} was sent before an earlier edit`);
    if (sent !== undefined) latest = Math.max(latest, sent.look);
    // Where the CRM won, what had been set here before is not sent over the winner; where ours cancel each other out, it wins without a conflict.
    else if (ofField.some((change) => change.side === 'crm' && change.by === 'person' && change.value === (ends.row?.get(field) ?? null)))
      continue;
    else if (!heldSince(ofField, 'crm', value, seq) && !hasConflict(scene, tag, field))
      lines.push(`${tag}: ${field} ${value} was never sent`);
  }
  return lines;
};

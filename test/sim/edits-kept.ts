/** No edit is lost: promises 1 and 2 of docs/SPEC.md, value by value. */
import { isElement, type Change, type Values } from './history.ts';
import { hasConflict, isLoggedLink, type Scene } from './scene.ts';
import { isReadable, isToldLate } from './given.ts';
import type { Schedule } from './schedule.ts';

/** What both sides hold of one person in the end. */
export interface Ends {
  readonly row: Values | null;
  readonly contact: Values | null;
}

export const editsKept = (world: Scene, tag: string, ends: Ends, changes: readonly Change[]): readonly string[] => {
  const fields = new Set(
    changes.map(({ field }) => field).filter((field) => field !== 'life' && field !== 'pair' && isReadable(field, world.schedule)),
  );
  return [...fields].flatMap((field) => {
    const ofField = changes.filter((change) => change.field === field);
    const isVoid = { row: endsLife.row, crm: ends.row === null ? endsLife.crm.gone : endsLife.crm[world.schedule.mode] };
    const pairedAt = changes.find(({ field: name }) => name === 'pair')?.seq ?? Number.POSITIVE_INFINITY;
    const local = lastEdit(changes, ofField, 'row', isVoid.row);
    // Deleted there before anybody knew that it was our create's: what is there now is another one.
    const remote = lastEdit(changes, ofField, 'crm', (life) => isVoid.crm(life) || (life.value === 'trashed' && life.seq < pairedAt));
    // A link that no list tells was not known yet when its row was deleted.
    if (ends.row === null && isToldLate(field, world.schedule)) return [];
    return judge(world, tag, ends, ofField, local, remote).map((line) => `${tag}: ${field} ${line}`);
  });
};

type EndsLife = (life: Change) => boolean;
/** What makes the edits before it void: one's own deletion, if it stood. A contact that came back from the trash brought its edits along. */
const endsLife: { readonly row: EndsLife; readonly crm: { readonly [K in Schedule['mode'] | 'gone']: EndsLife } } = {
  row: ({ by, value }) => by === 'person' && value === null,
  crm: {
    upstream: ({ value }) => value === null,
    documented: ({ value }) => value !== 'alive',
    gone: ({ by, value }) => by === 'person' && value !== 'alive',
  },
};

/** The newest edit of a person that meant something and that is not void. */
const lastEdit = (changes: readonly Change[], ofField: readonly Change[], side: Change['side'], endsIt: EndsLife): Change | null => {
  const edit = ofField.findLast((change) => change.side === side && change.by === 'person');
  if (edit === undefined || edit.value === agreedBefore(ofField, edit.seq)) return null;
  const lives = changes.filter((change) => change.side === side && change.field === 'life');
  const end = lives.findLast(endsIt);
  return end !== undefined && end.seq > edit.seq ? null : edit;
};

/** Puts back what was there before our write. Where the answer to that write was lost, this looks as if it had never arrived: it is sent again. */
const isUndoing = (ofField: readonly Change[], edit: Change): boolean => {
  const before = ofField.filter(({ side, seq }) => side === 'crm' && seq < edit.seq);
  const [ours, theirs] = [before.at(-1), before.at(-2)];
  return ours?.by === 'sync' && (theirs?.value ?? null) === edit.value;
};

/** What both sides last held together. */
export const agreedBefore = (ofField: readonly Change[], seq: number): string | null => {
  const now: { [K in Change['side']]: string | null } = { row: null, crm: null };
  let agreed: string | null = null;
  for (const change of ofField) {
    if (change.seq >= seq) break;
    now[change.side] = change.value;
    if (now.row === now.crm) agreed = now.row;
  }
  return agreed;
};

/** Whether a side held the value at some moment from `seq` on. */
export const heldSince = (ofField: readonly Change[], side: Change['side'], value: string | null, seq: number): boolean => {
  const own = ofField.filter((change) => change.side === side);
  const then = own.findLast((change) => change.seq <= seq)?.value ?? null;
  return then === value || own.some((change) => change.seq > seq && change.value === value);
};

const judge = (
  world: Scene,
  tag: string,
  ends: Ends,
  ofField: readonly Change[],
  local: Change | null,
  remote: Change | null,
): readonly string[] => {
  const lines: string[] = [];
  const field = ofField[0]?.field ?? '';
  const final = ends.row?.get(field) ?? null;
  const alive = ends.row !== null;
  const conflictField = field.startsWith('phone:') ? 'phones' : field;
  const recorded = (side: 'local' | 'remote', value: string | null): boolean =>
    hasConflict(world, tag, 'contact') ||
    (conflictField === 'phones' ? hasConflict(world, tag, 'phones') : hasConflict(world, tag, field, side, value));
  // Of two edits of one phone or link the one that adds or changes outlives the one that removes, and there is nothing to decide.
  const outlived = (edit: Change, other: Change | null): boolean =>
    isElement(field) && edit.value === null && other !== null && other.value !== null;
  // A link that is edited here and not settled stays as it was edited, whatever the CRM shows meanwhile.
  const isOurLink = isLoggedLink(world, tag, field);

  if (local !== null && !(alive && final === local.value) && !outlived(local, remote)) {
    if (!heldSince(ofField, 'crm', local.value, local.seq) && !recorded('local', local.value))
      lines.push(`lost its local edit to ${local.value}`);
  }
  if (
    remote !== null &&
    !isUndoing(ofField, remote) &&
    !(alive && final === remote.value) &&
    !outlived(remote, local) &&
    !isOurLink &&
    !world.witness.unseeable.has(remote.seq)
  ) {
    if (!heldSince(ofField, 'row', remote.value, remote.seq) && !recorded('remote', remote.value))
      lines.push(`lost its remote edit to ${remote.value}`);
  }
  if (!alive || lines.length > 0 || (local === null && remote === null) || hasConflict(world, tag, 'contact')) return lines;
  // What came back with its contact is what it was at last, void or not.
  const last = (['row', 'crm'] as const).flatMap(
    (side) => ofField.findLast((change) => change.side === side && change.by === 'person') ?? [],
  );
  if (last.some(({ seq, value }) => value === final || world.witness.unseeable.has(seq))) return lines;
  // Added and taken away again within one transaction: nobody saw a change, but the removal was logged, and it was the last word.
  if (final === null && isLoggedLink(world, tag, field, 'detach')) return lines;
  return [`is ${final}, though the last edits were to ${last.map(({ value }) => value).join(' and ')}`];
};

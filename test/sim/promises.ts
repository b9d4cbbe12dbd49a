/** What must be true once edits and faults have stopped and everything has settled: promises 1 to 6 of docs/SPEC.md, person by person. */
import { stableJson } from '../../src/domain/contact.ts';
import type { ErrorCode } from '../../src/domain/errors.ts';
import { crmValues, isElement, rowValues, type Change, type Values } from './history.ts';
import type { Action, Schedule } from './schedule.ts';
import { DEFS, type World } from './world.ts';

/** One line for each broken promise; empty: all kept. */
export const brokenPromises = (world: World): readonly string[] => {
  world.history.observe('sync');
  world.witness.look();
  const tags = [...new Set(world.history.changes.map(({ tag }) => tag))].filter((tag) => !isUnrecognisable(world.history.of(tag)));
  const witnessed = world.witness.violations.filter(({ tag }) => tags.includes(tag)).map(({ tag, what }) => `${tag}: ${what}`);
  return [...witnessed, ...leftOver(world), ...tags.flatMap((tag) => brokenFor(world, tag))];
};

/** Nothing is still to be done, and what waits for a person does so for a reason that this schedule gave. */
const leftOver = ({ account, mirror, history, schedule }: World): readonly string[] => {
  const { tables } = mirror;
  const lines: string[] = [];
  const allowed = parkable(schedule);
  for (const row of tables.log.committed.values()) {
    const tag = history.tagOfRow.get(row.contactId) ?? `row ${row.contactId}`;
    if (row.settledAt !== null || row.state === 'held') continue;
    // An only contact's 404 cannot be proven, and an account that shows nobody is never known whole: both are asked again until somebody is there.
    if ((row.state === 'retry' || row.state === 'pending') && nobodyAnswers(account)) continue;
    if (row.state !== 'parked') lines.push(`${tag}: a logged ${row.op} is left ${row.state}`);
    else if (!allowed.has(row.code as ErrorCode)) lines.push(`${tag}: a logged ${row.op} is parked as ${row.code}: ${row.error}`);
  }
  for (const state of tables.states.committed.values()) {
    if (state.attempt !== null) lines.push(`${history.tagOfRow.get(state.contactId)}: an attempt is left ${state.attempt.state}`);
  }
  for (const mark of tables.marks.committed.values()) lines.push(`contact ${mark.crmId}: a mark is left (${mark.reason})`);
  return lines;
};

/** With nobody left whom the CRM shows, its 404 for the last ones cannot be told from a broken CRM. */
export const nobodyAnswers = (account: World['account']): boolean => !account.contacts().some(({ access }) => access !== 'none');

const actionsOf = ({ events }: Schedule): readonly Action[] =>
  events.flatMap((event) => {
    if (event.side === 'sync') return event.during.map(({ action }) => action);
    return event.side === 'time' || event.side === 'twin' ? [] : [event];
  });

const did = (schedule: Schedule, ...acts: readonly string[]): boolean =>
  actionsOf(schedule).some((action) => 'act' in action && acts.includes(action.act));

const parkable = (schedule: Schedule): ReadonlySet<ErrorCode> => {
  const refuses = (kind: string): boolean => actionsOf(schedule).some((action) => action.side === 'fault' && action.kind === kind);
  const codes = new Set<ErrorCode>();
  if (refuses('422')) codes.add('invalid');
  if (refuses('403-record') || did(schedule, 'hide', 'lock')) codes.add('forbidden');
  // The e-mail and phones of a contact that is in the trash, or hidden before its create could be looked up, still count as taken.
  if (did(schedule, 'delete', 'hide')) codes.add('invalid');
  if (did(schedule, 'delete') && (schedule.policy === 'crm' || codes.has('forbidden'))) codes.add('deleted_in_crm');
  // Edited there before a lost answer could be asked for: where only the name still speaks for it, a person decides.
  if (actionsOf(schedule).some(({ side }) => side === 'remote')) codes.add('several_matches');
  return codes;
};

interface Ends {
  readonly row: Values | null;
  readonly contact: Values | null;
}

const brokenFor = (world: World, tag: string): readonly string[] => {
  const { account, mirror, history } = world;
  const rows = [...mirror.tables.contacts.committed.values()].filter((row) => row.fields.last_name === tag);
  const contacts = account.contacts().filter((contact) => contact.last_name === tag);
  const changes = history.of(tag);
  const lines = twins(world, tag, rows.length, contacts.length, changes);
  if (lines.length > 0 || isExcused(world, tag)) return lines;
  if (contacts.length === 0 && nobodyAnswers(account)) return [];
  const [row, contact] = [rows[0], contacts[0]];
  if ((row === undefined) !== (contact === undefined))
    return [`${tag}: ${row === undefined ? 'no row for its contact' : 'no contact for its row'}`];
  const ends: Ends = {
    row: row === undefined ? null : rowValues(mirror, row.id, DEFS),
    contact: contact === undefined ? null : crmValues(contact, DEFS),
  };
  const differing = differences(ends, world.schedule);
  if (differing.length > 0) return [`${tag}: ${differing.join(', ')}`];
  return [...lifeKept(world, tag, ends, changes), ...editsKept(world, tag, ends, changes)];
};

/**
 * Created by us, and renamed there before the lost answer could be asked for: without CRM_EXTERNAL_ID_FIELD nothing tells that it is ours. The
 * gap is named in docs/SPEC.md.
 */
const isUnrecognisable = (changes: readonly Change[]): boolean => {
  const pairedAt = changes.find(({ field }) => field === 'pair')?.seq ?? Number.POSITIVE_INFINITY;
  const isOurs = changes.some(({ side, by, field }) => side === 'crm' && by === 'sync' && field === 'life');
  return (
    isOurs && changes.some(({ side, by, field, seq }) => side === 'crm' && by === 'person' && field === 'first_name' && seq < pairedAt)
  );
};

/** One row at most, and one contact more only for each one that was gone before. */
const twins = (
  { account, history, mirror, schedule }: World,
  tag: string,
  rows: number,
  contacts: number,
  changes: readonly Change[],
): readonly string[] => {
  const lives = changes.filter(({ side, field }) => side === 'crm' && field === 'life');
  const created = lives.filter(({ value }, at) => value === 'alive' && lives[at - 1]?.value !== 'trashed').length;
  // Without a trash to restore from, a contact whose row was edited is created again while the old one lies there.
  const gone = lives.filter(({ value }) => value === null || (schedule.mode === 'documented' && value === 'trashed')).length;
  // Hidden before it could be looked up: for us it is not there.
  const hidden = account.contacts().filter((contact) => contact.last_name === tag && contact.access === 'none').length;
  const lines: string[] = [];
  // A twin that was hidden when all were seen could not be met.
  if (tag.startsWith('P') && did(schedule, 'hide')) return [];
  const { log } = mirror.tables;
  if ([...log.committed.values()].some((row) => row.code === 'several_matches' && history.tagOfRow.get(row.contactId) === tag)) return [];
  if (rows > 1) lines.push(`${tag}: ${rows} rows`);
  if (contacts - hidden > 1) lines.push(`${tag}: ${contacts} contacts in the CRM`);
  if (created > gone + hidden + 1) lines.push(`${tag}: created ${created} times in the CRM`);
  return lines;
};

/** A person has to act: parked or held, not visible or not writable, refused by Postgres. */
const isExcused = ({ account, mirror, history }: World, tag: string): boolean => {
  const { log, states } = mirror.tables;
  const mine = (contactId: number): boolean => history.tagOfRow.get(contactId) === tag;
  if ([...log.committed.values()].some((row) => row.settledAt === null && mine(row.contactId))) return true;
  if ([...states.committed.values()].some((state) => state.goneAt !== null && mine(state.contactId))) return true;
  return [...account.contacts(), ...account.trashed()].some((contact) => contact.last_name === tag && contact.access !== 'full');
};

/** Without a call that reads them, activities are only ever written. */
const isReadable = (field: string, { mode }: Schedule): boolean => mode === 'upstream' || !field.startsWith('link:activities');

const isToldLate = (field: string, { mode }: Schedule): boolean =>
  field.startsWith('link:activities') || (mode === 'documented' && field.startsWith('link:'));

const differences = ({ row, contact }: Ends, schedule: Schedule): readonly string[] => {
  if (row === null || contact === null) return [];
  const fields = [...new Set([...row.keys(), ...contact.keys()])].filter((field) => isReadable(field, schedule));
  return fields
    .filter((field) => row.get(field) !== contact.get(field))
    .map((field) => `${field} is ${row.get(field)} here and ${contact.get(field)} there`);
};

/** A deletion that did not last has its conflict. */
const lifeKept = (world: World, tag: string, ends: Ends, changes: readonly Change[]): readonly string[] => {
  const lives = changes.filter(({ field }) => field === 'life');
  const byPerson = (side: Change['side']) => lives.findLast((change) => change.side === side && change.by === 'person');
  const [here, there] = [byPerson('row'), byPerson('crm')];
  // A contact that was deleted there before anybody knew that it was our create's is only seen to be missing.
  const isPairedBefore = (seq: number): boolean => changes.some((change) => change.field === 'pair' && change.seq < seq);
  const isKnown = isPairedBefore(there?.seq ?? 0);
  // One of twins deleted before they met: what comes is the other one.
  const wasAlone = tag.startsWith('P') && !isPairedBefore(here?.seq ?? 0);
  const isUndoneHere = here !== undefined && here.value === null && (there?.seq ?? 0) < here.seq && !wasAlone;
  // Between the restore and the note of it the process may die.
  const isUndoneThere = there !== undefined && there.value !== 'alive' && isKnown && !hasAccident(world.schedule);
  const isUndone = ends.row !== null && (isUndoneHere || isUndoneThere);
  return isUndone && !hasConflict(world, tag, 'contact') ? [`${tag}: a deletion was undone without a conflict`] : [];
};

const hasAccident = ({ events }: Schedule): boolean =>
  events.some((event) => event.side === 'sync' && (event.crashAt !== null || event.refuseAt !== null));

const isLoggedLink = ({ mirror, history }: World, tag: string, field: string): boolean => {
  const [prefix, kind = '', id] = field.split(':');
  if (prefix !== 'link') return false;
  const logged = [...mirror.tables.log.committed.values()].filter((row) => history.tagOfRow.get(row.contactId) === tag);
  return logged.some(({ oldValues, newValues }) => String({ ...oldValues, ...newValues }[kind]) === id);
};

const hasConflict = (
  { mirror, history }: World,
  tag: string,
  field: string,
  side?: 'local' | 'remote',
  value: string | null = null,
): boolean =>
  [...mirror.tables.conflicts.committed.values()].some((conflict) => {
    if (history.tagOfRow.get(conflict.contactId) !== tag || conflict.field !== field) return false;
    if (side === undefined) return true;
    const held = conflict[side] ?? null;
    return (held === null ? null : stableJson(held)) === value;
  });

const editsKept = (world: World, tag: string, ends: Ends, changes: readonly Change[]): readonly string[] => {
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
const agreedBefore = (ofField: readonly Change[], seq: number): string | null => {
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
const heldSince = (ofField: readonly Change[], side: Change['side'], value: string | null, seq: number): boolean => {
  const own = ofField.filter((change) => change.side === side);
  const then = own.findLast((change) => change.seq <= seq)?.value ?? null;
  return then === value || own.some((change) => change.seq > seq && change.value === value);
};

const judge = (
  world: World,
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
  return [`is ${final}, though the last edits were to ${last.map(({ value }) => value).join(' and ')}`];
};

/** What kind of promise is broken, without who and what: a shrunk schedule has to break the same one. */
export const kindOf = (line: string): string => (line.split('\n')[0] ?? '').replaceAll(/\b[LRP]\d+|"[^"]*"|\d+/g, '#');

/** What must be true once edits and faults have stopped and everything has settled: promises 1 to 6 of docs/SPEC.md, person by person. */
import type { ErrorCode } from '../../src/domain/errors.ts';
import { AUDITOR } from '../../src/ports/mirror.ts';
import type { Books, Hold, LoggedEdit } from './database.ts';
import { editsKept, type Ends } from './edits-kept.ts';
import { did, hasAccident, isReadable, hasNoControl, parkable } from './given.ts';
import { crmValues, rowValues, type Change } from './history.ts';
import { hasConflict, openConflicts, phonesText, type Scene } from './scene.ts';
import type { Schedule } from './schedule.ts';
import { sentInOrder } from './sent-in-order.ts';
import { DEFS } from './world.ts';

/** One line for each broken promise; empty: all kept. */
export const brokenPromises = (world: Scene): readonly string[] => {
  world.history.observe('sync');
  world.witness.look();
  const tags = [...new Set(world.history.changes.map(({ tag }) => tag))].filter((tag) => !isUnrecognisable(world.history.of(tag)));
  const witnessed = world.witness.violations.filter(({ tag }) => tags.includes(tag)).map(({ tag, what }) => `${tag}: ${what}`);
  return [...world.witness.trespasses, ...witnessed, ...leftOver(world), ...tags.flatMap((tag) => brokenFor(world, tag))];
};

/** Nothing is still to be done, and what waits for a person does so for a reason that this schedule gave. */
const leftOver = ({ account, books, history, schedule }: Scene): readonly string[] => {
  const lines: string[] = [];
  const allowed = parkable(schedule);
  for (const row of books.log) {
    const tag = history.tagOfRow.get(row.contactId) ?? `row ${row.contactId}`;
    if (row.changedBy === AUDITOR && !did(schedule, 'uncaptured'))
      lines.push(`${tag}: the audit found an edit that nobody made behind its back`);
    if (row.isSettled) continue;
    if (row.state === 'held') {
      if (!isOpen(books.holds, row.holdId)) lines.push(`${tag}: a logged ${row.op} is held though its hold was decided`);
      continue;
    }
    // Ordered: nothing overtakes an edit that waits for a person.
    if (row.state === 'pending' && isBehindHeld(row, books.log, schedule)) continue;
    // An only contact's 404 cannot be proven, and an account that shows nobody is never known whole: both are asked again until somebody is there.
    if ((row.state === 'retry' || row.state === 'pending') && hasNoControl(account, books.rows)) continue;
    // Sent again because nothing told that it was there, and refused because it is.
    if (row.code === 'invalid' && isUnrecognisable(history.of(tag))) continue;
    if (row.state !== 'parked') lines.push(`${tag}: a logged ${row.op} is left ${row.state}`);
    else if (!allowed.has(row.code as ErrorCode)) lines.push(`${tag}: a logged ${row.op} is parked as ${row.code}: ${row.error}`);
  }
  for (const state of books.states) {
    if (state.attempt !== null) lines.push(`${history.tagOfRow.get(state.contactId)}: an attempt is left ${state.attempt}`);
  }
  // What was approved for an account that shows nobody cannot be proven: it is asked for again until somebody is there.
  const waits = (reason: string): boolean => reason === 'approved' && hasNoControl(account, books.rows);
  for (const mark of books.marks) if (!waits(mark.reason)) lines.push(`contact ${mark.crmId}: a mark is left (${mark.reason})`);
  return lines;
};

const isBehindHeld = ({ contactId, id }: LoggedEdit, log: Books['log'], { writeMode }: Schedule): boolean =>
  writeMode === 'ordered' &&
  log.some((row) => row.contactId === contactId && row.id < id && (row.state === 'held' || row.state === 'parked'));

/** Only what nobody has decided may still wait for a decision. */
const isOpen = (holds: readonly Hold[], holdId: number | null): boolean => holds.some(({ id, state }) => id === holdId && state === 'open');

const brokenFor = (world: Scene, tag: string): readonly string[] => {
  const { account, books, history } = world;
  const rows = books.rows.filter((row) => row.fields.last_name === tag);
  const contacts = account.contacts().filter((contact) => contact.last_name === tag);
  const changes = history.of(tag);
  const lines = twins(world, tag, rows.length, contacts.length, changes);
  if (lines.length > 0 || isExcused(world, tag)) return lines;
  if (contacts.length === 0 && hasNoControl(account, books.rows)) return [];
  const [row, contact] = [rows[0], contacts[0]];
  if ((row === undefined) !== (contact === undefined))
    return [`${tag}: ${row === undefined ? 'no row for its contact' : 'no contact for its row'}`];
  const ends: Ends = {
    row: row === undefined ? null : rowValues(row, DEFS),
    contact: contact === undefined ? null : crmValues(contact, DEFS),
  };
  const held = openConflicts(world, tag);
  const stale = held.filter(({ field, remote }) => contact !== undefined && field !== 'contact' && remoteOf(ends, field) !== remote);
  if (stale.length > 0)
    return stale.map(({ field, remote }) => `${tag}: the open conflict about ${field} shows ${remote}, not what is there`);
  const differing = differences(ends, new Set(held.map(({ field }) => field)), world);
  if (differing.length > 0) return [`${tag}: ${differing.join(', ')}`];
  return [...lifeKept(world, tag, ends, changes), ...editsKept(world, tag, ends, changes), ...sentInOrder(world, tag, ends, changes)];
};

/**
 * Created by us, and renamed there before the lost answer could be asked for: without CRM_EXTERNAL_ID_FIELD nothing tells that it is ours. The
 * gap is named in docs/SPEC.md.
 */
const isUnrecognisable = (changes: readonly Change[]): boolean => {
  const pairedAt = changes.find(({ field }) => field === 'pair')?.seq ?? Number.POSITIVE_INFINITY;
  const isOurs = changes.some(({ side, by, field }) => side === 'crm' && by === 'sync' && field === 'life');
  return (
    isOurs &&
    changes.some(
      ({ side, by, field, seq }) => side === 'crm' && by === 'person' && (field === 'first_name' || field === 'email') && seq < pairedAt,
    )
  );
};

/** One row at most, and one contact more only for each one that was gone before. */
const twins = (
  { account, history, books, schedule }: Scene,
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
  const tagOf = (contactId: number): string | undefined => history.tagOfRow.get(contactId);
  if (books.log.some((row) => row.code === 'several_matches' && tagOf(row.contactId) === tag)) return [];
  // One that never was in the CRM, because a contact in its trash has the same e-mail, waits for a person; restored, that one has a row of its own.
  const wasPaired = changes.some(({ side, field, value }) => side === 'row' && field === 'pair' && value === null);
  const refused = wasPaired ? 0 : books.rows.filter(({ id, crmId }) => crmId === null && tagOf(id) === tag && isRefused(books, id)).length;
  if (rows - refused > 1) lines.push(`${tag}: ${rows} rows`);
  if (contacts - hidden > 1) lines.push(`${tag}: ${contacts} contacts in the CRM`);
  if (created > gone + hidden + 1) lines.push(`${tag}: created ${created} times in the CRM`);
  return lines;
};

const isRefused = ({ log }: Books, contactId: number): boolean =>
  log.some((row) => row.contactId === contactId && row.op === 'insert' && row.state === 'parked' && row.code === 'invalid');

/** A person has to act: parked or held, not visible or not writable, refused by Postgres. */
const isExcused = ({ account, books, history }: Scene, tag: string): boolean => {
  const mine = (contactId: number): boolean => history.tagOfRow.get(contactId) === tag;
  if (books.log.some((row) => !row.isSettled && mine(row.contactId))) return true;
  if (books.states.some((state) => (state.isGone || isOpen(books.holds, state.holdId)) && mine(state.contactId))) return true;
  return [...account.contacts(), ...account.trashed()].some((contact) => contact.last_name === tag && contact.access !== 'full');
};

/** As a conflict spells it. */
const remoteOf = ({ contact }: Ends, field: string): string => {
  const phones = [...(contact ?? [])].filter(([name]) => name.startsWith('phone:'));
  return field === 'phones'
    ? phonesText(phones.map(([name, type]) => [name.slice('phone:'.length), type]))
    : (contact?.get(field) ?? 'null');
};

/** What waits for a person differs; everything else of that contact does not. */
const differences = ({ row, contact }: Ends, held: ReadonlySet<string>, { schedule }: Scene): readonly string[] => {
  if (row === null || contact === null) return [];
  const isHeld = (field: string): boolean => held.has(field.startsWith('phone:') ? 'phones' : field);
  const fields = [...new Set([...row.keys(), ...contact.keys()])].filter((field) => isReadable(field, schedule) && !isHeld(field));
  return fields
    .filter((field) => row.get(field) !== contact.get(field))
    .map((field) => `${field} is ${row.get(field)} here and ${contact.get(field)} there`);
};

/** Beside a create that is parked, the contact that may be its own got a row: what is left is that one, and no deletion undone. */
const wasOneOfTwo = (lives: readonly Change[], { seq }: Change): boolean => {
  const before = lives.filter((life) => life.side === 'row' && life.seq < seq);
  return before.filter(({ value }) => value === 'alive').length - before.filter(({ value }) => value === null).length > 1;
};

/** A deletion that did not last has its conflict. */
const lifeKept = (world: Scene, tag: string, ends: Ends, changes: readonly Change[]): readonly string[] => {
  const lives = changes.filter(({ field }) => field === 'life');
  const byPerson = (side: Change['side']) => lives.findLast((change) => change.side === side && change.by === 'person');
  const [here, there] = [byPerson('row'), byPerson('crm')];
  // A contact that was deleted there before anybody knew that it was our create's is only seen to be missing.
  const isPairedBefore = (seq: number): boolean => changes.some((change) => change.field === 'pair' && change.seq < seq);
  const isKnown = isPairedBefore(there?.seq ?? 0);
  // One of twins deleted before they met: what comes is the other one.
  const wasAlone = tag.startsWith('P') && (!isPairedBefore(here?.seq ?? 0) || did(world.schedule, 'hide'));
  const isUndoneHere = here !== undefined && here.value === null && (there?.seq ?? 0) < here.seq && !wasAlone && !wasOneOfTwo(lives, here);
  // Between the restore and the note of it the process may die.
  const isUndoneThere = there !== undefined && there.value !== 'alive' && isKnown && !hasAccident(world.schedule);
  const isUndone = ends.row !== null && (isUndoneHere || isUndoneThere);
  // Brought back because a person rejected it.
  const { holds, log, rows } = world.books;
  const own = new Set(rows.filter(({ fields }) => fields.last_name === tag).map(({ id }) => id));
  const isRejected = (holdId: number | null): boolean => holds.some(({ id, state }) => id === holdId && state === 'rejected');
  const asDecided = log.findLast(({ op, contactId }) => op === 'delete' && own.has(contactId));
  if (!isUndoneThere && asDecided !== undefined && isRejected(asDecided.holdId)) return [];
  return isUndone && !hasConflict(world, tag, 'contact') ? [`${tag}: a deletion was undone without a conflict`] : [];
};

/**
 * Whether every promise was kept, by what people know they did and by what both sides hold in the end. Pure: a test plants each kind of damage
 * and sees it found.
 *
 * One thing is counted and not judged: an edit in the CRM that our own write met in the same moment. The CRM has no "write only if unchanged", so
 * what lands between our last look and our write cannot be seen (docs/SPEC.md).
 */
import type { MirroredContact } from '../../src/postgres/snapshot.ts';
import { differences } from '../../src/sandbox/compare.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { AccountContact } from '../../src/sandbox/crm/records.ts';
import { FIELDS, lastOf, type Element, type Field, type Side, type Soul, type Written } from './souls.ts';

export interface Ending {
  readonly souls: readonly Soul[];
  readonly rows: readonly MirroredContact[];
  readonly contacts: readonly AccountContact[];
  readonly trashed: readonly AccountContact[];
  readonly conflicts: readonly { readonly contactId: number; readonly field: string; readonly text: string }[];
  /** What the log says that edits here replaced: proof that it had been here. */
  readonly replaced: ReadonlyMap<number, string>;
  /** When a value last arrived in the CRM; null: never. */
  readonly sentAtMs: (value: string) => number | null;
  /** When calls of these kinds for this contact arrived. */
  readonly callsMs: (crmId: number, calls: readonly CallName[]) => readonly number[];
}

export interface Judgement {
  readonly violations: readonly string[];
  /** Edits in the CRM that our write met within RACE_MS. */
  readonly races: number;
}

/** From our last look to our write: the look is at most a second old, and a call may hang as long as its time-out. */
const RACE_MS = 4_000;

interface Found {
  readonly row: MirroredContact | null;
  readonly contact: AccountContact | null;
}

const nameOf = (soul: Soul): string => soul.tag ?? `seed ${soul.crmId}`;
const fieldOf = (contact: AccountContact, field: Field): unknown =>
  field.startsWith('cf_') ? (contact.custom[field] ?? null) : contact[field as 'city'];

export const judge = (ending: Ending): Judgement => {
  const violations: string[] = differences(ending.rows, ending.contacts).map((line) => `not equal: ${line}`);
  let races = 0;
  const rowsById = new Map(ending.rows.map((row) => [row.contactId, row]));
  const contactsById = new Map(ending.contacts.map((contact) => [contact.id, contact]));

  const isRace = (soul: Soul, atMs: number, calls: readonly CallName[]): boolean => {
    const met = ending.callsMs(soul.crmId ?? 0, calls).some((callMs) => callMs >= atMs && callMs - atMs <= RACE_MS);
    if (met) races += 1;
    return met;
  };
  const inConflict = (soul: Soul, value: string): boolean =>
    ending.conflicts.some(({ contactId, text }) => contactId === soul.rowId && text.includes(JSON.stringify(value)));
  /** The other side had it, or a record of it. */
  const isKnown = (soul: Soul, { side, value, atMs }: Written): boolean => {
    if (value === null || inConflict(soul, value)) return true;
    if (side === 'local') return ending.sentAtMs(value) !== null;
    if (ending.replaced.get(soul.rowId ?? 0)?.includes(JSON.stringify(value)) === true) return true;
    return isRace(soul, atMs, ['update', 'delete']);
  };

  const judgeField = (soul: Soul, field: Field, contact: AccountContact): void => {
    const [local, remote] = [lastOf(soul, 'local', field), lastOf(soul, 'remote', field)];
    const value = fieldOf(contact, field);
    const written = [local, remote].filter((each) => each !== null);
    if (written.length > 0 && !written.some((each) => each.value === value))
      return void violations.push(
        `lost edit: ${nameOf(soul)} ${field} is ${String(value)}, not ${written.map((each) => each.value).join(' or ')}`,
      );
    for (const each of written)
      if (each.value !== value && !isKnown(soul, each))
        violations.push(
          `lost edit: ${nameOf(soul)} ${field} ${each.value} of the ${each.side} side, neither seen by the other nor recorded`,
        );
  };
  const judgeElement = (soul: Soul, { kind, element, present, side, atMs }: Element, contact: AccountContact): void => {
    const there = kind === 'phones' ? contact.phones.some(({ number }) => number === element) : contact[kind].includes(Number(element));
    if (there === present) return;
    if (side === 'remote' && isRace(soul, atMs, kind === 'phones' ? ['update'] : ['sync'])) return;
    violations.push(`lost edit: ${nameOf(soul)} ${kind} ${element} of the ${side} side is ${there ? 'there' : 'not there'}`);
  };
  /** Deleted by one side; the other may have edited it meanwhile. */
  const judgeDeleted = (soul: Soul, by: Side, { row, contact }: Found): void => {
    const other: Side = by === 'local' ? 'remote' : 'local';
    if (row !== null || contact !== null) {
      if (!ending.conflicts.some(({ contactId, field }) => contactId === soul.rowId && field === 'contact'))
        violations.push(`undone delete: ${nameOf(soul)}, deleted by the ${by} side, lives, and no conflict says why`);
      return;
    }
    for (const field of Object.values(FIELDS).flat()) {
      const edit = lastOf(soul, other, field);
      if (edit !== null && !isKnown(soul, edit))
        violations.push(`lost edit: ${nameOf(soul)} ${field} ${edit.value} of the ${other} side, deleted by the ${by} side`);
    }
  };

  for (const soul of ending.souls) {
    const found: Found = { row: rowsById.get(soul.rowId ?? 0) ?? null, contact: contactsById.get(soul.crmId ?? 0) ?? null };
    if (soul.deletedBy !== null) judgeDeleted(soul, soul.deletedBy, found);
    else if (found.contact === null) violations.push(`false delete or lost create: ${nameOf(soul)} is not in the CRM`);
    else if (found.row === null) violations.push(`false delete or lost create: ${nameOf(soul)} is not in the mirror`);
    else {
      for (const field of Object.values(FIELDS).flat()) judgeField(soul, field, found.contact);
      for (const element of soul.elements.values()) judgeElement(soul, element, found.contact);
    }
  }
  return { violations: [...violations, ...findStrangers(ending)], races };
};

/** Each contact that was made is there once, trash included, and nobody is there whom nobody made. */
const findStrangers = ({ souls, rows, contacts, trashed }: Ending): readonly string[] => {
  const lines: string[] = [];
  const seeds = new Set(souls.flatMap(({ tag, crmId }) => (tag === null ? [crmId] : [])));
  const tags = new Set(souls.flatMap(({ tag }) => tag ?? []));
  const count = (where: string, names: readonly (string | null)[]): void => {
    const seen = new Map<string | null, number>();
    for (const name of names) seen.set(name, (seen.get(name) ?? 0) + 1);
    for (const [name, times] of seen) {
      if (name === null || !tags.has(name)) lines.push(`stranger: ${name ?? 'a contact without a last name'} in ${where}`);
      else if (times > 1) lines.push(`duplicate: ${name} is ${times} times in ${where}`);
    }
  };
  const made = [...contacts, ...trashed].filter(({ id }) => !seeds.has(id));
  count(
    'the CRM',
    made.map((contact) => contact.last_name),
  );
  const own = rows.filter(({ crmId }) => crmId === null || !seeds.has(crmId));
  count(
    'the mirror',
    own.map(({ fields }) => fields.last_name),
  );
  return lines;
};

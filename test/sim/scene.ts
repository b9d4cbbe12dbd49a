/** What is judged: everything that was seen to happen, and what is written down in the end. */
import type { ChangeOp } from '../../src/domain/change.ts';
import { stableJson } from '../../src/domain/contact.ts';
import type { Books } from './database.ts';
import type { World } from './world.ts';

export type Scene = Pick<World, 'account' | 'history' | 'schedule' | 'witness'> & { readonly books: Books };

/** What waits for a person, with the CRM's value as it is written down: as JSON. */
export const openConflicts = ({ books, history }: Scene, tag: string): readonly { readonly field: string; readonly remote: string }[] =>
  books.conflicts
    .filter((conflict) => conflict.state === 'open' && history.tagOfRow.get(conflict.contactId) === tag)
    .map(({ field, remote }) => ({ field, remote: field === 'phones' ? phonesText(phoneList(remote)) : stableJson(remote ?? null) }));

const phoneList = (value: unknown): readonly (readonly [string, string])[] =>
  ((value ?? []) as readonly { readonly number: string; readonly type: string }[]).map(({ number, type }) => [number, type]);

export const phonesText = (phones: readonly (readonly [number: string, type: string])[]): string =>
  stableJson(phones.toSorted(([a], [b]) => (a < b ? -1 : 1)));

export const isLoggedLink = ({ books, history }: Scene, tag: string, field: string, op?: ChangeOp): boolean => {
  const [prefix, kind = '', id] = field.split(':');
  if (prefix !== 'link') return false;
  const logged = books.log.filter((row) => history.tagOfRow.get(row.contactId) === tag && (op === undefined || row.op === op));
  return logged.some(({ oldValues, newValues }) => String({ ...oldValues, ...newValues }[kind]) === id);
};

export const hasConflict = (
  { books, history }: Scene,
  tag: string,
  field: string,
  side?: 'local' | 'remote',
  value: string | null = null,
): boolean =>
  books.conflicts.some((conflict) => {
    if (history.tagOfRow.get(conflict.contactId) !== tag || conflict.field !== field) return false;
    if (side === undefined) return true;
    const held = conflict[side] ?? null;
    return (held === null ? null : stableJson(held)) === value;
  });

/** What is left of a row for somebody who does not hold the admin token: ids, fields' names, codes and times; nobody's values. */
import type { Item } from '../ports/operations.ts';

/** What a column of each list becomes; what is not named is left out, so that a new column is a decision. */
const KEPT = {
  runs: `id kind state with_links requested_at started_at finished_at complete pages rows_seen rows_written calls error expected pass marks`,
  parked: `direction change_id contact_id crm_id op fields error_code attempts since`,
  holds: `id direction reason rows cause state created_at decided_at counts plan_lines`,
  conflicts: `id contact_id crm_id field policy state at decided_at`,
} as const;
export type Listed = keyof typeof KEPT;

/** Ids, and names of fields and links; what a later version may add to a line is not known to be harmless. */
const KEPT_OF_LINE: ReadonlySet<string> = new Set(['contact_id', 'crm_id', 'op', 'fields', 'links', 'silent']);
const OUTCOMES: ReadonlySet<unknown> = new Set(['crm', 'mirror', 'merged', 'open']);

const pick = (item: Item, isKept: (column: string) => boolean): Item =>
  Object.fromEntries(Object.entries(item).filter(([column]) => isKept(column)));

const withoutValues = (line: unknown): unknown =>
  typeof line === 'object' && line !== null ? pick(line as Item, (key) => KEPT_OF_LINE.has(key)) : null;

export const maskItem = (list: Listed, item: Item): Item => {
  const kept = new Set(KEPT[list].split(' '));
  const masked = pick(item, (column) => kept.has(column));
  if (list === 'holds') return { ...masked, plan: Array.isArray(item['plan']) ? item['plan'].map(withoutValues) : [] };
  // A value that somebody chose stands there as it is.
  if (list === 'conflicts') return { ...masked, outcome: OUTCOMES.has(item['outcome']) ? item['outcome'] : 'value' };
  return masked;
};

/** The triggers that keep the promises: what has to be in place, and how. A test compares the list with a fresh database. */

/** As `pg_trigger.tgenabled`: A fires always, O in ordinary sessions, R in those that replicate alone, D never. */
export type TriggerMode = 'A' | 'O' | 'R' | 'D';

const CAPTURED = ['crm.contacts', 'crm.contact_companies', 'crm.contact_deals', 'crm.contact_activities'] as const;
const NAMES = ['crm.companies', 'crm.deals', 'crm.activities', 'crm.users', 'crm.sources', 'crm.countries'] as const;

/** `schema.table trigger`, and how it has to be: capture fires in every session, or an edit would be missed. */
export const EXPECTED_TRIGGERS: ReadonlyMap<string, TriggerMode> = new Map<string, TriggerMode>([
  ...CAPTURED.flatMap((table) => ['insert', 'update', 'delete'].map((op) => [`${table} relate_mirror_capture_${op}`, 'A'] as const)),
  ...CAPTURED.flatMap((table) =>
    ['relate_mirror_writer', 'zz_relate_mirror_guard_writer', 'zz_relate_mirror_guard_truncate'].map(
      (guard) => [`${table} ${guard}`, 'O'] as const,
    ),
  ),
  ['crm.contacts zz_relate_mirror_guard_insert', 'O'],
  ['crm.contacts zz_relate_mirror_guard_update', 'O'],
  ...NAMES.map((table) => [`${table} zz_relate_mirror_guard`, 'O'] as const),
  ['sync.holds relate_mirror_decide_identity', 'O'],
  ['sync.custom_fields relate_mirror_changes', 'O'],
]);

/** All of them fire, in every session, or none does: whether versions are kept (HISTORY_DAYS). */
export const HISTORY_TRIGGERS = ['insert', 'update', 'delete'].map((op) => `crm.contacts relate_mirror_history_${op}`);

export interface TriggerFault {
  readonly trigger: string;
  readonly expected: TriggerMode;
  /** Null: it is not there. */
  readonly found: TriggerMode | null;
}

/** What is missing or switched otherwise. One that fires always where ordinary sessions would do is no fault. */
export const triggerFaults = (found: ReadonlyMap<string, TriggerMode>): readonly TriggerFault[] => {
  const keepsHistory = HISTORY_TRIGGERS.some((trigger) => (found.get(trigger) ?? 'D') !== 'D');
  const history = HISTORY_TRIGGERS.map((trigger) => [trigger, keepsHistory ? 'A' : 'D'] as const);
  return [...EXPECTED_TRIGGERS, ...history].flatMap(([trigger, expected]) => {
    const mode = found.get(trigger) ?? null;
    return mode === expected || (expected === 'O' && mode === 'A') ? [] : [{ trigger, expected, found: mode }];
  });
};

/** What a schedule itself explains: what may be left over for a person, and what nobody could have known. */
import type { ErrorCode } from '../../src/domain/errors.ts';
import type { Action, Schedule } from './schedule.ts';
import type { World } from './world.ts';

/** With nobody left whom the CRM shows, its 404 for the last ones cannot be told from a broken CRM. */
export const nobodyAnswers = (account: World['account']): boolean => !account.contacts().some(({ access }) => access !== 'none');

/** The control of a 404 is a contact that is shown and has its row: where the last of these is gone, no 404 is believed. */
export const hasNoControl = (account: World['account'], rows: readonly { readonly crmId: number | null }[]): boolean =>
  !account.contacts().some(({ id, access }) => access !== 'none' && rows.some(({ crmId }) => crmId === id));

const actionsOf = ({ events }: Schedule): readonly Action[] =>
  events.flatMap((event) => {
    if (event.side === 'sync') return event.during.map(({ action }) => action);
    return event.side === 'time' || event.side === 'twin' ? [] : [event];
  });

export const did = (schedule: Schedule, ...acts: readonly string[]): boolean =>
  actionsOf(schedule).some((action) => 'act' in action && acts.includes(action.act));

export const faults = (schedule: Schedule, kind: string): boolean =>
  actionsOf(schedule).some((action) => action.side === 'fault' && action.kind === kind);

export const parkable = (schedule: Schedule): ReadonlySet<ErrorCode> => {
  const refuses = (kind: string): boolean => faults(schedule, kind);
  const codes = new Set<ErrorCode>();
  if (refuses('422')) codes.add('invalid');
  if (refuses('403-record') || did(schedule, 'hide', 'lock')) codes.add('forbidden');
  // The e-mail and phones of a contact that is in the trash, or hidden before its create could be looked up, still count as taken.
  if (did(schedule, 'delete', 'hide')) codes.add('invalid');
  const policies = new Set([schedule.policy, ...Object.values(schedule.fieldPolicies ?? {})]);
  // Deleted there, and its removal here is held: what is edited meanwhile waits for the decision.
  if (did(schedule, 'delete') && schedule.brakeRows != null) codes.add('deleted_in_crm');
  if (did(schedule, 'delete') && (policies.has('crm') || policies.has('manual') || codes.has('forbidden'))) codes.add('deleted_in_crm');
  // Edited there before a lost answer could be asked for: where only the name still speaks for it, a person decides.
  if (actionsOf(schedule).some(({ side }) => side === 'remote') || schedule.events.some(({ side }) => side === 'twin'))
    codes.add('several_matches');
  return codes;
};

export const hasAccident = ({ events }: Schedule): boolean =>
  events.some((event) => event.side === 'sync' && (event.crashAt !== null || event.refuseAt !== null || event.freeze != null));

/** Without a call that reads them, activities are only ever written. */
export const isReadable = (field: string, { mode }: Schedule): boolean => mode === 'upstream' || !field.startsWith('link:activities');

export const isToldLate = (field: string, { mode }: Schedule): boolean =>
  field.startsWith('link:activities') || (mode === 'documented' && field.startsWith('link:'));

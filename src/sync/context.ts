/** What a run reads once before its first page, and the one place where clocks are compared. */
import type { BrakeLimits } from '../domain/brake.ts';
import type { CustomFieldDefs, FieldName } from '../domain/contact.ts';
import type { Policy } from '../domain/merge.ts';
import type { AnswerMeta } from '../ports/crm.ts';
import type { SyncDeps } from './deps.ts';
import type { Reading } from './reconcile.ts';

/** What a page is read with: what its run has read, and the clocks as its own request has found them. */
export interface PageContext extends Omit<Reading, 'customFields'> {
  readonly customFields: CustomFieldDefs;
  /** The CRM has a call that reads a contact's activities. */
  readonly readsActivities: boolean;
  /** Rows that were here first are paired with the CRM's contacts: before the first complete sweep, or where one of these was locked then. */
  readonly firstRun: boolean;
  readonly brake: BrakeLimits;
}

export type RunContext = Omit<PageContext, 'clockOffsetMs'>;

export const loadContext = async ({ mirror, settings, capabilities }: SyncDeps): Promise<RunContext> => {
  const [customFields, policies, account] = await Promise.all([mirror.customFields(), mirror.fieldPolicies(), mirror.account()]);
  const policyOf = (field: FieldName | 'contact'): Policy => policies.get(field) ?? settings.conflictPolicy;
  // A restored database may lack what was paired since: its rows meet the CRM's contacts as on the first run. And as long as a twin waits for
  // somebody's lock, that run is not over for it, whichever list brings it.
  const firstRun = account.firstSweepAt === null || account.twins || account.identityHold?.swept === false;
  const { activities: readsActivities } = capabilities.get();
  return { customFields, policyOf, readsActivities, firstRun, brake: settings.brake };
};

/**
 * What to add to a time of the CRM to have it on the database's clock. `requestedAt` was taken just before the request, the Date header just
 * after it was read, to the second: the error is a second and the call's duration, which the merge's tie rule and the overlaps allow for.
 */
export const clockOffsetMs = (requestedAt: Date, meta: AnswerMeta): number =>
  meta.date === null ? 0 : requestedAt.getTime() - meta.date.getTime();

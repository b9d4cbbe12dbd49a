/**
 * The CRM keeps e-mails and phones unique and says that one is taken, but not by whom. The person who has to mend it needs to know: a contact of
 * the mirror, one in the CRM's trash (which counts as well), or somebody whom this token does not see.
 */
import { canonicalFields, type RemoteContact } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { SearchParams } from '../ports/crm.ts';
import type { Job } from './attempt.ts';
import { callOptions, type SyncDeps } from './deps.ts';

/** The failure, with whoever holds the value added to its message; unchanged where it is about something else. Names ids only. */
export const explainTaken = async (deps: SyncDeps, job: Job, failure: CrmFailure): Promise<CrmFailure> => {
  if (failure.code !== 'invalid' || job.situation.row === null) return failure;
  const fields = canonicalFields(job.situation.row.fields, job.context.customFields);
  for (const { about, field, values } of [
    { about: 'email', field: 'email', values: fields.email === null ? [] : [fields.email] },
    { about: 'phones', field: 'phones.number', values: fields.phones.map(({ number }) => number) },
  ]) {
    const isAbout = Object.keys(failure.fields).some((key) => key === about || key.startsWith(`${about}.`));
    // A colon would switch the CRM's search to pairs of field and value.
    const value = values.find((text) => !text.includes(':'));
    if (!isAbout || value === undefined) continue;
    const holder = await findHolder(deps, job, { q: value, searchFields: [{ field, operator: '=' }] });
    return holder === null ? failure : { ...failure, message: `${failure.message} ${holder}` };
  }
  return failure;
};

/** A sentence; null where the CRM could not be asked. */
const findHolder = async (deps: SyncDeps, job: Job, params: SearchParams): Promise<string | null> => {
  const visible = await deps.crm.search(params, callOptions(deps, 'edit'));
  if (!visible.ok) return null;
  const [other] = others(visible.value.records, job);
  if (other !== undefined) {
    const known = (await deps.mirror.transaction((tx) => tx.peek([other.crmId]))).get(other.crmId);
    const here = known?.hasRow === true ? `crm.contacts.id ${known.contactId}` : 'not in the mirror yet';
    return `Held by the CRM's contact ${other.crmId} (${here}).`;
  }
  if (!deps.capabilities.get().trash) return HIDDEN;
  const order = { field: 'id', direction: 'desc' } as const;
  const trashed = await deps.crm.listTrashed({ ...params, order, perPage: 1, page: 1 }, callOptions(deps, 'edit'));
  const [buried] = trashed.ok ? others(trashed.value.records, job) : [];
  return buried === undefined ? HIDDEN : `Held by contact ${buried.crmId} in the CRM's trash.`;
};

const others = (records: readonly RemoteContact[], { situation }: Job): readonly RemoteContact[] =>
  records.filter(({ crmId }) => crmId !== situation.crmId);

const HIDDEN =
  "No visible contact has it: if it is taken, then by one in the CRM's trash, one that this token may not see, or by a user of the CRM.";

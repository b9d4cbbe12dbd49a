/**
 * Keeps the definitions of the account's custom fields as the CRM has them.
 *
 * A new field or option moves no contact's updated_at, so there is no telling when to look: the list is read each day, with each sweep, when
 * somebody asks (`sync.request_fields()`), and when a record shows what it does not tell.
 */
import type { CustomFieldDef, CustomFieldDefs, RemoteContact } from '../domain/contact.ts';
import type { CrmFailure, ErrorCode } from '../domain/errors.ts';
import { callOptions, type SyncDeps } from './deps.ts';

/** However often it is wanted. */
const FIELDS_AGAIN_MS = 120_000;

/** Answers of a CRM that has no such list any more: an upgrade. The next probe looks again. */
const NO_LIST: ReadonlySet<ErrorCode> = new Set(['not_found', 'no_such_route', 'forbidden', 'bad_request', 'bad_answer']);

/** Reads the list where it is wanted and was not read just now. Answers what kept it from that. */
export const readFieldsOnce = async (deps: SyncDeps): Promise<CrmFailure | null> => {
  if (!deps.capabilities.get().customFields) return null;
  const { readAt, wantedAt } = await deps.mirror.customFieldList();
  if (wantedAt === null || (readAt !== null && wantedAt <= readAt)) return null;
  const now = await deps.mirror.now();
  if (readAt !== null && now.getTime() - readAt.getTime() < FIELDS_AGAIN_MS) return null;
  return await readFields(deps);
};

export const readFields = async (deps: SyncDeps): Promise<CrmFailure | null> => {
  const fields = await deps.crm.customFields(callOptions(deps, 'changes'));
  if (fields.ok) await deps.mirror.transaction((tx) => tx.declareCustomFields(fields.value));
  else if (!NO_LIST.has(fields.failure.code)) return fields.failure;
  else {
    await deps.capabilities.learn({ customFields: false });
    deps.log.warn({ code: fields.failure.code }, 'the CRM does not tell its custom fields any more; they are read off the values');
  }
  return null;
};

/** Fields that were gone and have values again. */
export const revived = (records: readonly RemoteContact[], known: CustomFieldDefs): readonly string[] => {
  const gone = [...known.values()].filter((def) => def.gone).map(({ name }) => name);
  return gone.filter((name) => records.some(({ fields }) => (fields.custom_fields[name] ?? null) !== null));
};

/** Whether a record holds an option that the list of a listed field does not tell: it was added since. */
export const showsNewOption = (records: readonly RemoteContact[], known: CustomFieldDefs): boolean =>
  [...known.values()].some((def) => {
    if (def.origin !== 'crm' || !def.listed || def.options.length === 0) return false;
    const ids = new Set<unknown>(def.options.map(({ id }) => id));
    return records.some(({ fields }) => idsOf(def, fields.custom_fields[def.name]).some((id) => !ids.has(id)));
  });

const idsOf = ({ type }: CustomFieldDef, value: unknown): readonly unknown[] => {
  if (value === null || value === undefined) return [];
  return type === 'options' && Array.isArray(value) ? value : [value];
};

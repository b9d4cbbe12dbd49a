/**
 * Keeps the definitions of the account's custom fields as the CRM has them.
 *
 * A new field or option moves no contact's updated_at, so there is no telling when to look: the list is read each day, with each sweep, when
 * somebody asks (`sync.request_fields()`), and when a record shows what it does not tell.
 */
import { retryDelayMs } from '../domain/backoff.ts';
import type { CustomFieldDef, CustomFieldDefs, RemoteContact } from '../domain/contact.ts';
import type { CrmFailure, ErrorCode } from '../domain/errors.ts';
import { callOptions, type SyncDeps } from './deps.ts';

/** However often it is wanted; and the time in which a list that lacks most fields has to be told once more. */
const FIELDS_AGAIN_MS = 120_000;
/** Between two attempts of a list that keeps failing. */
const FIELDS_RETRY_MS_MAX = 3_600_000;

/** Answers of a CRM that has no such list any more: an upgrade. The next probe looks again. */
const NO_LIST: ReadonlySet<ErrorCode> = new Set(['not_found', 'no_such_route', 'forbidden', 'bad_request', 'bad_answer']);

/** Ends of our own: no attempt that says anything of the CRM. */
const NOT_ASKED: ReadonlySet<ErrorCode> = new Set(['aborted', 'not_leader', 'paused']);

/** What a process remembers of the list; times on the monotonic clock. Another process may ask once more. */
export interface FieldListMemory {
  /** Attempts that failed in a row. */
  failures: number;
  /** Of the last one. */
  code: ErrorCode | null;
  /** Until then nobody asks, whoever wants it. */
  notBeforeMs: number;
  /** A list that lacks most of what is known, and when it was told first. */
  doubted: { readonly names: string; readonly sinceMs: number } | null;
}
export const createFieldListMemory = (): FieldListMemory => ({ failures: 0, code: null, notBeforeMs: 0, doubted: null });

/** Reads the list where it is wanted and was not read, or failed, just now. */
export const readFieldsOnce = async (deps: SyncDeps, memory: FieldListMemory): Promise<void> => {
  if (!deps.capabilities.get().customFields || deps.clock.monotonicMs() < memory.notBeforeMs) return;
  const { readAt, wantedAt } = await deps.mirror.customFieldList();
  if (wantedAt === null || (readAt !== null && wantedAt <= readAt)) return;
  const now = await deps.mirror.now();
  if (readAt !== null && now.getTime() - readAt.getTime() < FIELDS_AGAIN_MS) return;
  await readFields(deps, memory);
};

/** Answers what kept it from reading the list, which stays wanted then. */
export const readFields = async (deps: SyncDeps, memory = createFieldListMemory()): Promise<CrmFailure | null> => {
  const fields = await deps.crm.customFields(callOptions(deps, 'changes'));
  if (fields.ok) {
    Object.assign(memory, { ...createFieldListMemory(), doubted: memory.doubted });
    await believe(deps, memory, fields.value);
    return null;
  }
  const { failure } = fields;
  if (NO_LIST.has(failure.code)) {
    await deps.capabilities.learn({ customFields: false });
    deps.log.warn({ code: failure.code }, 'the CRM does not tell its custom fields any more; they are read off the values');
    return null;
  }
  if (!NOT_ASKED.has(failure.code)) await tryLater(deps, memory, failure);
  return failure;
};

/** One that lacks most of what is known may be the answer of a CRM that is not well: it counts once it was told twice. */
const believe = async (deps: SyncDeps, memory: FieldListMemory, fields: readonly CustomFieldDef[]): Promise<void> => {
  const names = new Set(fields.map(({ name }) => name));
  const listed = [...(await deps.mirror.customFields()).values()].filter((def) => def.origin === 'crm' && def.listed);
  const missing = listed.filter(({ name }) => !names.has(name)).length;
  const told = [...names].toSorted().join(' ');
  const nowMs = deps.clock.monotonicMs();
  const { doubted } = memory;
  const isToldAgain = doubted?.names === told && nowMs - doubted.sinceMs >= FIELDS_AGAIN_MS;
  if (missing * 2 > listed.length && !isToldAgain) {
    memory.doubted = doubted?.names === told ? doubted : { names: told, sinceMs: nowMs };
    memory.notBeforeMs = memory.doubted.sinceMs + FIELDS_AGAIN_MS;
    await deps.mirror.transaction((tx) => tx.wantCustomFields());
    deps.log.warn({ missing, listed: listed.length }, 'the CRM lists less than half of its custom fields: believed once it is told again');
    return;
  }
  memory.doubted = null;
  await deps.mirror.transaction((tx) => tx.declareCustomFields(fields));
};

const tryLater = async (deps: SyncDeps, memory: FieldListMemory, { code, status, retryAfterMs }: CrmFailure): Promise<void> => {
  const isNews = memory.code !== code;
  memory.failures += 1;
  memory.code = code;
  // At least the two minutes: half of what comes out may be taken off by chance.
  const backoffMs = retryDelayMs(memory.failures, { minMs: FIELDS_AGAIN_MS, maxMs: FIELDS_RETRY_MS_MAX }, deps.random());
  const pauseMs = Math.max(FIELDS_AGAIN_MS, retryAfterMs ?? 0, backoffMs);
  memory.notBeforeMs = deps.clock.monotonicMs() + pauseMs;
  await deps.mirror.transaction((tx) => tx.wantCustomFields());
  const fields = { code, status, pause_ms: Math.round(pauseMs), failures: memory.failures };
  deps.log[isNews ? 'warn' : 'debug'](fields, 'the list of custom fields could not be read; everything else goes on without it');
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

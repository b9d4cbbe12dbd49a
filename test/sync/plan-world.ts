/** A plan and the sync that follows it, both brought to one shape: what each says of every contact. */
import { createMirrorView } from '../../src/postgres/mirror-view.ts';
import { probeCapabilities } from '../../src/crm/probe.ts';
import { readSnapshot, type MirroredContact } from '../../src/postgres/snapshot.ts';
import { sameValue } from '../../src/domain/contact.ts';
import type { PlanChange, PlanLine, PlanTotal } from '../../src/sync/preview/lines.ts';
import { preview } from '../../src/sync/preview/preview.ts';
import type { Harness } from './harness.ts';

export interface Planned {
  readonly lines: readonly PlanLine[];
  readonly changes: readonly PlanChange[];
  readonly total: PlanTotal;
  readonly stoppedBy: string | null;
}

export const planOf = async ({ pool, crm, deps, sandbox }: Harness, { full = false } = {}): Promise<Planned> => {
  const { settings, clock, random, log, signal } = deps;
  const lines: PlanLine[] = [];
  const stopped = await preview(
    { view: createMirrorView(pool), crm, probe: probeCapabilities, settings, clock, random, log, signal, callsPerMinute: () => 80 },
    { full, tell: (line) => lines.push(line), onProgress: () => {} },
  );
  const total = lines.at(-1);
  if (total?.kind !== 'total') throw new Error(`no total from ${sandbox.url}`);
  const changes = lines.filter((line) => line.kind === 'change');
  return { lines, changes, total, stoppedBy: stopped?.code ?? null };
};

const WRITES = ['create', 'update', 'delete', 'attach', 'detach', 'sync', 'restore'] as const;
type Write = (typeof WRITES)[number];
const isWrite = (call: string): call is Write => (WRITES as readonly string[]).includes(call);

/** What becomes of the contacts: sets of short texts, so that a difference can be read. */
export interface Account {
  /** "contact 3 update city,links": rows of the mirror, by the id in the CRM. */
  readonly mirror: readonly string[];
  /** "3: update attach": writes that reach the CRM, in their order, by the id there; what is created has none. */
  readonly writes: readonly string[];
  /** "3 city": fields that the bodies carry. */
  readonly sent: readonly string[];
  readonly conflicts: readonly string[];
  readonly held: readonly string[];
  readonly parked: readonly string[];
  readonly calls: { readonly [call: string]: number };
}

const sorted = (texts: Iterable<string>): readonly string[] => [...new Set(texts)].sort();
const add = <K, V>(lists: Map<K, V[]>, key: K, items: readonly V[]): void => void lists.set(key, [...(lists.get(key) ?? []), ...items]);

/** As the plan tells it. */
export const told = ({ lines, changes }: Planned): Account => {
  const due = changes.filter(({ state }) => state === 'due' || state === 'unknown');
  const writes = new Map<string, Write[]>();
  const sent: string[] = [];
  for (const { crm_id: crmId, calls, fields } of due.filter(({ direction }) => direction === 'push')) {
    add(writes, crmId === null ? 'new' : String(crmId), calls.filter(isWrite));
    if (crmId !== null) for (const name of Object.keys(fields)) sent.push(`${crmId} ${name}`);
  }
  const all = [...writes.values()].flat();
  return {
    mirror: sorted(due.filter(({ direction, action }) => direction === 'pull' && action !== 'pair').map(describe)),
    writes: sorted([...writes].map(([key, calls]) => `${key}: ${key === 'new' ? [...calls].sort().join(' ') : calls.join(' ')}`)),
    sent: sorted(sent),
    conflicts: sorted(lines.flatMap((l) => (l.kind === 'conflict' ? [`${l.contact_id} ${l.field} ${l.outcome} by ${l.policy}`] : []))),
    held: sorted(changes.filter(({ state }) => state === 'held').map(({ direction, contact_id: id }) => `${direction} ${id}`)),
    parked: sorted(changes.filter(({ state }) => state === 'parked').map(({ contact_id: id }) => String(id))),
    calls: countsOf(all),
  };
};

const countsOf = (calls: readonly Write[]): { readonly [call: string]: number } =>
  Object.fromEntries(WRITES.flatMap((call) => (calls.includes(call) ? [[call, calls.filter((each) => each === call).length]] : [])));

const describe = ({ crm_id: crmId, action, fields, links }: PlanChange): string => {
  if (action !== 'update') return `contact ${crmId} ${action}`;
  return `contact ${crmId} update ${[...Object.keys(fields), ...Object.keys(links)].filter(isRead).sort().join(',')}`;
};

/** No list carries activities: a plan says that they would be read, and not what they are. */
const isRead = (name: string): boolean => name !== 'activities';

interface Moment {
  readonly rows: ReadonlyMap<number, MirroredContact>;
  readonly conflict: number;
}

const momentOf = async ({ pool, sql }: Harness): Promise<Moment> => ({
  rows: new Map((await readSnapshot(pool)).map((row) => [row.contactId, row])),
  conflict: Number((await sql('select coalesce(max(id), 0) as id from sync.conflicts'))[0]?.['id']),
});

/** Does `work`, and tells what has become of the contacts. */
export const happens = async (harness: Harness, work: () => Promise<unknown>): Promise<Account> => {
  const { account, sql } = harness;
  const before = await momentOf(harness);
  const existing = new Set([...account.contacts(), ...account.trashed()].map(({ id }) => id));
  account.calls.clear();
  await work();
  const after = await momentOf(harness);
  const made = account.calls.calls.filter(({ call }) => isWrite(call));
  const writes = new Map<string, Write[]>();
  const sent: string[] = [];
  for (const { call, id, body } of made) {
    const isNew = id === null || !existing.has(id);
    add(writes, isNew ? 'new' : String(id), [call as Write]);
    if (call === 'update' && !isNew) for (const name of fieldsOf(body)) sent.push(`${id} ${name}`);
  }
  const conflicts = await sql(CONFLICTS, [before.conflict]);
  return {
    mirror: sorted(differencesOf(before.rows, after.rows)),
    writes: sorted([...writes].map(([key, calls]) => `${key}: ${key === 'new' ? [...calls].sort().join(' ') : calls.join(' ')}`)),
    sent: sorted(sent),
    conflicts: sorted(conflicts.map(({ line }) => String(line))),
    held: sorted((await sql(HELD)).map(({ line }) => String(line))),
    parked: sorted(
      (await sql(`select contact_id from sync.change_log where settled_at is null and state = 'parked'`)).map((r) =>
        String(r['contact_id']),
      ),
    ),
    calls: countsOf(made.map(({ call }) => call as Write)),
  };
};

const CONFLICTS = `
  select concat(contact_id, ' ', field, ' ', outcome, ' by ', policy) as line from sync.conflicts where id > $1 or state = 'open'`;

const HELD = `
  select 'push ' || contact_id as line from sync.change_log where settled_at is null and state = 'held'
  union select h.direction || ' ' || (p.line ->> 'contact_id') from sync.holds h, jsonb_array_elements(h.plan) p(line)
    where h.state = 'open' and not p.line ? 'released'`;

const fieldsOf = (body: unknown): readonly string[] => {
  const { custom_fields: custom = {}, ...fields } = body as { readonly custom_fields?: object };
  return [...Object.keys(fields), ...Object.keys(custom)];
};

const differencesOf = (before: Moment['rows'], after: Moment['rows']): readonly string[] => {
  const found: string[] = [];
  for (const [id, row] of before) if (!after.has(id)) found.push(`contact ${row.crmId} delete`);
  for (const [id, row] of after) {
    const old = before.get(id);
    if (old === undefined) found.push(`contact ${row.crmId} create`);
    else {
      const [from, to] = [valuesOf(old), valuesOf(row)];
      const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].filter(
        (name) => isRead(name) && !sameValue(from[name] ?? null, to[name] ?? null),
      );
      if (names.length > 0) found.push(`contact ${row.crmId} update ${names.sort().join(',')}`);
    }
  }
  return found;
};

const valuesOf = ({ fields: { custom_fields: custom, ...fields }, links }: MirroredContact): { readonly [name: string]: unknown } => ({
  ...fields,
  ...custom,
  ...links,
});

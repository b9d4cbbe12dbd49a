/**
 * What was seen to change, on either side, in the order in which it happened. A phone is a field of its own (`phone:NUMBER`, its type or
 * null), and so is a link (`link:KIND:ID`, true or null): then every promise about edits is one about single values.
 *
 * A person is told by the tag in last_name, which nobody ever edits.
 */
import {
  canonicalFields,
  fieldNames,
  fieldValue,
  LINK_KINDS,
  stableJson,
  type ContactFields,
  type LinkSets,
  type CustomFieldDefs,
} from '../../src/domain/contact.ts';
import type { AccountContact } from '../../src/sandbox/crm/records.ts';
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { Observer, Row, SimDatabase } from './database.ts';

export type Side = 'row' | 'crm';
/** Who did it: somebody there, or the sync. */
export type Author = 'person' | 'sync';
export interface Change {
  readonly seq: number;
  /** What was seen at one look has the same number: one transaction, one call. */
  readonly look: number;
  readonly side: Side;
  readonly by: Author;
  readonly tag: string;
  /** `life`: `alive`, `trashed` (the CRM's) or null; `pair`: the CRM's id that a row has. */
  readonly field: string;
  readonly value: string | null;
}

/** Field → value as text; fields without value are not in it. */
export type Values = ReadonlyMap<string, string>;

const LINK_PREFIX = 'link:';
export const isElement = (field: string): boolean => field.startsWith('phone:') || field.startsWith(LINK_PREFIX);

const valuesOf = (fields: ContactFields, links: LinkSets): Values => {
  const values = new Map<string, string>();
  for (const name of fieldNames(fields)) {
    const value = fieldValue(fields, name);
    if (name !== 'phones' && value !== null) values.set(name, stableJson(value));
  }
  for (const { number, type } of fields.phones) values.set(`phone:${number}`, type);
  for (const kind of LINK_KINDS) for (const id of links[kind]) values.set(`${LINK_PREFIX}${kind}:${id}`, 'true');
  return values;
};

export const crmValues = (contact: AccountContact, defs: CustomFieldDefs): Values => {
  const { custom, phones, ...columns } = contact;
  return valuesOf(canonicalFields({ ...columns, phones, custom_fields: custom }, defs), contact);
};

export const rowValues = ({ fields, links }: Row, defs: CustomFieldDefs): Values => valuesOf(canonicalFields(fields, defs), links);

interface Seen {
  readonly tag: string;
  readonly life: string | null;
  readonly values: Values;
}

export class History implements Observer {
  readonly changes: Change[] = [];
  /** Contact ids by tag, both sides; a tag may have had several of the CRM's over time. */
  readonly tagOfRow = new Map<number, string>();
  readonly tagOfContact = new Map<number, string>();
  /** The next change's number. */
  seq = 1;
  #look = 0;
  readonly #rows = new Map<number, Seen>();
  readonly #contacts = new Map<number, Seen>();
  #version = -1;
  readonly #database: SimDatabase;
  readonly #account: SandboxAccount;
  readonly #defs: CustomFieldDefs;

  constructor(database: SimDatabase, account: SandboxAccount, defs: CustomFieldDefs) {
    this.#database = database;
    this.#account = account;
    this.#defs = defs;
  }

  /** Looks at both sides and books what is new to `by`. */
  observe(by: Author): void {
    this.#look += 1;
    this.#observeCrm(by);
    const { version, rows } = this.#database.rows();
    if (version !== this.#version) this.#observeRows(by, rows);
    this.#version = version;
  }

  of(tag: string): readonly Change[] {
    return this.changes.filter((change) => change.tag === tag);
  }

  #observeCrm(by: Author): void {
    const now = new Map<number, AccountContact>();
    for (const contact of [...this.#account.contacts(), ...this.#account.trashed()]) now.set(contact.id, contact);
    for (const [id, contact] of now) {
      this.tagOfContact.set(id, contact.last_name ?? '');
      this.#compare('crm', by, this.#contacts, id, {
        tag: contact.last_name ?? '',
        life: contact.deletedAtMs === null ? 'alive' : 'trashed',
        values: crmValues(contact, this.#defs),
      });
    }
    for (const id of this.#contacts.keys()) if (!now.has(id)) this.#compare('crm', by, this.#contacts, id, null);
  }

  #observeRows(by: Author, rows: readonly Row[]): void {
    const there = new Set(rows.map(({ id }) => id));
    for (const row of rows) {
      const { id } = row;
      const values = rowValues(row, this.#defs);
      const tag = row.fields.last_name ?? '';
      this.tagOfRow.set(id, tag);
      if (row.crmId !== null) this.tagOfContact.set(row.crmId, tag);
      const pair: [string, string][] = row.crmId === null ? [] : [['pair', String(row.crmId)]];
      this.#compare('row', by, this.#rows, id, { tag, life: 'alive', values: new Map([...values, ...pair]) });
    }
    for (const id of this.#rows.keys()) if (!there.has(id)) this.#compare('row', by, this.#rows, id, null);
  }

  #compare(side: Side, by: Author, seen: Map<number, Seen>, id: number, next: Seen | null): void {
    const before = seen.get(id);
    if (next === null) {
      if (before !== undefined) this.#add(side, by, before.tag, 'life', null);
      seen.delete(id);
      return;
    }
    if (before?.life !== next.life) this.#add(side, by, next.tag, 'life', next.life);
    for (const field of new Set([...(before?.values.keys() ?? []), ...next.values.keys()])) {
      const value = next.values.get(field) ?? null;
      if ((before?.values.get(field) ?? null) !== value) this.#add(side, by, next.tag, field, value);
    }
    seen.set(id, next);
  }

  #add(side: Side, by: Author, tag: string, field: string, value: string | null): void {
    this.changes.push({ seq: this.seq, look: this.#look, side, by, tag, field, value });
    this.seq += 1;
  }
}

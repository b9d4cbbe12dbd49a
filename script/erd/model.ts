/** What the diagram shows, read from the catalogue of a migrated database: the tables of crm, what people read of sync, and the views of bi. */
import type pg from 'pg';
import { SYNC_RELATIONS } from '../../src/postgres/sql/grants.ts';

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly isKey: boolean;
}
export interface Relation {
  readonly schema: 'crm' | 'sync' | 'bi';
  readonly name: string;
  readonly kind: 'table' | 'view';
  readonly columns: readonly Column[];
}
export interface Reference {
  /** `schema.relation` */
  readonly from: string;
  readonly column: string;
  readonly to: string;
  /** Held by the database, or only meant: the CRM decides which ids there are. */
  readonly isHeld: boolean;
}
export interface Model {
  readonly relations: readonly Relation[];
  readonly references: readonly Reference[];
}

const RELATIONS = `
select n.nspname as schema, c.relname as name, case c.relkind when 'v' then 'view' else 'table' end as kind,
  (select jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'isKey', coalesce(a.attnum = any(k.conkey), false))
      order by a.attnum)
   from pg_attribute a left join pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('bi', 'crm') and c.relkind in ('r', 'v') or n.nspname = 'sync' and c.relname = any($1)
order by array_position(array['crm', 'sync', 'bi'], n.nspname::text), c.relname`;
const HELD = `
select k.conrelid::regclass::text as from, a.attname as column, k.confrelid::regclass::text as to
from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
where k.contype = 'f' and k.conparentid = 0`;

/** Ids whose name says what they are of: in bi the view of that name, elsewhere the table of crm. */
const TARGETS: Readonly<Record<string, string>> = {
  contact_id: 'contacts',
  company_id: 'companies',
  deal_id: 'deals',
  activity_id: 'activities',
  user_id: 'users',
  source_id: 'sources',
  country_id: 'countries',
};

export const readModel = async (client: pg.Client): Promise<Model> => {
  const read = Object.entries(SYNC_RELATIONS).flatMap(([name, by]) => (by === 'daemon' ? [] : [name]));
  const { rows: relations } = await client.query<Relation>(RELATIONS, [read]);
  const names = new Set(relations.map(({ schema, name }) => `${schema}.${name}`));
  const { rows } = await client.query<Omit<Reference, 'isHeld'>>(HELD);
  const held = rows.filter(({ from, to }) => names.has(from) && names.has(to)).map((reference) => ({ ...reference, isHeld: true }));
  const isHeld = (from: string, column: string): boolean =>
    held.some((reference) => reference.from === from && reference.column === column);
  const meant = relations.flatMap(({ schema, name, columns }) =>
    columns.flatMap(({ name: column }): readonly Reference[] => {
      const [from, target] = [`${schema}.${name}`, TARGETS[column]];
      const to = `${schema === 'bi' ? 'bi' : 'crm'}.${target}`;
      return target === undefined || to === from || isHeld(from, column) ? [] : [{ from, column, to, isHeld: false }];
    }),
  );
  const holds = relations
    .filter(({ schema, name, columns }) => schema === 'sync' && name !== 'holds' && columns.some((column) => column.name === 'hold_id'))
    .map(({ name }) => ({ from: `sync.${name}`, column: 'hold_id', to: 'sync.holds', isHeld: false }));
  return { relations, references: [...held, ...meant, ...holds].toSorted((a, b) => keyOf(a).localeCompare(keyOf(b), 'en')) };
};
const keyOf = ({ from, column }: Reference): string => `${from}.${column}`;

/** The limit and the peer of the first load: the same contacts written with no thought for what is there already. */
import pg from 'pg';
import type { BarePage } from './bare-pages.ts';
import type { BenchDatabase } from './database.ts';
import { timed } from './figures.ts';

const PER_PAGE = 100;
/** Connections, and upserts under way: what sync scripts commonly do. */
const PEER_CONCURRENCY = 5;

const linked = (table: string): string =>
  `(select coalesce(jsonb_agg(l), '[]') from crm.${table} l where l.contact_id in (select id from page))`;

const READ_PAGE = `
with page as materialized (select * from crm.contacts where id > $1 order by id limit ${PER_PAGE})
select max(id) as last_id, jsonb_build_object(
  'contacts', (select jsonb_agg(page) from page),
  'states', (select jsonb_agg(s) from sync.contact_state s where s.contact_id in (select id from page)),
  'companies', ${linked('contact_companies')}, 'deals', ${linked('contact_deals')})::text as rows
from page having count(*) > 0`;

const insert = (table: string, part: string): string =>
  `insert into ${table} overriding system value select * from jsonb_populate_recordset(null::${table}, $1::jsonb -> '${part}')`;

const WRITE_PAGE = `
with contacts as (${insert('crm.contacts', 'contacts')}),
  states as (${insert('sync.contact_state', 'states')}),
  companies as (${insert('crm.contact_companies', 'companies')})
${insert('crm.contact_deals', 'deals')}`;

/** Without triggers: what is left is Postgres itself, with its indexes and constraints. */
const withoutTriggers = async (database: BenchDatabase): Promise<void> => {
  for (const table of ['contacts', 'contact_companies', 'contact_deals']) {
    await database.query(`alter table crm.${table} disable trigger user`);
  }
};

/** The rows of one mirror into the same tables of an empty one, one INSERT and one commit a page. Answers the milliseconds of the writes. */
export const insertByPage = async (from: BenchDatabase, to: BenchDatabase): Promise<number> => {
  await withoutTriggers(to);
  let writtenMs = 0;
  for (let lastId = '0'; ;) {
    const [page] = await from.query<{ last_id: string; rows: string }>(READ_PAGE, [lastId]);
    if (page === undefined) return writtenMs;
    lastId = page.last_id;
    writtenMs += (await timed(() => to.query(WRITE_PAGE, [page.rows]))).ms;
  }
};

const PEER_TABLE = `create table public.peer_contacts (id bigint primary key, data jsonb not null, updated_at timestamptz)`;
const PEER_UPSERT = `
insert into public.peer_contacts as c (id, data, updated_at) values ($1, $2, $3)
on conflict (id) do update set data = excluded.data, updated_at = excluded.updated_at where c.updated_at <= excluded.updated_at`;

/**
 * The peer, end to end: reads a page, then sends one upsert a row, five at a time. One table of documents: no links, no base, no merge.
 * Stops after the page that reaches `contactsMax`.
 */
export const upsertByRow = async (
  pages: AsyncIterable<BarePage>,
  database: BenchDatabase,
  contactsMax: number,
): Promise<{ readonly contacts: number; readonly ms: number }> => {
  await database.query(PEER_TABLE);
  const pool = new pg.Pool({ connectionString: database.url, max: PEER_CONCURRENCY });
  let contacts = 0;
  try {
    const { ms } = await timed(async () => {
      for await (const { rows } of pages) {
        for (let at = 0; at < rows.length; at += PEER_CONCURRENCY) {
          const batch = rows.slice(at, at + PEER_CONCURRENCY);
          await Promise.all(batch.map((row) => pool.query(PEER_UPSERT, [row.id, JSON.stringify(row), row.updated_at])));
        }
        contacts += rows.length;
        if (contacts >= contactsMax) return;
      }
    });
    return { contacts, ms };
  } finally {
    await pool.end();
  }
};

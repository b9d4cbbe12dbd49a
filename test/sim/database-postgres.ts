/**
 * The simulated database on a real PostgreSQL: the real adapter, people's edits as real transactions, locks that really block.
 *
 * Its clock is real and cannot be moved. Time passes all the same: every moment that is stored becomes older, and the CRM's clock, which is
 * told from this one, goes on as far. So what was told by either clock keeps its distance.
 */
import { callbackify } from 'node:util';
import pg from 'pg';
import type { LinkKind } from '../../src/domain/contact.ts';
import type { Log } from '../../src/ports/ambient.ts';
import { createMirror } from '../../src/postgres/mirror.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { RefusedByRule } from '../fakes/fake-database.ts';
import { createTestDatabase } from '../database.ts';
import { RESET } from '../postgres/mirror-harness.ts';
import type { Books, ContactState, Conflict, Hold, LoggedEdit, Marked, Observer, Row, SimDatabase } from './database.ts';
import { openSession, type SqlSession } from './database-people.ts';
import type { Author } from './history.ts';
import { authorOf } from './operator-fake.ts';
import { Traffic, watch } from './database-traffic.ts';

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const ROWS = `
  select id::int, crm_id::int as "crmId",
    jsonb_build_object('first_name', first_name, 'last_name', last_name, 'email', email, 'job_title', job_title, 'street', street, 'city', city,
      'state', state, 'postal_code', postal_code, 'user_id', user_id, 'source_id', source_id, 'country_id', country_id, 'phones', phones,
      'custom_fields', custom_fields) as fields,
    jsonb_build_object(
      'companies', (select coalesce(jsonb_agg(company_id), '[]') from crm.contact_companies l where l.contact_id = c.id),
      'deals', (select coalesce(jsonb_agg(deal_id), '[]') from crm.contact_deals l where l.contact_id = c.id),
      'activities', (select coalesce(jsonb_agg(activity_id), '[]') from crm.contact_activities l where l.contact_id = c.id)
    ) as links
  from crm.contacts c order by id`;
const LOG = `
  select id::int, contact_id::int as "contactId", op, changed_by as "changedBy", hold_id::int as "holdId", old_values as "oldValues", new_values as "newValues", state, error_code as code, error,
    settled_at is not null as "isSettled"
  from sync.change_log order by id`;
const STATES = `
  select contact_id::int as "contactId", crm_id::int as "crmId", attempt_state as attempt, gone_at is not null as "isGone",
    hidden_at is not null as "isHidden", hold_id::int as "holdId"
  from sync.contact_state order by contact_id`;
const CONFLICTS = `select id::int, contact_id::int as "contactId", field, local, remote, state, policy from sync.conflicts order by id`;
const MARKS = `select crm_id::int as "crmId", reason from sync.marks order by 1, 2`;
const HOLDS = `select id::int, direction, state from sync.holds order by id`;

/** Every row version; the leader's row aside, which is renewed each second. `contents`: what both sides are about. */
const PARTS = `
  select format('select %L, ctid::text, xmin::text from %I.%I', c.oid::regclass, n.nspname, c.relname) as part,
    n.nspname = 'crm' or c.relname in ('contact_state', 'change_log', 'conflicts', 'marks') as contents
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('crm', 'sync') and c.relkind = 'r' and c.relname <> 'leader'
  order by 1`;

/** All that is told by the database's clock; the watermarks are on the CRM's. */
const OLDER = `
  select format('update sync.%I set %s', table_name, string_agg(format('%1$I = %1$I - $1::interval', column_name), ', ')) as part
  from information_schema.columns join information_schema.tables using (table_schema, table_name)
  where table_schema = 'sync' and table_type = 'BASE TABLE' and data_type = 'timestamp with time zone' and table_name <> 'leader'
    and column_name not like '%_watermark' and table_name not like 'contact_versions%'
  group by table_name order by 1`;

const BLOCKED = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
const OWN_WRITE = 'relate_mirror.writer';

export interface SimPostgres {
  /** The same server and connections for every life; each finds the tables empty. */
  make(): Promise<SimDatabase>;
  close(): Promise<void>;
}

const SYNC_CONNECTIONS_MAX = 12;
const PEOPLE_CONNECTIONS_MAX = 20;

export const openSimPostgres = async (): Promise<SimPostgres> => {
  const database = await createTestDatabase();
  const own = new pg.Pool({ connectionString: database.url, max: 2 });
  await own.query('select sync.add_history_months(), sync.switch_history(true)');
  const texts = async (sql: string): Promise<readonly { readonly part: string; readonly contents?: boolean }[]> =>
    (await own.query<{ part: string; contents?: boolean }>(sql)).rows;
  const [parts, older] = [await texts(PARTS), await texts(OLDER)];
  const union = (wanted: typeof parts): string => `${wanted.map(({ part }) => part).join(' union all ')} order by 1, 2`;
  const server: Server = {
    own,
    url: database.url,
    versions: { anything: union(parts), contents: union(parts.filter(({ contents }) => contents === true)) },
    // One round trip, since it is made many times in a life.
    older: `with ${older.map(({ part }, at) => `t${at} as (${part})`).join(', ')} select`,
  };
  return {
    make: async () => {
      await own.query(RESET);
      return makeDatabase(server);
    },
    close: async () => {
      await own.end();
      await database.drop();
    },
  };
};

interface Server {
  readonly own: pg.Pool;
  readonly url: string;
  readonly versions: { readonly anything: string; readonly contents: string };
  readonly older: string;
}

const makeDatabase = (server: Server): SimDatabase => {
  const { own } = server;
  const traffic = new Traffic(async () => new Set((await own.query<{ pid: number }>(BLOCKED)).rows.map(({ pid }) => pid)));
  const ledger = new Ledger(own, traffic);
  const [sync, people] = [
    createPool({ connectionString: server.url, max: SYNC_CONNECTIONS_MAX, applicationName: 'simulation' }),
    new pg.Pool({ connectionString: server.url, max: PEOPLE_CONNECTIONS_MAX }),
  ];
  for (const pool of [sync, people]) waitForConnections(pool, traffic);
  sync.on('connect', (client) => {
    let wrote = false;
    watch(client, traffic, (text, run) => {
      if (text.includes(OWN_WRITE)) wrote = true;
      const look = text === 'commit' && wrote;
      if (text === 'commit' || text === 'rollback') wrote = false;
      return look ? ledger.commit(run, 'sync') : run();
    });
  });
  people.on('connect', (client) => watch(client, traffic, (_text, run) => run()));
  let passedMs = 0;
  const session = (isCaptured = true, by: Author = 'person'): SqlSession =>
    openSession(people, (commit) => ledger.commit(commit, by), isCaptured);
  return {
    mirror: (epoch) => createMirror({ pool: sync, lease: { epoch: () => epoch }, log: silent, random: () => 0 }),
    lead: async (epoch) => void (await own.query('update sync.leader set epoch = $1', [epoch])),
    begin: (isCaptured) => session(isCaptured),
    rows: () => ledger.rows,
    books: () => readBooks(own),
    fingerprint: async (what) => JSON.stringify((await own.query(server.versions[what])).rows),
    setPolicy: async (field, policy) => void (await own.query('insert into sync.field_policy values ($1, $2)', [field, policy])),
    setPaused: async (paused) => void (await own.query(paused ? 'select sync.pause()' : 'select sync.resume()')),
    resolve: (who, choice) => decide(session(true, authorOf(choice)), OPEN_CONFLICTS, who, 'select sync.resolve($1, $2)', [choice]),
    decide: (who, how) => decide(session(), OPEN_HOLDS, who, `select sync.${how}($1)`, []),
    requestRun: async (kind, withLinks) =>
      (await own.query<{ id: number }>('select sync.request_run($1, $2)::int as id', [kind, withLinks])).rows[0]?.id ?? 0,
    now: () => Date.now() + passedMs,
    pass: async (ms) => {
      passedMs += ms;
      await own.query(server.older, [`${ms} ms`]);
    },
    tick: () => undefined,
    pace: traffic,
    setObserver: (observer) => void (ledger.observer = observer),
    close: async () => {
      await Promise.all([sync.end(), people.end()]);
      await checkHistory(own);
    },
  };
};

/** Whatever happened, in whatever order: each contact's latest version is its row, and that of every other one is its deletion. */
const LATEST_VERSIONS = `
  with latest as (select distinct on (contact_id) * from sync.contact_versions order by contact_id, id desc)
  select coalesce(c.id, v.contact_id)::int as id from crm.contacts c full join latest v on v.contact_id = c.id
  where case when c.id is null then v.op <> 'delete'
    else (v.op = 'delete') is not false or (c.crm_id, c.first_name, c.last_name, c.email, c.phones, c.city, c.custom_fields, c.extra)
      is distinct from (v.crm_id, v.first_name, v.last_name, v.email, v.phones, v.city, v.custom_fields, v.extra) end`;
const checkHistory = async (own: pg.Pool): Promise<void> => {
  const { rows } = await own.query<{ id: number }>(LATEST_VERSIONS);
  if (rows.length > 0) throw new Error(`the history tells otherwise of the contacts ${rows.map(({ id }) => id).join(', ')}`);
};

const OPEN_CONFLICTS = `select id::int from sync.conflicts where state = 'open' and field <> 'contact' order by id`;
const OPEN_HOLDS = `select id::int from sync.holds where state = 'open' order by id`;

/** What is refused is told to that person and changes nothing: somebody else was faster, say. */
const decide = async (session: SqlSession, open: string, who: number, decision: string, values: readonly unknown[]): Promise<void> => {
  try {
    const { rows } = await session.run(open);
    const chosen = rows[who % Math.max(1, rows.length)];
    if (chosen !== undefined) await session.run(decision, [chosen['id'], ...values]);
    await session.commit();
  } catch (error) {
    if (!(error instanceof RefusedByRule)) throw error;
    await session.rollback();
  }
};

/** A connection is made, or waited for: nothing that a lock of anybody's could hold up. */
const waitForConnections = (pool: pg.Pool, traffic: Traffic): void => {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  pool.connect = ((done?: (error: unknown, client?: pg.PoolClient, release?: unknown) => void) => {
    const client = traffic.during(null, () => connect());
    if (done === undefined) return client;
    callbackify(() => client)((error: unknown, got?: pg.PoolClient) => done(error ?? undefined, got, got?.release.bind(got)));
    return undefined;
  }) as typeof pool.connect;
};

/** The rows as they are committed. Commits go one by one, and after each is looked at what it brought: so everything has its author. */
class Ledger {
  rows: ReturnType<SimDatabase['rows']> = { version: 0, rows: [] };
  observer: Observer = { observe: () => undefined };
  readonly #own: pg.Pool;
  readonly #traffic: Traffic;
  #last: Promise<unknown> = Promise.resolve();

  constructor(own: pg.Pool, traffic: Traffic) {
    this.#own = own;
    this.#traffic = traffic;
  }

  commit(run: () => Promise<unknown>, by: 'person' | 'sync'): Promise<unknown> {
    const turn = this.#last.then(() => this.#traffic.during(null, () => this.#commit(run, by)));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #commit(run: () => Promise<unknown>, by: 'person' | 'sync'): Promise<unknown> {
    const result = await run();
    const { rows } = await this.#own.query<Row>(ROWS);
    this.observer.observe('sync');
    this.rows = { version: this.rows.version + 1, rows };
    this.observer.observe(by);
    return result;
  }
}

const readBooks = async (own: pg.Pool): Promise<Books> => {
  const all = async <T extends object>(text: string): Promise<readonly T[]> => (await own.query<T & pg.QueryResultRow>(text)).rows;
  return {
    rows: await all<Row>(ROWS),
    log: (await all<LoggedEdit>(LOG)).map((row) => ({ ...row, oldValues: byKind(row.oldValues), newValues: byKind(row.newValues) })),
    states: await all<ContactState>(STATES),
    conflicts: await all<Conflict>(CONFLICTS),
    marks: await all<Marked>(MARKS),
    holds: await all<Hold>(HOLDS),
  };
};

const KINDS: { readonly [column: string]: LinkKind } = { company_id: 'companies', deal_id: 'deals', activity_id: 'activities' };

/** A link is logged under its column. */
const byKind = (values: LoggedEdit['oldValues']): LoggedEdit['oldValues'] =>
  values === null ? null : Object.fromEntries(Object.entries(values).map(([name, value]) => [KINDS[name] ?? name, value]));

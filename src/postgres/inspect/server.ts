/** What `doctor` asks of the server that a connection leads to. Reads only, with the rights of any role that may log in. */
import { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { openSession, type Session } from '../session.ts';

const Server = z.object({
  version: z.number(),
  version_text: z.string(),
  encoding: z.string(),
  in_recovery: z.boolean(),
  user: z.string(),
  database: z.string(),
  is_superuser: z.boolean(),
  now: z.date(),
  max_connections: z.number(),
  connections: z.coerce.number(),
  fsync: z.boolean(),
  full_page_writes: z.boolean(),
  synchronous_commit: z.string(),
  autovacuum: z.boolean(),
  max_prepared_transactions: z.number(),
  notify_queue: z.number(),
});

const OldTransaction = z.object({ pid: z.number(), state: z.string().nullable(), seconds: z.number(), holds_rows: z.boolean() });
const Slot = z.object({ name: z.string(), active: z.boolean(), retained_bytes: z.coerce.number().nullable(), holds_rows: z.boolean() });

export interface Tls {
  /** Null: not encrypted. */
  readonly protocol: string | null;
  /** The server's certificate was checked against an authority. */
  readonly verified: boolean;
}

export interface ServerFacts extends z.infer<typeof Server> {
  readonly tls: Tls;
  /** The server's clock less ours, at most `clock_error_ms` off. */
  readonly clock_skew_ms: number;
  readonly clock_error_ms: number;
  /** Something stands in between. */
  readonly pooled: boolean;
  readonly old_transactions: readonly z.infer<typeof OldTransaction>[];
  readonly old_prepared: number;
  readonly slots: readonly z.infer<typeof Slot>[];
}

const SERVER = `
  select current_setting('server_version_num')::int as version, current_setting('server_version') as version_text,
    current_setting('server_encoding') as encoding, pg_is_in_recovery() as in_recovery, current_user::text as "user",
    current_database()::text as database, (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
    clock_timestamp() as now, current_setting('max_connections')::int as max_connections,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    current_setting('fsync')::bool as fsync, current_setting('full_page_writes')::bool as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit, current_setting('autovacuum')::bool as autovacuum,
    current_setting('max_prepared_transactions')::int as max_prepared_transactions, pg_notification_queue_usage()::float8 as notify_queue`;
const OLD_TRANSACTIONS = `
  select pid, state, extract(epoch from clock_timestamp() - xact_start)::float8 as seconds, backend_xmin is not null as holds_rows
  from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and xact_start < clock_timestamp() - $1 * interval '1 second'
  order by xact_start limit 10`;
const OLD_PREPARED = `
  select count(*)::int as prepared from pg_prepared_xacts
  where database = current_database() and prepared < clock_timestamp() - $1 * interval '1 second'`;
const SLOTS = `
  select slot_name::text as name, active,
    case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) end as retained_bytes,
    xmin is not null or catalog_xmin is not null as holds_rows
  from pg_replication_slots order by 3 desc nulls last limit 20`;

const LIMITS = { statementTimeoutMs: 10_000, lockTimeoutMs: 1_000, answerTimeoutMs: 12_000 } as const;

/** A connection of the doctor's own. @throws ConnectionStringError, or what the network or the server said */
export const openInspection = async (connectionString: string, signal: AbortSignal): Promise<Session> =>
  await openSession({ connectionString, applicationName: 'relate-mirror doctor', ...LIMITS }, signal);

/** @param oldSeconds from when on a transaction counts as old */
export const inspectServer = async (session: Session, nowMs: () => number, oldSeconds: number): Promise<ServerFacts> => {
  await session.query('select 1');
  const sentMs = nowMs();
  const server = Server.parse((await session.query(SERVER))[0]);
  const gotMs = nowMs();
  const prepared = z.object({ prepared: z.number() }).parse((await session.query(OLD_PREPARED, [oldSeconds]))[0]);
  return {
    ...server,
    tls: tlsOf(session),
    clock_skew_ms: Math.round(server.now.getTime() - (sentMs + gotMs) / 2),
    clock_error_ms: Math.ceil((gotMs - sentMs) / 2),
    pooled: await isPooled(session),
    old_transactions: z.array(OldTransaction).parse(await session.query(OLD_TRANSACTIONS, [oldSeconds])),
    old_prepared: prepared.prepared,
    slots: z.array(Slot).parse(await session.query(SLOTS)),
  };
};

/** The number under which the server knows us is not the one that we were told when the connection was made. */
export const isPooled = async (session: Session): Promise<boolean> => {
  const [row] = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
  return processIdOf(session) !== row?.pid;
};

const tlsOf = ({ client }: Session): Tls => {
  const { stream } = client.connection as unknown as { readonly stream: unknown };
  if (!(stream instanceof TLSSocket)) return { protocol: null, verified: false };
  return { protocol: stream.getProtocol(), verified: stream.authorized };
};

/** As the server said when the connection was made; not among the driver's types. */
const processIdOf = ({ client }: Session): number | null => (client as unknown as { readonly processID: number | null }).processID;

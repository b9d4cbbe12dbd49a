/**
 * How every connection to Postgres is made: TLS, the session's limits, and how values come back.
 *
 * The limits make a dead host's locks end in seconds: its transactions are ended by the server, its sockets by keep-alives. They travel as
 * the start-up parameter `options`; a pooler in between has to let it pass (PgBouncer: `ignore_startup_parameters = options`).
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { isLoopback } from '../domain/loopback.ts';

/** A connection string that cannot be used. The message never holds the string: it carries a password. */
export class ConnectionStringError extends Error {
  override readonly name = 'ConnectionStringError';
}

export interface SessionLimits {
  /** What one statement may take on the server; 0 = no limit. */
  readonly statementTimeoutMs: number;
  /** What waiting for one lock may take; 0 = no limit. */
  readonly lockTimeoutMs: number;
}

export interface ConnectionOptions extends SessionLimits {
  readonly connectionString: string;
  /** Shown in pg_stat_activity; at most 63 bytes. */
  readonly applicationName: string;
  /** How long the client waits for any one answer before it calls the connection dead; 0 = for ever. */
  readonly answerTimeoutMs: number;
}

const CONNECT_TIMEOUT_MS = 5_000;
const KEEPALIVE_IDLE_MS = 5_000;
const SERVER_SETTINGS: { readonly [name: string]: string } = {
  TimeZone: 'UTC',
  idle_in_transaction_session_timeout: '10s',
  tcp_keepalives_idle: '5s',
  tcp_keepalives_interval: '2s',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '10s',
};

const isLocal = (host: string): boolean => host.startsWith('/') || isLoopback(host);

/** Each of them makes the driver use TLS, and verify in full. (sslnegotiation alone does not.) */
const OWN_TLS_PARAMETERS = ['ssl', 'sslrootcert', 'sslcert', 'sslkey'] as const;
const TLS_FILES = ['sslrootcert', 'sslcert', 'sslkey'] as const;

/** The part before `?` as it was written (a socket path may stand in for the host there), and the parameters. */
const splitUrl = (connectionString: string): { readonly address: string; readonly parameters: URLSearchParams } => {
  const at = connectionString.indexOf('?');
  return at === -1
    ? { address: connectionString, parameters: new URLSearchParams() }
    : { address: connectionString.slice(0, at), parameters: new URLSearchParams(connectionString.slice(at + 1)) };
};

const joinUrl = (address: string, parameters: URLSearchParams): string =>
  parameters.size === 0 ? address : `${address}?${parameters.toString()}`;

const hostOf = (connectionString: string): string => {
  try {
    // The client itself knows best what it would connect to: socket paths, host parameters, defaults. Nothing is opened here.
    return new pg.Client({ connectionString }).host;
  } catch {
    throw new ConnectionStringError('The connection string is not a valid one. Expected: postgres://user:password@host:5432/database');
  }
};

/** The driver reads it, and says nothing of which one it could not read. */
const checkFile = (name: string, file: string | null): void => {
  if (file === null) return;
  try {
    readFileSync(file);
  } catch (error) {
    throw new ConnectionStringError(`${name}=${file}: the file cannot be read (${errorCode(error) ?? 'unknown error'})`);
  }
};

/**
 * TLS as sslmode says, in libpq's meaning; without one none to loopback and unix sockets, and verify-full elsewhere. `prefer` and `allow`
 * permit both, so they get what is right for the host: nothing locally, encryption elsewhere.
 */
const withTls = (connectionString: string): { readonly connectionString: string; readonly ssl?: boolean } => {
  const { address, parameters } = splitUrl(connectionString);
  const mode = parameters.get('sslmode');
  parameters.delete('sslmode');
  parameters.delete('uselibpqcompat');
  TLS_FILES.forEach((name) => checkFile(name, parameters.get(name)));
  const bare = joinUrl(address, parameters);
  const local = isLocal(hostOf(bare));
  if (mode === null) {
    return OWN_TLS_PARAMETERS.some((name) => parameters.has(name)) ? { connectionString: bare } : { connectionString: bare, ssl: !local };
  }
  if (mode === 'disable') return { connectionString: bare, ssl: false };
  if ((mode === 'prefer' || mode === 'allow') && local) return { connectionString: bare, ssl: false };
  const strict = { prefer: 'require', allow: 'require', require: 'require', 'verify-ca': 'verify-ca', 'verify-full': 'verify-full' }[mode];
  if (strict === undefined) {
    throw new ConnectionStringError(`sslmode=${mode} is not known. Allowed: disable, allow, prefer, require, verify-ca, verify-full`);
  }
  if (strict === 'verify-ca' && !parameters.has('sslrootcert')) {
    throw new ConnectionStringError('sslmode=verify-ca needs sslrootcert: the file of the authority to trust');
  }
  parameters.set('sslmode', strict);
  parameters.set('uselibpqcompat', 'true');
  return { connectionString: joinUrl(address, parameters) };
};

/** Where a connection string leads, for people: no user and no password. @throws ConnectionStringError */
export const describeAddress = (connectionString: string): { readonly host: string; readonly isLocal: boolean } => {
  const { address, parameters } = splitUrl(connectionString);
  for (const name of ['sslmode', 'uselibpqcompat']) parameters.delete(name);
  const bare = joinUrl(address, parameters);
  const host = hostOf(bare);
  return { host: host.startsWith('/') ? host : `${host}:${new pg.Client({ connectionString: bare }).port}`, isLocal: isLocal(host) };
};

const INT8 = 20;
const INT8_ARRAY = 1016;
const TEXT_ARRAY = 1009;

const toSafeInteger = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`An integer of the database does not fit a JavaScript number: ${text}`);
  return value;
};
const getTypeParser = pg.types.getTypeParser as (oid: number, format?: 'text' | 'binary') => (text: string) => unknown;
const parseTextArray = getTypeParser(TEXT_ARRAY) as (text: string) => readonly (string | null)[];

/** bigint as number, bigint[] as number[], both checked to be exact; the rest as pg does it: timestamptz is a Date, jsonb is parsed. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8) return toSafeInteger;
    if (oid === INT8_ARRAY) return (text: string) => parseTextArray(text).map((item) => (item === null ? null : toSafeInteger(item)));
    return getTypeParser(oid, format);
  }) as pg.CustomTypesConfig['getTypeParser'],
};

const startupOptions = (limits: SessionLimits): string => {
  const settings = { ...SERVER_SETTINGS, statement_timeout: `${limits.statementTimeoutMs}ms`, lock_timeout: `${limits.lockTimeoutMs}ms` };
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
};

/** What pg's Client and Pool take. @throws ConnectionStringError */
export const toClientConfig = (options: ConnectionOptions): pg.ClientConfig => {
  const { address, parameters } = splitUrl(options.connectionString);
  const own = parameters.get('options');
  parameters.delete('options');
  return {
    ...withTls(joinUrl(address, parameters)),
    // What the string itself asks for is said last, and so wins.
    options: own === null ? startupOptions(options) : `${startupOptions(options)} ${own}`,
    application_name: options.applicationName.slice(0, 63),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_IDLE_MS,
    ...(options.answerTimeoutMs === 0 ? {} : { query_timeout: options.answerTimeoutMs }),
    types,
  };
};

/** SQLSTATE or the system's code of an error, for logs; never its message, which may quote values. */
export const errorCode = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;

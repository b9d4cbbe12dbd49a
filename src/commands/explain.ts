/** Errors that end a command, in one line that says what to do. No values, tokens or statements: those stand in every library's errors. */
import { ListenError } from '../admin/server.ts';
import { OtherAccount } from '../app.ts';
import { errorFields } from '../domain/error-fields.ts';
import { ERROR_CODES, type ErrorCode } from '../domain/errors.ts';
import { ConnectionStringError } from '../postgres/connection.ts';
import { MigrationError } from '../postgres/migrate.ts';
import { Told } from './io.ts';

const UNTRUSTED =
  "Postgres' certificate is not of an authority that is trusted here: name the file of its authority with sslrootcert in DATABASE_URL.";

/** By Node's code of a connection's failure, or Postgres' SQLSTATE. */
const KNOWN: { readonly [code: string]: string } = {
  ECONNREFUSED: 'Postgres cannot be reached: nothing listens there. Does the server run, and are host and port of DATABASE_URL right?',
  ECONNRESET: 'Postgres closed the connection. Is it starting, or is something else listening at host and port of DATABASE_URL?',
  ENOTFOUND: 'Postgres cannot be reached: the host name of DATABASE_URL is not known.',
  EAI_AGAIN: 'Postgres cannot be reached: the host name of DATABASE_URL could not be looked up just now.',
  EHOSTUNREACH: 'Postgres cannot be reached: there is no way to the host of DATABASE_URL.',
  ENETUNREACH: 'Postgres cannot be reached: there is no way to the host of DATABASE_URL.',
  ETIMEDOUT: 'Postgres cannot be reached: the host of DATABASE_URL does not answer.',
  ENOENT: 'Postgres cannot be reached: the socket that DATABASE_URL names is not there.',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  CERT_SIGNATURE_FAILURE: UNTRUSTED,
  CERT_HAS_EXPIRED: "Postgres' certificate has expired: give the server a new one.",
  CERT_NOT_YET_VALID: "Postgres' certificate is not valid yet: is the clock of this machine, or of the server's, right?",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "Postgres' certificate is for another host than the one that DATABASE_URL names: use the name that stands in it, or give the server one for this name.",
  '28P01': 'Postgres refused the login: user or password of DATABASE_URL is wrong.',
  '28000': 'Postgres refused the login: pg_hba.conf does not let this user in from here.',
  '3D000': 'The database that DATABASE_URL names does not exist: create it first.',
  '42501': 'The user of DATABASE_URL lacks a right that the mirror needs.',
  '53300': 'Postgres has no connection left: raise max_connections, or close some.',
  '57P03': 'Postgres is starting or stopping: try again in a moment.',
  '3F000': 'This database holds no mirror yet: `relate-mirror start`, `sync` or `migrate` makes it.',
  '42P01': 'This database holds no mirror yet: `relate-mirror start`, `sync` or `migrate` makes it.',
};

/** What `pg` throws without any code: whole messages, which hold no values. */
const SAID_BY_DRIVER: { readonly [message: string]: string } = {
  'timeout expired': 'Postgres cannot be reached: the host of DATABASE_URL does not answer.',
  'The server does not support SSL connections':
    'Postgres offers no TLS, which a server beyond loopback is asked for: turn it on there, or say sslmode=disable in DATABASE_URL.',
  'There was an error establishing an SSL connection':
    'What listens at host and port of DATABASE_URL does not speak as Postgres does: is it another service?',
  'Connection terminated due to connection timeout': 'Postgres cannot be reached: the host of DATABASE_URL does not answer.',
};

/** One line for the operator. */
export const explain = (error: unknown): string => {
  if (error instanceof Told || error instanceof OtherAccount || error instanceof ListenError) return error.message;
  if (error instanceof MigrationError || error instanceof ConnectionStringError) return error.message;
  const { error_name: name = 'error', error_code: code = '', error_causes: causes = '' } = errorFields(error);
  const known = KNOWN[code];
  if (known !== undefined) return `${known} (${code})`;
  const said = error instanceof Error ? SAID_BY_DRIVER[error.message] : undefined;
  if (said !== undefined) return said;
  return `The command failed: ${[name, code, causes].filter((part) => part !== '').join(' ')}. With LOG_LEVEL=debug it says where.`;
};

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code);

/** What a run's error code means; a code of the run itself (`interrupted`) stands for itself. */
export const explainCode = (code: string | null): string => {
  if (code === null) return 'nothing says why';
  if (code === 'interrupted') return 'the daemon ended in the middle of it';
  if (code === 'internal_error') return "something unexpected happened; the daemon's log says where";
  return isErrorCode(code) ? ERROR_CODES[code].replace(/\.$/, '') : code;
};

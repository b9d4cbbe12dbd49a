/**
 * Every failure of a call becomes exactly one `CrmFailure` here, by status, proof and whether anything was sent; never by the text.
 *
 * Two questions decide most of it. Is it a *write*? Then "no clear answer" is `unknown` and has to be read before it is repeated, where a
 * read is simply tried again. Is it *proven*, that is, did the application itself speak (its JSON with a `message`)? A proxy's HTML page
 * with a 403, 404 or 503 says nothing about a record, so it settles nothing: again `retry` for a read, `unknown` for a write.
 *
 * got's errors carry the request's options, token and body included. They end in this file: only their class and system code are read.
 */
import { ReadError, TimeoutError } from 'got';
import { type CrmFailure, ERROR_CODES, type ErrorCode, type FailureClass } from '../domain/errors.ts';
import { isObject, isPrototypeKey, storableText } from './json.ts';

/** How long everything waits after a 429 that does not say how long, or says nonsense. */
const RETRY_AFTER_DEFAULT_MS = 60_000;
/** Nor does a 429 that says "at once", or a time that is past, have every worker knock again in the same moment. */
const RATE_LIMITED_MIN_MS = 1_000;
/** A Retry-After beyond this is not believed: one call asks again after this time. */
const RETRY_AFTER_MAX_MS = 15 * 60_000;
const MESSAGE_LENGTH_MAX = 2000;
const FIELDS_MAX = 200;
const MESSAGES_PER_FIELD_MAX = 20;

/** An answer as far as the classification looks at it. */
export interface Answer {
  readonly status: number;
  /** Content-Type header, '' where missing. */
  readonly contentType: string;
  /** Retry-After header. */
  readonly retryAfter: string | undefined;
  /** The CRM's clock, Date header. */
  readonly date: Date | null;
  readonly body: string;
}

interface Parts {
  readonly status?: number | null;
  readonly message?: string;
  readonly fields?: CrmFailure['fields'];
  readonly retryAfterMs?: number | null;
  readonly proven?: boolean;
}

export const failure = (kind: FailureClass, code: ErrorCode, parts: Parts = {}): CrmFailure => ({
  class: kind,
  code,
  status: parts.status ?? null,
  message: parts.message === undefined || parts.message === '' ? ERROR_CODES[code] : parts.message,
  fields: parts.fields ?? {},
  retryAfterMs: parts.retryAfterMs ?? null,
  proven: parts.proven ?? false,
});

/** What no clear answer means: a read is tried again, a write has to be looked up. */
export const unsure = (write: boolean): FailureClass => (write ? 'unknown' : 'retry');

/** A 2xx that is not what the CRM promises. The detail names keys and shapes, never values. `proven`: it was JSON, so no proxy's page. */
export const badAnswer = (write: boolean, status: number, detail: string, proven: boolean): CrmFailure =>
  failure(unsure(write), 'bad_answer', { status, message: `${ERROR_CODES.bad_answer} (${detail})`, proven });

/** An answer with any status but 2xx. */
export const classifyStatus = (answer: Answer, write: boolean): CrmFailure => {
  const said = readDocument(answer);
  const parts = { status: answer.status, ...said };
  const { status } = answer;
  if (status >= 300 && status < 400) return failure('fatal', 'redirected', { status });
  if (status >= 500) {
    const retryAfterMs = parseRetryAfterMs(answer);
    // Laravel's maintenance page comes from a middleware in front of everything: nothing was processed.
    if (status === 503) return failure(said.proven ? 'retry' : unsure(write), 'unavailable', { ...parts, retryAfterMs });
    return failure(unsure(write), 'server_error', { ...parts, retryAfterMs });
  }
  switch (status) {
    case 401:
      return failure('fatal', 'unauthorized', parts);
    case 403:
      if (said.revoked) return failure('fatal', 'access_revoked', parts);
      return failure(said.proven ? 'park' : unsure(write), 'forbidden', parts);
    case 404:
      return said.proven ? failure('refetch', 'not_found', parts) : failure(unsure(write), 'no_such_route', parts);
    case 408:
      return failure(unsure(write), 'timeout', parts);
    case 409:
      return failure('refetch', 'conflict', parts);
    case 419:
      return failure('fatal', 'session_mismatch', parts);
    case 422:
      return failure('park', 'invalid', parts);
    case 429:
      return failure('later', 'rate_limited', {
        ...parts,
        retryAfterMs: Math.max(RATE_LIMITED_MIN_MS, parseRetryAfterMs(answer) ?? RETRY_AFTER_DEFAULT_MS),
      });
    default:
      return failure('park', 'bad_request', parts);
  }
};

/** Circumstances of an attempt that ended without a complete answer. */
export interface Broken {
  readonly write: boolean;
  /** The connection was ready and the bytes went, or may have gone. */
  readonly sent: boolean;
  /** The caller's signal had fired. */
  readonly gaveUp: boolean;
}

export const classifyException = (error: unknown, { write, sent, gaveUp }: Broken): CrmFailure => {
  if (!sent) {
    if (gaveUp) return failure('retry', 'aborted');
    const code = TLS_CODE.test(systemCode(error) ?? '') ? 'tls_refused' : 'connection_refused';
    return failure('retry', code, withSystemCode(code, error));
  }
  if (gaveUp) return failure(unsure(write), 'connection_reset');
  const code = brokenBy(error);
  return failure(unsure(write), code, withSystemCode(code, error));
};

/** OpenSSL's verdicts on a certificate, Node's on its name, and a handshake that failed. */
const TLS_CODE = /^(CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_|HOSTNAME_MISMATCH|PATH_LENGTH_|ERR_TLS_|ERR_SSL_|EPROTO)/;

const brokenBy = (error: unknown): ErrorCode => {
  if (error instanceof TimeoutError) return 'timeout';
  const code = systemCode(error) ?? '';
  // Z_…: the compressed body is corrupt. HPE_…: what came is not HTTP.
  if (code.startsWith('HPE_') || code.startsWith('Z_')) return 'bad_answer';
  const cause = error instanceof ReadError ? systemCode(error.cause) : null;
  return cause?.startsWith('Z_') === true ? 'bad_answer' : 'connection_reset';
};

/** A constant such as ECONNREFUSED or CERT_HAS_EXPIRED; nothing else of an error is safe to repeat. */
const systemCode = (error: unknown): string | null =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(error.code)
    ? error.code
    : null;

const withSystemCode = (code: ErrorCode, error: unknown): Parts => {
  const system = systemCode(error);
  return system === null ? {} : { message: `${ERROR_CODES[code]} (${system})` };
};

interface Said {
  readonly message: string;
  readonly fields: CrmFailure['fields'];
  readonly proven: boolean;
  /** `{error: …}` without a message: how the CRM says on every call that this user may not use the API. */
  readonly revoked: boolean;
}
const NOTHING_SAID: Said = { message: '', fields: {}, proven: false, revoked: false };

/** The application's own error document `{message, errors?}`. */
const readDocument = ({ contentType, body }: Answer): Said => {
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(contentType)) return NOTHING_SAID;
  const document = parseJson(body);
  if (!isObject(document)) return NOTHING_SAID;
  const { message, error } = document;
  if (typeof message === 'string')
    return { message: shorten(message), fields: readFields(document['errors']), proven: true, revoked: false };
  if (error === undefined || error === null) return NOTHING_SAID;
  return { ...NOTHING_SAID, message: typeof error === 'string' ? shorten(error) : '', revoked: true };
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const shorten = (text: string): string => storableText(text.slice(0, MESSAGE_LENGTH_MAX));

const readFields = (errors: unknown): CrmFailure['fields'] => {
  if (!isObject(errors)) return {};
  const fields: Record<string, readonly string[]> = {};
  for (const [field, said] of Object.entries(errors).slice(0, FIELDS_MAX)) {
    const messages = (Array.isArray(said) ? said : [said]).filter((message) => typeof message === 'string');
    if (!isPrototypeKey(field)) fields[shorten(field)] = messages.slice(0, MESSAGES_PER_FIELD_MAX).map(shorten);
  }
  return fields;
};

/** Seconds, or an HTTP date, which is read by the CRM's own clock; null where it is missing or neither. */
const parseRetryAfterMs = ({ retryAfter, date }: Answer): number | null => {
  const text = retryAfter?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, RETRY_AFTER_MAX_MS);
  const at = text.endsWith('GMT') ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at) || date === null) return null;
  return Math.min(Math.max(0, at - date.getTime()), RETRY_AFTER_MAX_MS);
};

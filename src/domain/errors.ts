/**
 * The outcome classes: every failure of a call of the CRM is exactly one of these, told apart by status and proof, never by the text.
 *
 * | class   | what happened                                             | what follows                                             |
 * |---------|-----------------------------------------------------------|----------------------------------------------------------|
 * | retry   | nothing was processed: refused connection, 503            | again, after a back-off                                  |
 * | later   | 429                                                       | again, not before Retry-After; a common pause            |
 * | refetch | 409, or 404 on an update: our picture is old              | read the contact, merge, send what is still different    |
 * | park    | 422, 403 on the record: a person has to decide            | parked with the CRM's message; delays nobody             |
 * | unknown | a write was sent and its outcome is not known             | read before anything is repeated                         |
 * | fatal   | 401, access revoked, 419: nothing will work               | stop calling, stay up, say so, re-check slowly           |
 */
export const FAILURE_CLASSES = ['retry', 'later', 'refetch', 'park', 'unknown', 'fatal'] as const;
export type FailureClass = (typeof FAILURE_CLASSES)[number];

/** Every code that can stand in `error_code`, with what an operator should know. */
export const ERROR_CODES = {
  connection_refused: 'No connection to the CRM could be opened; nothing was sent.',
  tls_refused:
    "The CRM's certificate is not trusted (its authority, host name or date), or TLS could not be agreed on; nothing was sent. An authority of your own is added with NODE_EXTRA_CA_CERTS.",
  timeout: 'The CRM did not answer in CRM_TIMEOUT_MS.',
  connection_reset: 'The connection broke before the answer was complete.',
  aborted: 'The call was given up because the daemon stops; it had not been sent.',
  paused: 'A person paused the mirror: the run goes on where it stands once it is resumed.',
  not_leader: 'The call was not sent because this daemon is no longer the leader.',
  unavailable: 'The CRM answered 503 (maintenance).',
  server_error: 'The CRM answered 5xx.',
  rate_limited: 'The CRM answered 429.',
  unauthorized: 'The CRM answered 401: the token is wrong or was revoked.',
  access_revoked: 'The CRM refuses API access for this user on every call.',
  session_mismatch: 'The CRM answered 419: something adds a Referer or Origin header.',
  redirected: 'The CRM answered with a redirect, which is refused: is CRM_URL right?',
  not_found: 'The CRM answered 404 for this id.',
  no_such_route: 'The CRM answered 404 without its own error document: the route does not exist, or a proxy answered.',
  conflict: 'The CRM answered 409.',
  forbidden: 'The CRM answered 403 for this record.',
  invalid: 'The CRM answered 422: it does not accept the values.',
  bad_request: 'The CRM answered another 4xx.',
  bad_answer: 'The answer is not what the CRM promises: not JSON, truncated, or of another shape.',
  answer_too_large: 'The answer is larger than the limit.',
  write_ignored: 'The CRM answered 200 but kept its own value: the field may be read only for this token.',
  link_refused: 'The CRM answered 200 but did not link the ids.',
  several_matches: 'CRM contacts may be the one of a create whose outcome is unknown: a person has to say.',
  database_refused: 'Postgres refused the record: a constraint or trigger of yours.',
  mirror_busy: 'The database did not let an attempt be settled: a lock that was held for long, or a broken connection.',
  deleted_in_crm: 'The contact was deleted in the CRM and cannot be brought back.',
} as const satisfies Record<string, string>;
export type ErrorCode = keyof typeof ERROR_CODES;

/** A failed call of the CRM. Holds no token and no request; `message` is the CRM's own and may hold personal data: never log it. */
export interface CrmFailure {
  readonly class: FailureClass;
  readonly code: ErrorCode;
  /** HTTP status, or null where no complete answer came. */
  readonly status: number | null;
  /** What a person should read: the CRM's own words where it said any. */
  readonly message: string;
  /** The CRM's `errors` by field of a 422. */
  readonly fields: { readonly [field: string]: readonly string[] };
  /** A floor for the next attempt (Retry-After), or null. */
  readonly retryAfterMs: number | null;
  /** The status came with the application's own JSON: only then does a 404 prove anything. */
  readonly proven: boolean;
}

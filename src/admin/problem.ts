/** Errors of the admin API, as `application/problem+json` (RFC 9457). What went wrong inside stays inside. */
import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import { OperationRefused, type RefusalKind } from '../ports/operations.ts';

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  /** For programs. */
  readonly code: string;
  readonly headers: { readonly [name: string]: string };
  readonly more: { readonly [name: string]: unknown };
  /** @param detail for people: what is wrong and what is allowed */
  constructor(
    status: number,
    code: string,
    detail: string,
    { headers = {}, more = {} }: { readonly headers?: Problem['headers']; readonly more?: Problem['more'] } = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.headers = headers;
    this.more = more;
  }
}

export const problemBody = ({ status, code, message, more }: Problem): object => ({
  type: 'about:blank',
  title: STATUS_CODES[status] ?? 'Error',
  status,
  code,
  detail: message,
  ...more,
});

export const sendProblem = (reply: FastifyReply, problem: Problem): FastifyReply =>
  // As text: an object would be serialised for its own content type.
  reply
    .code(problem.status)
    .headers({ ...problem.headers, 'cache-control': 'no-store' })
    .type(PROBLEM_TYPE)
    .send(JSON.stringify(problemBody(problem)));

const REFUSED: { readonly [K in RefusalKind]: { readonly status: number; readonly code: string } } = {
  not_found: { status: 404, code: 'not_found' },
  conflict: { status: 409, code: 'decided_already' },
  invalid: { status: 422, code: 'invalid_choice' },
  busy: { status: 503, code: 'database_busy' },
  unavailable: { status: 503, code: 'database_unreachable' },
  unknown: { status: 503, code: 'outcome_unknown' },
};

/** What the HTTP server itself refuses, by status; everything else of the kind is a bad request. */
const OF_SERVER: { readonly [status: number]: readonly [code: string, detail: string] } = {
  400: ['bad_request', 'The request cannot be read: is the body valid JSON?'],
  404: ['not_found', 'There is nothing at this address.'],
  408: ['too_slow', 'The request took too long to arrive.'],
  413: ['body_too_large', 'A body may have 16 KiB.'],
  414: ['address_too_long', 'The address is too long.'],
  415: ['unsupported_media_type', 'A body is JSON, with content-type: application/json.'],
  431: ['headers_too_large', 'The headers are too large.'],
};

const BAD_ADDRESS = 'The address cannot be read: a % in it is followed by two hexadecimal digits that say a character.';

/** A refusal that the status alone tells. */
export const problemOf = (status: number): Problem => {
  const [code, detail] = OF_SERVER[status] ?? ['bad_request', 'The request is not one that this server understands.'];
  return new Problem(status, code, detail);
};

const statusOf = (error: unknown): number =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;

/** Null: nobody's fault but ours, to be logged. */
export const toProblem = (error: unknown): Problem | null => {
  if (error instanceof Problem) return error;
  if (error instanceof OperationRefused) {
    const { status, code } = REFUSED[error.kind];
    return new Problem(status, code, error.message, status === 503 && error.kind !== 'unknown' ? { headers: { 'retry-after': '2' } } : {});
  }
  if (error instanceof Error && 'code' in error && error.code === 'FST_ERR_BAD_URL') return new Problem(400, 'bad_address', BAD_ADDRESS);
  const status = statusOf(error);
  // What may not be had of the page's files is nobody's to know.
  if (status === 403) return problemOf(404);
  if (status < 400 || status >= 500) return null;
  return problemOf(status);
};

export const internalProblem = (): Problem => new Problem(500, 'internal_error', 'Something went wrong here; the log says where.');

/** What goes wrong, as the port tells it: from a fault's outcome to a classified failure. */
import { ERROR_CODES, type CrmFailure, type ErrorCode, type FailureClass } from '../../src/domain/errors.ts';
import type { Outcome } from '../../src/sandbox/crm/faults.ts';

interface Document {
  readonly message?: unknown;
  readonly errors?: { readonly [field: string]: readonly string[] };
  readonly error?: unknown;
}

type Verdict = readonly [FailureClass, ErrorCode];

export const failed = (kind: FailureClass, code: ErrorCode, more: Partial<CrmFailure> = {}): CrmFailure => ({
  class: kind,
  code,
  status: null,
  message: ERROR_CODES[code],
  fields: {},
  retryAfterMs: null,
  proven: false,
  ...more,
});

/** By status, where the CRM itself spoke. */
const SPOKEN: { readonly [status: number]: Verdict } = {
  401: ['fatal', 'unauthorized'],
  403: ['park', 'forbidden'],
  404: ['refetch', 'not_found'],
  409: ['refetch', 'conflict'],
  419: ['fatal', 'session_mismatch'],
  422: ['park', 'invalid'],
  429: ['later', 'rate_limited'],
  503: ['retry', 'unavailable'],
};

/** An answer that is no JSON settles nothing. */
const page = (status: number, unsure: FailureClass): CrmFailure => {
  if (status === 302) return failed('fatal', 'redirected', { status });
  if (status === 404) return failed(unsure, 'no_such_route', { status });
  return failed(unsure, 'bad_answer', { status });
};

const spoken = (status: number, document: Document, unsure: FailureClass, headers: { readonly [name: string]: string }): CrmFailure => {
  if (document.error !== undefined) return failed('fatal', 'access_revoked', { status, message: JSON.stringify(document.error) });
  const [kind, code] = SPOKEN[status] ?? (status >= 500 ? ([unsure, 'server_error'] as const) : (['park', 'bad_request'] as const));
  const retryAfter = headers['retry-after'];
  return failed(kind, code, {
    status,
    message: String(document.message),
    fields: document.errors ?? {},
    retryAfterMs: status === 429 && retryAfter !== undefined ? Number(retryAfter) * 1000 : null,
    proven: true,
  });
};

/** Null for an answer with 2xx and JSON. */
export const failureOf = (outcome: Outcome, isWrite: boolean): CrmFailure | null => {
  const unsure: FailureClass = isWrite ? 'unknown' : 'retry';
  switch (outcome.wire) {
    case 'reset':
    case 'truncated':
      return failed(unsure, 'connection_reset');
    case 'hang':
      return failed(unsure, 'timeout');
    case 'html':
      return page(outcome.status, unsure);
    case 'json': {
      const { status, body } = outcome.answer;
      return status < 300 ? null : spoken(status, body ?? {}, unsure, outcome.headers ?? {});
    }
  }
};

/** Scripted faults: the n-th call of a kind goes wrong in one chosen way. */
import { forbidden, invalid, serverError } from './answer.ts';
import type { Answer } from './answer.ts';
import type { CallName } from './call-log.ts';
import { isRecord } from './is-record.ts';
import type { QueryTree } from './php-query.ts';

/**
 * `…-before`: not processed. `…-after`: processed, but the answer is lost.
 *
 * | kind | what the client sees | processed |
 * |---|---|---|
 * | reset-before, reset-after | the connection is reset | no, yes |
 * | 500-before, 500-after, 503-before | 5xx with a JSON message | no, yes, no |
 * | hang-before, hang-after | nothing, until the client gives up or the server closes | no, yes |
 * | truncated | the right status and length, half the body, then the connection breaks | yes |
 * | html-200, 404-html | a proxy's page | no |
 * | empty-list | a list without rows and with total 0 | yes |
 * | short-list | a list without the second half of its rows; meta as if they were there | yes |
 * | redirect | 302 to a login page | no |
 * | 429, 401, 403-revoked, 403-record, 422 | the CRM's own JSON | no |
 */
export type FaultKind =
  | 'reset-before'
  | 'reset-after'
  | '500-before'
  | '500-after'
  | '503-before'
  | '429'
  | 'hang-before'
  | 'hang-after'
  | 'truncated'
  | 'html-200'
  | 'empty-list'
  | 'short-list'
  | '401'
  | '403-revoked'
  | '403-record'
  | '404-html'
  | 'redirect'
  | '422';

/** A request as faults, hooks and routes see it. */
export interface SandboxRequest {
  readonly call: CallName;
  readonly method: string;
  /** With the query string. */
  readonly path: string;
  /** The contact in the path, as spelled there; null where the path has none. */
  readonly id: string | null;
  readonly query: QueryTree;
  readonly body: unknown;
}

export interface FaultSpec {
  readonly call: CallName | 'any';
  readonly kind: FaultKind;
  /** Default 1; `Infinity` until cleared. */
  readonly times?: number;
  readonly match?: (request: SandboxRequest) => boolean;
  /** Of a 429. Default 1. */
  readonly retryAfterSeconds?: number;
}

export interface FaultHandle {
  /** How often it has struck. */
  readonly fired: number;
  cancel(): void;
}

/** What goes over the wire. */
export type Outcome =
  | { readonly wire: 'json'; readonly answer: Answer; readonly headers?: { readonly [name: string]: string } }
  | { readonly wire: 'html'; readonly status: number; readonly headers?: { readonly [name: string]: string } }
  | { readonly wire: 'truncated'; readonly answer: Answer }
  | { readonly wire: 'reset' }
  | { readonly wire: 'hang' };

export const json = (answer: Answer): Outcome => ({ wire: 'json', answer });

const withRows = (answer: Answer, cut: (rows: readonly unknown[]) => readonly unknown[], total: number | null): Answer => {
  const { body } = answer;
  if (Array.isArray(body)) return { ...answer, body: cut(body) };
  if (!isRecord(body) || !Array.isArray(body['data']) || !isRecord(body['meta'])) return answer;
  const meta = total === null ? body['meta'] : { ...body['meta'], total, last_page: 1, from: null, to: null };
  return { ...answer, body: { ...body, data: cut(body['data']), meta } };
};

const FAULTS: { readonly [K in FaultKind]: (process: () => Answer, spec: FaultSpec) => Outcome } = {
  'reset-before': () => ({ wire: 'reset' }),
  'reset-after': (process) => (process(), { wire: 'reset' }),
  '500-before': () => json(serverError()),
  '500-after': (process) => (process(), json(serverError())),
  '503-before': () => json({ status: 503, body: { message: 'Service Unavailable' } }),
  '429': (_process, { retryAfterSeconds = 1 }) => ({
    wire: 'json',
    answer: { status: 429, body: { message: 'Too Many Attempts.' } },
    headers: { 'retry-after': String(retryAfterSeconds), 'x-ratelimit-remaining': '0' },
  }),
  'hang-before': () => ({ wire: 'hang' }),
  'hang-after': (process) => (process(), { wire: 'hang' }),
  truncated: (process) => ({ wire: 'truncated', answer: process() }),
  'html-200': () => ({ wire: 'html', status: 200 }),
  'empty-list': (process) => json(withRows(process(), () => [], 0)),
  'short-list': (process) => json(withRows(process(), (rows) => rows.slice(0, Math.floor(rows.length / 2)), null)),
  '401': () => json({ status: 401, body: { message: 'Unauthenticated.' } }),
  '403-revoked': () => json(apiAccessRevoked()),
  '403-record': () => json(forbidden()),
  '404-html': () => ({ wire: 'html', status: 404 }),
  redirect: () => ({ wire: 'html', status: 302, headers: { location: '/login' } }),
  '422': () => json(invalid({ first_name: ['The first name field is refused by a scripted fault.'] })),
};

/** Told apart from a refused record by `error` instead of `message`. */
export const apiAccessRevoked = (): Answer => ({ status: 403, body: { error: 'You are not authorized to perform API requests.' } });

/** What every scripted fault tells, whatever it does. */
type Scripted = Pick<FaultSpec, 'call' | 'times' | 'match'>;
interface Pending<S> {
  readonly spec: S;
  left: number;
  fired: number;
}

export interface FaultScript<S extends Scripted = FaultSpec> {
  add(spec: S): FaultHandle;
  clear(): void;
  /** The first scripted fault that fits; it is used up by this. */
  take(request: SandboxRequest): S | null;
}

export const createFaultScript = <S extends Scripted = FaultSpec>(): FaultScript<S> => {
  let pending: Pending<S>[] = [];
  return {
    add(spec) {
      const entry: Pending<S> = { spec, left: spec.times ?? 1, fired: 0 };
      pending.push(entry);
      return {
        get fired() {
          return entry.fired;
        },
        cancel: () => void (pending = pending.filter((other) => other !== entry)),
      };
    },
    clear() {
      pending = [];
    },
    take(request) {
      const fits = ({ spec }: Pending<S>): boolean =>
        (spec.call === 'any' || spec.call === request.call) && (spec.match?.(request) ?? true);
      const entry = pending.find(fits);
      if (entry === undefined) return null;
      entry.fired += 1;
      entry.left -= 1;
      if (entry.left <= 0) pending = pending.filter((other) => other !== entry);
      return entry.spec;
    },
  };
};

/** What becomes of a request: `process` runs at most once. */
export const decide = (fault: FaultSpec | null, process: () => Answer): Outcome =>
  fault === null ? json(process()) : FAULTS[fault.kind](process, fault);

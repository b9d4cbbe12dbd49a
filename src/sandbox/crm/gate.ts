/** What stands before every route: the session trap, the token, the rate, the API permission; in this order. */
import type { IncomingHttpHeaders } from 'node:http';
import { apiAccessRevoked, json } from './faults.ts';
import type { Outcome } from './faults.ts';
import type { RateLimit, RateVerdict } from './rate-limit.ts';

export interface GateState {
  token: string;
  /** False: the user's API permission was taken away. */
  apiAccess: boolean;
}

export interface Passage {
  /** The refusal; null: go on. */
  readonly refusal: Outcome | null;
  /** For every answer to a known user. */
  readonly headers: { readonly [name: string]: string };
}

export const wantsJson = (headers: IncomingHttpHeaders): boolean => /[/+]json/.test(headers.accept ?? '');

const rateHeaders = (rate: RateVerdict | null): { readonly [name: string]: string } =>
  rate === null ? {} : { 'x-ratelimit-limit': String(rate.limit), 'x-ratelimit-remaining': String(rate.remaining) };

const tooMany = (rate: RateVerdict): Outcome => ({
  wire: 'json',
  answer: { status: 429, body: { message: 'Too Many Attempts.' } },
  headers: { 'retry-after': String(rate.retryAfterSeconds), 'x-ratelimit-reset': String(rate.resetAtSeconds) },
});

/** A guest who does not ask for JSON is sent to the login page. */
const guest = (headers: IncomingHttpHeaders): Outcome =>
  wantsJson(headers)
    ? json({ status: 401, body: { message: 'Unauthenticated.' } })
    : { wire: 'html', status: 302, headers: { location: '/login' } };

export const passGate = (headers: IncomingHttpHeaders, state: GateState, rateLimit: RateLimit): Passage => {
  // Either header makes the request a browser session's, whatever token it carries.
  if (headers.referer !== undefined || headers.origin !== undefined)
    return { refusal: json({ status: 419, body: { message: 'CSRF token mismatch.' } }), headers: {} };
  if (headers.authorization !== `Bearer ${state.token}`) return { refusal: guest(headers), headers: {} };
  const rate = rateLimit.hit();
  const refusal = rate?.allowed === false ? tooMany(rate) : state.apiAccess ? null : json(apiAccessRevoked());
  return { refusal, headers: rateHeaders(rate) };
};

/**
 * Who may see and do what over HTTP.
 *
 * |                              | health, metrics | page, session | status, events, lists | decisions |
 * |------------------------------|-----------------|---------------|-----------------------|-----------|
 * | with the admin token         | yes             | yes           | yes, with values      | yes       |
 * | without it, on loopback      | yes             | yes           | yes, without values   | no        |
 * | without it, beyond loopback  | yes             | yes           | no                    | no        |
 * | beyond loopback, none is set | yes             | no            | no                    | no        |
 *
 * The page is the same files for everybody: it is where the token is entered.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isLoopback } from '../domain/loopback.ts';
import type { Clock, Log } from '../ports/ambient.ts';
import { Problem } from './problem.ts';

export type Access = 'open' | 'page' | 'look' | 'act';

export interface AccessRequest {
  /** Header `authorization`. */
  readonly authorization: string | undefined;
  /** Header `host`. */
  readonly host: string | undefined;
}

export interface AccessRules {
  readonly isTokenSet: boolean;
  /** Answers whether the asker holds the admin token. @throws Problem where he may not. */
  admit(access: Access, request: AccessRequest): boolean;
}

export interface AccessOptions {
  readonly host: string;
  readonly adminToken: string | null;
  readonly clock: Clock;
  readonly log: Log;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** `localhost:8080`, `[::1]:8080` → the name alone. */
const hostName = (host: string): string => host.replace(/:\d{1,5}$/, '').replace(/^\[(.*)\]$/, '$1');

/** Of the header `host`: a browser takes `mirror.localhost` for its own machine, whatever a name server says. */
const isOwnName = (host: string): boolean => isLoopback(hostName(host)) || /^[a-z0-9-]+\.localhost$/i.test(hostName(host));

const NO_TOKEN_SET = 'ADMIN_TOKEN is not set: beyond loopback only /healthz, /readyz and /metrics are served.';
const NO_ACTIONS = 'ADMIN_TOKEN is not set: nothing may be changed over HTTP.';
const WARN_EVERY_MS = 10_000;

/** One line for many: whoever guesses tokens must not fill the disk. */
const createFailureLog = ({ clock, log }: AccessOptions): (() => void) => {
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  let failures = 0;
  return () => {
    failures += 1;
    const now = clock.monotonicMs();
    if (now - warnedAtMs < WARN_EVERY_MS) return;
    log.warn({ failures }, 'somebody asked the admin API with a wrong token, or without one');
    warnedAtMs = now;
    failures = 0;
  };
};

export const createAccess = (options: AccessOptions): AccessRules => {
  const onLoopback = isLoopback(options.host);
  const wanted = options.adminToken === null ? null : digest(options.adminToken);
  const failed = createFailureLog(options);

  const unauthorized = (): Problem => {
    failed();
    const detail = 'This asks for the admin token: authorization: Bearer ADMIN_TOKEN.';
    return new Problem(401, 'unauthorized', detail, { headers: { 'www-authenticate': 'Bearer realm="relate-mirror"' } });
  };
  /** Digests are of one length whatever was sent, and are compared in constant time. */
  const holdsToken = (authorization: string | undefined): boolean => {
    if (wanted === null || authorization === undefined) return false;
    const [, token = ''] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
    if (!timingSafeEqual(digest(token), wanted)) throw unauthorized();
    return true;
  };
  /** A page of somebody's that has its name point at 127.0.0.1 sends that name along. */
  const checkHost = (host: string | undefined): void => {
    if (wanted !== null || !onLoopback) return;
    if (host === undefined || !isOwnName(host))
      throw new Problem(403, 'foreign_host', 'Without ADMIN_TOKEN only requests to localhost are answered.');
  };
  return {
    isTokenSet: wanted !== null,
    admit: (access, { authorization, host }) => {
      checkHost(host);
      if (access === 'open') return false;
      if (wanted === null && !onLoopback) throw new Problem(403, 'no_admin_token', NO_TOKEN_SET);
      if (wanted === null && access === 'act') throw new Problem(403, 'no_admin_token', NO_ACTIONS);
      const isAdmin = holdsToken(authorization);
      if (!isAdmin && (access === 'act' || (access === 'look' && !onLoopback))) throw unauthorized();
      return isAdmin;
    },
  };
};

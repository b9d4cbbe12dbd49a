/** Calls of the daemon, with the admin token where there is one. */
import { daemonClock } from './clock.js';

/** The daemon said no: `message` is its own sentence. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.name = 'Refused';
    this.status = status;
  }
}

/**
 * Kept for this tab only, and gone with it: whoever opens the page anew has to know the token (docs/decisions.md).
 */
const KEY = 'relate-mirror admin token';

/** @returns {string | null} */
export const token = () => sessionStorage.getItem(KEY);

/** @param {string | null} value */
export const keepToken = (value) => {
  if (value === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, value);
};

/**
 * @param {string | null} [bearer]
 * @returns {Record<string, string>}
 */
export const authorization = (bearer = token()) => (bearer === null ? {} : { authorization: `Bearer ${bearer}` });

/** How long an answer may take before the daemon counts as away. */
const TIMEOUT_MS = 15_000;

/**
 * @param {string} path Relative to the page, so that a proxy may serve it under a path of its own.
 * @param {RequestInit} [init]
 * @returns {Promise<unknown>}
 * @throws {Refused}
 */
const call = async (path, init = {}) => {
  const headers = { accept: 'application/json', ...authorization(), .../** @type {Record<string, string> | undefined} */ (init.headers) };
  const response = await fetch(path, { ...init, headers, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
  daemonClock.hear(response.headers.get('date'));
  const answer = /** @type {unknown} */ (await response.json().catch(() => null));
  if (response.ok) return answer;
  throw new Refused(response.status, saidBy(answer) ?? `The daemon answered ${response.status}.`);
};

/**
 * @param {unknown} answer application/problem+json
 * @returns {string | null}
 */
const saidBy = (answer) => {
  if (typeof answer !== 'object' || answer === null) return null;
  const { detail, title } = /** @type {{ detail?: unknown, title?: unknown }} */ (answer);
  return typeof detail === 'string' ? detail : typeof title === 'string' ? title : null;
};

/** @param {string} path @returns {Promise<readonly unknown[]>} */
const list = async (path) => /** @type {{ items: readonly unknown[] }} */ (await call(path)).items;

/** @param {string} path @param {unknown} [body] */
const post = async (path, body) =>
  await call(path, {
    method: 'POST',
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });

export const api = {
  session: async () => /** @type {import('./types.js').Session} */ (await call('api/session')),
  /** Whether a token is the daemon's, without keeping it. @param {string} bearer */
  knows: async (bearer) =>
    /** @type {import('./types.js').Session} */ (await call('api/session', { headers: authorization(bearer) })).admin,
  status: async () => /** @type {import('./types.js').Status} */ (await call('api/status')),
  /** What this process is, ready or not: leading, standby, starting or connecting; null where it does not say. */
  role: async () => {
    const response = await fetch('readyz', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
    const answer = /** @type {unknown} */ (await response.json().catch(() => null));
    const { role = null } = /** @type {{ role?: string }} */ (answer ?? {});
    return role;
  },
  runs: async () => /** @type {readonly import('./types.js').Run[]} */ (await list('api/runs?limit=8')),
  parked: async () => /** @type {readonly import('./types.js').Parked[]} */ (await list('api/parked')),
  holds: async () => /** @type {readonly import('./types.js').Hold[]} */ (await list('api/holds?state=open')),
  conflicts: async () => /** @type {readonly import('./types.js').Conflict[]} */ (await list('api/conflicts?state=open')),
  /** @param {number} minutes */
  calls: async (minutes) => /** @type {readonly import('./types.js').Calls[]} */ (await list(`api/calls?minutes=${minutes}`)),
  /** @param {number} minutes */
  rows: async (minutes) => /** @type {readonly import('./types.js').Rows[]} */ (await list(`api/rows?minutes=${minutes}`)),
  pause: async () => await post('api/pause'),
  resume: async () => await post('api/resume'),
  /** @param {boolean} links */
  resync: async (links) => /** @type {{ run_id: number }} */ (await post('api/resync', { links })),
  /** @param {{ ids: readonly number[] } | { all: true }} which */
  retry: async (which) => await post('api/retry', which),
  /** @param {number} id @param {'approve' | 'reject'} how */
  decideHold: async (id, how) => await post(`api/holds/${id}/${how}`),
  /** `choice`: crm, mirror, or a value as JSON. @param {number} id @param {string} choice */
  resolve: async (id, choice) => await post(`api/conflicts/${id}/resolve`, { choice }),
};

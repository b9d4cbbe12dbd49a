/** Are we in step? The one sentence at the top, from what the daemon knows; the same order of reasons as `relate-mirror status`. */
import { count, number, span } from './format.js';

/**
 * @typedef {object} Verdict
 * @property {'good' | 'moving' | 'person' | 'paused' | 'blocked' | 'waiting'} tone
 * @property {string} headline
 * @property {string} why
 */

/**
 * @param {import('./types.js').Status} status
 * @param {number | null} holds Open ones, each with a plan of many contacts; null while it is not known.
 * @returns {Verdict}
 */
export const verdictOf = (status, holds) => {
  const { parked, held, unknown, retry, open_conflicts: conflicts } = status;
  const plans = held === 0 ? 0 : (holds ?? held);
  const things = parked + plans + conflicts;
  if (status.identity_hold !== null)
    return {
      tone: 'person',
      headline: 'Restored database: waiting for you',
      why: 'This is not the database, or the account, that the mirror was filled from. Nothing is pushed until the hold below is decided.',
    };
  if (status.paused)
    return {
      tone: 'paused',
      headline: 'Paused',
      why: `Both directions stand still. Edits are still captured: ${count(status.queue_depth, 'edit')} will go out after a resume.`,
    };
  if (status.crm_error_code !== null) return blockedBy(status.crm_error_code);
  if (status.leader === null)
    return {
      tone: 'blocked',
      headline: 'Nobody leads',
      why: 'No daemon holds the lease, so nothing moves in either direction. Edits wait in the database; nothing is lost.',
    };
  if (!status.first_sweep_done)
    return {
      tone: 'moving',
      headline: 'First load under way',
      why: `${count(status.contacts, 'contact')} so far. They can be read and edited already.`,
    };
  if (things > 0)
    return {
      tone: 'person',
      headline: `${number(things)} ${things === 1 ? 'thing needs' : 'things need'} you`,
      why: `${listOf([
        [held, plans === held ? 'held' : `held in ${count(plans, 'plan')}`],
        [conflicts, 'in an open conflict'],
        [parked, 'parked'],
      ])}. Everything else flows.`,
    };
  if (status.pull_late)
    return {
      tone: 'blocked',
      headline: 'Changes of the CRM arrive late',
      why: `${status.pull_lag_seconds === null ? 'None have been pulled yet' : `They were last pulled ${span(status.pull_lag_seconds)} ago`}, though it has been due for over five minutes. The daemon’s log says why.`,
    };
  if (status.queue_depth > 0) {
    const waiting = listOf([
      [retry, 'waiting for another try'],
      [unknown, 'with an unknown outcome, read before anything is repeated'],
    ]);
    return {
      tone: 'moving',
      headline: 'Edits on their way',
      why: `${count(status.queue_depth, 'edit')} to push${waiting === '' ? '' : `: ${waiting}`}.`,
    };
  }
  return { tone: 'good', headline: 'In step', why: `${count(status.contacts, 'contact')} are the same on both sides.` };
};

/**
 * @param {readonly (readonly [number, string])[]} things
 * @returns {string} `2 held, 1 parked`
 */
const listOf = (things) =>
  things
    .filter(([howMany]) => howMany > 0)
    .map(([howMany, what]) => `${number(howMany)} ${what}`)
    .join(', ');

/** @type {Verdict} */
export const NO_DATABASE = {
  tone: 'blocked',
  headline: 'The database does not answer',
  why: 'The daemon connects again by itself. Meanwhile nothing is sent, since nothing could be settled; what you see below is from before.',
};

/** What keeps the daemon from working until a person acts; docs/operations.md says more of each. */
const REFUSED_BY_CRM = /** @type {Readonly<Record<string, readonly [headline: string, todo: string]>>} */ ({
  unauthorized: ['The CRM refuses the token', 'Put in a new CRM_TOKEN and restart the daemon.'],
  access_revoked: ['The CRM refuses the token’s user', 'Give the user the API permission back.'],
  session_mismatch: ['The CRM refuses the calls', 'Something in between adds a Referer or Origin header: look for a proxy.'],
  redirected: ['The CRM answers with a redirect', 'Correct CRM_URL: the token is sent nowhere else.'],
});

/**
 * @param {string} code
 * @returns {Verdict}
 */
const blockedBy = (code) => {
  const refused = REFUSED_BY_CRM[code];
  if (refused !== undefined)
    return {
      tone: 'blocked',
      headline: refused[0],
      why: `${refused[1]} Until then one call a minute is tried; edits wait and nothing is lost.`,
    };
  return {
    tone: 'blocked',
    headline: 'The CRM does not answer as it should',
    why: `The last call ended with ${code}. The daemon tries again by itself; edits wait in the database and go out once it is back.`,
  };
};

/** Whether the page is live: a dot at the top, and a banner while it is not. */
import { byId, h, replace } from './dom.js';

/**
 * live: what happens is told as it happens; crowded: as many watch as may, so the daemon is asked instead; locked: it tells nothing without the
 * admin token; lost: it does not answer.
 *
 * @typedef {'live' | 'crowded' | 'locked' | 'lost'} State
 */

/** @type {{ readonly [S in State]: string }} */
const WORDS = { live: 'Live', crowded: 'Every few seconds', locked: 'Not signed in', lost: 'Not connected' };
const CROWDED =
  'Too many watch this daemon already, so this page asks it every few seconds. It becomes live by itself when another page is closed.';

export const createConnection = () => {
  const dot = byId('connection');
  const banner = byId('banner');
  /** @type {State | null} */
  let current = null;
  let lostAtMs = 0;
  let retry = () => {};

  const say = (/** @type {string} */ words) => {
    if (dot.textContent !== words) dot.textContent = words;
  };
  say('Connecting…');
  return {
    /** @param {() => void} work */
    onRetry: (work) => {
      retry = work;
    },
    /**
     * @param {State} state
     * @param {number | null} retryAtMs
     * @returns {boolean} Connected just now: what was missed has to be asked for.
     */
    show: (state, retryAtMs) => {
      const isNew = state === 'live' && current !== 'live';
      if (state === 'lost' && current !== 'lost') lostAtMs = Date.now();
      current = state;
      dot.dataset['live'] = String(state === 'live');
      document.body.dataset['stale'] = String(state === 'lost');
      document.body.dataset['locked'] = String(state === 'locked');
      say(WORDS[state]);
      banner.hidden = state === 'live' || state === 'locked';
      if (!banner.hidden && (banner.childElementCount === 0 || retryAtMs !== null)) {
        const lost = `The daemon does not answer. What you see is as of ${new Date(lostAtMs).toLocaleTimeString()}; the page connects again by itself.`;
        const words = state === 'crowded' ? CROWDED : lost;
        if (banner.firstElementChild?.textContent !== words)
          replace(banner, h('p', {}, words), h('button', { type: 'button', class: 'button', onclick: () => retry() }, 'Try now'));
      }
      return isNew;
    },
    /** @returns {State | null} Null: not known yet. */
    state: () => current,
  };
};

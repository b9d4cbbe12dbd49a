/** Whether the page is live: a dot at the top, and a banner while it is not. */
import { byId, h, replace } from './dom.js';

export const createConnection = () => {
  const dot = byId('connection');
  const banner = byId('banner');
  /** @type {boolean | null} */
  let live = null;
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
     * @param {boolean} connected
     * @param {number | null} retryAtMs
     * @returns {boolean} Connected just now: what was missed has to be asked for.
     */
    show: (connected, retryAtMs) => {
      const isNew = connected && live !== true;
      if (!connected && live !== false) lostAtMs = Date.now();
      live = connected;
      dot.dataset['live'] = String(connected);
      document.body.dataset['stale'] = String(!connected);
      say(connected ? 'Live' : 'Not connected');
      banner.hidden = connected;
      if (!connected && (banner.childElementCount === 0 || retryAtMs !== null)) {
        const words = `The daemon does not answer. What you see is as of ${new Date(lostAtMs).toLocaleTimeString()}; the page connects again by itself.`;
        if (banner.firstElementChild?.textContent !== words)
          replace(banner, h('p', {}, words), h('button', { type: 'button', class: 'button', onclick: () => retry() }, 'Try now'));
      }
      return isNew;
    },
  };
};

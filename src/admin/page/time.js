/** Moments that are shown as "5 min ago" and stay true while the page is open. */
import { daemonClock } from './clock.js';
import { h } from './dom.js';
import { ago, moment } from './format.js';

/**
 * @param {string} at ISO 8601
 * @returns {HTMLTimeElement}
 */
export const since = (at) => h('time', { datetime: at, title: moment(at), class: 'since' }, ago(at, daemonClock.nowMs()));

export const keepTimes = () => {
  setInterval(() => {
    for (const node of document.querySelectorAll('time.since')) {
      const text = ago(node.getAttribute('datetime') ?? '', daemonClock.nowMs());
      if (node.textContent !== text) node.textContent = text;
    }
  }, 1000);
};

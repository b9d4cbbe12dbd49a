/** Short messages at the bottom of the page; read out by screen readers. */
import { byId, h } from './dom.js';

const SHOWN_MS = 8000;

/**
 * @param {string} text
 * @param {'done' | 'failed'} [tone]
 */
export const notify = (text, tone = 'done') => {
  const close = h('button', { type: 'button', class: 'notice-close', 'aria-label': 'Dismiss', onclick: () => notice.remove() }, '×');
  const notice = h('div', { class: 'notice', 'data-tone': tone }, h('p', {}, text), close);
  const notices = byId('notices');
  notices.append(notice);
  while (notices.children.length > 3) notices.firstElementChild?.remove();
  // What went wrong stays until it was read.
  if (tone === 'done') setTimeout(() => notice.remove(), SHOWN_MS);
};

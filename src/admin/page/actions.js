/** What can be done to the mirror as a whole: pause, resume, resync. */
import { actionButton } from './access.js';
import { ask } from './dialogs.js';
import { byId, h, showList } from './dom.js';
import { ICONS } from './icons.js';

/**
 * @typedef {object} Doings
 * @property {() => Promise<void>} pause
 * @property {() => Promise<void>} resume
 * @property {(links: boolean) => Promise<void>} resync
 */

/**
 * @param {{ readonly paused: boolean }} state
 * @param {import('./access.js').Access} access
 * @param {Doings} doings
 */
export const showActions = ({ paused }, access, doings) => {
  const render = (/** @type {'turn' | 'resync'} */ which) => {
    if (which === 'resync')
      return actionButton({
        label: 'Resync now…',
        name: 'resync',
        path: ICONS.again,
        access,
        onPress: async () => await askResync(doings),
      });
    return paused
      ? actionButton({ label: 'Resume', name: 'turn', look: 'primary', path: ICONS.play, access, onPress: doings.resume })
      : actionButton({ label: 'Pause', name: 'turn', path: ICONS.paused, access, onPress: doings.pause });
  };
  const both = /** @type {const} */ (['turn', 'resync']);
  showList(byId('actions'), both, (which) => which, render, JSON.stringify([paused, access]));
};

/** @param {Doings} doings */
const askResync = async ({ resync }) => {
  const links = h('input', { type: 'checkbox', id: 'with-links' });
  await ask({
    title: 'Resync now?',
    body: [
      h(
        'p',
        {},
        'Reads the whole account again, 100 contacts a call, and repairs what differs. Edits go first meanwhile; nothing is deleted without proof.',
      ),
      h(
        'label',
        { class: 'check', for: 'with-links' },
        links,
        h('span', {}, 'Every contact’s links too', h('small', {}, 'One call or more for each contact.')),
      ),
    ],
    yes: 'Resync',
    answer: async () => {
      await resync(links.checked);
      return true;
    },
  });
};

/** Who looks at the page, and the buttons that only a holder of the admin token may use. */
import { h, icon } from './dom.js';
import { notify } from './notices.js';

/** @typedef {{ admin: boolean, configured: boolean }} Access */

/** @param {Access} access */
export const whyReadOnly = ({ configured }) =>
  configured
    ? 'Read only: contact values are hidden and nothing can be changed. Sign in with the admin token to see and decide.'
    : 'Read only: this daemon runs without ADMIN_TOKEN. Set one and restart it to see contact values and to decide here; the command line and SQL work as ever.';

/**
 * A button that does something to the mirror. Without the token it stays reachable, says that it is not available, and why.
 *
 * @param {object} options
 * @param {string} options.label
 * @param {Access} options.access
 * @param {(button: HTMLButtonElement) => Promise<void> | void} options.onPress
 * @param {string} options.name Of this button within its item: the focus is given back by it.
 * @param {'primary' | 'danger' | ''} [options.look]
 * @param {string} [options.path] Its icon.
 * @param {string} [options.about] What it is about, for those who hear it out of its place.
 */
export const actionButton = ({ label, access, onPress, name, look = '', path, about }) => {
  const button = h(
    'button',
    {
      type: 'button',
      class: `button ${look}`.trim(),
      'data-focus': name,
      'aria-disabled': access.admin ? null : 'true',
      'aria-describedby': access.admin ? null : 'readonly',
      'aria-label': about === undefined ? null : `${label}: ${about}`,
      title: access.admin ? null : whyReadOnly(access),
    },
    path === undefined ? null : icon(path),
    h('span', {}, label),
  );
  button.addEventListener('click', () => {
    if (!access.admin) {
      notify(whyReadOnly(access), 'failed');
      return;
    }
    if (button.getAttribute('aria-busy') === 'true') return;
    button.setAttribute('aria-busy', 'true');
    void Promise.resolve()
      .then(() => onPress(button))
      .catch((/** @type {unknown} */ error) => notify(error instanceof Error ? error.message : 'That did not work.', 'failed'))
      .finally(() => button.removeAttribute('aria-busy'));
  });
  return button;
};

/** Signing in with the admin token, and out. */
import { api, keepToken, Refused, token } from './api.js';
import { whyReadOnly } from './access.js';
import { ask } from './dialogs.js';
import { byId, h, icon, replace } from './dom.js';
import { ICONS } from './icons.js';
import { notify } from './notices.js';

/**
 * @param {object} options
 * @param {(access: import('./access.js').Access) => void} options.onChange
 */
export const createSession = ({ onChange }) => {
  const button = byId('session');
  /** @type {import('./access.js').Access} */
  let access = { admin: false, configured: true };

  const show = () => {
    replace(button, icon(ICONS.key), h('span', {}, access.admin ? 'Sign out' : 'Sign in'));
    button.hidden = !access.configured;
    const note = byId('readonly');
    note.hidden = access.admin;
    note.textContent = access.admin ? '' : whyReadOnly(access);
  };

  /** Asks the daemon who we are. */
  const look = async () => {
    const { admin, admin_configured: configured } = await askDaemon();
    if (admin === access.admin && configured === access.configured) return;
    access = { admin, configured };
    show();
    onChange(access);
  };

  const signInAndLook = async () => {
    if (await signIn()) await look();
  };

  button.addEventListener('click', () => {
    if (!access.admin) {
      void signInAndLook();
      return;
    }
    keepToken(null);
    access = { ...access, admin: false };
    show();
    onChange(access);
    notify('Signed out.');
  });
  show();
  return { look, signIn: signInAndLook, access: () => access };
};

/** @param {string} bearer */
const knows = async (bearer) => {
  try {
    return await api.knows(bearer);
  } catch (error) {
    if (isRefusal(error)) return false;
    throw new Error('The daemon did not answer: try again in a moment.', { cause: error });
  }
};

/** @param {unknown} error */
const isRefusal = (error) => error instanceof Refused && error.status === 401;

/** A token that was changed meanwhile is forgotten. */
const askDaemon = async () => {
  try {
    return await api.session();
  } catch (error) {
    if (!isRefusal(error) || token() === null) throw error;
    keepToken(null);
    notify('The admin token is not accepted any more: you are signed out.', 'failed');
    return await api.session();
  }
};

/** Answers whether a token was given, and kept. */
const signIn = async () => {
  const field = h('input', {
    type: 'password',
    id: 'admin-token',
    autocomplete: 'current-password',
    spellcheck: 'false',
    'aria-describedby': 'admin-token-hint',
  });
  const answer = async () => {
    const bearer = field.value.trim();
    if (bearer === '') throw new Error('Enter the token first.');
    // A header can carry nothing else; the daemon's setting allows nothing else.
    if (!/^[\x21-\x7e]+$/.test(bearer) || !(await knows(bearer))) throw new Error('This is not the admin token of this daemon.');
    keepToken(bearer);
    return bearer;
  };
  const given = await ask({
    title: 'Sign in',
    body: [
      h('label', { for: 'admin-token' }, 'Admin token'),
      field,
      h(
        'p',
        { id: 'admin-token-hint', class: 'hint' },
        'ADMIN_TOKEN of the daemon. It is kept for this tab only, until you close it or sign out.',
      ),
    ],
    yes: 'Sign in',
    answer,
  });
  return given !== null;
};

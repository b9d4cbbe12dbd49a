/** Light, dark, or as the system has it; kept in this browser. */
import { byId, icon, replace } from './dom.js';
import { ICONS } from './icons.js';

const KEY = 'relate-mirror theme';
const NEXT = /** @type {const} */ ({ auto: 'light', light: 'dark', dark: 'auto' });
const LOOKS = /** @type {const} */ ({
  auto: [ICONS.auto, 'Theme: system'],
  light: [ICONS.sun, 'Theme: light'],
  dark: [ICONS.moon, 'Theme: dark'],
});
/** @typedef {keyof typeof NEXT} Theme */

/** Storage may be forbidden: then the system decides, and the choice lasts as long as the page. */
const stored = () => {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
};

/** @returns {Theme} */
const current = () => {
  const theme = document.documentElement.dataset['theme'];
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
};

/** @param {Theme} theme */
const apply = (theme) => {
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  const [path, words] = LOOKS[theme];
  const button = byId('theme');
  replace(button, icon(path));
  button.setAttribute('aria-label', words);
  button.title = words;
  document.dispatchEvent(new CustomEvent('themechange'));
};

const chosen = stored();
apply(chosen === 'light' || chosen === 'dark' ? chosen : 'auto');
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => document.dispatchEvent(new CustomEvent('themechange')));
byId('theme').addEventListener('click', () => {
  const next = NEXT[current()];
  apply(next);
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // As above.
  }
});

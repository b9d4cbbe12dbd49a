/** Shows the verdict, at the top and in the tab's title. Written only where it changed: a screen reader reads each change aloud. */
import { byId, icon, replace } from './dom.js';
import { ICONS } from './icons.js';
import { NO_DATABASE, verdictOf } from './verdict.js';

const LOOKS = {
  good: ICONS.check,
  moving: ICONS.moving,
  person: ICONS.person,
  paused: ICONS.paused,
  blocked: ICONS.blocked,
  waiting: ICONS.waiting,
};

/**
 * @param {import('./types.js').Status} status
 * @param {number | null} holds
 */
export const showVerdict = (status, holds) => {
  show(verdictOf(status, holds));
  write(
    'foot',
    status.leader === null
      ? 'No daemon leads.'
      : `Led by ${status.leader}. All of this can be asked and done in SQL and with the program relate-mirror as well.`,
  );
};

/** The daemon is there, and its database is not. */
export const showNoDatabase = () => show(NO_DATABASE);

/** The daemon tells nothing without the token. */
export const showLocked = () =>
  show({
    tone: 'waiting',
    headline: 'Sign in to look',
    why: 'This daemon can be reached from other machines, and tells how it is going only to who holds its admin token (ADMIN_TOKEN).',
  });

/** @param {import('./verdict.js').Verdict} verdict */
const show = ({ tone, headline, why }) => {
  const verdict = byId('verdict');
  if (verdict.dataset['tone'] !== tone || verdict.querySelector('.icon') === null) {
    verdict.dataset['tone'] = tone;
    replace(byId('verdict-icon'), icon(LOOKS[tone]));
  }
  write('verdict-title', headline);
  write('verdict-why', why);
  const title = `${headline} · relate-mirror`;
  if (document.title !== title) document.title = title;
};

/** @param {boolean} calm */
export const showCalm = (calm) => {
  byId('calm').hidden = !calm;
  write(
    'calm',
    calm
      ? 'Nothing needs you. What the CRM refuses, what the brake holds back, and fields that both sides changed would be listed here.'
      : '',
  );
};

/** @param {string} id @param {string} text */
const write = (id, text) => {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
};

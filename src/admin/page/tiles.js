/** The figures: how far each direction is behind, what waits, what the budget has left, when everything was compared. */
import { daemonClock } from './clock.js';
import { byId, h, icon, showList } from './dom.js';
import { number, percent, span } from './format.js';
import { ICONS } from './icons.js';
import { since } from './time.js';

/** From here on a person wonders: a pull is due each minute, an edit goes out at once, a sweep runs each night. */
const PULL_SLOW_SECONDS = 180;
const PUSH_SLOW_SECONDS = 60;
const SWEEP_OLD_MS = 36 * 3_600_000;

/**
 * @typedef {object} Tile
 * @property {string} name
 * @property {string} value
 * @property {string} note
 * @property {string} [icon]
 * @property {string} [small] Behind the value.
 * @property {string} [at] A moment instead of the value.
 * @property {number} [share] For a gauge.
 * @property {boolean} [warn]
 */

/** @param {import('./types.js').Status} status */
export const showTiles = (status) => {
  const tiles = [pullTile(status), pushTile(status), queueTile(status), budgetTile(status), sweepTile(status), contactsTile(status)];
  showList(byId('tiles'), tiles, ({ name }) => name, renderTile);
};

/** @param {Tile} tile */
const renderTile = ({ name, value, note, icon: path, small, at, share, warn = false }) =>
  h(
    'div',
    { class: 'tile card', 'data-warn': warn },
    h('dt', {}, path === undefined ? null : icon(path), name),
    h('dd', { class: 'value' }, at === undefined ? value : since(at), small === undefined ? null : h('small', {}, ` ${small}`)),
    h('dd', { class: 'note' }, share === undefined ? null : gauge(share), note),
  );

/** @param {number} share */
const gauge = (share) =>
  h('meter', { min: 0, max: 1, low: 0.8, high: 0.95, optimum: 0, value: share, 'aria-label': 'Call budget used in the last minute' });

/** @param {import('./types.js').Status} status @returns {Tile} */
const pullTile = ({ pull_lag_seconds: lag }) => ({
  name: 'CRM → mirror',
  icon: ICONS.down,
  value: lag === null ? 'not yet' : span(Math.floor(lag)),
  note: lag === null ? 'no changes were pulled yet' : 'since changes were last pulled',
  warn: lag !== null && lag > PULL_SLOW_SECONDS,
});

/** @param {import('./types.js').Status} status @returns {Tile} */
const pushTile = ({ push_lag_seconds: lag, queue_depth: queue }) => ({
  name: 'Mirror → CRM',
  icon: ICONS.up,
  value: queue === 0 ? '0 s' : span(lag),
  note: queue === 0 ? 'every edit is through' : 'age of the oldest edit on its way',
  warn: lag > PUSH_SLOW_SECONDS,
});

/** @param {import('./types.js').Status} status @returns {Tile} */
const queueTile = ({ queue_depth: queue, retry, unknown }) => {
  const parts = [retry > 0 ? `${number(retry)} retry` : '', unknown > 0 ? `${number(unknown)} unknown` : ''].filter((part) => part !== '');
  const plain = queue === 0 ? 'nothing waits' : queue === 1 ? 'edit to push' : 'edits to push';
  return {
    name: 'Queue',
    icon: ICONS.moving,
    value: number(queue),
    note: parts.length > 0 ? parts.join(', ') : plain,
    warn: unknown + retry > 0,
  };
};

/** @param {import('./types.js').Status} status @returns {Tile} */
const budgetTile = ({ leader, budget_limit: limit, budget_used: used }) => {
  if (leader === null || limit === null) return { name: 'Call budget', value: '–', note: 'not known yet' };
  const share = limit === 0 ? 1 : Math.min(1, (used ?? 0) / limit);
  return {
    name: 'Call budget',
    value: number(used ?? 0),
    small: `of ${number(limit)}`,
    note: `${percent(share)} of a minute’s calls used`,
    warn: share >= 0.95,
    share,
  };
};

/** @param {import('./types.js').Status} status @returns {Tile} */
const sweepTile = ({ last_complete_sweep_at: at }) => ({
  name: 'All compared',
  value: 'never',
  ...(at === null ? {} : { at }),
  note: at === null ? 'no sweep has been complete yet' : 'last complete sweep of both sides',
  warn: at === null || daemonClock.nowMs() - Date.parse(at) > SWEEP_OLD_MS,
});

/** @param {import('./types.js').Status} status @returns {Tile} */
const contactsTile = ({ contacts }) => ({ name: 'Contacts', value: number(contacts), note: 'in the mirror' });

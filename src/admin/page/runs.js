/** Sweeps, resyncs, audits and requested syncs: what runs, how far it is, and how the last ones ended. */
import { daemonClock } from './clock.js';
import { byId, h, replace, showList } from './dom.js';
import { count, number, percent, span } from './format.js';
import { createPace } from './pace.js';
import { since } from './time.js';

const KINDS = /** @type {Readonly<Record<string, string>>} */ ({
  changes: 'Changes pull',
  sweep: 'Sweep',
  resync: 'Resync',
  links: 'Links',
  sync: 'Sync',
  audit: 'Audit',
});
/** What a code of the run itself means; the others are in docs/operations.md. */
const ENDS = /** @type {Readonly<Record<string, string>>} */ ({
  interrupted: 'the daemon ended in the middle of it',
  internal_error: 'something unexpected happened; the daemon’s log says where',
});

const paceOf = createPace();

/** @param {readonly import('./types.js').Run[]} runs Newest first. */
export const showRuns = (runs) => {
  const parent = byId('runs');
  if (runs.length === 0) {
    replace(parent, h('p', { class: 'none' }, 'No run yet. The first sweep begins once a daemon leads.'));
    return;
  }
  if (!(parent.firstElementChild instanceof HTMLUListElement)) replace(parent, h('ul', { class: 'runs' }));
  const [list] = parent.children;
  if (list !== undefined) showList(list, runs, ({ id }) => id, renderRun);
};

/** @param {import('./types.js').Run} run */
const renderRun = (run) => {
  const { id, kind, state, with_links: links, error } = run;
  const title = `${KINDS[kind] ?? kind}${links && kind === 'resync' ? ' with links' : ''}`;
  return h(
    'li',
    { class: 'run', 'data-state': state },
    h('div', { class: 'run-name' }, h('span', { class: 'run-title' }, title), ' ', h('span', { class: 'run-id' }, `#${id}`)),
    h('span', { class: 'state', 'data-state': state }, state),
    state === 'running' ? progressOf(run, title) : h('p', { class: 'run-figures' }, ...figuresOf(run)),
    error === null
      ? null
      : h('p', { class: 'run-error' }, h('code', { class: 'code' }, error), ENDS[error] === undefined ? null : ` ${ENDS[error]}`),
  );
};

/**
 * @param {import('./types.js').Run} run
 * @param {string} title
 */
const progressOf = (run, title) => {
  const { rows_seen: seen, expected, rows_written: written } = run;
  const { rate, secondsLeft } = paceOf(run, daemonClock.nowMs());
  const total = expected == null ? null : Math.max(expected, seen);
  const words = [
    total === null ? `${count(seen, 'contact')} read` : `${number(seen)} of ${number(total)} contacts`,
    total === null || total === 0 ? '' : percent(seen / total),
    rate === null ? '' : `${number(rate)}/s`,
    secondsLeft === null || secondsLeft < 1 ? '' : `${span(secondsLeft)} left`,
    written > 0 ? `${number(written)} written` : '',
  ].filter((part) => part !== '');
  return h(
    'div',
    { class: 'run-progress' },
    h('progress', { 'aria-label': `${title} #${run.id}`, ...(total === null || total === 0 ? {} : { max: total, value: seen }) }),
    h('p', { class: 'run-figures' }, words.join(' · ')),
  );
};

/**
 * @param {import('./types.js').Run} run
 * @returns {readonly (string | Node)[]}
 */
const figuresOf = ({
  state,
  requested_at: requested,
  started_at: started,
  finished_at: finished,
  rows_seen: seen,
  rows_written: written,
  calls,
}) => {
  if (state === 'requested') return ['asked for', ...(requested == null ? [] : [' ', since(requested)]), ', begins in a moment'];
  const tookSeconds = started == null || finished == null ? null : (Date.parse(finished) - Date.parse(started)) / 1000;
  const words = [
    `${number(seen)} seen`,
    `${number(written)} written`,
    calls == null || calls === 0 ? '' : count(calls, 'call'),
    tookSeconds === null ? '' : span(tookSeconds),
  ];
  return [words.filter((part) => part !== '').join(' · '), ...(finished == null ? [] : [' · ', since(finished)])];
};

/** The page: what is asked when, and who shows it. */
import { showActions } from './actions.js';
import { api } from './api.js';
import { callColumns, rowColumns } from './chart-data.js';
import { createChart } from './charts.js';
import { daemonClock } from './clock.js';
import { showConflicts } from './conflicts.js';
import { createConnection } from './connection.js';
import { byId } from './dom.js';
import { showHolds } from './holds.js';
import { notify } from './notices.js';
import { showParked } from './parked.js';
import { showRuns } from './runs.js';
import { createSession } from './session.js';
import { createStream } from './stream.js';
import { showTiles } from './tiles.js';
import { keepTimes } from './time.js';
import { showCalm, showLocked, showNoDatabase, showVerdict } from './verdict-view.js';

/** @typedef {import('./types.js').Status} Status */
/** @typedef {import('./types.js').Run} Run */

/** What no event tells is looked at this often. */
const LOOK_EVERY_MS = 15_000;
/** Where too many watch already, and no event comes. */
const STATUS_EVERY_MS = 3_000;
const MINUTES = 60;
/** Each process counts what it carries over itself (docs/decisions.md). */
const ROWS_ELSEWHERE = 'This process stands by. The page of the one that leads has this chart.';

/** @type {{ status: Status | null, holds: number | null, runs: readonly Run[], lists: string }} */
const known = { status: null, holds: null, runs: [], lists: '' };

const callsChart = createChart(byId('calls-chart'), { title: 'Calls of the CRM', unit: 'calls', none: 'No call in the last hour' });
const rowsChart = createChart(byId('rows-chart'), { title: 'Rows carried over', unit: 'rows', none: 'No row in the last hour' });

const showStatus = () => {
  if (known.status === null) return;
  showVerdict(known.status, known.holds);
  showTiles(known.status);
  showActions(known.status, session.access(), doings);
};

/** What needs a person, as whole lists: they are short, or something is very wrong. */
const loadAttention = async () => {
  const access = session.access();
  const [holds, conflicts, parked] = await Promise.all([api.holds(), api.conflicts(), api.parked()]);
  // Signed out meanwhile: what was asked for with the token is not shown any more.
  if (access !== session.access()) return;
  known.holds = holds.length;
  showStatus();
  showHolds({ items: holds, access, decide: async (id, how, said) => await done(api.decideHold(id, how), said) });
  showConflicts({
    items: conflicts,
    total: known.status?.open_conflicts ?? 0,
    access,
    resolve: async (id, choice, said) => await done(api.resolve(id, choice), said),
  });
  showParked({ items: parked, total: known.status?.parked ?? 0, access, retry: async (which, said) => await done(api.retry(which), said) });
  showCalm(holds.length + conflicts.length + parked.length === 0);
};

const loadRuns = async () => {
  known.runs = await api.runs();
  showRuns(known.runs);
};

const loadTraffic = async () => {
  const [calls, rows, role] = await Promise.all([api.calls(MINUTES), api.rows(MINUTES), api.role()]);
  callsChart.show(callColumns(calls, daemonClock.nowMs(), MINUTES));
  rowsChart.show(rowColumns(rows, daemonClock.nowMs(), MINUTES), role === 'standby' ? ROWS_ELSEWHERE : undefined);
};

/** @param {Status} status */
const onStatus = (status) => {
  known.status = status;
  showStatus();
  const { parked, held, open_conflicts: conflicts, identity_hold: identity, leader, last_complete_sweep_at: swept } = status;
  const lists = JSON.stringify([parked, held, conflicts, identity, leader, swept]);
  if (lists === known.lists) return;
  known.lists = lists;
  void quietly(loadAttention, loadRuns);
};

/** @param {Run} run */
const onRun = (run) => {
  const old = known.runs.find(({ id }) => id === run.id);
  known.runs =
    old === undefined ? [run, ...known.runs].slice(0, 8) : known.runs.map((each) => (each.id === run.id ? { ...each, ...run } : each));
  showRuns(known.runs);
  if (run.state !== 'running') void quietly(loadRuns);
};

/**
 * Looks again; that the daemon is away is told by the connection, not by each of these.
 *
 * @param {...() => Promise<void>} loads
 */
const quietly = async (...loads) => {
  if (connection.state() === 'locked') return;
  const results = await Promise.allSettled(loads.map((load) => load()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) await session.look().catch(() => undefined);
};

const loadStatus = async () => onStatus(await api.status());

const loadAll = async () => {
  await session.look();
  if (connection.state() === 'locked') return;
  await loadStatus();
  await quietly(loadAttention, loadRuns, loadTraffic);
};

/**
 * What was asked for, then what came of it.
 *
 * @param {Promise<unknown>} work
 * @param {string} said
 */
const done = async (work, said) => {
  try {
    await work;
    notify(said);
  } finally {
    await quietly(loadAttention, loadRuns, loadStatus);
  }
};

const doings = {
  pause: async () => await done(api.pause(), 'Paused: both directions stand still after what is in flight.'),
  resume: async () => await done(api.resume(), 'Resumed.'),
  /** @param {boolean} links */
  resync: async (links) => await done(api.resync(links), 'A resync is asked for.'),
};

/** Without the token nothing is shown, nor left standing. */
const forget = () => {
  Object.assign(known, { status: null, reasons: [], holds: null, runs: [], lists: '' });
  for (const id of ['tiles', 'runs', 'foot', 'actions']) byId(id).replaceChildren();
  showLocked();
};

const connection = createConnection();
const stream = createStream({
  onEvent: (name, data) => {
    if (name === 'status') onStatus(/** @type {Status} */ (data));
    if (name === 'run') onRun(/** @type {Run} */ (data));
    if (name === 'unavailable') showNoDatabase();
  },
  onState: (state, retryAtMs) => {
    const isFirst = connection.state() === null;
    if (connection.show(state, retryAtMs)) void loadAll().catch(() => undefined);
    // It may be the token that is refused, and not the daemon that is away.
    if (state !== 'live') void session.look().catch(() => undefined);
    if (state !== 'locked') return;
    forget();
    // Whoever has signed out on purpose is not asked.
    if (isFirst) void session.signIn();
  },
});
connection.onRetry(() => stream.restart());
const session = createSession({
  onChange: () => {
    for (const id of ['holds', 'conflicts', 'parked']) byId(id).replaceChildren();
    showStatus();
    stream.restart();
    void quietly(loadAttention);
  },
});

keepTimes();
stream.start();
setInterval(() => void quietly(loadAttention, loadRuns, loadTraffic), LOOK_EVERY_MS);
setInterval(() => {
  if (connection.state() === 'crowded') void quietly(loadStatus);
}, STATUS_EVERY_MS);
// A tab that was away for long is behind.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void loadAll().catch(() => undefined);
});

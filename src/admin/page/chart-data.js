/** From the daemon's rows to columns a minute. */

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} colour A custom property of the style sheet.
 * @property {readonly number[]} values One a minute.
 *
 * @typedef {object} Columns
 * @property {readonly number[]} minutes Seconds since 1970, without a gap.
 * @property {readonly Series[]} series Those that are never anything but zero are left in: a legend that changes its length is hard to read.
 */

const MINUTE_MS = 60_000;

/**
 * @template Item
 * @param {readonly Item[]} items
 * @param {object} options
 * @param {number} options.nowMs
 * @param {number} options.minutes
 * @param {readonly { readonly name: string, readonly colour: string, readonly has: (item: Item) => boolean }[]} options.groups The first that fits counts.
 * @param {(item: Item) => string} options.minuteOf
 * @param {(item: Item) => number} options.valueOf
 * @returns {Columns}
 */
const toColumns = (items, { nowMs, minutes, groups, minuteOf, valueOf }) => {
  const last = Math.floor(nowMs / MINUTE_MS);
  const first = last - minutes + 1;
  const values = groups.map(() => Array.from({ length: minutes }, () => 0));
  for (const item of items) {
    const at = Math.floor(Date.parse(minuteOf(item)) / MINUTE_MS) - first;
    const group = values[groups.findIndex(({ has }) => has(item))];
    if (group !== undefined && at >= 0 && at < minutes) group[at] = (group[at] ?? 0) + valueOf(item);
  }
  return {
    minutes: Array.from({ length: minutes }, (_, at) => (first + at) * 60),
    series: groups.map(({ name, colour }, at) => ({ name, colour, values: values[at] ?? [] })),
  };
};

/** The CRM answered, and said no to this one record: that is its right, and no failure. */
const REFUSALS = new Set(['not_found', 'conflict', 'forbidden', 'invalid', 'bad_request']);

/** @param {readonly import('./types.js').Calls[]} items @param {number} nowMs @param {number} minutes */
export const callColumns = (items, nowMs, minutes) =>
  toColumns(items, {
    nowMs,
    minutes,
    minuteOf: ({ minute }) => minute,
    valueOf: ({ calls }) => calls,
    groups: [
      { name: 'answered', colour: '--series-1', has: ({ outcome }) => outcome === 'ok' },
      { name: 'refused', colour: '--series-5', has: ({ outcome }) => REFUSALS.has(outcome) },
      { name: 'rate limited', colour: '--series-3', has: ({ outcome }) => outcome === 'rate_limited' },
      { name: 'failed', colour: '--series-4', has: () => true },
    ],
  });

/** @param {readonly import('./types.js').Rows[]} items @param {number} nowMs @param {number} minutes */
export const rowColumns = (items, nowMs, minutes) =>
  toColumns(items, {
    nowMs,
    minutes,
    minuteOf: ({ minute }) => minute,
    valueOf: ({ rows }) => rows,
    groups: [
      { name: 'from the CRM', colour: '--series-1', has: ({ direction }) => direction === 'pull' },
      { name: 'to the CRM', colour: '--series-2', has: ({ direction }) => direction === 'push' },
    ],
  });

/** @param {readonly number[]} values */
export const sum = (values) => values.reduce((total, value) => total + value, 0);

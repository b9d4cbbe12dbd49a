/** How fast a run goes and how long it still takes, from what was seen of it. */

/** A rate over less says nothing. */
const MS_MIN = 1000;
/** The rate of the last minute: a run that waited for the budget is not slow for ever. */
const WINDOW_MS = 60_000;

/**
 * @typedef {object} Pace
 * @property {number | null} rate Rows a second.
 * @property {number | null} secondsLeft
 */

/** @returns {(run: import('./types.js').Run, nowMs: number) => Pace} */
export const createPace = () => {
  /** @type {Map<string, { atMs: number, seen: number }[]>} */
  const samples = new Map();
  return ({ id, pass, rows_seen: seen, expected, started_at: startedAt }, nowMs) => {
    // Each pass of a walk begins anew.
    const key = `${id} ${pass ?? ''}`;
    const known = samples.get(key) ?? [];
    if (known.at(-1)?.seen !== seen) known.push({ atMs: nowMs, seen });
    while (known.length > 2 && (known[0]?.atMs ?? 0) < nowMs - WINDOW_MS) known.shift();
    samples.set(key, known);
    const startedMs = startedAt == null ? nowMs : Date.parse(startedAt);
    const first = known.length > 1 ? known[0] : { atMs: startedMs, seen: 0 };
    const elapsedMs = nowMs - (first?.atMs ?? nowMs);
    const rows = seen - (first?.seen ?? 0);
    const rate = elapsedMs >= MS_MIN && rows > 0 ? (rows * 1000) / elapsedMs : null;
    return { rate, secondsLeft: rate === null || expected == null ? null : Math.max(0, (expected - seen) / rate) };
  };
};

/** The daemon's clock, as its answers tell it: charts and ages are right where the browser's clock is wrong. */

/** The header tells whole seconds, and the way here takes time: less than this is no difference. */
const SAME_MS = 3_000;

/** @param {() => number} ownMs The browser's. */
export const createDaemonClock = (ownMs) => {
  let aheadMs = 0;
  return {
    /** @param {string | null} date The Date header of an answer that came just now. */
    hear: (date) => {
      const toldMs = date === null ? Number.NaN : Date.parse(date);
      if (Number.isNaN(toldMs)) return;
      const differenceMs = toldMs - ownMs();
      aheadMs = Math.abs(differenceMs) < SAME_MS ? 0 : differenceMs;
    },
    /** Now, in milliseconds since 1970. */
    nowMs: () => ownMs() + aheadMs,
  };
};

/** One for the page. */
export const daemonClock = createDaemonClock(() => Date.now());

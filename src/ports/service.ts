/** The one contract of everything that works in the background. */

/** `start` and `stop` may be called in any order and any number of times. */
export interface Service {
  /** Nothing happens where it runs already; waits for the end of an earlier run first. */
  start(): Promise<void>;
  /** Resolves when nothing of it runs any more. */
  stop(): Promise<void>;
}

/** @param work ends soon after the signal fires, and never rejects */
export const createService = (work: (signal: AbortSignal) => Promise<void>): Service => {
  let running: { readonly stopped: AbortController; readonly done: Promise<void> } | null = null;
  let ending = Promise.resolve();
  return {
    start: async () => {
      if (running !== null) return;
      const stopped = new AbortController();
      running = { stopped, done: ending.then(() => work(stopped.signal)) };
    },
    stop: async () => {
      if (running !== null) {
        running.stopped.abort();
        ending = running.done;
        running = null;
      }
      await ending;
    },
  };
};

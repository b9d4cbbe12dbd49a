/** A service that works in the background until it is stopped. */
export interface Background {
  /** Resolves at once; nothing happens where it runs already. Waits for the end of an earlier run first. */
  start(): Promise<void>;
  /** Resolves when nothing of it runs any more. Harmless when repeated, or before a start. */
  stop(): Promise<void>;
}

/** @param work ends soon after the signal fires, and never rejects */
export const createBackground = (work: (signal: AbortSignal) => Promise<void>): Background => {
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

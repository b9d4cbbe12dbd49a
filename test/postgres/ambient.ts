/** Clock and log for tests of the background services. */
import { systemClock } from '../../src/runtime/clock.ts';
import type { Clock, Log } from '../../src/ports/ambient.ts';

const ignore = (): void => undefined;
export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** The machine's clock, but for one process that can be frozen: its time stands still and its sleeps do not end until it is thawed. */
export const freezableClock = (): Clock & { freeze(): void; thaw(): void } => {
  let thawed = Promise.resolve();
  let thaw = ignore;
  return {
    ...systemClock,
    sleep: async (ms, signal) => {
      await systemClock.sleep(ms, signal);
      await thawed;
    },
    freeze: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      thawed = promise;
      thaw = resolve;
    },
    thaw: () => thaw(),
  };
};

/** Values in the order they came; `next` waits for the first one, from the last taken on, that matches. */
export interface Sequence<T> {
  push(value: T): void;
  next(matches?: (value: T) => boolean): Promise<T>;
}
export const createSequence = <T>(): Sequence<T> => {
  const waiting: T[] = [];
  let arrived = Promise.withResolvers<void>();
  return {
    push: (value) => {
      waiting.push(value);
      arrived.resolve();
    },
    next: async (matches = () => true) => {
      for (;;) {
        const at = waiting.findIndex((value) => matches(value));
        const [found] = at === -1 ? [] : waiting.splice(0, at + 1).slice(-1);
        if (found !== undefined) return found;
        arrived = Promise.withResolvers();
        await arrived.promise;
      }
    },
  };
};

/**
 * A round of work, again and again: after the time that the round asks for, or as soon as it is woken. A wake during a round is not lost.
 * A round that throws is logged by its kind and tried again after a growing pause; it never ends the loop.
 */
import { retryDelayMs } from '../domain/backoff.ts';
import { errorFields } from '../domain/error-fields.ts';
import type { Clock, Log } from '../ports/ambient.ts';
import { createService, type Service } from '../ports/service.ts';

export interface LoopOptions {
  readonly name: string;
  /** Works once and answers how many milliseconds may pass until the next round; never rejects for an aborted signal. */
  readonly round: (signal: AbortSignal) => Promise<number>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Loop extends Service {
  /** The next round starts now, or right after the one that runs. */
  wake(): void;
}

const ERROR_PAUSE = { minMs: 500, maxMs: 30_000 };

export const createLoop = ({ name, round, clock, log }: LoopOptions): Loop => {
  let pause = new AbortController();

  const work = async (signal: AbortSignal): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      pause = new AbortController();
      let restMs: number;
      try {
        restMs = await round(signal);
        failures = 0;
      } catch (error) {
        failures += 1;
        restMs = retryDelayMs(failures, ERROR_PAUSE, 0.5);
        if (!signal.aborted) log.error({ loop: name, ...errorFields(error), pause_ms: restMs }, 'a round failed; it will be repeated');
      }
      await clock.sleep(restMs, AbortSignal.any([signal, pause.signal]));
    }
  };

  return {
    ...createService(work),
    wake: () => pause.abort(),
  };
};

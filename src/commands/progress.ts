/** How a long run is shown: a bar with rate and remaining time on a terminal, JSON lines elsewhere. */
import { SingleBar } from 'cli-progress';
import type { Clock } from '../ports/ambient.ts';
import type { Io } from './io.ts';

export interface ProgressState {
  readonly phase: string;
  readonly done: number;
  /** Null while it is not known. */
  readonly total: number | null;
}

export interface Progress {
  show(state: ProgressState): void;
  end(): void;
}

/** At most so often on a terminal, and so often as a JSON line. */
const LINE_EVERY_MS = 1000;

export const createProgress = (io: Io, clock: Clock): Progress => (io.isTerminal ? createBar(clock) : createLines(io, clock));

const createBar = (clock: Clock): Progress => {
  let bar: SingleBar | null = null;
  let phase = '';
  let startedMs = clock.monotonicMs();
  let startedAt = 0;
  return {
    show: (state) => {
      if (bar === null || state.phase !== phase) {
        bar?.stop();
        ({ phase } = state);
        startedMs = clock.monotonicMs();
        startedAt = state.done;
        bar = new SingleBar({
          format: `${phase.padEnd(9)} {bar} {percentage}%  {value} of {total}  {rate}/s  {left}`,
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 30,
          hideCursor: true,
        });
        bar.start(state.total ?? 0, state.done, { rate: '–', left: '' });
      }
      const { rate, leftSeconds } = pace(state, startedAt, clock.monotonicMs() - startedMs);
      if (state.total !== null) bar.setTotal(Math.max(state.total, state.done));
      bar.update(state.done, { rate: rate === null ? '–' : Math.round(rate), left: leftSeconds === null ? '' : `${leftSeconds} s left` });
    },
    end: () => bar?.stop(),
  };
};

const createLines = (io: Io, clock: Clock): Progress => {
  let last: { readonly atMs: number; readonly phase: string } | null = null;
  let startedMs = clock.monotonicMs();
  let startedAt = 0;
  return {
    show: (state) => {
      const nowMs = clock.monotonicMs();
      if (last?.phase !== state.phase) {
        startedMs = nowMs;
        startedAt = state.done;
      } else if (nowMs - last.atMs < LINE_EVERY_MS) return;
      last = { atMs: nowMs, phase: state.phase };
      const { rate, leftSeconds } = pace(state, startedAt, nowMs - startedMs);
      io.err(JSON.stringify({ ...state, rate_per_second: rate === null ? null : Math.round(rate), seconds_left: leftSeconds }));
    },
    end: () => {},
  };
};

const pace = (
  { done, total }: ProgressState,
  startedAt: number,
  elapsedMs: number,
): { rate: number | null; leftSeconds: number | null } => {
  const rate = elapsedMs > 200 && done > startedAt ? ((done - startedAt) * 1000) / elapsedMs : null;
  return { rate, leftSeconds: rate === null || total === null ? null : Math.max(0, Math.round((total - done) / rate)) };
};

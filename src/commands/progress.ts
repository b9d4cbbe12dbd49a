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
  /** `complete`: the last phase was gone through to its end, though the last look came before that. Harmless when repeated. */
  end(complete: boolean): void;
}

/** How often a JSON line is written within one phase. */
const LINE_EVERY_MS = 1000;
/** A rate over less says nothing. */
const PACE_MS_MIN = 200;
const BAR_SIZE = 30;

export const createProgress = (io: Io, clock: Clock): Progress => (io.errIsTerminal ? createBar(clock) : createLines(io, clock));

const number = (value: number): string => Math.round(value).toLocaleString('en');

/** `contacts  ██████████████████░░░░░░░░░░░░   61%  6,100 of 10,000   812/s   5 s left` */
const createBar = (clock: Clock): Progress => {
  let bar: SingleBar | null = null;
  let shown: ProgressState = { phase: '', done: 0, total: null };
  let meter = createMeter(clock, 0);
  const draw = (state: ProgressState): void => {
    const { rate, secondsLeft } = meter(state);
    const total = Math.max(state.total ?? 0, state.done);
    bar?.setTotal(Math.max(1, total));
    bar?.update(state.done, {
      done: number(state.done),
      of: state.total === null ? '' : ` of ${number(total)}`,
      pace: [rate === null ? '' : `${number(rate)}/s`, secondsLeft === null || state.done >= total ? '' : timeLeft(secondsLeft)]
        .filter((text) => text !== '')
        .join('  '),
    });
  };
  const begin = (state: ProgressState): void => {
    bar?.stop();
    meter = createMeter(clock, state.done);
    bar = new SingleBar({
      format: `${state.phase.padEnd(8)}  {bar}  {percentage}%  {done}{of}  {pace}`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: BAR_SIZE,
      autopadding: true,
      hideCursor: true,
      // Redrawn when something was shown, not by a timer.
      fps: 20,
    });
    bar.start(1, 0, { done: '0', of: '', pace: '' });
  };
  const drawComplete = (): void => {
    if (shown.total !== null && shown.done > 0) draw({ ...shown, done: Math.max(shown.done, shown.total) });
  };
  return {
    show: (state) => {
      if (bar !== null && state.phase !== shown.phase) drawComplete();
      if (bar === null || state.phase !== shown.phase) begin(state);
      shown = state;
      draw(state);
    },
    end: (complete) => {
      if (complete) drawComplete();
      bar?.stop();
      bar = null;
    },
  };
};

/** The bar alone, for a screen that is drawn as a whole: `██████████░░░░░░░░░░  50%  5,000 of 10,000`. */
export const drawBar = (done: number, total: number): string => {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.round(share * BAR_SIZE);
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_SIZE - filled)}  ${Math.floor(share * 100)}%  ${number(done)} of ${number(total)}`;
};

const timeLeft = (seconds: number): string => {
  if (seconds < 60) return `${seconds} s left`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s left`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min left`;
};

const createLines = (io: Io, clock: Clock): Progress => {
  let last: { readonly atMs: number; readonly phase: string } | null = null;
  let meter = createMeter(clock, 0);
  return {
    show: (state) => {
      const nowMs = clock.monotonicMs();
      if (last?.phase !== state.phase) meter = createMeter(clock, state.done);
      else if (nowMs - last.atMs < LINE_EVERY_MS) return;
      last = { atMs: nowMs, phase: state.phase };
      const { rate, secondsLeft } = meter(state);
      io.err(JSON.stringify({ ...state, rate_per_second: rate === null ? null : Math.round(rate), seconds_left: secondsLeft }));
    },
    end: () => {},
  };
};

interface Pace {
  /** A second. */
  readonly rate: number | null;
  readonly secondsLeft: number | null;
}

/** Measures from the moment and the number it was made with. */
const createMeter = (clock: Clock, startedAt: number): ((state: ProgressState) => Pace) => {
  const startedMs = clock.monotonicMs();
  return ({ done, total }) => {
    const elapsedMs = clock.monotonicMs() - startedMs;
    const rate = elapsedMs > PACE_MS_MIN && done > startedAt ? ((done - startedAt) * 1000) / elapsedMs : null;
    return { rate, secondsLeft: rate === null || total === null ? null : Math.max(0, Math.round((total - done) / rate)) };
  };
};

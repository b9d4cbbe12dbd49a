/** `status --watch`: the status again and again, in place on a terminal, as lines of JSON elsewhere. */
import { stripVTControlCharacters } from 'node:util';
import type { Clock } from '../ports/ambient.ts';
import type { Operator, RunRow, Status } from '../postgres/operator.ts';
import { explain } from './explain.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { drawBar } from './progress.ts';
import { describeStatus, paintFor } from './status.ts';

export interface WatchOptions {
  readonly json: boolean;
}

const LOOK_EVERY_MS = 1000;

/** Until SIGINT or SIGTERM. A database that goes away meanwhile is told and waited for. */
export const watchStatus = async (io: Io, operator: Operator, clock: Clock, { json }: WatchOptions): Promise<ExitCode> => {
  const screen = json || !io.outIsTerminal ? null : await openScreen(io, clock);
  const show = (lines: readonly string[]): void => {
    if (screen !== null) screen.show(lines);
    else for (const line of lines) io.out(line);
  };
  let seen: { readonly status: Status; readonly run: RunRow | null } | null = null;
  try {
    while (!io.signal.aborted) {
      try {
        seen = await look(operator);
        show(
          screen === null ? [JSON.stringify(seen.status)] : [...describeStatus(seen.status, paintFor(io)), ...describeRun(io, seen.run)],
        );
      } catch (error) {
        // Never seen at all: the settings are more likely wrong than the database away.
        if (seen === null) throw error;
        if (screen === null) io.err(explain(error));
        else show([...describeStatus(seen.status, paintFor(io)), '', paintFor(io)('bad', `Not up to date: ${explain(error)}`)]);
      }
      await clock.sleep(LOOK_EVERY_MS, io.signal);
    }
  } finally {
    screen?.close();
  }
  return EXIT.done;
};

const look = async (operator: Operator): Promise<{ readonly status: Status; readonly run: RunRow | null }> => {
  const [status, run] = await Promise.all([operator.status(), operator.currentRun()]);
  return { status, run: run?.state === 'running' ? run : null };
};

interface Screen {
  show(lines: readonly string[]): void;
  close(): void;
}

/** In place; where the terminal does not know its size nothing can be drawn over, and what changed is written below. */
const openScreen = async (io: Io, clock: Clock): Promise<Screen> => {
  // Nothing but this needs the package: it is loaded here.
  const { default: logUpdate } = await import('log-update');
  let written = '';
  return {
    show: (lines) => {
      const rows = io.rows();
      if (rows !== null) return logUpdate(toFrame(io, clock.now(), lines, rows).join('\n'));
      const text = lines.join('\n');
      if (text !== written) for (const line of [title(io, clock.now()), ...lines, '']) io.out(line);
      written = text;
    },
    close: () => logUpdate.done(),
  };
};

const title = (io: Io, now: Date): string => paintFor(io)('dim', `relate-mirror, ${now.toISOString().slice(11, 19)} UTC, Ctrl-C ends`);

/** What fits into the window, from the top, where the verdict is: what is too long would be cut there by the terminal. */
const toFrame = (io: Io, now: Date, lines: readonly string[], rows: number): readonly string[] => {
  const whole = [title(io, now), '', ...lines];
  if (heightOf(whole, io.columns) < rows) return whole;
  // The last row is the cursor's, the one before says that something is left out.
  let fits = lines.filter((line) => line !== '');
  const all = fits.length;
  while (fits.length > 1 && heightOf(fits, io.columns) + 2 > rows) fits = fits.slice(0, -1);
  return fits.length === all ? fits : [...fits, paintFor(io)('dim', `… ${all - fits.length} more in a higher window`)];
};

/** Rows on the screen: a line that is wider than the window takes several. */
const heightOf = (lines: readonly string[], columns: number): number =>
  lines.reduce((rows, line) => rows + Math.max(1, Math.ceil(stripVTControlCharacters(line).length / columns)), 0);

const describeRun = (io: Io, run: RunRow | null): readonly string[] => {
  if (run === null || run.expected === null) return [];
  const { kind, rows_seen: done, expected: total, pass } = run;
  const what = pass !== null && pass > 1 ? `${kind}, pass ${pass}` : kind;
  return ['', `${paintFor(io)('dim', what)}  ${drawBar(done, total)}`];
};

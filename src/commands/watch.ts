/** `status --watch`: the status again and again, in place on a terminal, as lines of JSON elsewhere. */
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
  const screen = json || !io.outIsTerminal ? null : await openScreen();
  const show = (lines: readonly string[]): void => {
    if (screen !== null) screen.show(frame(io, clock.now(), lines));
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

/** Nothing but this needs the package: it is loaded here. */
const openScreen = async (): Promise<{ show(text: string): void; close(): void }> => {
  const { default: logUpdate } = await import('log-update');
  return { show: (text) => logUpdate(text), close: () => logUpdate.done() };
};

const frame = (io: Io, now: Date, lines: readonly string[]): string =>
  [paintFor(io)('dim', `relate-mirror, ${now.toISOString().slice(11, 19)} UTC, Ctrl-C ends`), '', ...lines].join('\n');

const describeRun = (io: Io, run: RunRow | null): readonly string[] => {
  if (run === null || run.expected === null) return [];
  const { kind, rows_seen: done, expected: total, pass } = run;
  const what = pass !== null && pass > 1 ? `${kind}, pass ${pass}` : kind;
  return ['', `${paintFor(io)('dim', what)}  ${drawBar(done, total)}`];
};

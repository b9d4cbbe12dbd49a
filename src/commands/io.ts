/** What a command may use of the process that it runs in. */

export interface Io {
  /** Results, on standard output. */
  out(line: string): void;
  /** Progress and errors for people, on standard error. */
  err(line: string): void;
  /** Standard output is a terminal: results are read by a person, and colours are welcome. Elsewhere they are JSON lines. */
  readonly outIsTerminal: boolean;
  /** Of standard output; without end where it is no terminal, so that a line stays a line. */
  readonly columns: number;
  /** Of the terminal as it is now, or null where it does not say. */
  rows(): number | null;
  /** Standard error is a terminal: progress bars are welcome. */
  readonly errIsTerminal: boolean;
  /** Fires on SIGTERM and SIGINT. */
  readonly signal: AbortSignal;
}

/** How every command ends. */
export const EXIT = {
  done: 0,
  failed: 1,
  /** Wrong usage or settings. */
  usage: 2,
  /** Done, but something is held, parked, unknown, waiting for a retry or in an open conflict. */
  attention: 3,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Resolves when the process was asked to stop. */
export const untilStopped = async ({ signal }: Io): Promise<void> => {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
};

/** An error whose message was written for the operator: it says what to do and holds no secret and nobody's data. */
export class Told extends Error {
  override readonly name = 'Told';
}

/** What a terminal obeys, or shows in another order than it stands there: controls, line separators, marks and overrides of direction. */
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
/** Our own colours. None of them hides anything. */
// oxlint-disable-next-line no-control-regex
const OWN_STYLE = /(\u001b\[(?:0|1|2|22|31|32|33|36|39)m)/;

/**
 * Text for a terminal. What came from the CRM or from a row may hold anything, so whatever is not plain text is shown as its escape, which
 * in a line of JSON means the same as before.
 */
export const printable = (text: string): string =>
  text
    .split(OWN_STYLE)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll(UNPRINTABLE, toEscape)))
    .join('');

const toEscape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

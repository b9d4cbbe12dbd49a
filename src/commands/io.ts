/** What a command may use of the process that it runs in. */

export interface Io {
  /** Results, on standard output. */
  out(line: string): void;
  /** Progress and errors for people, on standard error. */
  err(line: string): void;
  /** Standard error is a terminal: progress bars and colours are welcome. */
  readonly isTerminal: boolean;
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

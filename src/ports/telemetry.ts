/** What the inside tells of itself while it works: for metrics, charts and readiness. Names and numbers only, never ids or values. */
import type { ErrorCode } from '../domain/errors.ts';

/** The calls of the port `Crm`, as metrics and `sync.calls` name them. */
export type Endpoint =
  'list' | 'get' | 'create' | 'update' | 'delete' | 'search' | 'attach' | 'detach' | 'sync' | 'trash' | 'restore' | 'activities' | 'fields';

/** One attempt of one call that was sent, or could not be. */
export interface EndedCall {
  readonly endpoint: Endpoint;
  readonly outcome: 'ok' | ErrorCode;
  /** From its turn to its end: connecting, sending, waiting and reading; without the wait for the turn. */
  readonly seconds: number;
}

/**
 * `pull`: into the mirror, whatever brought it (a page, a contact read by its id, the answer to a push).
 * `push`: into the CRM, counted in edits (rows of sync.change_log) at the end of each attempt.
 */
export type RowsMoved =
  | {
      readonly direction: 'pull';
      readonly outcome: 'created' | 'updated' | 'removed' | 'deferred' | 'parked' | 'held';
      readonly rows: number;
    }
  | { readonly direction: 'push'; readonly outcome: 'done' | 'merged' | 'retry' | 'parked' | 'unknown'; readonly rows: number };

/** Told synchronously, from the middle of the work: nothing here may throw, wait or be slow. */
export interface Telemetry {
  callEnded(call: EndedCall): void;
  /** The first byte of the write that carries an edit goes; seconds since the edit was made, by the database's clock. */
  editSent(seconds: number): void;
  /** Told after the commit. */
  rowsMoved(moved: RowsMoved): void;
  /** A changes pull, or a complete sweep, went through that began at this moment: what the CRM held then is here. */
  pulled(since: Date): void;
}

/** For what nobody watches: tests, and commands that end. */
export const NO_TELEMETRY: Telemetry = { callEnded: () => {}, editSent: () => {}, rowsMoved: () => {}, pulled: () => {} };

/** Tells several. */
export const tellAll = (listeners: readonly Telemetry[]): Telemetry => ({
  callEnded: (call) => listeners.forEach((listener) => listener.callEnded(call)),
  editSent: (seconds) => listeners.forEach((listener) => listener.editSent(seconds)),
  rowsMoved: (moved) => listeners.forEach((listener) => listener.rowsMoved(moved)),
  pulled: (since) => listeners.forEach((listener) => listener.pulled(since)),
});

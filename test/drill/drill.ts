/** One exercise: something breaks, the alert fires, an operator does what docs/operations.md says, and everything is as it should be. */
import type { Pace } from './world.ts';

/** What was seen; `violations` empty: it went as the document says. */
export interface Outcome {
  readonly violations: readonly string[];
  /** Seconds from the trouble to its alert, and from its end until both sides were equal. */
  readonly alertSeconds: number | null;
  readonly recoverySeconds: number | null;
  /** What else was counted, in a word or two each. */
  readonly notes: readonly string[];
  /** Why it could not be held here. */
  readonly skipped?: string;
}

export interface Drill {
  readonly name: string;
  /** What a reader of the table should know of it. */
  readonly what: string;
  /** Of which one has to fire. */
  readonly alerts: readonly string[];
  readonly run: (pace: Pace) => Promise<Outcome>;
}

export const skipped = (why: string): Outcome => ({ violations: [], alertSeconds: null, recoverySeconds: null, notes: [], skipped: why });

/** What a soak found: figures for the table, and every promise that was seen broken, in words. */

export interface Verdict {
  readonly name: string;
  /** What replays it: the same edits and the same events at the same times; processes and sockets have a will of their own. */
  readonly seed: number;
  readonly runs: number;
  readonly ms: number;
  /** What happened, how often; and what was measured. */
  readonly figures: { readonly [name: string]: number | string };
  /** Empty: every promise held. */
  readonly violations: readonly string[];
}

/** Told while a run goes on: one line, overwritten by the next. */
export type Progress = (line: string) => void;

/** Counts by name. */
export class Tally {
  readonly #counts = new Map<string, number>();
  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }
  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }
  all(): { readonly [name: string]: number } {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => a.localeCompare(b)));
  }
}

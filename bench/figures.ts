/** What a bench finds: figures of ours, each beside what it is compared with in the same run, and the target where there is one. */

/** What a figure, or its ratio to the other, has to keep. */
export interface Target {
  readonly of: 'ours' | 'ratio';
  readonly min?: number;
  readonly max?: number;
}

export interface Figure {
  /** What was measured, as a reader of the table understands it. */
  readonly name: string;
  readonly unit: 'contacts/s' | 'rows/s' | 'ms' | 'calls' | 'tuples' | 'bytes' | '%';
  readonly ours: number;
  /** The limit, or the peer, in the same run and the same unit. */
  readonly than?: { readonly name: string; readonly value: number };
  readonly target?: Target;
  /** What explains it, for the file alone. */
  readonly detail?: object;
}

/** How many times the other figure ours is; null where there is none, or where it is 0. */
export const ratioOf = ({ ours, than }: Figure): number | null => (than === undefined || than.value === 0 ? null : ours / than.value);

/** Null where there is no target. */
export const holds = (figure: Figure): boolean | null => {
  const { target } = figure;
  if (target === undefined) return null;
  const value = target.of === 'ours' ? figure.ours : ratioOf(figure);
  return value !== null && value >= (target.min ?? Number.NEGATIVE_INFINITY) && value <= (target.max ?? Number.POSITIVE_INFINITY);
};

/** The value below which this share of the samples lies (nearest rank). */
export const quantile = (samples: readonly number[], share: number): number => {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
  if (value === undefined) throw new Error('A quantile of nothing.');
  return value;
};

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** Milliseconds that the work took, and what it answered. */
export const timed = async <T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> => {
  const startedMs = performance.now();
  const value = await work();
  return { ms: performance.now() - startedMs, value };
};

export const perSecond = (count: number, ms: number): number => (count / ms) * 1000;

/** What is looked at, step by step, and what was seen. */

export interface Report {
  /** Runs a step; one that throws is a failure, and the next ones still run unless it is `vital`. */
  step(what: string, work: () => Promise<string | void>, options?: { readonly vital?: boolean }): Promise<void>;
  readonly failed: number;
}

/** A step without which the rest means nothing. */
export class Vital extends Error {}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export const createReport = (say: (line: string) => void): Report => {
  const report = {
    failed: 0,
    step: async (what: string, work: () => Promise<string | void>, { vital = false } = {}): Promise<void> => {
      const started = performance.now();
      try {
        const seen = await work();
        say(`✓ ${what}${typeof seen === 'string' ? `: ${seen}` : ''} (${seconds(performance.now() - started)})`);
      } catch (error) {
        report.failed += 1;
        say(`✗ ${what} (${seconds(performance.now() - started)})`);
        for (const line of (error instanceof Error ? error.message : String(error)).split('\n')) say(`    ${line}`);
        if (vital) throw new Vital(what);
      }
    },
  };
  return report;
};

/** Asks until the answer is there. @throws Error with the last refusal, when the time is over */
export const until = async <T>(what: string, look: () => Promise<T | null | undefined | false>, deadlineMs = 30_000): Promise<T> => {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const outcome = await look().then(
      (found) => ({ found, why: 'it is not so' }),
      (error: unknown) => ({ found: null, why: error instanceof Error ? error.message : String(error) }),
    );
    const { found, why } = outcome;
    if (found !== null && found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds(deadlineMs)} (${why})`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
};

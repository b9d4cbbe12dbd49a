/** The same rules for a mirror whose minutes are seconds: for a drill that cannot wait as long as an operator can. */
const UNITS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const secondsOf = (count: string, unit: string): number => Number(count) * UNITS[unit as keyof typeof UNITS];

/** Prometheus scrapes each second then, and a rate needs two samples of the range. */
const RANGE_SECONDS_MIN = 4;

/**
 * `for`, ranges, and thresholds that follow a `…_seconds` metric and are minutes or more, all divided. What is smaller (a lag of half a second)
 * is not a matter of patience and stays.
 */
export const shortenRules = (rules: string, factor: number): string =>
  rules
    .replaceAll(/^(\s+for: )(\d+)([smhd])$/gm, (_, before: string, count: string, unit: string) => {
      return `${before}${Math.ceil(secondsOf(count, unit) / factor)}s`;
    })
    .replaceAll(/\[(\d+)([smhd])\]/g, (_, count: string, unit: string) => {
      return `[${Math.max(RANGE_SECONDS_MIN, Math.ceil(secondsOf(count, unit) / factor))}s]`;
    })
    .replaceAll(/(_seconds\)? > )(\d{2,})\b/g, (_, before: string, threshold: string) => `${before}${Number(threshold) / factor}`);

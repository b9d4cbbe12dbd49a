/** Promises about the processes: one leads, the next takes over in seconds, and the CRM's budget holds whoever sends. Pure. */
import type { CallRecord } from '../../src/sandbox/crm/call-log.ts';
import type { Blows } from './blows.ts';
import type { SentWrite } from './crew.ts';
import type { Reign } from './leadership.ts';

interface Findings {
  readonly violations: readonly string[];
  readonly figures: { readonly [name: string]: number | string };
}

const TAKEOVER_MS_MAX = 5_000;
const WINDOW_MS = 60_000;
/** A new leader learns the limit with its first answers; calls of a killed one were counted by the CRM and by nobody else. */
const LEARNING_MS = 1_500;

const worst = (values: readonly number[]): number => Math.round(Math.max(0, ...values));
const median = (values: readonly number[]): number => Math.round(values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0);

export interface LeadingOptions {
  readonly reigns: readonly Reign[];
  readonly writes: readonly SentWrite[];
  readonly blows: Pick<Blows, 'losses' | 'disturbedMs'> | null;
}

/** Writes of a daemon that no longer led, and how long nobody did. */
export const judgeLeading = ({ reigns, writes, blows }: LeadingOptions): Findings => {
  const violations: string[] = [];
  for (const { pid, atMs, what, late } of writes) {
    if (late) continue;
    // Seen: the database had given the lease to another before this look, which was before the write.
    const reign = reigns.findLast(({ seenMs }) => seenMs <= atMs);
    const next = reigns.find(({ seenMs }) => seenMs > atMs);
    if (reign !== undefined && reign.pid !== pid && next?.pid !== pid)
      violations.push(
        `two at once: daemon ${pid} sent ${what.split(' ')[0]} ${Math.round(atMs - reign.seenMs)} ms after epoch ${reign.epoch}`,
      );
  }
  const [clean, disturbed]: [number[], number[]] = [[], []];
  for (const { what, atMs, epoch, standbyReady } of blows?.losses ?? []) {
    const next = reigns.find((reign) => reign.epoch > epoch);
    if (next === undefined) continue;
    const tookMs = next.seenMs - atMs;
    const isDisturbed = blows?.disturbedMs.some(({ fromMs, toMs }) => fromMs < next.seenMs && toMs > atMs) ?? false;
    (standbyReady && !isDisturbed ? clean : disturbed).push(tookMs);
    if (standbyReady && !isDisturbed && tookMs > TAKEOVER_MS_MAX)
      violations.push(`slow takeover: ${Math.round(tookMs)} ms after a ${what} of the leader, epoch ${epoch}`);
  }
  return {
    violations,
    figures: {
      'terms of leading': reigns.length,
      'writes whose sender is known': writes.length,
      'takeovers measured': clean.length,
      'takeover ms, median': median(clean),
      'takeover ms, worst': worst(clean),
      'takeovers while disturbed': disturbed.length,
      'takeover ms while disturbed, worst': worst(disturbed),
    },
  };
};

export interface BudgetOptions {
  readonly calls: readonly CallRecord[];
  readonly ratePerMinute: number;
  readonly share: number;
  /** When a daemon may have begun to lead, on the account's clock. */
  readonly startsMs: readonly number[];
}

/** The CRM's windows, as it counts them: a minute each, the next begins with the first call after it. */
export const judgeBudget = ({ calls, ratePerMinute, share, startsMs }: BudgetOptions): Findings => {
  const violations: string[] = [];
  const windows: { readonly endMs: number; calls: number }[] = [];
  let refused = 0;
  for (const { at, status, fault } of calls) {
    const atMs = at.getTime();
    if (atMs >= (windows.at(-1)?.endMs ?? 0)) windows.push({ endMs: atMs + WINDOW_MS, calls: 0 });
    const window = windows.at(-1);
    if (window !== undefined) window.calls += 1;
    if (status !== 429 || fault !== null) continue;
    refused += 1;
    const isLearning = startsMs.some((startMs) => atMs >= startMs && atMs - startMs < LEARNING_MS);
    if (!isLearning) violations.push(`a 429 of our own making at ${at.toISOString()}`);
  }
  const most = Math.max(0, ...windows.map((window) => window.calls));
  // The share is the daemon's promise; the rest is for others, and for what a killed daemon had in flight.
  const startsIn = startsMs.length;
  if (most > ratePerMinute * share + 8 * startsIn)
    violations.push(`over the budget: ${most} calls in one minute of the CRM, ${Math.floor(ratePerMinute * share)} are ours`);
  return {
    violations,
    figures: { calls: calls.length, 'calls in the fullest minute': most, 'limit a minute': ratePerMinute, '429 while learning': refused },
  };
};

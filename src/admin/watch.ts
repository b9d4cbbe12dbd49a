/**
 * One look at the database for everybody who asks: metrics, readiness, page and events share it, so that ten watchers cost what one does.
 * A look ends in time whatever the database does: one that is silent is down, one that is slow is up with the picture of before.
 */
import type { Clock } from '../ports/ambient.ts';
import type { Operations, Overview } from '../ports/operations.ts';

export interface Sight {
  readonly isDatabaseUp: boolean;
  /** Null where the database is down, or never told in time. */
  readonly overview: Overview | null;
}
export interface Watch {
  look(): Promise<Sight>;
}

const FRESH_MS = 900;
/** Of a scrape that may take a second. */
const ANSWER_MS_MAX = 700;
/** Older than this a picture is no answer. */
const STALE_MS = 60_000;

export const createWatch = (operations: Pick<Operations, 'ping' | 'overview'>, clock: Clock): Watch => {
  let sight: Sight | null = null;
  let seenAtMs = Number.NEGATIVE_INFINITY;
  let picture: Overview | null = null;
  let picturedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<Sight> | null = null;

  const take = async (): Promise<void> => {
    picture = await operations.overview();
    picturedAtMs = clock.monotonicMs();
  };
  // What hangs is waited for once, not asked again by each look.
  const ping = onceAtATime(() => operations.ping());
  const refresh = onceAtATime(take);

  const see = async (): Promise<Sight> => {
    const over = new AbortController();
    const time = clock.sleep(ANSWER_MS_MAX, over.signal).then(() => false);
    const isDone = async (work: Promise<void>): Promise<boolean> => await Promise.race([work.then(() => true).catch(() => false), time]);
    const [isAlive, isRefreshed] = await Promise.all([isDone(ping()), isDone(refresh())]);
    over.abort();
    const isDatabaseUp = isAlive || isRefreshed;
    const isRecent = clock.monotonicMs() - picturedAtMs < STALE_MS;
    sight = { isDatabaseUp, overview: isDatabaseUp && isRecent ? picture : null };
    seenAtMs = clock.monotonicMs();
    return sight;
  };
  return {
    look: async () => {
      if (sight !== null && clock.monotonicMs() - seenAtMs < FRESH_MS) return sight;
      looking ??= see().finally(() => (looking = null));
      return await looking;
    },
  };
};

const onceAtATime = (work: () => Promise<void>): (() => Promise<void>) => {
  let running: Promise<void> | null = null;
  return () => (running ??= work().finally(() => (running = null)));
};

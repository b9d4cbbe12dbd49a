/**
 * Who goes first, and how many at once: two p-queues in front of one budget.
 *
 * People's lanes (edit before changes) may use all of the budget; background lanes (links before sweep) only what people leave, never the
 * last 20 % of a window and never the last two connections. A queue is paused while its part is used up, so that a waiting call holds no
 * slot and a later edit still overtakes it.
 */
import PQueue from 'p-queue';
import type { Clock } from '../ports/ambient.ts';
import type { Lane } from '../ports/crm.ts';
import type { CallBudget } from './budget.ts';

/** Connections that background lanes never take. */
const SLOTS_FOR_PEOPLE = 2;

const LANES: { readonly [L in Lane]: { readonly people: boolean; readonly priority: number } } = {
  edit: { people: true, priority: 1 },
  changes: { people: true, priority: 0 },
  links: { people: false, priority: 1 },
  sweep: { people: false, priority: 0 },
};

export interface Lanes {
  /** Runs `turn` when it is the lane's turn. A signal that fires first takes it out and rejects; afterwards it has no meaning here. */
  add<T>(lane: Lane, turn: () => Promise<T>, waiting: AbortSignal): Promise<T>;
  /** To be called by each turn that took from the budget: closes what is used up. p-queue asks for it before the next start. */
  readonly shut: () => void;
  queued(): number;
  inFlight(): number;
}

export const createLanes = (clock: Clock, budget: CallBudget, concurrency: number): Lanes => {
  const people = new PQueue({ concurrency });
  const background = new PQueue({ concurrency: Math.max(1, concurrency - SLOTS_FOR_PEOPLE) });
  const alarm = createAlarm(clock, () => regulate());

  const queued = (): number => people.size + background.size;
  const inFlight = (): number => people.pending + background.pending;
  const left = (): number => (inFlight() < concurrency ? budget.left(clock.monotonicMs()) : 0);
  const shut = (): void => {
    if (left() <= 0) people.pause();
    if (left() <= budget.reserve) background.pause();
  };
  /** To be called whenever something may have become free: a new call, an end, the time. */
  const regulate = (): void => {
    shut();
    // First, and at once: what is left after it is for the background.
    if (left() > 0) people.start();
    if (left() > budget.reserve) background.start();
    alarm.set(queued() > 0 ? budget.nextChange(clock.monotonicMs()) : null);
  };
  // Emitted after each end and each abort of a waiting call, once p-queue has counted it.
  people.addEventListener('next', regulate);
  background.addEventListener('next', regulate);

  const add: Lanes['add'] = async (lane, turn, waiting) => {
    const queue = LANES[lane].people ? people : background;
    const result = queue.add(turn, { priority: LANES[lane].priority, signal: waiting });
    regulate();
    return result;
  };
  return { add, shut, queued, inFlight };
};

/** At most one sleep at a time; a new time replaces the old one. */
const createAlarm = (clock: Clock, ring: () => void): { set(atMs: number | null): void } => {
  let current: { readonly atMs: number; readonly cancel: AbortController } | null = null;
  const set = (atMs: number | null): void => {
    if (atMs === (current?.atMs ?? null)) return;
    current?.cancel.abort();
    current = null;
    if (atMs === null) return;
    const cancel = new AbortController();
    current = { atMs, cancel };
    void clock.sleep(Math.max(1, Math.ceil(atMs - clock.monotonicMs())), cancel.signal).then(() => {
      if (cancel.signal.aborted) return;
      current = null;
      ring();
    });
  };
  return { set };
};

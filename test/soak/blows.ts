/** Deals the timeline's blows to the daemons, Postgres and the wires, and notes each loss of the leader for the takeover's time. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Crew, Slot } from './crew.ts';
import type { Leadership } from './leadership.ts';
import type { OwnPostgres } from './own-postgres.ts';
import type { Blow, Timed } from './timeline.ts';
import type { Tally } from './verdict.ts';

/** A moment in which the leader stopped leading. */
export interface Loss {
  readonly what: 'kill' | 'freeze';
  readonly atMs: number;
  readonly epoch: number;
  /** Another daemon was up and waiting, and Postgres and its wire were well. */
  readonly standbyReady: boolean;
}

export interface Blows {
  readonly losses: readonly Loss[];
  /** When Postgres, a wire or the next daemon was disturbed: a takeover meanwhile may take longer. */
  readonly disturbedMs: readonly { readonly fromMs: number; toMs: number }[];
  /** Resolves when the last blow is over and everything runs again. */
  readonly done: Promise<void>;
}

/** A daemon needs this long until it asks for the lease. */
const READY_AFTER_MS = 2_500;

export interface BlowsOptions {
  readonly timeline: readonly Timed[];
  readonly crew: Crew;
  readonly postgres: OwnPostgres;
  readonly leadership: Leadership;
  readonly tally: Tally;
  readonly failed: (what: string) => void;
}

export const dealBlows = ({ timeline, crew, postgres, leadership, tally, failed }: BlowsOptions): Blows => {
  const losses: Loss[] = [];
  const disturbedMs: { readonly fromMs: number; toMs: number }[] = [];
  const beganMs = performance.now();
  let crashing = Promise.resolve();

  const other = (slot: Slot): Slot => (slot === crew.slots[0] ? crew.slots[1] : crew.slots[0]);
  const choose = (whom: 'leader' | 'standby'): Slot => {
    const leader = crew.slotOf(leadership.leader()) ?? crew.slotOf(leadership.reigns.at(-1)?.pid ?? null) ?? crew.slots[0];
    return whom === 'leader' ? leader : other(leader);
  };
  const disturb = async (work: Promise<void>): Promise<void> => {
    const disturbance = { fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY };
    disturbedMs.push(disturbance);
    await work.finally(() => (disturbance.toMs = performance.now()));
  };
  const noteLoss = (what: Loss['what'], slot: Slot): void => {
    if (leadership.leader() !== slot.child.pid || slot.frozen) return;
    const next = other(slot);
    const standbyReady = !next.frozen && performance.now() - next.startedMs > READY_AFTER_MS;
    losses.push({ what, atMs: performance.now(), epoch: leadership.reigns.at(-1)?.epoch ?? 0, standbyReady });
  };

  const deal: { readonly [K in Blow['what']]: (blow: Extract<Blow, { readonly what: K }>) => Promise<void> } = {
    kill: async ({ whom }) => {
      const slot = choose(whom);
      noteLoss('kill', slot);
      tally.add(leadership.leader() === slot.child.pid ? 'kills of the leader' : 'kills of a standby');
      await (leadership.leader() === slot.child.pid ? crew.replace(slot) : disturb(crew.replace(slot)));
    },
    crash: async ({ how }) => {
      tally.add('crashes of Postgres');
      // One at a time: a server that is not up yet has nothing to lose.
      crashing = crashing.then(async () => await disturb(postgres.crash(how)));
      await crashing;
    },
    freeze: async ({ forMs }) => {
      const slot = choose('leader');
      if (slot.frozen) return;
      noteLoss('freeze', slot);
      tally.add('freezes of the leader');
      const { pid } = slot.child;
      crew.freeze(slot);
      await pause(forMs);
      // Killed meanwhile, there is nobody to wake.
      if (slot.child.pid === pid) crew.thaw(slot);
    },
    cut: async ({ whom, wire, forMs, fate }) => {
      const slot = choose(whom);
      tally.add(`cuts, ${wire === 'toCrm' ? 'to the CRM' : 'to Postgres'}`);
      await disturb(
        (async () => {
          slot[wire].cut();
          await pause(forMs);
          slot[wire].heal(fate);
        })(),
      );
    },
  };
  const dealOne = async (blow: Timed): Promise<void> => {
    await pause(Math.max(0, beganMs + blow.atMs - performance.now()));
    try {
      // Each kind finds its own blow's shape in the table.
      await (deal[blow.what] as (blow: Blow) => Promise<void>)(blow);
    } catch (error) {
      failed(`a blow could not be dealt (${blow.what}): ${String(error)}`);
    }
  };
  return { losses, disturbedMs, done: Promise.all(timeline.map(dealOne)).then(() => undefined) };
};

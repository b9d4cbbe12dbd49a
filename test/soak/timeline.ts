/** What befalls the daemons, Postgres and the wires, when: from a seed, in proportion to the time there is. */
import { createDice } from '../sim/dice.ts';
import { CRASHES, type Crash } from './own-postgres.ts';

export type Blow =
  | { readonly what: 'kill'; readonly whom: 'leader' | 'standby' }
  | { readonly what: 'crash'; readonly how: Crash }
  /** SIGSTOP for longer than a lease, then SIGCONT. */
  | { readonly what: 'freeze'; readonly forMs: number }
  | {
      readonly what: 'cut';
      readonly whom: 'leader' | 'standby';
      readonly wire: 'toPostgres' | 'toCrm';
      readonly forMs: number;
      readonly fate: 'kept' | 'lost';
    };
export type Timed = Blow & { readonly atMs: number };

/** Five minutes hold 60 kills, 5 restarts of Postgres, 5 freezes and 10 cuts. */
const PER_MINUTE = { kill: 12, crash: 1, freeze: 1, cut: 2 } as const;
/** Nothing befalls a run in its first and last moments: edits come first, and the end is quiet. */
const EDGE_MS = 1_500;
const LEASE_MS = 3_000;

export const makeTimeline = (seed: number, durationMs: number): readonly Timed[] => {
  const dice = createDice(seed);
  const blow: { readonly [K in Blow['what']]: () => Blow } = {
    kill: () => ({ what: 'kill', whom: dice.chance(0.6) ? 'leader' : 'standby' }),
    crash: () => ({ what: 'crash', how: dice.pick(CRASHES) }),
    freeze: () => ({ what: 'freeze', forMs: LEASE_MS + 500 + dice.below(3_000) }),
    cut: () => {
      const wire = dice.pick(['toPostgres', 'toCrm'] as const);
      const fate = dice.pick(['kept', 'lost'] as const);
      // A create that comes out of a wire after everybody has stopped waiting for it is the gap that docs/SPEC.md names.
      const forMs = 500 + dice.below(wire === 'toCrm' && fate === 'kept' ? 1_000 : 5_000);
      return { what: 'cut', whom: dice.chance(0.8) ? 'leader' : 'standby', wire, forMs, fate };
    },
  };
  const timed: Timed[] = [];
  for (const what of Object.keys(PER_MINUTE) as Blow['what'][]) {
    const count = Math.max(1, Math.round((PER_MINUTE[what] * durationMs) / 60_000));
    for (let n = 0; n < count; n += 1) timed.push({ ...blow[what](), atMs: EDGE_MS + dice.below(Math.max(1, durationMs - 2 * EDGE_MS)) });
  }
  return timed.toSorted((a, b) => a.atMs - b.atMs);
};

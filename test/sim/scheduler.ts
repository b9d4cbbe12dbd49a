/**
 * Who goes on when: every task waits at each of its steps, and one of the waiting is let go at a time, as the dice say. So two rounds, a
 * person's open transaction and a crash can meet between any two steps, and meet there again with the same seed.
 */
import type { Pace } from './database.ts';
import type { Dice } from './dice.ts';

/** The process died: thrown into everything that it was doing. */
export class Crash extends Error {
  constructor() {
    super('the process died here');
    this.name = 'Crash';
  }
}

/** One life of the process. */
export interface Term {
  readonly epoch: number;
  dead: boolean;
  /** The next statement of the database fails. */
  refuseNext: boolean;
  /** It stands still until this step, unless everybody waits. */
  frozenUntil: number;
  /** Another process leads: since when it is frozen, or for good. */
  deposed: 'no' | 'yes' | 'sessions ended';
}

interface Waiting {
  readonly term: Term | null;
  /** It is slow: not before this step, unless everybody is. */
  readonly notBefore: number;
  readonly go: () => void;
  readonly die: () => void;
}

/** Now and then one is held up for so long that everybody else gets through: a slow answer, a long pause of the process. */
const SLOW_SHARE = 0.06;
const SLOW_STEPS_MAX = 120;
/** More turns of the event loop than any lock is waited for: nobody will ever come back. */
const IDLE_TURNS_MAX = 5000;
/** Far more than any round of a simulation takes: it runs in circles. */
const STEPS_MAX = 20_000;

export class Scheduler {
  #waiting: Waiting[] = [];
  #running = 0;
  #step = 1;
  #dice: Dice | null = null;
  readonly #pace: Pace;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** Waits for its turn; rejects where the term has died meanwhile. `null`: a person, who outlives the process. */
  step(term: Term | null): Promise<void> {
    if (term?.dead === true) return Promise.reject(new Crash());
    const isSlow = this.#dice?.chance(SLOW_SHARE) === true;
    const slowUntil = isSlow ? this.#step + (this.#dice?.below(SLOW_STEPS_MAX) ?? 0) : 0;
    const notBefore = Math.max(slowUntil, term?.frozenUntil ?? 0);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ term, notBefore, go: resolve, die: () => reject(new Crash()) });
    });
  }

  /** Counts a task as running until it ends; how it ends is its caller's business. */
  start(task: Promise<unknown>): void {
    this.#running += 1;
    const ended = (): void => void (this.#running -= 1);
    task.then(ended, ended);
  }

  crash(term: Term): void {
    term.dead = true;
    const [dying, living] = [this.#waiting.filter((one) => one.term === term), this.#waiting.filter((one) => one.term !== term)];
    this.#waiting = living;
    for (const { die } of dying) die();
  }

  /** Stops everything that the term is doing, for so many steps. */
  freeze(term: Term, forSteps: number): void {
    term.frozenUntil = this.#step + forSteps;
    this.#waiting = this.#waiting.map((one) =>
      one.term === term ? { ...one, notBefore: Math.max(one.notBefore, term.frozenUntil) } : one,
    );
  }

  /** Lets the tasks go on one by one until none is left. @param beforeStep is told the number of each step, from 1 */
  async drive(dice: Dice, beforeStep: (step: number) => Promise<void> | undefined): Promise<void> {
    this.#dice = dice;
    this.#step = 1;
    for (let idle = 0; ;) {
      await this.#pace.settle();
      const next = this.#choose(dice);
      if (next === null) {
        idle += 1;
        // Somebody who waits for a lock comes back in the next turn.
        if (this.#running === 0 && idle > 3) return;
        if (idle > IDLE_TURNS_MAX) throw new Error('everybody waits for somebody');
        await this.#pace.idle();
        continue;
      }
      idle = 0;
      const interruption = beforeStep(this.#step);
      if (interruption !== undefined) await interruption;
      if (this.#step === STEPS_MAX) throw new Error(`no end after ${STEPS_MAX} steps`);
      this.#step += 1;
      // The interruption may have killed it.
      if (!this.#waiting.includes(next)) continue;
      this.#waiting = this.#waiting.filter((one) => one !== next);
      next.go();
    }
  }

  #choose(dice: Dice): Waiting | null {
    if (this.#waiting.length === 0) return null;
    const ready = this.#waiting.filter(({ notBefore }) => notBefore <= this.#step);
    return ready.length > 0 ? dice.pick(ready) : (this.#waiting.toSorted((a, b) => a.notBefore - b.notBefore)[0] ?? null);
  }
}

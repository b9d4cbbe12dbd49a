/**
 * What is under way in PostgreSQL. A statement that waits for a lock is not at a step and will not come to one before somebody else goes on:
 * the server itself says who waits, so that a slow machine is not mistaken for a lock.
 */
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import { callbackify } from 'node:util';
import type pg from 'pg';
import type { Pace } from './database.ts';

type AskBlocked = () => Promise<ReadonlySet<number>>;

/** A statement on loopback takes less; only then is the server asked. */
const PATIENCE_MS = 4;
const IDLE_MS = 1;

export class Traffic implements Pace {
  readonly #underWay = new Map<object, number | null>();
  #changed = Promise.withResolvers<void>();
  readonly #askBlocked: AskBlocked;

  constructor(askBlocked: AskBlocked) {
    this.#askBlocked = askBlocked;
  }

  /** @param pid of the server's process that works on it; null: it cannot be blocked by anybody */
  async during<T>(pid: number | null, work: () => Promise<T>): Promise<T> {
    const one = {};
    this.#underWay.set(one, pid);
    try {
      return await work();
    } finally {
      this.#underWay.delete(one);
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
  }

  async settle(): Promise<void> {
    for (;;) {
      await turn();
      await turn();
      if (this.#underWay.size === 0) return;
      const { promise } = this.#changed;
      const first = await Promise.race([promise, wait(PATIENCE_MS, 'patience')]);
      if (first !== 'patience') continue;
      const before = [...this.#underWay.keys()];
      const blocked = await this.#askBlocked();
      const same = before.length === this.#underWay.size && before.every((one) => this.#underWay.has(one));
      if (same && [...this.#underWay.values()].every((pid) => pid !== null && blocked.has(pid))) return;
    }
  }

  idle(): Promise<void> {
    return wait(IDLE_MS);
  }
}

type Call = (...parameters: unknown[]) => unknown;

/** Counts every statement of a client as under way; `around` may do more where it is about to run one. */
export const watch = (
  client: pg.ClientBase,
  traffic: Traffic,
  around: (text: string, run: () => Promise<unknown>) => Promise<unknown>,
): void => {
  const { processID } = client as unknown as { readonly processID: number };
  const original = client.query.bind(client) as Call;
  const watched: Call = (...parameters) => {
    const done = parameters.at(-1);
    const text = textOf(parameters[0]);
    const run = (): Promise<unknown> =>
      traffic.during(processID, () => original(...parameters.filter((one) => typeof one !== 'function')) as Promise<unknown>);
    const answer = around(text, run);
    if (typeof done !== 'function') return answer;
    callbackify(() => answer)((error, result) => (done as Call)(error ?? undefined, result));
    return undefined;
  };
  client.query = watched as typeof client.query;
};

const textOf = (query: unknown): string => (typeof query === 'string' ? query : ((query as { readonly text?: string }).text ?? ''));

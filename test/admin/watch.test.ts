/** One look at the database for all who ask, in time, whatever the database does. */
import { describe, expect, it } from 'vitest';
import { createWatch } from '../../src/admin/watch.ts';
import type { Overview } from '../../src/ports/operations.ts';

const overview = (contacts: number): Overview => ({
  status: { contacts } as unknown as Overview['status'],
  oldestPendingSeconds: 0,
  holdsOpen: 0,
  sweepAgeSeconds: null,
});

/** A clock whose sleeps end at once where they are longer than what the database takes. */
const world = () => {
  let nowMs = 0;
  const asked = { ping: 0, overview: 0 };
  const answers: { ping: () => Promise<void>; overview: () => Promise<Overview> } = {
    ping: async () => {},
    overview: async () => overview(1),
  };
  const clock = {
    now: () => new Date(nowMs),
    monotonicMs: () => nowMs,
    sleep: async (ms: number, signal?: AbortSignal) =>
      await new Promise<void>((resolve) => {
        setTimeout(() => {
          if (signal?.aborted !== true) nowMs += ms;
          resolve();
        }, 20);
      }),
  };
  const watch = createWatch(
    { ping: () => ((asked.ping += 1), answers.ping()), overview: () => ((asked.overview += 1), answers.overview()) },
    clock,
  );
  return { watch, asked, answers, pass: (ms: number) => (nowMs += ms) };
};
const never = async (): Promise<never> => await new Promise<never>(() => undefined);

describe('a look', () => {
  it('is shared by all who ask at the same time, and for a moment', async () => {
    const { watch, asked, pass } = world();
    const sights = await Promise.all(Array.from({ length: 20 }, () => watch.look()));
    expect(new Set(sights).size).toBe(1);
    expect(await watch.look()).toBe(sights[0]);
    expect(asked).toEqual({ ping: 1, overview: 1 });
    pass(1_000);
    await watch.look();
    expect(asked).toEqual({ ping: 2, overview: 2 });
  });

  it('of a slow database shows the picture of before, for a minute; the slow look goes on meanwhile and is not asked for again', async () => {
    const { watch, asked, answers, pass } = world();
    await watch.look();
    let arrive: (seen: Overview) => void = () => undefined;
    answers.overview = async () => await new Promise<Overview>((resolve) => (arrive = resolve));
    pass(1_000);
    expect(await watch.look()).toEqual({ isDatabaseUp: true, overview: overview(1) });
    pass(1_000);
    expect(await watch.look()).toEqual({ isDatabaseUp: true, overview: overview(1) });
    expect(asked.overview).toBe(2);
    pass(60_000);
    expect(await watch.look()).toEqual({ isDatabaseUp: true, overview: null });
    arrive(overview(2));
    await new Promise((resolve) => setImmediate(resolve));
    answers.overview = async () => overview(2);
    pass(1_000);
    expect(await watch.look()).toEqual({ isDatabaseUp: true, overview: overview(2) });
  });

  it('of a silent or a refusing database says that it is down, and asks the silent one no more than once at a time', async () => {
    const { watch, asked, answers, pass } = world();
    await watch.look();
    Object.assign(answers, { ping: never, overview: never });
    for (let look = 0; look < 3; look += 1) {
      pass(1_000);
      expect(await watch.look()).toEqual({ isDatabaseUp: false, overview: null });
    }
    expect(asked).toEqual({ ping: 2, overview: 2 });
    const refusing = world();
    const refuse = async (): Promise<never> => await Promise.reject(new Error('refused'));
    Object.assign(refusing.answers, { ping: refuse, overview: refuse });
    expect(await refusing.watch.look()).toEqual({ isDatabaseUp: false, overview: null });
    Object.assign(refusing.answers, { ping: async () => {}, overview: async () => overview(3) });
    refusing.pass(1_000);
    expect(await refusing.watch.look()).toEqual({ isDatabaseUp: true, overview: overview(3) });
  });
});

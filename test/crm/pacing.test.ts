import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RateSigns } from '../../src/crm/budget.ts';
import { createPacing, type Pacing, type PacingOptions } from '../../src/crm/pacing.ts';
import type { CallOptions, Lane } from '../../src/ports/crm.ts';
import { FakeClock, settle } from './fake-clock.ts';

const MINUTE_MS = 60_000;
const QUIET: RateSigns = { sent: true, limit: null, remaining: null, pauseMs: null };

interface Rig {
  readonly clock: FakeClock;
  readonly pacing: Pacing;
  /** Names of the calls in the order in which they went. */
  readonly went: string[];
  /** One call whose answer comes at once. */
  call(name: string, lane?: Lane, signs?: Partial<RateSigns>, more?: Partial<CallOptions>): Promise<unknown>;
}
const rig = (options: Partial<PacingOptions> = {}): Rig => {
  const clock = new FakeClock();
  const pacing = createPacing({ clock, share: 1, ...options });
  const went: string[] = [];
  const call: Rig['call'] = (name, lane = 'edit', signs = {}, more = {}) =>
    pacing.run({ lane, ...more }, async () => {
      went.push(name);
      return { value: name, signs: { ...QUIET, ...signs } };
    });
  return { clock, pacing, went, call };
};
/** Calls that are not awaited: what matters is when they go. */
const start = (count: number, one: (index: number) => Promise<unknown>): void => {
  for (let index = 0; index < count; index += 1) void one(index);
};

describe('the limit', () => {
  it('is 60 a minute until the CRM has told its own, and counts from the answer', async () => {
    const { clock, pacing, went, call } = rig();
    start(70, (index) => call(`c${index}`));
    await settle();
    expect(went).toHaveLength(60);
    expect(pacing.status()).toMatchObject({ limitPerMinute: 60, learnedPerMinute: null, usedInWindow: 60, queued: 10 });
    await clock.advance(MINUTE_MS - 1);
    expect(went).toHaveLength(60);
    await clock.advance(1);
    expect(went).toHaveLength(70);
  });

  it.each<[Partial<PacingOptions>, number, number]>([
    [{}, 90, 90],
    [{ share: 0.9 }, 90, 81],
    [{ ratePerMinute: 30 }, 90, 30],
    [{ ratePerMinute: 500 }, 90, 90],
    [{ ratePerMinute: 30, share: 0.5 }, 90, 15],
    [{ share: 0.01 }, 90, 1],
    [{}, 6000, 6000],
  ])('with %j and a CRM that tells %i is %i', async (options, told, expected) => {
    const { pacing, call } = rig(options);
    await call('first', 'edit', { limit: told });
    expect(pacing.status()).toMatchObject({ limitPerMinute: expected, learnedPerMinute: told });
  });

  it('lowers the 60 of the beginning by the ceiling too, and never ends at none', () => {
    expect(rig({ ratePerMinute: 20 }).pacing.status().limitPerMinute).toBe(20);
    expect(rig({ ratePerMinute: 1, share: 0.1 }).pacing.status().limitPerMinute).toBe(1);
  });

  it('may go at once where it is large: 2,000 calls take no time on a clock that stands still', async () => {
    const { clock, went, call } = rig();
    await call('first', 'edit', { limit: 6000 });
    start(2000, (index) => call(`c${index}`));
    await clock.advance(0);
    await settle();
    expect(went).toHaveLength(2001);
    expect(clock.sleeping).toBe(0);
  });

  it('does not believe more than a million, which the lease could not tell the database', async () => {
    const { pacing, call } = rig();
    await call('first', 'edit', { limit: 999_999_999_999_999 });
    expect(pacing.status()).toMatchObject({ limitPerMinute: 1_000_000, learnedPerMinute: 1_000_000 });
  });

  it('ignores a limit of nothing, as a broken proxy might send', async () => {
    const { pacing, call } = rig();
    await call('first', 'edit', { limit: 0 });
    expect(pacing.status().limitPerMinute).toBe(60);
  });

  it.each<Partial<PacingOptions>>([
    { ratePerMinute: 0 },
    { share: 0 },
    { share: 1.1 },
    { share: Number.NaN },
    { concurrency: 0 },
    { concurrency: 1.5 },
  ])('refuses the setting %j', (options) => {
    expect(() => rig(options)).toThrow(RangeError);
  });
});

describe("the CRM's own count", () => {
  it('counts what others use of the account', async () => {
    const { went, call } = rig({ share: 0.9 });
    await call('first', 'edit', { limit: 90, remaining: 20 });
    // 90 × 0.9 leaves 9 of the 20 to the others.
    start(40, (index) => call(`c${index}`));
    await settle();
    expect(went).toHaveLength(1 + 11);
  });

  it('is forgotten 60 s after it was first seen: its window is over by then', async () => {
    const { clock, went, call } = rig();
    await call('first', 'edit', { limit: 90, remaining: 0 });
    start(40, (index) => call(`c${index}`));
    await clock.advance(MINUTE_MS - 1);
    expect(went).toHaveLength(1);
    await clock.advance(1);
    expect(went).toHaveLength(41);
  });

  it('follows a new window of the CRM as soon as an answer shows it', async () => {
    const { pacing, went, call } = rig();
    await call('old window', 'edit', { limit: 90, remaining: 2 });
    await call('new window', 'edit', { limit: 90, remaining: 89 });
    start(20, (index) => call(`c${index}`));
    await settle();
    expect(went).toHaveLength(22);
    expect(pacing.status().usedInWindow).toBe(22);
  });

  it('is not raised by an answer that was overtaken', async () => {
    const { pacing, went, call } = rig();
    const late = Promise.withResolvers<void>();
    const overtaken = pacing.run({ lane: 'edit' }, async () => {
      await late.promise;
      return { value: null, signs: { ...QUIET, limit: 90, remaining: 80 } };
    });
    await call('first', 'edit', { limit: 90, remaining: 3 });
    late.resolve();
    await overtaken;
    start(20, (index) => call(`c${index}`));
    await settle();
    expect(went).toHaveLength(1 + 3);
  });

  it('shrinks by each call that broke without telling, but not by one that was never sent', async () => {
    const { went, call } = rig();
    await call('first', 'edit', { limit: 90, remaining: 4 });
    await call('broke');
    await call('never sent', 'edit', { sent: false });
    start(20, (index) => call(`c${index}`));
    await settle();
    expect(went).toHaveLength(3 + 3);
  });

  it('does not starve us under a ceiling of our own that others exceed', async () => {
    const { went, call } = rig({ ratePerMinute: 30 });
    await call('first', 'edit', { limit: 90, remaining: 40 });
    start(50, (index) => call(`c${index}`));
    await settle();
    expect(went).toHaveLength(30);
  });
});

describe('a 429', () => {
  it('pauses every lane for as long as it says, and what is in flight ends', async () => {
    const { clock, pacing, went, call } = rig();
    await call('refused', 'sweep', { limit: 90, remaining: 0, pauseMs: 20_000 });
    const lanes: readonly Lane[] = ['sweep', 'links', 'changes', 'edit'];
    for (const lane of lanes) void call(lane, lane);
    await settle();
    expect(pacing.status()).toMatchObject({ pausedUntilMs: clock.now().getTime() + 20_000, queued: 4, inFlight: 0 });
    await clock.advance(19_999);
    expect(went).toEqual(['refused']);
    await clock.advance(1);
    expect(went).toEqual(['refused', 'edit', 'changes', 'links', 'sweep']);
    expect(pacing.status().pausedUntilMs).toBeNull();
  });

  it('is never shortened by a later one', async () => {
    const { clock, went, call, pacing } = rig();
    const second = Promise.withResolvers<void>();
    const later = pacing.run({ lane: 'edit' }, async () => {
      await second.promise;
      return { value: null, signs: { ...QUIET, pauseMs: 1000 } };
    });
    await call('first', 'edit', { pauseMs: 30_000 });
    second.resolve();
    await later;
    void call('next');
    await clock.advance(29_999);
    expect(went).toEqual(['first']);
    await clock.advance(1);
    expect(went).toEqual(['first', 'next']);
  });
});

describe('the lanes', () => {
  it('go in their order whenever they wait, first come first served within one', async () => {
    const { clock, went, call } = rig({ ratePerMinute: 4 });
    start(4, (index) => call(`before${index}`));
    for (const lane of ['sweep', 'links', 'changes', 'edit'] as const) start(2, (index) => call(`${lane}${index}`, lane));
    await settle();
    went.length = 0;
    await clock.advance(3 * MINUTE_MS);
    expect(went).toEqual(['edit0', 'edit1', 'changes0', 'changes1', 'links0', 'links1', 'sweep0', 'sweep1']);
  });

  it.each<[Lane, number]>([
    ['edit', 10],
    ['changes', 10],
    ['links', 8],
    ['sweep', 8],
  ])('%s may use %i of a window of 10', async (lane, expected) => {
    const { went, call } = rig({ ratePerMinute: 10 });
    start(20, (index) => call(`c${index}`, lane));
    await settle();
    expect(went).toHaveLength(expected);
  });

  it('so that an edit never waits behind a sweep', async () => {
    const { went, call } = rig({ ratePerMinute: 10 });
    start(50, (index) => call(`sweep${index}`, 'sweep'));
    await settle();
    void call('edit');
    await settle();
    expect(went.at(-1)).toBe('edit');
  });

  it("keeps the reserve of the CRM's count too", async () => {
    const { went, call } = rig();
    await call('first', 'edit', { limit: 100, remaining: 25 });
    start(50, (index) => call(`c${index}`, 'sweep'));
    await settle();
    expect(went).toHaveLength(1 + 5);
  });

  it('lets a sweep go even where the limit is one a minute', async () => {
    const { clock, went, call } = rig({ ratePerMinute: 1 });
    start(2, (index) => call(`c${index}`, 'sweep'));
    await clock.advance(MINUTE_MS);
    expect(went).toEqual(['c0', 'c1']);
  });

  it('share the connections: background never takes the last two', async () => {
    const { pacing } = rig({ concurrency: 5 });
    const answered = Promise.withResolvers<void>();
    const slow = (lane: Lane) => pacing.run({ lane }, () => answered.promise.then(() => ({ value: null, signs: QUIET })));
    const background = Array.from({ length: 9 }, () => slow('sweep'));
    await settle();
    expect(pacing.status()).toMatchObject({ inFlight: 3, queued: 6 });
    const people = Array.from({ length: 4 }, () => slow('edit'));
    await settle();
    expect(pacing.status()).toMatchObject({ inFlight: 5, queued: 8 });
    answered.resolve();
    await Promise.all([...background, ...people]);
    expect(pacing.status()).toMatchObject({ inFlight: 0, queued: 0 });
  });
});

describe('a call that waits', () => {
  it('leaves at once when it is given up, counts nothing and leaves no timer', async () => {
    const { clock, pacing, went, call } = rig({ ratePerMinute: 1 });
    await call('first');
    const leaving = new AbortController();
    const waiting = call('waiting', 'edit', {}, { signal: leaving.signal });
    await settle();
    expect(clock.sleeping).toBe(1);
    leaving.abort();
    expect(await waiting).toEqual({ ran: false, reason: 'aborted' });
    await settle();
    expect(clock.sleeping).toBe(0);
    expect(pacing.status()).toMatchObject({ queued: 0, usedInWindow: 1 });
    expect(went).toEqual(['first']);
  });

  it('is asked at its turn, not before, whether it may still go; a no counts nothing', async () => {
    const { clock, pacing, went, call } = rig({ ratePerMinute: 1 });
    await call('first');
    let leads = true;
    const waiting = call('waiting', 'edit', {}, { maySend: () => leads });
    await settle();
    leads = false;
    void call('behind');
    await clock.advance(MINUTE_MS);
    expect(await waiting).toEqual({ ran: false, reason: 'not_leader' });
    expect(went).toEqual(['first', 'behind']);
    expect(pacing.status().usedInWindow).toBe(1);
  });

  it('gets the result of a call that is given up while it runs: what happened to it is known only there', async () => {
    const { pacing } = rig();
    const leaving = new AbortController();
    const result = await pacing.run({ lane: 'edit', signal: leaving.signal }, async () => {
      leaving.abort();
      await settle();
      return { value: 'outcome', signs: QUIET };
    });
    expect(result).toEqual({ ran: true, value: 'outcome' });
  });

  it('passes an unexpected error on and frees its place', async () => {
    const { pacing } = rig({ concurrency: 1 });
    await expect(pacing.run({ lane: 'edit' }, () => Promise.reject(new Error('bug')))).rejects.toThrow('bug');
    await settle();
    expect(pacing.status()).toMatchObject({ inFlight: 0, usedInWindow: 1 });
  });
});

/** A server with Laravel's limiter: fixed windows of 60 s that begin with the first call after the last one ended. */
class FixedWindows {
  refused = 0;
  #endsMs = Number.NEGATIVE_INFINITY;
  #count = 0;
  readonly #limit: number;
  constructor(limit: number) {
    this.#limit = limit;
  }
  hit(nowMs: number): Partial<RateSigns> {
    if (nowMs >= this.#endsMs) {
      this.#endsMs = nowMs + MINUTE_MS;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count > this.#limit) this.refused += 1;
    return { limit: this.#limit, remaining: Math.max(0, this.#limit - this.#count) };
  }
}

const arrival = fc.record({
  lane: fc.constantFrom<Lane>('edit', 'changes', 'links', 'sweep'),
  atMs: fc.integer({ min: 0, max: 150_000 }),
  /** On the way there, and back. */
  thereMs: fc.integer({ min: 0, max: 8000 }),
  backMs: fc.integer({ min: 0, max: 8000 }),
});

describe('whatever comes when, from any lane and however slow the answers', () => {
  it('no 60 s hold more than the limit, the CRM never refuses, everything gets its turn', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 12 }), async (arrivals, limit) => {
        const clock = new FakeClock();
        const pacing = createPacing({ clock, share: 1, ratePerMinute: limit });
        const server = new FixedWindows(limit);
        const sentAtMs: number[] = [];
        const done = arrivals.map(async ({ lane, atMs, thereMs, backMs }) => {
          await clock.sleep(atMs);
          await pacing.run({ lane }, async () => {
            sentAtMs.push(clock.monotonicMs());
            await clock.sleep(thereMs);
            const signs = server.hit(clock.monotonicMs());
            await clock.sleep(backMs);
            return { value: null, signs: { ...QUIET, ...signs } };
          });
        });
        await clock.advance(200_000 + (arrivals.length + 1) * 80_000);
        await Promise.all(done);
        expect(server.refused).toBe(0);
        for (const at of sentAtMs)
          expect(sentAtMs.filter((other) => other >= at && other < at + MINUTE_MS).length).toBeLessThanOrEqual(limit);
        expect(clock.sleeping).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('a steady load is not slower than the limit allows', async () => {
    const { clock, pacing } = rig();
    const server = new FixedWindows(90);
    const calls = Array.from({ length: 450 }, () =>
      pacing.run({ lane: 'edit' }, async () => {
        await clock.sleep(100);
        const signs = server.hit(clock.monotonicMs());
        await clock.sleep(100);
        return { value: null, signs: { ...QUIET, ...signs } };
      }),
    );
    // 450 calls are five windows of 90: the last begins after four of them.
    await clock.advance(4 * (MINUTE_MS + 3000) + 3000);
    expect(pacing.status()).toMatchObject({ queued: 0, inFlight: 0 });
    expect(server.refused).toBe(0);
    await Promise.all(calls);
  });
});

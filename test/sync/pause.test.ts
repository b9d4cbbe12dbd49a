/** A person pauses the mirror in the middle of long work: it stops at the next call, and goes on from there. */
import { afterEach, describe, expect, it } from 'vitest';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import { backfillLinks, serveRequest, sweepOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

/** Pauses at the n-th call of this kind, before it is answered. */
const pauseAt = (wanted: CallName, nth: number): void => {
  let seen = 0;
  const stop = harness.sandbox.onRequest(async ({ call }) => {
    if (call !== wanted || (seen += 1) !== nth) return;
    stop();
    await harness.sql('select sync.pause()');
  });
};
const made = (call: CallName): number => harness.account.calls.count(call);

describe('a pause', () => {
  it('stops a sweep after the page that is under way; resumed, it goes on behind it', async () => {
    harness = await openHarness({ seed: { contacts: 50 }, account: { perPageMax: 10 } });
    await harness.probe();
    const before = made('list');
    pauseAt('list', 3);
    const { stoppedBy, runId } = await sweepOnce(harness.deps, 'sweep', null);
    expect(stoppedBy?.code).toBe('paused');
    // One for the beginning, two pages.
    expect(made('list') - before).toBe(3);
    expect(await harness.sql('select state, pages from sync.runs where id = $1', [runId])).toEqual([{ state: 'running', pages: 2 }]);
    await harness.sql('select sync.resume()');
    const run = await harness.mirror.resumableRun('sweep');
    expect(run?.id).toBe(runId);
    expect((await sweepOnce(harness.deps, 'sweep', run)).complete).toBe(true);
    expect(made('list') - before).toBe(6);
  });

  it('stops the back-fill of links; resumed, it reads the rest', async () => {
    harness = await openHarness({ seed: { contacts: 80 }, mode: 'documented' });
    await harness.probe();
    await sweepOnce(harness.deps, 'sweep', null);
    const wanted = await harness.mirror.countMarks(['links']);
    expect(wanted).toBeGreaterThan(50);
    pauseAt('retrieve', 5);
    expect((await backfillLinks(harness.deps))?.code).toBe('paused');
    expect(made('retrieve')).toBeLessThan(wanted);
    await harness.sql('select sync.resume()');
    expect(await backfillLinks(harness.deps)).toBeNull();
    expect(await harness.mirror.countMarks(['links'])).toBe(0);
    expect(made('retrieve')).toBe(wanted);
  });

  it('leaves a requested resync as it stands, for whoever serves it later', async () => {
    harness = await openHarness({ seed: { contacts: 50 }, account: { perPageMax: 10 } });
    await harness.probe();
    await harness.settle();
    await harness.sql('select sync.request_resync()');
    pauseAt('list', 4);
    const request = await harness.mirror.takeRequest();
    expect(request).not.toBeNull();
    if (request === null) return;
    expect((await serveRequest(harness.deps, harness.memory, request))?.code).toBe('paused');
    expect(await harness.sql('select state from sync.runs where id = $1', [request.id])).toEqual([{ state: 'running' }]);
    await harness.sql('select sync.resume()');
    const run = await harness.mirror.resumableRun('resync');
    expect(await serveRequest(harness.deps, harness.memory, run ?? request)).toBeNull();
    expect(await harness.sql('select state, complete from sync.runs where id = $1', [request.id])).toEqual([
      { state: 'done', complete: true },
    ]);
  });
});

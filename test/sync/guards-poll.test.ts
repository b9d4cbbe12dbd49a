/** A notification is a hint, the poll is the truth: edits that nobody told the daemon of are found all the same. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Clock } from '../../src/ports/ambient.ts';
import { createDaemon, type Daemon } from '../../src/runtime/daemon.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { openHarness, type Harness } from './harness.ts';

vi.setConfig({ testTimeout: 10_000 });

let harness: Harness;
let daemon: Daemon;
/** The pauses of the loops, as they begin. */
const pauses: { listener: (ms: number) => void } = { listener: () => {} };
const nextPause = async (isMeant: (ms: number) => boolean): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  pauses.listener = (ms) => {
    if (isMeant(ms)) resolve();
  };
  await promise;
};
/** The loop that sweeps pauses as long as the push: it is kept from its first round, so that such a pause is the push's. */
const withoutSweeps = (stopping: AbortSignal): SyncDeps['mirror'] => ({
  ...harness.mirror,
  takeRequest: async () => {
    await new Promise((resolve) => stopping.addEventListener('abort', resolve, { once: true }));
    return null;
  },
});
/** @param speed of the monotonic clock, by which a wake is over after a second */
const start = async (pushPollMs: number, speed = 1): Promise<void> => {
  const { log } = harness.deps;
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() * speed,
    sleep: async (ms, signal) => {
      pauses.listener(ms);
      await systemClock.sleep(ms, signal);
    },
  };
  daemon = createDaemon({
    depsFor: (stopping, giveUp) => ({ ...harness.deps, mirror: withoutSweeps(stopping), signal: stopping, giveUp }),
    checkIdentity: async () => await harness.mirror.checkIdentity(harness.sandbox.url),
    probe: async () => await harness.probe(),
    clock,
    log,
    pullCron: '0 0 1 1 *',
    sweepCron: '0 0 1 1 *',
    cronTimeZone: 'UTC',
    pushPollMs,
    retryMinMs: 20,
    retryMaxMs: 200,
    createGraceMs: 100,
    history: { begin: async () => {}, keepOnce: async () => true },
    bi: { keepOnce: async () => true },
    phones: { touched: () => {}, keepOnce: async () => true, close: async () => {} },
  });
  await daemon.lead();
};
beforeEach(async () => {
  harness = await openHarness({ seed: { contacts: 5 }, mode: 'documented', settings: { conflictPolicy: 'mirror' } });
  await harness.probe();
  await harness.settle();
});
afterEach(async () => {
  await daemon.stop();
  await harness.close();
});

/** Edits, and answers what the CRM is sent for it. */
const updated = async (edit: () => Promise<unknown>): Promise<unknown> => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const stop = harness.sandbox.onRequest(({ call, body }) => {
    if (call === 'update') resolve(body);
  });
  await edit();
  const body = await promise;
  stop();
  return body;
};
const editOf = async (city: string) =>
  await harness.sql(`update crm.contacts set city = $1 where id = (select min(id) from crm.contacts)`, [city]);

it('an edit that nobody was told of is found by looking', async () => {
  await start(100, 1000);
  await updated(async () => await editOf('first'));
  // Longer than the pauses after a wake: the push is at rest.
  await nextPause((ms) => ms === 100);
  expect(await updated(async () => await editOf('second'))).toEqual({ city: 'second' });
});

const isOfPush = (ms: number): boolean => ms === 50 || ms === 30_000;

it('an edit that commits just after the one that notified is found at once', async () => {
  // The poll alone would take half a minute.
  await start(30_000);
  // Its first round is over.
  await nextPause(isOfPush);
  await updated(async () => {
    await editOf('first');
    daemon.wake('edit');
  });
  while ((await harness.sql('select 1 from sync.change_log where settled_at is null')).length > 0);
  // The push has found nothing more, and pauses.
  await nextPause(isOfPush);
  // This one skipped its notification, since somebody else was sending one.
  expect(await updated(async () => await editOf('second'))).toEqual({ city: 'second' });
});

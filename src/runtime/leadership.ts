/**
 * What hangs on the lease: the daemon's loops for as long as the process runs, and a command's one piece of work. Nothing here knows what
 * the work is, or how the lease is kept.
 */
import { errorFields } from '../domain/error-fields.ts';
import type { Clock, Log } from '../ports/ambient.ts';
import type { Lease } from '../ports/lease.ts';
import type { Service } from '../ports/service.ts';
import { STOP_GRACE_MS, type Daemon } from './daemon.ts';

/** Another process leads this mirror. */
export class LeaderExists extends Error {
  override readonly name = 'LeaderExists';
}

/** The outer one runs from before the inner one starts until it has stopped. */
export const aroundIt = (outer: Service, inner: Service): Service => ({
  start: async () => {
    await outer.start();
    await inner.start();
  },
  stop: async () => {
    await inner.stop();
    await outer.stop();
  },
});

/** The daemon's loops run while, and only while, the lease is held. */
export const createLeading = (lease: Lease, listener: Service, daemon: Daemon, log: Log): Service => {
  let turn = Promise.resolve();
  const follow = (leads: boolean): void => {
    // One after the other: a term ends wholly before the next begins.
    turn = turn
      .then(() => (leads ? daemon.lead() : daemon.follow()))
      .catch((error: unknown) => log.error(errorFields(error), 'the loops could not be switched'));
  };
  let unsubscribe = (): void => {};
  return {
    start: async () => {
      unsubscribe();
      unsubscribe = lease.onChange(({ state }) => follow(state === 'leading'));
      await listener.start();
      await lease.start();
    },
    stop: async () => {
      unsubscribe();
      await turn;
      // The loops first, while the lease still lets them settle what is in flight.
      await daemon.stop();
      await listener.stop();
      await lease.stop();
    },
  };
};

interface Lead {
  readonly lease: Lease;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Holds the lease for as long as the work takes; losing it ends the work at once, the signal only after a grace. */
export const lead = async (
  { lease, clock, signal }: Lead,
  work: (term: AbortSignal, giveUp: AbortSignal) => Promise<void>,
): Promise<void> => {
  const [lost, over] = [new AbortController(), new AbortController()];
  let leads = false;
  const begun = Promise.withResolvers<void>();
  const unsubscribe = lease.onChange((status) => {
    if (status.state === 'leading') {
      leads = true;
      begun.resolve();
    } else if (leads) lost.abort();
    else if (status.state === 'standby' && status.leader !== null) begun.reject(new LeaderExists(status.leader));
  });
  const stopped = (): void => {
    begun.resolve();
    void clock.sleep(STOP_GRACE_MS, over.signal).then(() => lost.abort());
  };
  signal.addEventListener('abort', stopped, { once: true });
  if (signal.aborted) stopped();
  try {
    await lease.start();
    await begun.promise;
    if (leads) await work(AbortSignal.any([signal, lost.signal]), lost.signal);
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', stopped);
    over.abort();
    await lease.stop();
  }
};

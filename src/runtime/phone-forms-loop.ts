/** Reads phone numbers into their international form: what changed, every few seconds; every contact, when a term begins and once an hour. */
import type { Clock, Log } from '../ports/ambient.ts';
import type { PhoneFormsKeeper } from '../ports/phone-forms.ts';
import { createLoop, type Loop } from './loop.ts';

export const PHONES_REST_MS = 5_000;
export const PHONES_PASS_MS = 3_600_000;
/** A database that refuses is asked more seldom. */
export const PHONES_RETRY_MS = 60_000;

export interface PhoneFormsLoopOptions {
  readonly phones: PhoneFormsKeeper;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Asks nothing of the CRM, and nobody waits for it.
 * @param stopping the end of the leader's term
 */
export const createPhoneFormsLoop = ({ phones, clock, log }: PhoneFormsLoopOptions, stopping: AbortSignal): Loop => {
  let passedMs: number | null = null;
  stopping.addEventListener('abort', () => void phones.close());
  const round = async (): Promise<number> => {
    const now = clock.monotonicMs();
    const whole = passedMs === null || now - passedMs >= PHONES_PASS_MS;
    if (!(await phones.keepOnce(stopping, whole))) return PHONES_RETRY_MS;
    if (whole) passedMs = now;
    return PHONES_REST_MS;
  };
  return createLoop({ name: 'phones', clock, log, round });
};

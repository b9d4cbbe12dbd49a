/** What the loops of one term of leadership share, and how a failure of the CRM lets them rest. */
import { retryDelayMs } from '../domain/backoff.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { Clock } from '../ports/ambient.ts';
import type { SyncDeps } from '../sync/deps.ts';

/** While there is work, or a round was cut short, it is looked this often. */
export const BUSY_POLL_MS = 50;
/** The longest pause after a failure of the CRM as a whole, and how often something that needs a person (a revoked token) is tried again. */
const FAILURE_PAUSE_MS_MAX = 60_000;

/** What the loops of one term of leadership know of each other. */
export interface TermState {
  wokenMs: number;
  sweepDue: boolean;
  /** On our monotonic clock. */
  pullDueSinceMs: number | null;
  /** The first round of the term has recovered what the last leader left. */
  ready: Promise<void> | null;
  /** A requested run whose end could not be stored: until it is, whoever asked for it waits. */
  unended: number | null;
  /** CRM_URL is not the account that this mirror was filled from: no round does anything. */
  isOtherAccount: boolean;
  /** Until then no round calls the CRM, whoever wakes it: the token is refused, or the CRM asked for a pause. */
  blockedUntilMs: number;
}

export const newTermState = (clock: Clock): TermState => ({
  wokenMs: clock.monotonicMs(),
  sweepDue: false,
  // A term begins with a pull.
  pullDueSinceMs: clock.monotonicMs(),
  ready: null,
  isOtherAccount: false,
  unended: null,
  blockedUntilMs: 0,
});

interface Pauses {
  readonly pushPollMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

interface Failing {
  readonly deps: SyncDeps;
  readonly options: Pauses;
  readonly state: TermState;
  /** Rounds of this loop that failed in a row. */
  readonly failures: number;
}

/** How long a loop rests after a failed round; what concerns every call keeps the other loops from calling as well. */
export const pauseAfter = ({ deps, options, state, failures }: Failing, failure: CrmFailure): number => {
  if (failure.code === 'paused') return options.pushPollMs;
  if (deps.signal.aborted || failure.code === 'aborted' || failure.code === 'not_leader') return BUSY_POLL_MS;
  const maxMs = Math.min(options.retryMaxMs, FAILURE_PAUSE_MS_MAX);
  const backoffMs = retryDelayMs(failures, { minMs: Math.min(options.retryMinMs, maxMs), maxMs }, deps.random());
  const pauseMs = failure.class === 'fatal' ? maxMs : Math.max(failure.retryAfterMs ?? 0, backoffMs);
  if (failure.class === 'fatal' || failure.class === 'later') state.blockedUntilMs = deps.clock.monotonicMs() + pauseMs;
  const level = failure.class === 'fatal' ? 'error' : 'warn';
  deps.log[level]({ code: failure.code, status: failure.status, pause_ms: Math.round(pauseMs) }, 'the CRM cannot be worked with now');
  return pauseMs;
};

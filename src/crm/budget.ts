/**
 * How many calls may go right now: arithmetic without timers or queues, fed with every attempt and every answer's rate headers.
 *
 * Three limits hold at once:
 * - Our own: at most `limit` attempts in any 60 s. The CRM counts in fixed windows that begin anywhere, at the moment it gets the call,
 *   which lies somewhere between our send and its answer. So an attempt is counted from its send until 60 s after its answer, and no
 *   window of the CRM, wherever it begins, can hold more of ours than the limit.
 * - The CRM's count for the account: other people and programs use the same budget. `X-RateLimit-Remaining` less the calls in flight
 *   must stay above the share that is left to them.
 * - The pause after a 429, one for all.
 */

const WINDOW_MS = 60_000;
const LIMIT_UNTIL_KNOWN = 60;
/** More is not believed: no CRM serves it, and `sync.leader` has to be able to hold it. The same as the most of CRM_RATE_PER_MINUTE. */
const LIMIT_MAX = 1_000_000;
/** The part of a window that background lanes leave free, so that an edit never waits a minute behind a sweep. */
const RESERVE_SHARE = 0.2;

/** What one finished attempt tells about the budget. */
export interface RateSigns {
  /** False: not a byte went, so nobody counts it. */
  readonly sent: boolean;
  /** X-RateLimit-Limit, null where missing. */
  readonly limit: number | null;
  /** X-RateLimit-Remaining, null where missing. */
  readonly remaining: number | null;
  /** A 429: how long nobody may send. */
  readonly pauseMs: number | null;
}

/** An attempt under way. */
export interface Ticket {
  readonly order: number;
}

/** The CRM's own count in its current window, as last seen. */
interface Seen {
  remaining: number;
  /** When it was seen, in the order of all sends and answers. */
  order: number;
  /** The window that it belongs to is over by then: it was at most new when first seen. */
  readonly endsAtMs: number;
}

export class CallBudget {
  readonly #ceiling: number;
  readonly #share: number;
  #learned: number | null = null;
  #order = 0;
  #inFlight = 0;
  /** Times of answers, oldest first; those before `#head` have left the window. */
  #answered: number[] = [];
  #head = 0;
  #seen: Seen | null = null;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  /** `ceiling`: calls a minute, only lowers what is learned. `share`: over 0 up to 1. All times are a monotonic clock's milliseconds. */
  constructor(ceiling: number, share: number) {
    this.#ceiling = ceiling;
    this.#share = share;
  }

  /** The CRM's limit as it told it, null until the first answer. */
  get learned(): number | null {
    return this.#learned;
  }

  /** Calls that we may make in any 60 s. */
  get limit(): number {
    return this.#shareOf(Math.min(this.#learned ?? LIMIT_UNTIL_KNOWN, this.#ceiling));
  }

  /** Calls of `left` that only people's lanes may use. A limit of one has none to set aside. */
  get reserve(): number {
    return this.limit > 1 ? Math.ceil(this.limit * RESERVE_SHARE) : 0;
  }

  /** Our own attempts that some window of the CRM may still count. */
  used(nowMs: number): number {
    this.#forget(nowMs);
    return this.#inFlight + this.#answered.length - this.#head;
  }

  /** Attempts that may begin now; 0 or less: none. */
  left(nowMs: number): number {
    if (nowMs < this.#pausedUntilMs) return 0;
    return Math.min(this.limit - this.used(nowMs), this.#leftInAccount(nowMs));
  }

  /** When the pause of a 429 ends, or null where there is none. */
  pausedUntil(nowMs: number): number | null {
    return nowMs < this.#pausedUntilMs ? this.#pausedUntilMs : null;
  }

  /** The next moment at which time alone may allow more; null where only an answer can. */
  nextChange(nowMs: number): number | null {
    if (nowMs < this.#pausedUntilMs) return this.#pausedUntilMs;
    this.#forget(nowMs);
    const oldest = this.#answered[this.#head];
    const times = [oldest === undefined ? null : oldest + WINDOW_MS, this.#seen === null ? null : this.#seen.endsAtMs];
    const next = Math.min(...times.filter((time) => time !== null));
    return Number.isFinite(next) ? next : null;
  }

  begin(): Ticket {
    this.#inFlight += 1;
    this.#order += 1;
    return { order: this.#order };
  }

  end(ticket: Ticket, nowMs: number, signs: RateSigns): void {
    this.#inFlight -= 1;
    if (!signs.sent) return;
    this.#answered.push(nowMs);
    if (signs.limit !== null && signs.limit >= 1) this.#learned = Math.min(signs.limit, LIMIT_MAX);
    this.#see(ticket, nowMs, signs.remaining);
    if (signs.pauseMs === null) return;
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + signs.pauseMs);
    // The CRM has said when its window ends: that is exact, what was counted before is not.
    this.#seen = null;
  }

  #shareOf(limit: number): number {
    return Math.max(1, Math.floor(limit * this.#share));
  }

  #leftInAccount(nowMs: number): number {
    this.#forget(nowMs);
    if (this.#seen === null || this.#learned === null) return Number.POSITIVE_INFINITY;
    const leftToOthers = this.#learned - this.#shareOf(this.#learned);
    return this.#seen.remaining - this.#inFlight - leftToOthers;
  }

  #see(ticket: Ticket, nowMs: number, remaining: number | null): void {
    this.#forget(nowMs);
    const seen = this.#seen;
    this.#order += 1;
    if (remaining === null) {
      // Counted or not, we were not told: assume that it was.
      if (seen !== null) seen.remaining -= 1;
      return;
    }
    // Answers overtake each other. Only a call that began after the last sighting is surely younger, and within one window it must
    // have found less: as much or more is a new window.
    const newWindow = seen === null || (ticket.order > seen.order && remaining >= seen.remaining);
    if (newWindow) this.#seen = { remaining, order: this.#order, endsAtMs: nowMs + WINDOW_MS };
    else if (remaining < seen.remaining) {
      seen.remaining = remaining;
      seen.order = this.#order;
    }
  }

  #forget(nowMs: number): void {
    if (this.#seen !== null && nowMs >= this.#seen.endsAtMs) this.#seen = null;
    while ((this.#answered[this.#head] ?? Number.POSITIVE_INFINITY) + WINDOW_MS <= nowMs) this.#head += 1;
    if (this.#head < 1000 && this.#head < this.#answered.length) return;
    this.#answered = this.#answered.slice(this.#head);
    this.#head = 0;
  }
}

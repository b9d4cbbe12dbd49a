/** Whether the CRM answers, as the last call tells it. Costs no call: what works knows, and what is idle has nothing to say. */
import type { ErrorCode } from '../domain/errors.ts';
import type { Clock } from '../ports/ambient.ts';
import type { Telemetry } from '../ports/telemetry.ts';

export interface CrmHealth extends Pick<Telemetry, 'callEnded'> {
  /** Null before the first call, and once the last one is long ago: nobody has asked the CRM since, because of a pause, say. */
  last(): LastCall | null;
}
export interface LastCall {
  /** The CRM answered, and as itself: a refused record is an answer, a refused token or a proxy's page is none. */
  readonly up: boolean;
  readonly code: ErrorCode | null;
  /** Nothing will work until a person acts. */
  readonly needsPerson: boolean;
  readonly ageMs: number;
}

type Verdict = 'up' | 'down' | 'refused' | 'says nothing';

const VERDICTS: { readonly [C in ErrorCode]: Verdict } = {
  connection_refused: 'down',
  tls_refused: 'down',
  timeout: 'down',
  connection_reset: 'down',
  unavailable: 'down',
  server_error: 'down',
  redirected: 'down',
  no_such_route: 'down',
  bad_answer: 'down',
  answer_too_large: 'down',
  unauthorized: 'refused',
  access_revoked: 'refused',
  session_mismatch: 'refused',
  rate_limited: 'up',
  not_found: 'up',
  conflict: 'up',
  forbidden: 'up',
  invalid: 'up',
  bad_request: 'up',
  write_ignored: 'up',
  link_refused: 'up',
  several_matches: 'up',
  deleted_in_crm: 'up',
  aborted: 'says nothing',
  paused: 'says nothing',
  not_leader: 'says nothing',
  database_refused: 'says nothing',
  mirror_busy: 'says nothing',
};

/** Much longer than a leader waits between two calls of a CRM that refuses them. */
const KNOWN_MS_MAX = 300_000;

export const createCrmHealth = (clock: Clock): CrmHealth => {
  let last: (Omit<LastCall, 'ageMs'> & { readonly atMs: number }) | null = null;
  return {
    callEnded: ({ outcome }) => {
      const verdict = outcome === 'ok' ? 'up' : VERDICTS[outcome];
      if (verdict === 'says nothing') return;
      last = {
        up: verdict === 'up',
        code: outcome === 'ok' ? null : outcome,
        needsPerson: verdict === 'refused',
        atMs: clock.monotonicMs(),
      };
    },
    last: () => {
      if (last === null) return null;
      const { atMs, ...said } = last;
      const ageMs = clock.monotonicMs() - atMs;
      return ageMs < KNOWN_MS_MAX ? { ...said, ageMs } : null;
    },
  };
};

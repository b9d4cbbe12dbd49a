/**
 * What happens in one simulated life, as data: a seed makes it, a run follows it, the shrinker takes parts of it away.
 *
 * `who` is a place in the list of those who are there at that moment (modulo its length), so that a schedule stays meaningful when
 * something before it is taken out. `n` makes values unique: whoever holds `v17` took it from edit 17.
 */
import type { LinkKind } from '../../src/domain/contact.ts';
import type { Policy } from '../../src/domain/merge.ts';
import type { FaultKind } from '../../src/sandbox/crm/faults.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { SandboxMode } from '../../src/sandbox/crm/server.ts';

export type EditField = 'first_name' | 'email' | 'job_title' | 'city' | 'street' | 'cf_note' | 'cf_day';
/** What either side may do to a contact that it has. */
export type Edit =
  | { readonly edit: 'set' | 'clear'; readonly field: EditField; readonly n: number }
  | { readonly edit: 'addPhone' | 'removePhone' | 'retypePhone'; readonly n: number }
  | { readonly edit: 'link' | 'unlink'; readonly kind: LinkKind; readonly id: number };
export type Local =
  | { readonly side: 'local'; readonly act: 'insert'; readonly n: number; readonly edits: readonly Edit[] }
  /** `uncaptured`: no trigger sees it, as with a restored backup. */
  | { readonly side: 'local'; readonly act: 'edit' | 'uncaptured'; readonly who: number; readonly edits: readonly Edit[] }
  | { readonly side: 'local'; readonly act: 'delete'; readonly who: number };
export type Remote =
  | { readonly side: 'remote'; readonly act: 'create'; readonly n: number; readonly edits: readonly Edit[] }
  | { readonly side: 'remote'; readonly act: 'edit'; readonly who: number; readonly edits: readonly Edit[] }
  | { readonly side: 'remote'; readonly act: 'delete' | 'restore' | 'purge' | 'hide' | 'show' | 'lock'; readonly who: number };
/** The same person on both sides before they ever met; only ever at the beginning, and told by the e-mail, which then nobody edits. */
export type Twin = { readonly side: 'twin'; readonly n: number; readonly here: readonly Edit[]; readonly there: readonly Edit[] };
export type Fault = { readonly side: 'fault'; readonly call: CallName | 'any'; readonly kind: FaultKind; readonly times: number };
/** Somebody who runs it: pauses the push, decides a hold or a conflict. */
export type Operator =
  | { readonly side: 'operator'; readonly act: 'pause' | 'resume' }
  | { readonly side: 'operator'; readonly act: 'approve' | 'reject'; readonly who: number }
  | { readonly side: 'operator'; readonly act: 'resolve'; readonly who: number; readonly choice: 'crm' | 'mirror' };
export type Action = Local | Remote | Fault | Operator;

/** The leader stops in the middle of what it does, another one takes over, and the first one wakes up and goes on. */
export interface Freeze {
  readonly at: number;
  readonly forSteps: number;
  /** The new leader ends the old one's sessions; where its role may not, a transaction that was begun may still commit. */
  readonly endsSessions: boolean;
}

export const ROUNDS = ['pull', 'push', 'links', 'sweep', 'sync'] as const;
export type RoundKind = (typeof ROUNDS)[number];
/** Rounds side by side, as the daemon's loops run them. */
export interface Rounds {
  readonly side: 'sync';
  readonly rounds: readonly RoundKind[];
  /** Which of those who wait goes on at each step. */
  readonly order: number;
  /** Step → what somebody does just then. */
  readonly during: readonly { readonly at: number; readonly action: Action }[];
  /** The process dies at this step; everything in memory is gone. */
  readonly crashAt: number | null;
  /** The database refuses one statement at this step; the process lives on. */
  readonly refuseAt: number | null;
  readonly freeze?: Freeze | null;
}
export type Event = Action | Rounds | Twin | { readonly side: 'time'; readonly ms: number };

export interface Schedule {
  readonly seed: number;
  readonly mode: SandboxMode;
  readonly policy: Policy;
  /** The CRM's clock less the database's. */
  readonly skewMs: number;
  readonly perPage: number;
  readonly freshMs: number;
  /** Beside `policy`, field by field; `contact` is for a deletion against an edit. */
  readonly fieldPolicies?: { readonly [field: string]: Policy };
  /** How many contacts the brake lets through; default: all. */
  readonly brakeRows?: number;
  /** The CRM's search does not find a contact that is younger. */
  readonly searchLagMs?: number;
  readonly writeMode?: 'merged' | 'ordered';
  readonly events: readonly Event[];
}

/** The plainest setting: what a short schedule starts from. */
export const PLAIN = { mode: 'upstream', policy: 'newest', skewMs: 0, perPage: 100, freshMs: 0 } as const satisfies Partial<Schedule>;

/** One round, with nothing unexpected but what is said to happen. */
export const round = (kind: RoundKind, order: number, during: Rounds['during']): Rounds => ({
  side: 'sync',
  rounds: [kind],
  order,
  during,
  crashAt: null,
  refuseAt: null,
});
export const syncOnce = (order: number, during: Rounds['during']): Rounds => round('sync', order, during);

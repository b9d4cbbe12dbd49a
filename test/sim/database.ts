/**
 * The database of a simulated installation, as the simulation needs it: the port for each life of the process, sessions of people, time that
 * can be made to pass, and the books as plain values. One checker reads them, whether a fake keeps them or PostgreSQL.
 */
import type { ChangeOp, ChangeState } from '../../src/domain/change.ts';
import type { ContactFields, LinkSets } from '../../src/domain/contact.ts';
import type { Policy } from '../../src/domain/merge.ts';
import type { Mirror, RunKind } from '../../src/ports/mirror.ts';
import type { UserSession } from '../fakes/fake-user.ts';

export interface Row {
  readonly id: number;
  readonly crmId: number | null;
  readonly fields: ContactFields;
  readonly links: LinkSets;
}
export interface LoggedEdit {
  readonly id: number;
  readonly contactId: number;
  readonly op: ChangeOp;
  readonly changedBy: string;
  readonly holdId: number | null;
  /** By field name; a link under its kind. */
  readonly oldValues: { readonly [name: string]: unknown } | null;
  readonly newValues: { readonly [name: string]: unknown } | null;
  readonly state: ChangeState;
  readonly code: string | null;
  readonly error: string | null;
  readonly isSettled: boolean;
}
export interface ContactState {
  readonly contactId: number;
  readonly crmId: number | null;
  /** Of the attempt that is not settled. */
  readonly attempt: 'sending' | 'unknown' | null;
  readonly isGone: boolean;
  readonly isHidden: boolean;
  readonly holdId: number | null;
}
export interface Conflict {
  readonly id: number;
  readonly contactId: number;
  readonly field: string;
  readonly local: unknown;
  readonly remote: unknown;
  readonly state: 'open' | 'decided';
  readonly policy: Policy | null;
}
export interface Marked {
  readonly crmId: number;
  readonly reason: string;
}
export interface Hold {
  readonly id: number;
  readonly direction: 'push' | 'pull';
  readonly state: 'open' | 'approved' | 'rejected' | 'released';
}
/** Everything that is written down, read in one go once nothing is under way. */
export interface Books {
  readonly rows: readonly Row[];
  readonly log: readonly LoggedEdit[];
  readonly states: readonly ContactState[];
  readonly conflicts: readonly Conflict[];
  readonly marks: readonly Marked[];
  readonly holds: readonly Hold[];
}

/** Who is told, at the very moment, that something was committed. */
export interface Observer {
  observe(by: 'person' | 'sync'): void;
}

export interface SimDatabase {
  /** For one life of the process, which leads under this epoch as long as the database knows no newer one. */
  mirror(epoch: number): Mirror;
  /** Another process leads from now on. */
  lead(epoch: number): void | Promise<void>;
  /** A person's session. Its commit is told to the observer as a person's. @param isCaptured false: no trigger sees what it does */
  begin(isCaptured?: boolean): UserSession;
  /** The rows as they are committed, with a number that changes when they do. */
  rows(): { readonly version: number; readonly rows: readonly Row[] };
  books(): Promise<Books>;
  /** Equal readings: nothing was written in between, anywhere or to `what`: contacts, states, log, conflicts and marks. */
  fingerprint(what: 'anything' | 'contents'): Promise<string>;
  setPolicy(field: string, policy: Policy): Promise<void>;
  setPaused(paused: boolean): Promise<void>;
  /** Decides one of the open conflicts of a field, if there is any; told to the observer as a person's. */
  resolve(who: number, choice: 'crm' | 'mirror'): Promise<void>;
  /** Decides one of the open holds, if there is any. */
  decide(who: number, how: 'approve' | 'reject'): Promise<void>;
  requestRun(kind: RunKind, withLinks: boolean): Promise<number>;

  /** The database's clock, ms. */
  now(): number;
  /** Nobody is at work; afterwards it is later. */
  pass(ms: number): void | Promise<void>;
  /** One step was made: a fake's time goes on by so much. */
  tick(ms: number): void;
  /** How the scheduler waits until everybody is at a step, or stuck behind a lock. */
  readonly pace: Pace;
  setObserver(observer: Observer): void;
  close(): Promise<void>;
}

export interface Pace {
  settle(): Promise<unknown>;
  /** Nobody is at a step: they wait for a lock, or for a moment to pass. */
  idle(): Promise<unknown> | null;
}

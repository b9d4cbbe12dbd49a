/**
 * The mirror for those who only look: a dry run, say. Every answer comes out of a transaction that may not write, takes no lock, and is over
 * before the next call of the CRM. Needs no leadership.
 */
import type { DamageOp } from '../domain/brake.ts';
import type { LinkKind, RemoteContact } from '../domain/contact.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { Policy } from '../domain/merge.ts';
import type { Matches, Mirror, MirrorTx, StepEdit } from './mirror.ts';

export interface MirrorReads extends Pick<MirrorTx, 'peek' | 'read' | 'oldestOpenCreate' | 'deferred' | 'brakeLoad'> {
  /** As MirrorTx's, for rows that nobody locks. */
  matchUnpaired(records: readonly RemoteContact[], options: { readonly byContent: boolean }): Promise<Matches>;
}

/** One edit that is not settled, with the transaction that made it. */
export interface OpenEdit extends StepEdit {
  readonly txid: string;
}

/** What the CRM's record would destroy of a contact, and a hold that is open keeps from it. */
export interface HeldLine {
  readonly contactId: number;
  readonly crmId: number | null;
  readonly holdId: number;
  readonly op: Exclude<DamageOp, 'empty' | 'audit'> | 'update';
  readonly fields: readonly string[];
  readonly links: { readonly [K in LinkKind]?: readonly number[] };
}
/** A contact whose edits are all parked, with the code of the newest. */
export interface ParkedContact {
  readonly contactId: number;
  readonly code: ErrorCode | null;
}
/** A record of the CRM that could not be read or stored. */
export interface RefusedRecord {
  readonly crmId: number;
  readonly contactId: number | null;
  readonly code: ErrorCode;
}
export interface OpenConflict {
  readonly id: number;
  readonly contactId: number;
  readonly crmId: number | null;
  readonly field: string;
  readonly base: unknown;
  readonly local: unknown;
  readonly remote: unknown;
  readonly policy: Policy;
}

export interface MirrorView extends Pick<
  Mirror,
  | 'now'
  | 'account'
  | 'contactCount'
  | 'capabilities'
  | 'customFields'
  | 'fieldPolicies'
  | 'marks'
  | 'countMarks'
  | 'auditBatch'
  | 'vanished'
> {
  /** The schemas are there. */
  isThere(): Promise<boolean>;
  /** One snapshot a statement, one transaction for all of them. */
  look<T>(steps: (reads: MirrorReads) => Promise<T>): Promise<T>;
  /** Contacts with edits that are not settled and not parked, by id. */
  openContacts(afterId: number, limit: number): Promise<readonly number[]>;
  /** Their edits that are neither settled nor parked, oldest first. */
  openEdits(contactIds: readonly number[]): Promise<ReadonlyMap<number, readonly OpenEdit[]>>;
  /** Which hold keeps their edits, for those whose edits one keeps. */
  heldIn(contactIds: readonly number[]): Promise<ReadonlyMap<number, number>>;
  /** What waits for a person, by the id of the contact, the record or the conflict. */
  heldLines(afterId: number, limit: number): Promise<readonly HeldLine[]>;
  parkedContacts(afterId: number, limit: number): Promise<readonly ParkedContact[]>;
  refusedRecords(afterId: number, limit: number): Promise<readonly RefusedRecord[]>;
  openConflicts(afterId: number, limit: number): Promise<readonly OpenConflict[]>;
  /** CRM ids of rows that are there and neither gone nor hidden, ascending. */
  pairedIds(afterId: number, limit: number): Promise<readonly number[]>;
  /** Whose account the mirror was filled from; null before the first. */
  crmUrl(): Promise<string | null>;
  /** What the leader may spend a minute; null where nobody leads. */
  leadersBudget(): Promise<number | null>;
}

/**
 * The mirror for those who only look: a dry run, say. Every answer comes out of a transaction that may not write, takes no lock, and is over
 * before the next call of the CRM. Needs no leadership.
 */
import type { RemoteContact } from '../domain/contact.ts';
import type { Matches, Mirror, MirrorTx, StepEdit } from './mirror.ts';

export interface MirrorReads extends Pick<MirrorTx, 'peek' | 'read' | 'oldestOpenCreate' | 'deferred' | 'brakeLoad'> {
  /** As MirrorTx's, for rows that nobody locks. */
  matchUnpaired(records: readonly RemoteContact[], options: { readonly byContent: boolean }): Promise<Matches>;
}

/** One edit that is not settled, with the transaction that made it. */
export interface OpenEdit extends StepEdit {
  readonly txid: string;
}

export interface MirrorView extends Pick<
  Mirror,
  'now' | 'account' | 'contactCount' | 'capabilities' | 'customFields' | 'fieldPolicies' | 'marks' | 'countMarks'
> {
  /** One snapshot a statement, one transaction for all of them. */
  look<T>(steps: (reads: MirrorReads) => Promise<T>): Promise<T>;
  /** Contacts with edits that are not settled and not parked, by id. */
  openContacts(afterId: number, limit: number): Promise<readonly number[]>;
  /** Their edits that are neither settled nor parked, oldest first. */
  openEdits(contactIds: readonly number[]): Promise<ReadonlyMap<number, readonly OpenEdit[]>>;
  /** CRM ids of rows that are there and neither gone nor hidden, ascending. */
  pairedIds(afterId: number, limit: number): Promise<readonly number[]>;
  /** Whose account the mirror was filled from; null before the first. */
  crmUrl(): Promise<string | null>;
  /** What the leader may spend a minute; null where nobody leads. */
  leadersBudget(): Promise<number | null>;
}

/** What every bench is given, and what it answers. */
import type { BenchServer } from './database.ts';
import type { Figure } from './figures.ts';
import type { Mirrored } from './mirror.ts';

/** How much is measured. */
export interface Budget {
  /** Whether the targets were set for so much work. */
  readonly judged: boolean;
  /** Contacts of the account that `initial`, `quiet` and `changes` share. */
  readonly contacts: number;
  /** Contacts that the per-row peer writes before its rate is taken. */
  readonly peerContacts: number;
  /** Numbers of changed contacts that a pull finds. */
  readonly changed: readonly number[];
  /** Pulls of each, of which the median counts. */
  readonly pulls: number;
  /** Edits timed under each policy. */
  readonly edits: number;
  /** Milliseconds without work before each. */
  readonly idleMs: number;
  /** Rows of the bulk update. */
  readonly bulkRows: number;
  readonly bulkRounds: number;
  readonly singleUpdates: number;
  /** Contacts of the mirror that the cookbook is asked of. */
  readonly biContacts: number;
}

export interface BenchContext {
  readonly server: BenchServer;
  readonly budget: Budget;
  /** Whether what is found goes into the documents that have a place for it. */
  readonly docs: boolean;
  /** The account and its mirror, loaded when it is first asked for: the load is itself what `initial` measures. */
  readonly mirrored: () => Promise<Mirrored>;
  /** Tells the person in front of the screen what is going on. */
  readonly say: (line: string) => void;
}

export type Bench = (context: BenchContext) => Promise<readonly Figure[]>;

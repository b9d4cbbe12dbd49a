/**
 * What the inside needs from Postgres: short transactions whose steps are the steps of the protocol, one method each.
 *
 * The order of the steps is the caller's and is what keeps the promises: lock rows, lock states, and only then read, in a statement of its
 * own. All ids called `contactId` are `crm.contacts.id`; all called `crmId` are the CRM's. Times are the database's clock.
 */
import type { DamageOp, Destruction } from '../domain/brake.ts';
import type {
  ContactFields,
  CustomFieldDef,
  FieldName,
  KnownLinks,
  LinkKind,
  LinkSets,
  RemoteContact,
  SeenName,
} from '../domain/contact.ts';
import type { ChangeOp, ChangeState } from '../domain/change.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { FieldConflict, Policy } from '../domain/merge.ts';
import type { Capabilities } from './crm.ts';

/** Just enough of a contact to tell, without a lock, that a record brings nothing new. */
export interface Peek {
  readonly contactId: number;
  readonly crmId: number;
  /** Hash of base's canonical fields; null where there is no base. */
  readonly baseHash: string | null;
  readonly extraHash: string | null;
  /** Base's links. */
  readonly links: KnownLinks;
  /** The row's crm_updated_at; null without a row. */
  readonly crmUpdatedAt: Date | null;
  readonly hasRow: boolean;
  /** When a push of this contact was last settled. */
  readonly settledAt: Date | null;
  /** A call is in flight, or its outcome is unknown. */
  readonly busy: boolean;
  /** When the deletion of the row was settled on both sides; null for a living row and for a deletion that still has to be pushed. */
  readonly deletedAt: Date | null;
  /** Marked for removal or hidden: see Situation. */
  readonly goneAt: Date | null;
  readonly hiddenAt: Date | null;
  /** As in Situation. */
  readonly holdId: number | null;
}

export interface Base {
  readonly fields: ContactFields;
  readonly links: KnownLinks;
}

/** All that is known of one contact, read after its locks were taken. */
export interface Situation {
  readonly contactId: number;
  readonly crmId: number | null;
  /** The row as it stands, or null where it was deleted (a tombstone). */
  readonly row: { readonly fields: ContactFields; readonly links: LinkSets } | null;
  readonly base: Base | null;
  /** As stored; null also where a decision in SQL has changed the base. */
  readonly baseHash: string | null;
  readonly extraHash: string | null;
  readonly crmUpdatedAt: Date | null;
  readonly settledAt: Date | null;
  readonly attempt: Attempt | null;
  /** The durable intent of a POST that is not settled. */
  readonly intent: CreateIntent | null;
  /** What our last write carried, as long as no answer about it was merged. */
  readonly sent: Sent | null;
  /** Log rows that are not settled (pending, sending, retry, unknown, parked, held), summed up. */
  readonly open: OpenEdits;
  /** Fields with an open conflict under the policy `manual`: out of merge, diff and audit. */
  readonly heldFields: ReadonlySet<FieldName>;
  /** How a person decided the conflict between the deletion that `goneAt` tells and the edits here. */
  readonly decided: 'crm' | 'mirror' | null;
  /** The CRM said 404 and removal is held, or was rejected: nothing is pushed. */
  readonly goneAt: Date | null;
  /** The CRM said 403: no longer visible, kept and marked. */
  readonly hiddenAt: Date | null;
  /** As in Peek: a tombstone whose deletion is settled. */
  readonly deletedAt: Date | null;
  /** The hold that keeps a destructive change of the CRM from this contact, until a person has decided it. */
  readonly holdId: number | null;
}

/** One claim of a contact for pushing. Its number is on the log rows it took. */
export interface Attempt {
  readonly number: number;
  readonly state: 'sending' | 'unknown';
}

/**
 * What a write carried. Whatever of it the CRM shows afterwards came from us and is agreed: without that, an edit made here meanwhile would
 * look like a conflict with our own write.
 */
export interface Sent {
  /** Canonical values by field name; phones as the whole list. */
  readonly fields: { readonly [field: string]: unknown };
  readonly attach: LinkSets;
  readonly detach: LinkSets;
}

export interface CreateIntent {
  readonly at: Date;
  /** Correlation id: carried by the contact where the account has a field for it. */
  readonly key: string;
  /** When the POST ended without an answer; null where nobody was left to note it. */
  readonly unknownAt: Date | null;
  /** What was sent: canonical fields and links. */
  readonly fields: ContactFields;
  readonly links: LinkSets;
}

export interface OpenEdits {
  readonly ops: ReadonlySet<ChangeOp>;
  /** Newest edit of each field. */
  readonly editedAt: ReadonlyMap<FieldName, Date>;
  /** When the row's deletion was logged; null if it is not among the open edits. */
  readonly deletedAt: Date | null;
  /** The net of the logged link edits, last one an id wins. */
  readonly attached: LinkSets;
  readonly detached: LinkSets;
  /** Highest number of attempts among them. */
  readonly attempts: number;
  readonly states: ReadonlySet<ChangeState>;
  /** Among them is a destructive change that a person approved. */
  readonly approved: boolean;
  /** Age of the oldest edit of a person's that was claimed just now, for the first time, in milliseconds; null where none was. */
  readonly waitedMs: number | null;
  /** What exactly was approved: an edit that came later is not. */
  readonly approvals: Approvals;
}

/** Destructive edits that a person approved and that are not through yet. */
export interface Approvals extends Destruction {
  /** An edit of our own making, without values of its own, was approved: with it the whole difference of its contact. */
  readonly all: boolean;
}

/** A contact of the CRM that gets a row. */
export interface NewContact {
  readonly record: RemoteContact;
  /** Canonical, with explicit nulls for the custom fields that the CRM sent as null. */
  readonly fields: ContactFields;
  readonly base: Base;
  readonly baseHash: string;
  readonly extraHash: string;
  /** The tombstone's id, where the contact comes back. */
  readonly contactId?: number;
}

/** A change of a contact that has a row. A part that is null stays as it is; nothing is written where all are null. */
export interface ContactWrite {
  readonly contactId: number;
  /** The whole row as it should be. */
  readonly fields: ContactFields | null;
  /** `fields` are neither what the CRM holds nor what was here: both had been edited. For the history. */
  readonly isMerge?: boolean;
  readonly addLinks: LinkSets;
  readonly removeLinks: LinkSets;
  readonly base: { readonly fields: ContactFields; readonly hash: string; readonly links: KnownLinks } | null;
  readonly extra: { readonly value: RemoteContact['extra']; readonly hash: string } | null;
  readonly crmTimes: { readonly createdAt: Date | null; readonly updatedAt: Date | null } | null;
}

/** Who queued what the audit found, in `changed_by`: nobody knows who edited it, or when. */
export const AUDITOR = 'relate-mirror audit';

/** A difference between a row and its base that nothing accounts for. Values by field name, custom fields under their own. */
export type FoundEdit =
  | {
      readonly contactId: number;
      readonly op: 'insert' | 'update' | 'delete';
      readonly oldValues: { readonly [field: string]: unknown } | null;
      readonly newValues: { readonly [field: string]: unknown } | null;
    }
  | { readonly contactId: number; readonly op: 'attach' | 'detach'; readonly kind: LinkKind; readonly id: number };

export interface AuditBatch {
  /** The largest id read; null behind the last row. */
  readonly lastId: number | null;
  readonly rows: number;
  /** Contacts whose row does not hold the very texts of base, or has none, and for which nothing is open: to be compared in canonical form. */
  readonly suspects: readonly number[];
}

export interface ConflictRecord extends FieldConflict {
  readonly contactId: number;
}

/** How an attempt ended for some of its log rows. */
export interface Outcome {
  readonly ops: readonly ChangeOp[];
  readonly state: ChangeState;
  readonly code: ErrorCode | null;
  /** The CRM's own message, for people; it stays in sync.change_log. */
  readonly error: string | null;
  /** From now, by the database's clock. */
  readonly delayMs: number;
}
export interface Settlement {
  readonly contactId: number;
  readonly attempt: number;
  readonly outcomes: readonly Outcome[];
  /** `release` ends the attempt; `unknown` keeps the contact busy until it was read again. */
  readonly ends: 'release' | 'unknown';
}

/** So many log rows ended in this state. */
export interface Settled {
  readonly state: ChangeState;
  readonly rows: number;
}

/** Why a contact has to be read by its id. */
export type MarkReason =
  /** Its record was older than what we did, its row was locked, or its id may be that of an open create. */
  | 'deferred'
  /** Its row may be here already, unpaired and locked by somebody: no create is sent before that is known. */
  | 'twin'
  /** Its companies and deals are not known or may have changed. */
  | 'links'
  /** Its activities are not known. */
  | 'activities'
  /** A person approved its removal. */
  | 'approved';
export interface Mark {
  readonly crmId: number;
  readonly reason: MarkReason;
}

export type RunKind = 'changes' | 'sweep' | 'resync' | 'links' | 'sync' | 'audit';
export type RunState = 'requested' | 'running' | 'done' | 'partial' | 'failed';
export interface Run {
  readonly id: number;
  readonly kind: RunKind;
  readonly state: RunState;
  readonly withLinks: boolean;
  /** Somebody asked for it and may wait for its end. */
  readonly isRequested: boolean;
  readonly startedAt: Date | null;
  readonly cursor: RunCursor | null;
}
/** Where a run stands, saved in the transaction that stored what it covers. */
export interface RunCursor {
  readonly page: number;
  readonly pass: number;
  /** Largest id and total when the walk began. */
  readonly maxId: number;
  readonly total: number;
  /** How many ids were logged as seen: the unlogged table is checked against it. */
  readonly seen: number;
  /** When the walk began, ISO, on the CRM's clock: where the changes pull goes on from. */
  readonly startedAt: string | null;
}
/** The cursor replaces the last one; the numbers are added up, so that a resumed run goes on counting. */
export interface RunProgress {
  readonly cursor?: RunCursor;
  readonly pages?: number;
  readonly rowsSeen?: number;
  readonly rowsWritten?: number;
  readonly calls?: number;
}

/** What `matchUnpaired` found, all by CRM id. */
export interface Matches {
  /** contactId of the one row that is this record's; locked. */
  readonly paired: ReadonlyMap<number, number>;
  /** Records whose row somebody has locked. */
  readonly locked: ReadonlySet<number>;
  /** Records whose former row is being created anew. */
  readonly creating: ReadonlySet<number>;
}

/** A mark that could not be settled is read again after this, doubling each time. */
export const MARK_RETRY = { minMs: 250, maxMs: 60_000 } as const;

/** So often a twin is waited for, some twenty minutes: then creates go on, and what the CRM has twice it refuses. */
export const TWIN_TRIES_MAX = 30;

export interface AccountState {
  /** On the CRM's clock: everything older was seen. */
  readonly changesWatermark: Date | null;
  readonly trashWatermark: Date | null;
  readonly firstSweepAt: Date | null;
  readonly lastCompleteSweepAt: Date | null;
  readonly paused: boolean;
  /** The database is not the one that the mirror was filled from: nothing is pushed before the hold is approved. `swept`: it may be. */
  readonly identityHold: { readonly holdId: number; readonly swept: boolean } | null;
  /** A mark `twin` is there, and was not put off too often: creates wait. */
  readonly twins: boolean;
}

/** Which contacts count as due. */
export interface DueKinds {
  /** Also those that the CRM does not have yet. */
  readonly creates: boolean;
  /**
   * WRITE_MODE=ordered: a contact is due when the first of its open edits is, and never because of a later one. Parked edits block nothing, held
   * ones do; an edit in doubt comes before all others, and what we queued ourselves comes last.
   */
  readonly ordered?: boolean;
}

/** One logged edit. */
export interface StepEdit {
  readonly op: ChangeOp;
  /** By field name, custom fields under their own. Both null: a link, or a row of our own making, which stands for the whole difference. */
  readonly before: { readonly [field: string]: unknown } | null;
  readonly after: { readonly [field: string]: unknown } | null;
  /** What was attached or detached. */
  readonly link: { readonly kind: LinkKind; readonly id: number } | null;
}
/** WRITE_MODE=ordered: what one attempt took of a contact's edits. */
export interface Step {
  /** In the order of their ids. */
  readonly edits: readonly StepEdit[];
  /** For each field with an open edit: what the newest of them set, and what the row holds. Empty where the row is gone. */
  readonly newest: ReadonlyMap<string, { readonly set: unknown; readonly holds: unknown }>;
}

/** Whether database and account are those that the mirror was filled from. */
export interface Identity {
  /** `changed`: pull, but do not push. `other_account`: do neither. */
  readonly verdict: 'own' | 'changed' | 'other_account';
  readonly holdId: number | null;
  /** In words, for a person. */
  readonly reason: string | null;
  /** The hold was made just now. */
  readonly isNew: boolean;
}

export type BrakeDirection = 'push' | 'pull';
export interface BrakeLoad {
  /** Contacts that were damaged in the last hour in this direction: sync.damage. */
  readonly lastHour: number;
  /**
   * Contacts for which something destructive waits that nobody approved. Direction push: logged as deleted, detached or emptied and not settled
   * (parked aside: that waits for a person anyway). Direction pull: held.
   */
  readonly waiting: number;
  /** Contacts whose deletion is not settled: the mirror before the damage. */
  readonly mirrorRows: number;
}
/** A destructive change that went through. */
export interface Damage {
  readonly contactId: number;
  readonly op: DamageOp;
}
/** What the CRM's record would destroy of a contact. */
export interface Incoming {
  readonly contactId: number;
  readonly destruction: Destruction;
  /** What the record does not tell: of this the plan's line keeps what it says. */
  readonly silent: readonly Part[];
}
/** A part of a contact that a record may leave out: a list carries no links, a list of links no fields. */
export type Part = 'fields' | LinkKind;

/** A change that Postgres itself refused: a constraint, foreign key or trigger of the user's, or a lock of theirs that lasts (`LOCK_NOT_AVAILABLE`). */
export interface Refusal {
  readonly sqlState: string;
  readonly message: string;
}
/** SQLSTATE of a lock that did not come free in lock_timeout: no word about the record, which is to be tried again. */
export const LOCK_NOT_AVAILABLE = '55P03';

/** The steps of a transaction, READ COMMITTED. Outside of it nothing of them is visible. */
export interface MirrorTx {
  /** Without a lock: who is known, and would a record bring anything new? */
  peek(crmIds: readonly number[]): Promise<ReadonlyMap<number, Peek>>;
  /** Locks rows for no key update, in id order. `skip` leaves out what is not free at once; `wait` waits as long as lock_timeout. */
  lockContacts(contactIds: readonly number[], mode: 'skip' | 'wait'): Promise<ReadonlySet<number>>;
  /** Locks states, always after rows. */
  lockStates(contactIds: readonly number[], mode: 'skip' | 'wait'): Promise<ReadonlySet<number>>;
  /** A new statement, after the locks: what is true now. A contact without state row is not in the answer. */
  read(contactIds: readonly number[]): Promise<ReadonlyMap<number, Situation>>;
  /** The one lock that page inserts and create settles share. */
  lockPairing(): Promise<void>;
  /**
   * Intent time of the oldest create that is sending or unknown, or whose row was deleted since: until the CRM was asked what of it is there, or a
   * person is, a page would bring back under another id what was deleted.
   */
  oldestOpenCreate(): Promise<Date | null>;

  /**
   * Rows without crm_id that are a record's: the row that had its id before it was deleted there, and with `byContent` (first run on two
   * filled sides) the one without an intent that matches it one to one, by e-mail, else by phone and name.
   */
  matchUnpaired(records: readonly RemoteContact[], options: { readonly byContent: boolean }): Promise<Matches>;
  /** New rows with their states, links and names; answers contactId by crmId. */
  insert(contacts: readonly NewContact[]): Promise<ReadonlyMap<number, number>>;
  save(writes: readonly ContactWrite[]): Promise<void>;
  /** Moves crm_updated_at alone. */
  touch(rows: readonly { readonly contactId: number; readonly crmUpdatedAt: Date }[]): Promise<void>;
  /** Deletes rows whose CRM contacts are proven gone; their states stay as tombstones. */
  remove(contactIds: readonly number[]): Promise<void>;
  /** Gone (404, held), hidden (403) or visible again. */
  markVisibility(contactIds: readonly number[], visibility: 'visible' | 'hidden' | 'gone'): Promise<void>;
  /** The CRM's contact is gone but the row lives: its next push creates it anew, under the same contactId. Base and former id are kept. */
  unpair(contactId: number): Promise<void>;
  recordConflicts(conflicts: readonly ConflictRecord[]): Promise<void>;
  /** Adds log rows of our own making: something local has to be pushed that nobody edited just now. */
  queue(contactIds: readonly number[], op: ChangeOp): Promise<void>;
  /**
   * Logs what the audit found, as AUDITOR; makes the state of a row that has none. A deletion is left out where the contact is marked to be
   * read: its row is about to come back. Answers the contacts that got a log row.
   */
  logFound(found: readonly FoundEdit[]): Promise<ReadonlySet<number>>;
  /** Marking anew what is marked already moves its time to now, so that an older answer does not remove it. */
  mark(marks: readonly Mark[]): Promise<void>;
  /** As `mark`, for what could not be read or stored once more: it waits longer each time. */
  putOff(marks: readonly Mark[]): Promise<void>;
  /** Which of these have a mark `deferred`, due or not: their base is older than what the CRM has shown. */
  deferred(crmIds: readonly number[]): Promise<ReadonlySet<number>>;
  /** Removes marks that are not newer than the request that answered them. */
  unmark(crmIds: readonly number[], reasons: readonly MarkReason[], requestedAt: Date): Promise<void>;
  /** Parks a record that could not be read or stored; `clearRefused` when it could. */
  refuse(crmId: number, code: ErrorCode, message: string): Promise<void>;
  clearRefused(crmIds: readonly number[]): Promise<void>;
  saveNames(names: readonly SeenName[]): Promise<void>;
  /** Definitions that records taught; nothing is written where they are known so. */
  saveCustomFields(defs: readonly CustomFieldDef[]): Promise<void>;
  /** The whole list, as the CRM has just told it: a field that it told before and lacks now is unlisted from now on, one that it has is not gone. */
  declareCustomFields(defs: readonly CustomFieldDef[]): Promise<void>;
  /** The list is to be read again: it does not tell what records show. */
  wantCustomFields(): Promise<void>;
  /** Records carry values of fields that were gone. */
  reviveCustomFields(names: readonly string[]): Promise<void>;
  /** Runs the steps behind a savepoint; a refusal by Postgres rolls them back and is returned. */
  savepoint(steps: () => Promise<void>): Promise<Refusal | null>;

  /** Locks the states of contacts with due edits, oldest first, skipping what another worker holds; a new row's state is made first. */
  lockDue(limit: number, kinds: DueKinds): Promise<readonly number[]>;
  /** Takes their open log rows (held ones aside) to `sending` under one new number. */
  claim(contactIds: readonly number[]): Promise<number>;
  /**
   * As `claim`, for WRITE_MODE=ordered: only the first open edit of each contact. Along with it go the parked ones before it, the links that the
   * same transaction attached (or detached) right after it, and whatever went with it the last time. Where the first is of our own making, or the
   * CRM has no such contact and none is being inserted, all are taken: then the row as it stands is what is pushed.
   */
  claimSteps(contactIds: readonly number[]): Promise<number>;
  /** What the attempt took, in one statement with what the rows hold: the two must not be of different moments. */
  readSteps(attempt: number, contactIds: readonly number[]): Promise<ReadonlyMap<number, Step>>;
  /** What the next call will carry, before its bytes go. Storing a base, and the release of the attempt, take it away. */
  saveSent(writes: readonly { readonly contactId: number; readonly sent: Sent }[]): Promise<void>;
  /** Answers the intent with its time and a correlation id of its own. */
  saveIntent(contactId: number, intent: { readonly fields: ContactFields; readonly links: LinkSets }): Promise<CreateIntent>;
  /** The POST ended without an answer: from now on the CRM is asked. */
  doubtIntent(contactId: number): Promise<void>;
  clearIntent(contactId: number): Promise<void>;
  /** Gives the contact its CRM id. A row that a page made for the same id meanwhile is folded into this one. */
  pair(contactId: number, crmId: number): Promise<void>;
  /** Touches only log rows that carry this attempt's number; answers how many ended how. */
  settle(settlement: Settlement): Promise<readonly Settled[]>;
  /**
   * Puts contacts into the open plan of the direction, or a new one, and answers its id. The plan's lines say what the row and the base, or the
   * CRM's deletion, would destroy. Push: their open log rows are held and their attempt is over. Pull: they are marked gone.
   */
  hold(direction: BrakeDirection, reason: string, contactIds: readonly number[]): Promise<number>;
  /**
   * Holds a push together with everything destructive that waits and that no attempt has taken: a burst is one plan, made at once. What waits but
   * would not destroy anything any more is left to its turn.
   */
  holdWaiting(reason: string, contactId: number): Promise<number>;
  /**
   * Direction pull: holds what the CRM's records would empty or unlink. A line that stands already is brought up to date. A contact whose
   * approved change is still to be read is left alone.
   */
  holdIncoming(reason: string, incoming: readonly Incoming[]): Promise<void>;
  /**
   * Contacts that have nothing destructive left leave the open plan of the direction: held log rows are due again, states are free. Their lines
   * stay, marked released; a hold without any other line is released itself. `silent`: parts of a contact that nothing is known about; a line that
   * names one of them stays.
   */
  release(direction: BrakeDirection, contactIds: readonly number[], silent?: ReadonlyMap<number, readonly Part[]>): Promise<void>;
  /** Releases all contacts of the open push plan for which row and base show nothing destructive by now. Answers how many. */
  releaseHarmless(): Promise<number>;
  /** Counts what went through: at most once a contact and op. Deletions that `settle` ends as done and rows that `remove` takes count themselves. */
  countDamage(direction: BrakeDirection, damage: readonly Damage[]): Promise<void>;
  brakeLoad(direction: BrakeDirection): Promise<BrakeLoad>;

  saveRun(runId: number, progress: RunProgress): Promise<void>;
  /** Answers how many of them were new: the sum is what a resume checks the unlogged table against. */
  saveSeen(crmIds: readonly number[]): Promise<number>;
  saveWatermark(name: 'changes' | 'trash', at: Date): Promise<void>;
}

export interface Mirror {
  /** The database's clock. */
  now(): Promise<Date>;
  /**
   * Checks the leader's epoch, runs the steps, commits; retries on a deadlock or lock time-out, so the steps may run again.
   * @param origin what is taken over from the CRM was found by a walk of everything: the history tells so
   */
  transaction<T>(steps: (tx: MirrorTx) => Promise<T>, origin?: 'resync'): Promise<T>;

  account(): Promise<AccountState>;
  /** Compares, stores what is not known yet, and makes the hold where something differs: open deletions then stand in it. */
  checkIdentity(crmUrl: string): Promise<Identity>;
  /** Brings the plan of the open identity hold up to date: what would be pushed. */
  planIdentity(): Promise<void>;
  contactCount(): Promise<number>;
  /** What the last probe found, and when; null before the first. */
  capabilities(): Promise<{ readonly found: Capabilities; readonly checkedAt: Date } | null>;
  /** Also moves the time of the check: a tuple a day. */
  saveCapabilities(capabilities: Capabilities): Promise<void>;
  customFields(): Promise<ReadonlyMap<string, CustomFieldDef>>;
  /** When the CRM's list of custom fields was last stored, and when somebody last wanted it again; null: never. */
  customFieldList(): Promise<{ readonly readAt: Date | null; readonly wantedAt: Date | null }>;
  fieldPolicies(): Promise<ReadonlyMap<string, Policy>>;

  /** Marks due and made before a moment, oldest first: one made anew since then waits for the next round. */
  marks(reasons: readonly MarkReason[], limit: number, before: Date): Promise<readonly Mark[]>;
  /** Adds a mark of each reason for every paired contact: a back-fill from the start. */
  markAll(reasons: readonly MarkReason[]): Promise<number>;
  countMarks(reasons: readonly MarkReason[]): Promise<number>;
  /** The next rows by id, and which of them may differ from base. No lock, no write. */
  auditBatch(afterId: number, limit: number): Promise<AuditBatch>;
  /** States above afterId of contacts that the CRM has, whose row is gone without a deletion in the log, ascending. */
  vanished(afterId: number, limit: number): Promise<readonly number[]>;
  /** Milliseconds until the next log row is due; 0 when one is; null when none will be by itself. */
  nextDueMs(kinds: DueKinds): Promise<number | null>;
  /**
   * Attempts of an earlier epoch become unknown. A create's is asked about only `createGraceMs` after its claim: the old leader's POST may
   * still be under way. Answers how many contacts.
   */
  recoverAttempts(createGraceMs: number): Promise<number>;

  /**
   * Removes what nobody needs any more: log rows settled, runs finished, calls made, tombstones buried, conflicts decided and holds closed longer
   * ago than this. Answers how many rows.
   */
  prune(olderThanDays: number): Promise<number>;

  startRun(kind: RunKind, withLinks: boolean): Promise<Run>;
  /** The sweep or resync that a crash interrupted, if its seen ids are still all there. */
  resumableRun(kind: RunKind): Promise<Run | null>;
  /** Ends a run; a complete sweep or resync also moves the account's first_sweep_at and last_complete_sweep_at. */
  finishRun(runId: number, end: { readonly state: RunState; readonly complete: boolean; readonly error: string | null }): Promise<void>;
  /** Takes the oldest requested run to `running`; also one that an earlier leader took and neither ended nor can be resumed. */
  takeRequest(): Promise<Run | null>;

  clearSeen(): Promise<void>;
  /** How many distinct ids up to maxId were seen. */
  countSeen(maxId: number): Promise<number>;
  /** CRM ids above afterId whose rows exist, not yet marked gone or hidden, and were not seen, ascending. */
  unseen(afterId: number, limit: number): Promise<readonly number[]>;
  /** Some id seen in this run whose row exists: what a control GET asks for. */
  oneSeen(): Promise<number | null>;
}

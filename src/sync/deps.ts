/** What every path of the sync is given. Nothing here reaches for the network, the database or the clock by itself. */
import type { BackoffLimits } from '../domain/backoff.ts';
import type { BrakeLimits } from '../domain/brake.ts';
import type { CustomField } from '../domain/contact.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { Policy } from '../domain/merge.ts';
import type { Clock, Log, Random } from '../ports/ambient.ts';
import type { CallOptions, Capabilities, Crm, Lane } from '../ports/crm.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import type { Mirror } from '../ports/mirror.ts';

export interface SyncSettings {
  /** CONFLICT_POLICY; `sync.field_policy` overrides it field by field. */
  readonly conflictPolicy: Policy;
  /** WRITE_MODE: the net effect of a contact's edits, or each of them in its order. */
  readonly writeMode: 'merged' | 'ordered';
  readonly backoff: BackoffLimits;
  readonly brake: BrakeLimits;
  /** CREATE_RECHECK_MS */
  readonly createRecheckMs: number;
  /** CRM_TIMEOUT_MS + CREATE_RECHECK_MS: how long an earlier leader's POST may still be under way. */
  readonly createGraceMs: number;
  /** CRM_EXTERNAL_ID_FIELD */
  readonly externalIdField: CustomField | null;
  /** How far before the watermark a pull reads again: commits come late, and the CRM's times have whole seconds. */
  readonly overlapMs: number;
  /** A base that was pulled this recently is fresh enough to push against. */
  readonly freshMs: number;
  /** CHANGE_LOG_DAYS */
  readonly changeLogDays: number;
  /** Contacts pushed side by side. */
  readonly pushConcurrency: number;
}

export interface SyncDeps {
  readonly crm: Crm;
  readonly mirror: Mirror;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly telemetry: Telemetry;
  readonly settings: SyncSettings;
  /** What the probe found; the daemon's memory of `sync.capabilities`. */
  readonly capabilities: CapabilityStore;
  /** Leadership, asked right before the bytes of a call go. */
  readonly maySend: () => boolean;
  /** Fires when the daemon stops or loses its leadership: nothing new is begun. */
  readonly signal: AbortSignal;
  /** Fires when what is still under way has to be given up as well. */
  readonly giveUp: AbortSignal;
}

export interface CapabilityStore {
  get(): Capabilities;
  /** Something learned from an answer, kept for good. */
  learn(change: Partial<Capabilities>): Promise<void>;
}

/** What ends a run in the middle while a person has paused the mirror; null while nobody has. */
export const pausedBy = async ({ mirror }: SyncDeps): Promise<CrmFailure | null> => ((await mirror.account()).paused ? PAUSED : null);
const PAUSED: CrmFailure = {
  class: 'retry',
  code: 'paused',
  status: null,
  message: 'The mirror is paused.',
  fields: {},
  retryAfterMs: null,
  proven: false,
};

export const callOptions = (deps: SyncDeps, lane: Lane): CallOptions => ({
  lane,
  signal: deps.signal,
  giveUp: deps.giveUp,
  maySend: deps.maySend,
});

/**
 * A contact that the CRM made this long before a create's intent, by the two clocks, is not that create's. One number for both sides: the page
 * defers what is younger, and the question after a lost answer looks back as far.
 */
export const CLOCK_ERROR_MS = 60_000;

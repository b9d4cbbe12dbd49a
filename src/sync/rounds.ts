/** Bounded pieces of work, each a whole: what the daemon's loops, the one-shot commands and the tests call. */
import { errorFields } from '../domain/error-fields.ts';
import type { CrmFailure } from '../domain/errors.ts';
import { DOCUMENTED_ONLY, type Capabilities, type CallOptions, type Crm, type CrmResult } from '../ports/crm.ts';
import { LostLeadership } from '../ports/mirror-errors.ts';
import type { Mirror, Run, RunKind } from '../ports/mirror.ts';
import { audit, type AuditReport } from './audit.ts';
import { createFieldListMemory, readFields, readFieldsOnce, type FieldListMemory } from './custom-fields.ts';
import { callOptions, type CapabilityStore, type SyncDeps } from './deps.ts';
import { endsTheRound, readMarks } from './marks.ts';
import { pullChanges, type PullReport } from './pull.ts';
import { pushDue, type PushMemory } from './push.ts';
import { sweep } from './sweep.ts';

export type Probe = (crm: Crm, options: CallOptions) => Promise<CrmResult<Capabilities>>;

/** What was found lasts a day: an upgrade of the CRM is noticed by the next. */
const PROBE_AGE_MAX_MS = 24 * 3_600_000;

/** An account without contacts shows little: it is asked again this soon. */
const PROBE_AGAIN_MS = 600_000;

export interface ProbedCapabilities extends CapabilityStore {
  set(capabilities: Capabilities): void;
  /** Of the last probe of this process, on the monotonic clock. */
  probedAtMs: number | null;
  /** How the last attempts of the list of custom fields ended. */
  readonly fieldList: FieldListMemory;
}

/** The daemon's memory of `sync.capabilities`; until something was found, only what the public API documents is used. */
export const createCapabilityStore = (mirror: Mirror): ProbedCapabilities => {
  let current = DOCUMENTED_ONLY;
  return {
    probedAtMs: null,
    fieldList: createFieldListMemory(),
    get: () => current,
    set: (capabilities) => (current = capabilities),
    learn: async (change) => {
      current = { ...current, ...change };
      await mirror.saveCapabilities(current);
    },
  };
};

/** Finds out, at most once a day, what the CRM can do, and reads the account's custom fields, if it tells them. Answers what kept it from finding out. */
export const probeOnce = async (deps: SyncDeps, store: ProbedCapabilities, probe: Probe): Promise<CrmFailure | null> => {
  const [known, now] = [await deps.mirror.capabilities(), await deps.mirror.now()];
  if (known !== null) store.set(known.found);
  if (known !== null && now.getTime() - known.checkedAt.getTime() < PROBE_AGE_MAX_MS) {
    await readFieldsOnce(deps, store.fieldList);
    return null;
  }
  const nowMs = deps.clock.monotonicMs();
  const contacts = await deps.mirror.contactCount();
  if (known === null && contacts === 0 && store.probedAtMs !== null && nowMs - store.probedAtMs < PROBE_AGAIN_MS) return null;
  const options = callOptions(deps, 'changes');
  const probed = await probe(deps.crm, options);
  if (!probed.ok) return probed.failure;
  const found = {
    ...probed.value,
    // Learned from a refusal, not found by reading: it stays.
    firstNameRequired: known?.found.firstNameRequired ?? false,
    // A list that was told before may only have a bad minute: reading it finds out whether there is none any more.
    customFields: probed.value.customFields || known?.found.customFields === true,
  };
  store.set(found);
  if (found.customFields) await readFields(deps, store.fieldList);
  store.probedAtMs = nowMs;
  // Kept only once there was something to see.
  if (contacts > 0 || found.filters) await deps.mirror.saveCapabilities(store.get());
  deps.log.info({ ...store.get(), app_version: probed.meta.appVersion }, 'found out what the CRM can do');
  return null;
};

/** A changes pull with the full overlap. */
export const pullOnce = async (deps: SyncDeps, memory: PushMemory): Promise<PullReport> => {
  const [startedMs, startedAt] = [deps.clock.monotonicMs(), deps.clock.now()];
  const report = await pullChanges(deps, { overlapMs: deps.settings.overlapMs, beforePush: false });
  if (report.stoppedBy === null) {
    Object.assign(memory, { pulledAtMs: startedMs, through: report.through });
    deps.telemetry.pulled(startedAt);
  }
  return report;
};

export interface SweepEnd {
  readonly runId: number;
  readonly complete: boolean;
  readonly rowsSeen: number;
  readonly rowsWritten: number;
  readonly removed: number;
  readonly held: number;
  readonly stoppedBy: CrmFailure | null;
}

/** A sweep or resync from its run's beginning, or from where a crash left it, to its recorded end. */
export const sweepOnce = async (deps: SyncDeps, kind: Extract<RunKind, 'sweep' | 'resync'>, requested: Run | null): Promise<SweepEnd> => {
  const run = requested ?? (await deps.mirror.resumableRun(kind)) ?? (await deps.mirror.startRun(kind, false));
  // Everything is compared, the custom fields too: the next round of the pull asks.
  await deps.mirror.transaction((tx) => tx.wantCustomFields());
  try {
    const report = await sweep(deps, run);
    if (report.stoppedBy === null && report.complete && run.withLinks) await deps.mirror.markAll(linkReasons(deps));
    const interrupted = report.stoppedBy !== null && (deps.signal.aborted || (report.resumable && goesOn(report.stoppedBy, run)));
    // An interrupted run keeps its state `running`: the next leader, or the next round once the reason is gone, goes on with it.
    if (!interrupted) {
      const state = report.stoppedBy !== null ? 'failed' : report.complete ? 'done' : 'partial';
      await deps.mirror.finishRun(run.id, { state, complete: report.complete, error: report.stoppedBy?.code ?? null });
    }
    if (report.complete) {
      if (run.startedAt !== null) deps.telemetry.pulled(run.startedAt);
      const prune = () => deps.mirror.prune(deps.settings.changeLogDays);
      await quietly(deps, prune, 'old log rows could not be removed; the next sweep tries again');
      // Both sides were just compared.
      await quietly(deps, () => auditOnce(deps, null), 'the audit failed; the next complete sweep is followed by another');
      // What the sweep and the audit have found is part of what a person is asked to approve.
      await deps.mirror.planIdentity();
    }
    return { runId: run.id, ...report };
  } catch (error) {
    if (!deps.signal.aborted) await deps.mirror.finishRun(run.id, { state: 'failed', complete: false, error: 'internal_error' });
    throw error;
  }
};

/** A pause, or a token that is refused until somebody mends it. Who asked for a run waits for its end, and is told that it failed. */
const goesOn = ({ code, class: kind }: CrmFailure, run: Run): boolean => code === 'paused' || (kind === 'fatal' && !run.isRequested);

/** An audit to its recorded end. One that the end of a term interrupts stays as it is: asked for, it is taken again by the next leader. */
export const auditOnce = async (deps: SyncDeps, requested: Run | null): Promise<AuditReport> => {
  // There is no place to go on from: what an earlier term left is ended here.
  if (requested === null) await deps.mirror.resumableRun('audit');
  const run = requested ?? (await deps.mirror.startRun('audit', false));
  try {
    const report = await audit(deps);
    if (report.stoppedBy === 'aborted') return report;
    await deps.mirror.transaction((tx) => tx.saveRun(run.id, { rowsSeen: report.rows, rowsWritten: report.queued + report.held }));
    const complete = report.stoppedBy === null;
    await deps.mirror.finishRun(run.id, { state: complete ? 'done' : 'failed', complete, error: report.stoppedBy });
    const found = report.queued + report.held > 0;
    deps.log[found ? 'warn' : 'info']({ run: run.id, contacts: report.rows, queued: report.queued, held: report.held }, 'audited');
    return report;
  } catch (error) {
    if (!deps.signal.aborted) await deps.mirror.finishRun(run.id, { state: 'failed', complete: false, error: 'internal_error' });
    throw error;
  }
};

/** What belongs behind a complete sweep, but is no part of it: what it meets does not make the sweep a failure. */
const quietly = async (deps: SyncDeps, work: () => Promise<unknown>, message: string): Promise<void> => {
  try {
    await work();
  } catch (error) {
    if (error instanceof LostLeadership) throw error;
    deps.log.warn(errorFields(error), message);
  }
};

const linkReasons = (deps: SyncDeps): readonly ('links' | 'activities')[] =>
  deps.capabilities.get().activities ? ['links', 'activities'] : ['links'];

/** Reads the links that no list told, in the lowest lane but the sweep's. */
export const backfillLinks = async (deps: SyncDeps, onProgress?: (read: number) => Promise<void>): Promise<CrmFailure | null> => {
  if ((await deps.mirror.countMarks(['links', 'activities'])) === 0) return null;
  return (await readMarks(deps, ['links', 'activities'], 'links', onProgress)).stoppedBy;
};

/** Nothing is known of the account yet, or not whether what is known is still so. */
export const needsSweep = async ({ mirror }: SyncDeps): Promise<boolean> => {
  const { firstSweepAt, identityHold } = await mirror.account();
  return firstSweepAt === null || identityHold?.swept === false;
};

/**
 * One pull (on an empty mirror the full load), the links that it found wanting, then the push until nothing is due.
 * @param onPulled what the pull, or the load, read and wrote
 */
export const syncOnce = async (
  deps: SyncDeps,
  memory: PushMemory,
  onPulled: (rows: { readonly rowsSeen: number; readonly rowsWritten: number }) => Promise<void> = async () => {},
): Promise<CrmFailure | null> => {
  const pulled = (await needsSweep(deps)) ? await sweepOnce(deps, 'sweep', null) : await pullOnce(deps, memory);
  await onPulled(pulled);
  if (pulled.stoppedBy !== null) return pulled.stoppedBy;
  const linked = await backfillLinks(deps);
  if (linked !== null && endsTheRound(linked)) return linked;
  for (;;) {
    const pushed = await pushDue(deps, memory);
    // A contact whose links cannot be read keeps no edit waiting; it is told in the end.
    if (pushed.stoppedBy !== null || pushed.contacts === 0) return pushed.stoppedBy ?? linked;
  }
};

/** What was asked for in SQL or by a command, done to its recorded end. */
export const serveRequest = async (deps: SyncDeps, memory: PushMemory, request: Run): Promise<CrmFailure | null> => {
  if (request.kind === 'resync' || request.kind === 'sweep') return (await sweepOnce(deps, request.kind, request)).stoppedBy;
  if (request.kind === 'audit') {
    await auditOnce(deps, request);
    return null;
  }
  const stoppedBy = await syncOnce(deps, memory, async ({ rowsSeen, rowsWritten }) => {
    await deps.mirror.transaction((tx) => tx.saveRun(request.id, { rowsSeen, rowsWritten }));
  });
  // Not ended but interrupted: the next leader takes it again.
  if (deps.signal.aborted) return stoppedBy;
  const state = stoppedBy === null ? 'done' : 'failed';
  await deps.mirror.finishRun(request.id, { state, complete: stoppedBy === null, error: stoppedBy?.code ?? null });
  return stoppedBy;
};

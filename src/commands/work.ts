/**
 * `sync`, `resync` and `audit`: a request in the database, served by the leading daemon where there is one and by this process otherwise; shown while
 * it goes, and told when it has ended.
 */
import type { App } from '../app.ts';
import type { CrmFailure } from '../domain/errors.ts';
import type { Clock } from '../ports/ambient.ts';
import type { RunRow, Status } from '../postgres/operator.ts';
import type { SyncDeps } from '../sync/deps.ts';
import { LeaderExists } from '../runtime/leadership.ts';
import { createPushMemory } from '../sync/push.ts';
import { backfillLinks, serveRequest } from '../sync/rounds.ts';
import type { Json } from './control.ts';
import { explainCode } from './explain.ts';
import { EXIT, Told, type ExitCode, type Io } from './io.ts';
import { createProgress, type Progress } from './progress.ts';
import { attentionLines, count, needsAttention } from './status.ts';

export interface WorkContext {
  readonly io: Io;
  readonly app: App;
  readonly clock: Clock;
}

const LOOK_EVERY_MS = 200;
/** Between two leaders nobody leads for up to a second: a run that is left for longer is nobody's. */
const LEADERLESS_MS = 1500;

/** `sync`: one pull (on an empty mirror the full load), then the push until nothing is due. */
export const runSync = async (context: WorkContext, options: Json): Promise<ExitCode> =>
  await waitFor(asAsked(context, options), await context.app.operator.request('sync', false));

/** With `--json` the result is for a program, on a terminal too. */
const asAsked = (context: WorkContext, { json }: Json): WorkContext =>
  json ? { ...context, io: { ...context.io, outIsTerminal: false } } : context;

export interface ResyncOptions extends Json {
  readonly links: boolean;
  readonly wait: boolean;
}

/** `resync`: the whole account again, with `links` every contact's links too. */
export const runResync = async (asking: WorkContext, { links, wait, json }: ResyncOptions): Promise<ExitCode> => {
  const context = asAsked(asking, { json });
  const { io, app } = context;
  const runId = await app.operator.request('resync', links);
  if (wait) return await waitFor(context, runId);
  const { leader } = await app.operator.status();
  if (!io.outIsTerminal) io.out(JSON.stringify({ run_id: runId }));
  else io.out(`Run ${runId} is asked for.`);
  if (leader === null) io.err('No daemon is running: the next one, or the next `sync` or `resync`, does it.');
  return EXIT.done;
};

/** `audit`: look for edits that no trigger saw, queue them, and hold what is gone without a deletion. */
export const runAudit = async (context: WorkContext, options: Json): Promise<ExitCode> =>
  await waitFor(asAsked(context, options), await context.app.operator.request('audit', false));

const waitFor = async (context: WorkContext, runId: number): Promise<ExitCode> => {
  const { io, app, clock } = context;
  const startedMs = clock.monotonicMs();
  const shown = showRuns(context, createProgress(io, clock));
  try {
    for (;;) {
      const run = await untilEnded(context, runId);
      if (run === 'stopped') {
        await shown.stop(false);
        io.err(`Stopped. Run ${runId} stays asked for: a daemon, or the next \`sync\` or \`resync\`, goes on with it.`);
        return EXIT.done;
      }
      if (run !== 'nobody leads') {
        await shown.stop(run.state === 'done' && linksLeft(run) === 0);
        return tell(io, await toEnded(app, run), clock.monotonicMs() - startedMs);
      }
      await app.asLeader(io.signal, (deps) => serve(deps, runId)).catch(unlessLed);
    }
  } finally {
    await shown.stop(false);
  }
};

/** Somebody was faster: the run is theirs. */
const unlessLed = (error: unknown): void => {
  if (!(error instanceof LeaderExists)) throw error;
};

/** As the leader: everything that was asked for, ours among it, and the links that a resync wants read. */
const serve = async (deps: SyncDeps, runId: number): Promise<void> => {
  const memory = createPushMemory();
  const next = async () => (await deps.mirror.takeRequest()) ?? (await deps.mirror.resumableRun('resync'));
  for (let request = await next(); request !== null; request = await next()) {
    const failed = await serveRequest(deps, memory, request);
    if (deps.signal.aborted || failed?.code === 'paused') return;
    if (failed === null && request.withLinks) reportLinks(deps, await backfillLinks(deps));
    if (request.id === runId) return;
  }
};

const reportLinks = ({ log }: SyncDeps, failed: CrmFailure | null): void => {
  if (failed !== null) log.warn({ code: failed.code, status: failed.status }, 'the links could not all be read');
};

/** Until the run has ended, its back-fill of links included; or nobody is there to serve it; or we are asked to stop. */
const untilEnded = async ({ io, app, clock }: WorkContext, runId: number): Promise<RunRow | 'nobody leads' | 'stopped'> => {
  let leaderSeenMs = clock.monotonicMs();
  let saidPaused = false;
  for (;;) {
    const [run, { leader, paused }] = [await app.operator.run(runId), await app.operator.status()];
    if (run === null) throw new Told(`Run ${runId} is gone: somebody deleted it from sync.runs.`);
    const open = run.state === 'requested' || run.state === 'running';
    if (!open && (leader === null || linksLeft(run) === 0)) return run;
    if (io.signal.aborted) return 'stopped';
    if (paused && leader === null)
      throw new Told(`The mirror is paused, so nothing was done. To go on: relate-mirror resume (run ${runId} stays asked for)`);
    if (paused && !saidPaused) io.err('The mirror is paused; waiting for: relate-mirror resume');
    saidPaused = paused;
    const now = clock.monotonicMs();
    if (leader !== null) leaderSeenMs = now;
    // Never led at all: no need to wait for a lease to run out.
    else if (run.state === 'requested' || now - leaderSeenMs > LEADERLESS_MS) return 'nobody leads';
    await clock.sleep(LOOK_EVERY_MS, io.signal);
  }
};

/** Contacts whose links this run wanted read and that were not yet. */
const linksLeft = (run: RunRow): number => (run.with_links && run.state === 'done' ? run.marks : 0);

/** Shows the run that is under way, whoever works on it, until stopped. */
const showRuns = ({ app, clock }: WorkContext, progress: Progress): { stop(complete: boolean): Promise<void> } => {
  const stopped = new AbortController();
  const look = async (): Promise<void> => {
    const run = await app.operator.currentRun();
    if (run?.state === 'running' && run.expected !== null) {
      progress.show({
        phase: run.pass !== null && run.pass > 1 ? `pass ${run.pass}` : 'contacts',
        done: run.rows_seen,
        total: run.expected,
      });
    } else if (run !== null && run.marks > 0) {
      progress.show({ phase: 'links', done: Math.max(0, run.rows_seen - run.marks), total: run.rows_seen });
    }
  };
  const watch = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      // A look that fails is followed by another; whoever waits for the run gets to know of a database that is gone.
      await look().catch(() => undefined);
      await clock.sleep(LOOK_EVERY_MS, stopped.signal);
    }
  };
  const done = watch();
  return {
    stop: async (complete) => {
      stopped.abort();
      await done;
      progress.end(complete);
    },
  };
};

interface EndedRun {
  readonly run: RunRow;
  /** What waits now. */
  readonly status: Status;
  /** Edits that reached the CRM meanwhile. */
  readonly pushed: number;
}

const toEnded = async ({ operator }: App, run: RunRow): Promise<EndedRun> => {
  const [status, pushed] = await Promise.all([operator.status(), operator.pushedDuring(run.id)]);
  return { run, status, pushed };
};

const toLine = ({ run, status, pushed }: EndedRun): string => {
  const { id: run_id, kind, state, complete, rows_seen, rows_written, error } = run;
  const { contacts, queue_depth, parked, held, unknown, retry, open_conflicts } = status;
  const ended = { run_id, kind, state, complete, rows_seen, rows_written, pushed, links_left: linksLeft(run), error };
  return JSON.stringify({ ...ended, contacts, queue_depth, parked, held, unknown, retry, open_conflicts });
};

/** How it ended, and what is left for a person. */
const tell = (io: Io, ended: EndedRun, ms: number): ExitCode => {
  const { run, status } = ended;
  const ok = run.state === 'done' && linksLeft(run) === 0;
  if (!io.outIsTerminal) io.out(toLine(ended));
  else if (ok) io.out(`${describeRun(ended)}, in ${(ms / 1000).toFixed(1)} s.`);
  if (!ok) io.err(describeFailure(run));
  if (io.outIsTerminal) for (const line of attentionLines(status)) io.out(line);
  if (!ok) return EXIT.failed;
  return needsAttention(status) ? EXIT.attention : EXIT.done;
};

const describeRun = ({ run, status: { contacts }, pushed }: EndedRun): string => {
  if (run.kind === 'resync') return `Resynced: ${count(run.rows_seen, 'contact')} read, ${count(run.rows_written, 'row')} written`;
  if (run.kind !== 'audit')
    return `Synced: ${count(run.rows_written, 'row')} changed here, ${count(pushed, 'edit')} pushed, ${count(contacts, 'contact')} in the mirror`;
  const found =
    run.rows_written === 0 ? 'nothing found' : `${count(run.rows_written, 'contact')} with edits that no trigger saw, queued or held`;
  return `Audited: ${count(run.rows_seen, 'contact')} compared, ${found}`;
};

const describeFailure = (run: RunRow): string => {
  if (run.state === 'partial') {
    return `The ${run.kind} ended partial: not every contact of the account could be seen, so nothing was taken for deleted. Run it again.`;
  }
  if (run.state === 'done')
    return `The ${run.kind} is done, but the links of ${count(linksLeft(run), 'contact')} could not be read. Run it again.`;
  return `The ${run.kind} failed: ${run.error ?? 'unknown'}. ${explainCode(run.error)}.`;
};

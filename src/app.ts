/**
 * The composition root: one readable function wires everything to everything. Commands, tests and the demo start here; nothing else
 * knows both the CRM's and the database's side.
 */
import { hostname } from 'node:os';
import type { Config } from './config.ts';
import { createCrm } from './crm/contacts.ts';
import { createPacing } from './crm/pacing.ts';
import { probeCapabilities } from './crm/probe.ts';
import type { Clock, Log, Random } from './ports/ambient.ts';
import type { Crm } from './ports/crm.ts';
import type { Mirror } from './ports/mirror.ts';
import { createListener } from './postgres/listen.ts';
import { createLease } from './postgres/lock.ts';
import { createMirror } from './postgres/mirror.ts';
import { createOperator, type Operator } from './postgres/operator.ts';
import { createPool } from './postgres/pool.ts';
import { createDaemon } from './runtime/daemon.ts';
import type { Service } from './runtime/service.ts';
import type { SyncDeps, SyncSettings } from './sync/deps.ts';
import { createCapabilityStore, probeOnce } from './sync/rounds.ts';

export interface AppOptions {
  readonly config: Config;
  /** The mirror's database; the embedded server's where the configuration names none. */
  readonly databaseUrl: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface App {
  readonly crm: Crm;
  readonly mirror: Mirror;
  readonly operator: Operator;
  /** Waits for leadership, then keeps both sides in step until it is stopped. */
  readonly daemon: Service;
  /**
   * Runs one piece of work as the leader. Rejects with LeaderExists where another process leads; ended early, its calls are given up.
   */
  asLeader<T>(signal: AbortSignal, work: (deps: SyncDeps) => Promise<T>): Promise<T>;
  /** Ends all connections. Safe to call twice. */
  close(): Promise<void>;
}

/** Another process leads this mirror. */
export class LeaderExists extends Error {
  override readonly name = 'LeaderExists';
}

/** Connections of the pool: each worker of the push one, and one each for pull, sweep, links and the rest. */
const POOL_MAX = 12;
const PUSH_CONCURRENCY = 6;
/** A commit may come this late behind the `updated_at` that it carries. */
const OVERLAP_MS = 120_000;
const FRESH_MS = 5_000;

export const createApp = ({ config, databaseUrl, clock, random, log }: AppOptions): App => {
  const pool = createPool({ connectionString: databaseUrl, max: POOL_MAX, applicationName: 'relate-mirror', log });
  const directUrl = config.databaseListenUrl ?? databaseUrl;
  const pacing = createPacing({
    clock,
    share: config.crmRateShare,
    ...(config.crmRatePerMinute === null ? {} : { ratePerMinute: config.crmRatePerMinute }),
  });
  const crm = createCrm({ url: config.crmUrl, token: config.crmToken, timeoutMs: config.crmTimeoutMs, pacing, log });
  let pulledAt: Date | null = null;
  const lease = createLease({
    connectionString: directUrl,
    holder: `${hostname()} ${process.pid}`,
    clock,
    log,
    report: () => ({ lastPullAt: pulledAt, budgetLimit: pacing.status().limitPerMinute, budgetUsed: pacing.status().usedInWindow }),
  });
  const mirror = createMirror({ pool, lease, log, random });
  const store = createCapabilityStore(mirror);
  const settings = toSyncSettings(config);
  const depsFor = (signal: AbortSignal): SyncDeps => ({
    crm,
    mirror,
    clock,
    random,
    log,
    settings,
    capabilities: store,
    maySend: () => lease.holds(),
    signal,
  });
  const probe = async (deps: SyncDeps) => await probeOnce(deps, store, probeCapabilities);
  const createGraceMs = config.crmTimeoutMs + config.createRecheckMs;
  const daemon = createDaemon({
    depsFor,
    probe,
    clock,
    log,
    pullCron: config.pullCron,
    sweepCron: config.sweepCron,
    cronTimeZone: config.cronTimeZone,
    pushPollMs: config.pushPollMs,
    createGraceMs,
    onPulled: (at) => (pulledAt = at),
  });
  const listener = createListener({
    connectionString: directUrl,
    channels: ['relate_mirror_change', 'relate_mirror_request'],
    clock,
    log,
    onNotify: () => daemon.wake(),
  });

  return { crm, mirror, operator: createOperator(pool), daemon: leading(lease, listener, daemon), asLeader, close };
};

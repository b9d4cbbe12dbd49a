/**
 * The composition root: one readable function wires everything to everything. Commands, tests and the demo start here; nothing else
 * knows both the CRM's and the database's side.
 */
import { createMetrics } from './admin/metrics.ts';
import type { Role } from './admin/readiness.ts';
import { createRecentRows } from './admin/recent-rows.ts';
import { createAdmin, type Admin } from './admin/server.ts';
import type { Config } from './config.ts';
import { createCrm } from './crm/contacts.ts';
import { createPacing, type Pacing } from './crm/pacing.ts';
import { probeCapabilities } from './crm/probe.ts';
import type { CrmFailure } from './domain/errors.ts';
import type { Clock, Log, Random } from './ports/ambient.ts';
import type { Crm } from './ports/crm.ts';
import type { MirrorView } from './ports/mirror-view.ts';
import type { Lease, LeaseStatus } from './ports/lease.ts';
import type { Mirror } from './ports/mirror.ts';
import type { Service } from './ports/service.ts';
import { NO_TELEMETRY, tellAll, type Telemetry } from './ports/telemetry.ts';
import { createBiKeeper } from './postgres/bi.ts';
import { createHistoryKeeper } from './postgres/history.ts';
import { createCallRecorder } from './postgres/calls.ts';
import { createListener } from './postgres/listen.ts';
import { createLease, type LeaseReport } from './postgres/lock.ts';
import { createMirrorView } from './postgres/mirror-view.ts';
import { createMirror } from './postgres/mirror.ts';
import { createOperations } from './postgres/operations.ts';
import { createOperator, type Operator } from './postgres/operator.ts';
import { createPhoneForms } from './postgres/phone-forms.ts';
import { createPool, type Pool } from './postgres/pool.ts';
import { createCrmHealth, type CrmHealth } from './runtime/crm-health.ts';
import { createDaemon } from './runtime/daemon.ts';
import { aroundIt, createLeading, lead } from './runtime/leadership.ts';
import type { SyncDeps } from './sync/deps.ts';
import { countRows } from './sync/counted.ts';
import { checkIdentity } from './sync/identity.ts';
import { createEmptyView } from './sync/preview/empty-view.ts';
import { preview, type PreviewOptions } from './sync/preview/preview.ts';
import { createCapabilityStore, probeOnce } from './sync/rounds.ts';
import { tellTouched } from './sync/touched.ts';
import { toSyncSettings } from './sync-settings.ts';

export interface AppOptions {
  readonly config: Config;
  /** The mirror's database; the embedded server's where the configuration names none. */
  readonly databaseUrl: string;
  /** Names this process among all daemons of the database. */
  readonly holder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Whatever runs on may be watched over HTTP; left out: no server, for what ends by itself. */
  readonly http?: { readonly version: string; readonly nodeVersion: string };
}

export interface App {
  readonly crm: Crm;
  readonly pool: Pool;
  readonly mirror: Mirror;
  readonly operator: Operator;
  /** Waits for leadership, then keeps both sides in step until it is stopped. */
  readonly daemon: Service;
  /** Health, metrics, page and admin API; null where `http` was left out. */
  readonly admin: Admin | null;
  /**
   * Runs one piece of work as the leader. Rejects with LeaderExists where another process leads. When the signal fires nothing new begins,
   * and what is in flight has a few seconds to end; where it fires before we lead, the work is left undone.
   */
  asLeader(signal: AbortSignal, work: (deps: SyncDeps) => Promise<void>): Promise<void>;
  /** Ends all connections. Safe to call twice. */
  close(): Promise<void>;
}

/** CRM_URL is not the account that this mirror was filled from. The message says so for people. */
export class OtherAccount extends Error {
  override readonly name = 'OtherAccount';
}

/** Connections of the pool: each worker of the push one, and one each for pull, sweep, links and the rest. */
const POOL_MAX = 12;
/** Of the pool for looks from outside, and what one of its statements may take. */
const WATCH_POOL_MAX = 3;
const WATCH_STATEMENT_MS = 5_000;
const CHANGE_CHANNEL = 'relate_mirror_change';
const REQUEST_CHANNEL = 'relate_mirror_request';
const CHANNELS = [CHANGE_CHANNEL, REQUEST_CHANNEL] as const;

export const createApp = (options: AppOptions): App => {
  const { config, databaseUrl, holder, clock, random, log } = options;
  const directUrl = config.databaseListenUrl ?? databaseUrl;
  const pool = createPool({ connectionString: databaseUrl, max: POOL_MAX, applicationName: `relate-mirror ${holder}`, log });
  const watched = options.http === undefined ? null : createWatched(options, options.http);
  const recorder = createCallRecorder({ pool, clock, log });
  const crmHealth = createCrmHealth(clock);
  const told = [recorder, crmHealth].map(({ callEnded }) => ({ ...NO_TELEMETRY, callEnded }));
  let pulledAt: Date | null = null;
  // A sweep that ends began before the last pull did.
  const pulled = (since: Date) => (pulledAt = pulledAt === null || pulledAt < since ? since : pulledAt);
  const telemetry = tellAll([...told, { ...NO_TELEMETRY, pulled }, ...(watched?.listeners ?? [])]);
  const { crm, pacing } = createBudgetedCrm({ ...options, telemetry });
  const report = () => reportOf({ pulledAt, pullDueMs: daemon.pullDueForMs(), crm: crmHealth.last(), budget: pacing.status() });
  const lease = createLease({ connectionString: directUrl, holder, clock, log, report });
  const keepers = createKeepers(options, pool);
  const mirror = tellTouched(countRows(createMirror({ pool, lease, log, random }), telemetry), (ids) => keepers.phones.touched(ids));
  const capabilities = createCapabilityStore(mirror);
  const settings = toSyncSettings(config);
  const maySend = () => lease.holds();
  const depsFor = (signal: AbortSignal, giveUp: AbortSignal): SyncDeps => ({
    crm,
    mirror,
    clock,
    random,
    log,
    telemetry,
    settings,
    capabilities,
    maySend,
    signal,
    giveUp,
  });
  const probe = async (deps: SyncDeps) => await probeOnce(deps, capabilities, probeCapabilities);
  const createGraceMs = config.crmTimeoutMs + config.createRecheckMs;
  const askIdentity = async (deps: SyncDeps, again = false) => await checkIdentity(deps, config.crmUrl, again);
  const daemon = createDaemon({ ...config, depsFor, checkIdentity: askIdentity, probe, clock, log, createGraceMs, ...keepers });
  const onNotify = (channel: string) => daemon.wake(channel === REQUEST_CHANNEL ? 'request' : 'edit');
  const listener = createListener({ connectionString: directUrl, channels: CHANNELS, clock, log, onNotify });
  const service = aroundIt(recorder, createLeading(lease, listener, daemon, log));
  const admin = watched?.serve({ pool, lease, pacing, crmHealth }) ?? null;
  return {
    crm,
    mirror,
    pool,
    operator: createOperator(pool),
    daemon: service,
    admin,
    asLeader: async (signal, work) =>
      await lead({ lease, clock, signal }, async (term, giveUp) => {
        const deps = depsFor(term, giveUp);
        await mirror.recoverAttempts(createGraceMs);
        const { verdict, holdId, reason } = await askIdentity(deps);
        if (verdict === 'other_account')
          throw new OtherAccount(`${reason ?? 'CRM_URL is another account'}: select sync.approve(${holdId});`);
        const failed = await probe(deps);
        if (failed !== null) log.warn({ code: failed.code }, 'the CRM could not be probed');
        await keepers.history.begin(term);
        await work(deps);
        await keepAll(keepers, term);
      }),
    close: async () => {
      await service.stop();
      await admin?.stop();
      crm.close();
      await recorder.flush();
      await watched?.close();
      if (!pool.ended) await pool.end();
    },
  };
};

/** What looks after things of the database's own. */
const createKeepers = ({ config, databaseUrl, log }: AppOptions, pool: Pool) => ({
  history: createHistoryKeeper({ connectionString: databaseUrl, days: config.historyDays, log }),
  bi: createBiKeeper({ connectionString: databaseUrl, pool, log }),
  phones: createPhoneForms({ connectionString: databaseUrl, loadReader: loadPhoneReader, log }),
});
const keepAll = async ({ history, bi, phones }: ReturnType<typeof createKeepers>, term: AbortSignal): Promise<void> => {
  for (const keeper of [history, bi]) await keeper.keepOnce(term);
  await phones.keepOnce(term, true);
  await phones.close();
};

/** Its rules are large, and most commands read no phone number. */
const loadPhoneReader = async () => (await import('./phones/read-phones.ts')).createPhoneReader();

/** The CRM behind the one budget. For what needs no mirror; everything else gets it from `createApp`. */
export const createBudgetedCrm = ({
  config,
  clock,
  log,
  telemetry = NO_TELEMETRY,
}: Pick<AppOptions, 'config' | 'clock' | 'log'> & { readonly telemetry?: Telemetry }) => {
  const { crmUrl: url, crmToken: token, crmTimeoutMs: timeoutMs, crmRateShare: share, crmRatePerMinute: ratePerMinute } = config;
  const pacing = createPacing({ clock, share, ...(ratePerMinute === null ? {} : { ratePerMinute }) });
  return { crm: createCrm({ url, token, timeoutMs, pacing, log, telemetry }), pacing };
};

export interface Preview {
  /** Whether CRM_URL is the account that the mirror was filled from; a mirror that is empty is anybody's. */
  isOwnAccount(): Promise<boolean>;
  run(options: PreviewOptions): Promise<CrmFailure | null>;
  close(): Promise<void>;
}

/** A dry run of both directions, wired: reads of the database in transactions that may not write, reads of the CRM, no lease. */
export const createPreview = (
  { config, databaseUrl, clock, random, log }: Omit<AppOptions, 'holder' | 'databaseUrl'> & { readonly databaseUrl: string | null },
  signal: AbortSignal,
): Preview => {
  const pool =
    databaseUrl === null ? null : createPool({ connectionString: databaseUrl, max: 2, applicationName: 'relate-mirror plan', log });
  const { crm, pacing } = createBudgetedCrm({ config, clock, log });
  const nothing = createEmptyView(clock);
  const there = pool === null ? nothing : createMirrorView(pool);
  // A database without the schemas is a mirror that is still to be made.
  const viewed = async (): Promise<MirrorView> => ((await there.isThere()) ? there : nothing);
  const settings = toSyncSettings(config);
  const callsPerMinute = () => pacing.status().limitPerMinute;
  return {
    isOwnAccount: async () => {
      const known = await (await viewed()).crmUrl();
      return known === null || known === config.crmUrl;
    },
    run: async (options) => {
      const view = await viewed();
      return await preview({ view, crm, probe: probeCapabilities, settings, clock, random, log, signal, callsPerMinute }, options);
    },
    close: async () => {
      crm.close();
      await pool?.end();
    },
  };
};

interface Known {
  readonly pulledAt: Date | null;
  readonly pullDueMs: number | null;
  readonly crm: ReturnType<CrmHealth['last']>;
  readonly budget: ReturnType<Pacing['status']>;
}

/** What this process tells everybody while it leads. */
const reportOf = ({ pulledAt, pullDueMs, crm, budget }: Known): LeaseReport => ({
  lastPullAt: pulledAt,
  pullDueSeconds: pullDueMs === null ? null : pullDueMs / 1000,
  budgetLimit: budget.limitPerMinute,
  budgetUsed: budget.usedInWindow,
  crmErrorCode: crm === null || crm.up ? null : crm.code,
  crmSeenSeconds: crm === null ? null : crm.ageMs / 1000,
});

/** What the server shows of this process. */
interface Seen {
  readonly pool: Pool;
  readonly lease: Lease;
  readonly pacing: Pacing;
  readonly crmHealth: CrmHealth;
}

/** What tells of the work over HTTP, and what it is told. */
const createWatched = ({ config, databaseUrl, holder, clock, log }: AppOptions, versions: NonNullable<AppOptions['http']>) => {
  const metrics = createMetrics(versions);
  const rows = createRecentRows(clock);
  const watchPool = createPool({
    connectionString: databaseUrl,
    max: WATCH_POOL_MAX,
    applicationName: `relate-mirror ${holder}`,
    statementTimeoutMs: WATCH_STATEMENT_MS,
    log,
  });
  const serve = ({ pool, lease, pacing, crmHealth }: Seen): Admin =>
    createAdmin({
      host: config.httpHost,
      port: config.httpPort,
      adminToken: config.adminToken,
      operations: createOperations({ watchPool, pool }),
      metrics,
      crmHealth,
      rows,
      role: () => roleOf(lease.status()),
      budget: () => ({ limit: pacing.status().limitPerMinute, used: pacing.status().usedInWindow }),
      clock,
      log,
    });
  return {
    listeners: [metrics, { ...NO_TELEMETRY, rowsMoved: rows.rowsMoved }],
    serve,
    close: async () => {
      if (!watchPool.ended) await watchPool.end();
    },
  };
};

const roleOf = ({ state }: LeaseStatus): Role => (state === 'stopped' ? 'starting' : state);

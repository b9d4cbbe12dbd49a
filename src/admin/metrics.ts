/**
 * What Prometheus reads. Counters and histograms are told while the work is done (`Telemetry`); gauges are read at scrape time, from one look
 * at the database and from this process itself. What cannot be known now is left out: an old number would look like a new one.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Telemetry } from '../ports/telemetry.ts';
import type { PoolCounts } from '../ports/operations.ts';
import type { CrmHealth, LastCall } from '../runtime/crm-health.ts';
import type { Role } from './readiness.ts';
import type { Sight } from './watch.ts';

const METRIC_PREFIX = 'relate_mirror_';

/** Calls that this process may make a minute, and made in the last. */
export interface BudgetUse {
  readonly limit: number;
  readonly used: number;
}

export interface Facts {
  readonly sight: Sight;
  readonly role: Role;
  /** Of this process; a standby makes no calls, and has the leader's word in the database. */
  readonly budget: BudgetUse;
  readonly pool: PoolCounts;
  readonly crm: ReturnType<CrmHealth['last']>;
}

export interface Metrics extends Telemetry {
  readonly contentType: string;
  /** All of it, in Prometheus' text format. */
  render(facts: Facts): Promise<string>;
  /** Without the prefix of each; of the process' own metrics none. */
  readonly names: readonly string[];
}

export interface MetricsOptions {
  readonly version: string;
  readonly nodeVersion: string;
}

const CALL_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const COMMIT_TO_CALL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300];

type Reading = (facts: Facts) => number | null;
const ofStatus =
  (read: (overview: NonNullable<Sight['overview']>) => number | null): Reading =>
  ({ sight: { overview } }) =>
    overview === null ? null : read(overview);

/** Who led once and does not any more knows nothing of the CRM by now. */
const ofLastCall =
  (read: (last: LastCall) => boolean): Reading =>
  ({ role, crm }) =>
    role !== 'leading' || crm === null ? null : Number(read(crm));

const budgetOf = ({ role, budget, sight }: Facts): BudgetUse | null => {
  if (role === 'leading') return budget;
  const { budget_limit: limit = null, budget_used: used = null } = sight.overview?.status ?? {};
  return limit === null ? null : { limit, used: used ?? 0 };
};

const GAUGES: { readonly [name: string]: { readonly help: string; readonly read: Reading } } = {
  queue_depth: {
    help: 'Edits that are not settled yet, the parked and the held aside',
    read: ofStatus(({ status }) => status.queue_depth),
  },
  oldest_pending_age_seconds: {
    help: 'Age of the oldest edit that no attempt has taken yet; 0 where there is none',
    read: ofStatus(({ oldestPendingSeconds }) => oldestPendingSeconds),
  },
  pull_lag_seconds: {
    help: 'Time since a changes pull last went through; absent before the first',
    read: ofStatus(({ status }) => status.pull_lag_seconds),
  },
  push_lag_seconds: {
    help: 'Age of the oldest edit that is not settled, the parked and the held aside; 0 where there is none',
    read: ofStatus(({ status }) => status.push_lag_seconds),
  },
  budget_limit_calls: { help: 'Calls of the CRM that may be made a minute', read: (facts) => budgetOf(facts)?.limit ?? null },
  budget_used_calls: { help: 'Calls of the CRM made in the last minute', read: (facts) => budgetOf(facts)?.used ?? null },
  budget_remaining_calls: {
    help: 'Calls of the CRM left in this minute',
    read: (facts) => {
      const budget = budgetOf(facts);
      return budget === null ? null : Math.max(0, budget.limit - budget.used);
    },
  },
  open_conflicts: { help: 'Conflicts that wait for a person', read: ofStatus(({ status }) => status.open_conflicts) },
  parked: { help: 'Edits and records that need a person', read: ofStatus(({ status }) => status.parked) },
  held: { help: 'Changes that wait for the approval of a hold', read: ofStatus(({ status }) => status.held) },
  unknown: { help: 'Edits whose call has an unknown outcome', read: ofStatus(({ status }) => status.unknown) },
  retry: { help: 'Edits that wait for another try', read: ofStatus(({ status }) => status.retry) },
  holds_open: { help: 'Holds that wait for a decision', read: ofStatus(({ holdsOpen }) => holdsOpen) },
  contacts: { help: 'Contacts in the mirror', read: ofStatus(({ status }) => status.contacts) },
  last_complete_sweep_age_seconds: {
    help: 'Time since everything was last compared; absent before the first time',
    read: ofStatus(({ sweepAgeSeconds }) => sweepAgeSeconds),
  },
  leader: { help: '1: this process leads', read: ({ role }) => Number(role === 'leading') },
  has_leader: { help: '1: some process leads', read: ofStatus(({ status }) => Number(status.leader !== null)) },
  paused: { help: '1: a person has paused the mirror', read: ofStatus(({ status }) => Number(status.paused)) },
  identity_stopped: {
    help: '1: nothing is pushed, because database or account is not the one that the mirror was filled from',
    read: ofStatus(({ status }) => Number(status.identity_hold !== null)),
  },
  crm_up: {
    help: '1: the last call was answered by the CRM itself; 0: refused, unreachable or answered by something else; absent where no calls are made',
    read: ofLastCall(({ up }) => up),
  },
  crm_refused: {
    help: '1: the CRM refuses the token or its user; nothing works until a person acts; absent where no calls are made',
    read: ofLastCall(({ needsPerson }) => needsPerson),
  },
  database_up: { help: '1: Postgres answers', read: ({ sight }) => Number(sight.isDatabaseUp) },
};

export const createMetrics = ({ version, nodeVersion }: MetricsOptions): Metrics => {
  const registry = new Registry();
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: `${METRIC_PREFIX}${name}`, help, registers });
  const gauges = Object.entries(GAUGES).map(([name, { help, read }]) => ({ gauge: new Gauge(named(name, help)), read }));
  const calls = new Counter({ ...named('crm_calls_total', 'Calls of the CRM'), labelNames: ['endpoint', 'outcome'] });
  const seconds = new Histogram({
    ...named('crm_call_duration_seconds', 'Time of a call, from its turn to its end'),
    labelNames: ['endpoint'],
    buckets: CALL_SECONDS,
  });
  const limited = new Counter(named('rate_limited_total', 'Calls that the CRM answered with 429'));
  const sent = new Histogram({
    ...named('commit_to_call_seconds', 'Time from a local edit to the first byte of the call that carries it'),
    buckets: COMMIT_TO_CALL_SECONDS,
  });
  const rows = new Counter({
    ...named('rows_total', 'Contacts written to the mirror (pull) and edits ended (push)'),
    labelNames: ['direction', 'outcome'],
  });
  const connections = new Gauge({ ...named('pool_connections', 'Connections to Postgres that the sync works on'), labelNames: ['state'] });
  const build = new Gauge({ ...named('build_info', 'Always 1'), labelNames: ['version', 'node'] });
  build.set({ version, node: nodeVersion }, 1);
  const names = registry.getMetricsAsArray().map(({ name }) => name.slice(METRIC_PREFIX.length));
  collectDefaultMetrics({ register: registry, prefix: METRIC_PREFIX });
  // Gauges that call themselves totals: `promtool check metrics` refuses them, and what they count is told by type beside them.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`${METRIC_PREFIX}nodejs_active_${what}_total`);

  return {
    contentType: registry.contentType,
    names,
    callEnded: ({ endpoint, outcome, seconds: took }) => {
      calls.inc({ endpoint, outcome });
      seconds.observe({ endpoint }, took);
      if (outcome === 'rate_limited') limited.inc();
    },
    editSent: (took) => sent.observe(took),
    rowsMoved: ({ direction, outcome, rows: count }) => rows.inc({ direction, outcome }, count),
    // The gauge is what sync.status says.
    pulled: () => {},
    render: async (facts) => {
      for (const { gauge, read } of gauges) {
        const value = read(facts);
        if (value === null) gauge.remove();
        else gauge.set(value);
      }
      const { total, idle, waiting } = facts.pool;
      for (const [state, count] of Object.entries({ total, idle, waiting })) connections.set({ state }, count);
      return await registry.metrics();
    },
  };
};

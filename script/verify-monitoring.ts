/**
 * Checks deploy/monitoring without the images that it is for: with Debian's Prometheus, and against a daemon that runs.
 *
 * - promtool checks the configuration and the rules, and runs the rules' unit tests.
 * - promtool checks what /metrics of a real daemon says.
 * - A real Prometheus scrapes that daemon with the rules loaded: each rule is evaluated without an error, a healthy mirror raises no alert, and
 *   each query of the dashboard is understood and finds something, with metrics and labels that /metrics has.
 * - The dashboards' SQL runs as somebody who has the role relate_mirror_reader; that of the contacts, and its answers, is looked at by
 *   test/bi/dashboard.test.ts.
 *
 *   npm run verify:monitoring
 *
 * Exit code 1 and a line for each thing that is not so.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { openDrillWorld, until, type DrillWorld } from '../test/drill/world.ts';
import {
  CONTACTS_DASHBOARD,
  filledIn,
  macrosFilledIn,
  metricsIn,
  MONITORING,
  readDashboard,
  readPanels,
  readRules,
} from '../test/monitoring/files.ts';
import { hasPrometheus, JOB } from '../test/monitoring/prometheus.ts';

const SCRAPED_MS_MAX = 30_000;
const HALF_A_YEAR_MS = 183 * 86_400_000;
/** A rate over this needs a few scrapes, one a second. */
const RATE_INTERVAL = '20s';
const EDITS_SCRAPED = `rate(relate_mirror_commit_to_call_seconds_count[${RATE_INTERVAL}]) > 0`;
/** Nothing has failed, and nothing was handed over, in a mirror that is well. */
const MAY_FIND_NOTHING = new Set(['Calls a minute that failed, by outcome', 'Takeovers']);

const problems: string[] = [];
const check = (what: string, found: readonly string[]): void => {
  console.log(`${found.length === 0 ? 'ok  ' : 'FAIL'}  ${what}`);
  for (const line of found) console.log(`      ${line}`);
  problems.push(...found);
};

/** Answers what it said where it was not content. */
const promtool = async (args: readonly string[], input?: string): Promise<readonly string[]> => {
  const child = spawn('promtool', args, { cwd: MONITORING, stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number];
  return code === 0 ? [] : said.trim().split('\n');
};

/** prom-client's own metrics of a Node process: gauges that it calls totals. */
const NAMED_BY_THE_LIBRARY = /^relate_mirror_nodejs_active_\w+_total non-counter metrics should not have "_total" suffix$/;

/** The names of labels that each metric has at /metrics. */
const labelsOf = (metrics: string): ReadonlyMap<string, ReadonlySet<string>> => {
  const labels = new Map<string, Set<string>>();
  for (const [, metric = '', text = ''] of metrics.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const known = labels.get(metric) ?? new Set();
    for (const [, label = ''] of text.matchAll(/(\w+)="/g)) known.add(label);
    labels.set(metric, known);
  }
  return labels;
};

/** Which metrics and labels an expression asks for in vain. */
const unknownIn = (expression: string, labels: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] =>
  metricsIn(expression).flatMap(({ metric, labels: asked }) => {
    const known = labels.get(metric);
    if (known === undefined) return [`/metrics has no ${metric}`];
    return asked.flatMap((label) => (known.has(label) ? [] : [`${metric} has no label ${label}`]));
  });

const checkFiles = async (): Promise<void> => {
  check('promtool check config prometheus.yml', await promtool(['check', 'config', 'prometheus.yml']));
  check('promtool check rules alerts.yml', await promtool(['check', 'rules', 'alerts.yml']));
  check('promtool test rules alerts.test.yml', await promtool(['test', 'rules', 'alerts.test.yml']));
};

/** Edits on both sides, so that every counter and histogram has something to tell. */
const makeTraffic = async (world: DrillWorld): Promise<void> => {
  const [first, second] = world.account.contacts();
  for (let n = 0; n < 5; n += 1) {
    await world.sql(`update crm.contacts set city = 'Edit ' || $1 where crm_id = $2`, [String(n), first?.id]);
    world.account.update(second?.id ?? 0, { job_title: `Edit ${n}` });
    await until('the edit is pushed', () => world.account.contact(first?.id ?? 0)?.city === `Edit ${n}`, SCRAPED_MS_MAX);
  }
};

const checkDashboard = async ({ prometheus }: DrillWorld, labels: ReadonlyMap<string, ReadonlySet<string>>): Promise<void> => {
  const { promql } = readDashboard();
  const found: string[] = [];
  for (const { panel, query } of promql) {
    found.push(...unknownIn(query, labels).map((line) => `${panel}: ${line}`));
    try {
      const filled = filledIn(query, JOB, RATE_INTERVAL);
      const samples = await prometheus.query(filled);
      if (samples.length === 0 && !MAY_FIND_NOTHING.has(panel)) found.push(`${panel}: finds nothing: ${filled}`);
    } catch (error) {
      found.push(`${panel}: ${String(error)}`);
    }
  }
  check(`dashboard: ${promql.length} queries, understood, with metrics and labels that are there, and with an answer`, found);
  const [inStep] = await prometheus.query(filledIn(promql.find(({ panel }) => panel === 'In step')?.query ?? '', JOB, RATE_INTERVAL));
  check('dashboard: a mirror that is in step is shown as such', inStep?.value === 1 ? [] : [`"In step" is ${inStep?.value ?? 'empty'}`]);
};

const checkSql = async ({ pool }: DrillWorld): Promise<void> => {
  const surroundings = { from: new Date(Date.now() - HALF_A_YEAR_MS), to: new Date(), timeZone: 'UTC' };
  const contacts = readPanels(CONTACTS_DASHBOARD).flatMap(({ title, targets }) =>
    targets.map(({ rawSql = '' }) => ({ panel: title, query: macrosFilledIn(rawSql, surroundings) })),
  );
  const sql = [...readDashboard().sql, ...contacts];
  const found: string[] = [];
  const client = await pool.connect();
  try {
    await client.query('set role relate_mirror_reader');
    for (const { panel, query } of sql) await client.query(query).catch((error: unknown) => found.push(`${panel}: ${String(error)}`));
    await client.query('reset role');
  } finally {
    client.release();
  }
  check(`dashboards: ${sql.length} SQL queries, as relate_mirror_reader`, found);
};

const checkRunning = async (): Promise<void> => {
  const world = await openDrillWorld(
    { small: true, seed: 1, progress: () => undefined },
    { rules: readFileSync(path.join(MONITORING, 'alerts.yml'), 'utf8') },
  );
  try {
    await until(
      'the daemon is scraped',
      async () => (await world.prometheus.query('relate_mirror_database_up == 1')).length > 0,
      SCRAPED_MS_MAX,
    );
    await makeTraffic(world);
    const metrics = await world.metrics();
    check(
      `promtool check metrics, of a daemon that runs (${metrics.split('\n').length} lines)`,
      (await promtool(['check', 'metrics'], metrics)).filter((line) => !NAMED_BY_THE_LIBRARY.test(line)),
    );
    const labels = labelsOf(metrics);
    const rules = readRules();
    check(
      'rules: metrics and labels that are there',
      rules.flatMap(({ alert, expr }) => unknownIn(expr, labels).map((line) => `${alert}: ${line}`)),
    );
    await until(
      'the rules are evaluated',
      async () => (await world.prometheus.rules()).every(({ health }) => health !== 'unknown'),
      SCRAPED_MS_MAX,
    );
    const health = await world.prometheus.rules();
    const ill = health.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => `${name}: ${lastError}`);
    check(
      `rules: ${health.length} evaluated by Prometheus`,
      health.length === rules.length ? ill : [...ill, `${health.length} of ${rules.length} rules are loaded`],
    );
    check('rules: a healthy mirror raises no alert', await world.prometheus.firing());
    // A rate is told from two scrapes with edits between them.
    await makeTraffic(world);
    await until('the edits are scraped', async () => (await world.prometheus.query(EDITS_SCRAPED)).length > 0, SCRAPED_MS_MAX);
    await checkDashboard(world, labels);
    await checkSql(world);
  } finally {
    await world.close();
  }
};

if (!(await hasPrometheus())) {
  console.error('prometheus is not installed; on Debian: apt-get install prometheus');
  process.exitCode = 2;
} else {
  const { stdout } = await promisify(execFile)('promtool', ['--version']);
  console.log(stdout.split('\n')[0]);
  await checkFiles();
  await checkRunning();
  console.log(problems.length === 0 ? 'Monitoring is as it should be.' : `${problems.length} problems`);
  if (problems.length > 0) process.exitCode = 1;
}

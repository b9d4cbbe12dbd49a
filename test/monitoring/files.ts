/** What stands in deploy/monitoring, as far as a check needs it: rules, their expressions, and the queries of the dashboard. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

export const MONITORING = path.join(import.meta.dirname, '..', '..', 'deploy', 'monitoring');
export const DASHBOARD = path.join(MONITORING, 'grafana', 'dashboards', 'relate-mirror.json');
/** Of the contacts themselves, over the schema bi. */
export const CONTACTS_DASHBOARD = path.join(MONITORING, 'grafana', 'dashboards', 'contacts.json');

const Rule = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'info']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
});
export type Rule = z.infer<typeof Rule>;
const Rules = z.object({ groups: z.array(z.object({ name: z.string(), rules: z.array(Rule) })) });

const Expectation = z.object({
  eval_time: z.string(),
  alertname: z.string(),
  exp_alerts: z.array(z.object({ exp_labels: z.record(z.string(), z.string()) })),
});
const RuleTests = z.object({ tests: z.array(z.object({ name: z.string(), alert_rule_test: z.array(Expectation) })) });

export const readYaml = (file: string): unknown => parse(readFileSync(path.join(MONITORING, file), 'utf8'));
export const readRules = (): readonly Rule[] => Rules.parse(readYaml('alerts.yml')).groups.flatMap(({ rules }) => rules);
export const readRuleTests = (): z.infer<typeof RuleTests>['tests'] => RuleTests.parse(readYaml('alerts.test.yml')).tests;

export interface PanelQuery {
  readonly panel: string;
  readonly query: string;
}
const Target = z.object({
  expr: z.string().optional(),
  rawSql: z.string().optional(),
  format: z.string().optional(),
  datasource: z.object({ uid: z.string() }).optional(),
});
/** What a value is shown as: a text and a colour by the value. */
const Mapping = z.object({ options: z.record(z.string(), z.unknown()) });
const Panel = z.object({
  id: z.number(),
  type: z.string(),
  title: z.string(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  targets: z.array(Target).default([]),
  options: z.object({ xField: z.string().optional() }).default({}),
  fieldConfig: z.object({ defaults: z.object({ mappings: z.array(Mapping).optional() }) }).default({ defaults: {} }),
});
export type Panel = z.infer<typeof Panel>;
const Dashboard = z.object({
  uid: z.string(),
  panels: z.array(Panel),
  annotations: z.object({ list: z.array(z.object({ name: z.string(), expr: z.string() })) }),
});

export const readPanels = (file: string): readonly Panel[] => Dashboard.parse(JSON.parse(readFileSync(file, 'utf8'))).panels;

/** The dashboard's PromQL and SQL, as they stand there. */
export const readDashboard = (): { readonly promql: readonly PanelQuery[]; readonly sql: readonly PanelQuery[] } => {
  const { panels, annotations } = Dashboard.parse(JSON.parse(readFileSync(DASHBOARD, 'utf8')));
  const promql = panels.flatMap(({ title, targets }) =>
    targets.flatMap(({ expr }) => (expr === undefined ? [] : [{ panel: title, query: expr }])),
  );
  const sql = panels.flatMap(({ title, targets }) =>
    targets.flatMap(({ rawSql }) => (rawSql === undefined ? [] : [{ panel: title, query: rawSql }])),
  );
  return { promql: [...promql, ...annotations.list.map(({ name, expr }) => ({ panel: name, query: expr }))], sql };
};

/** With Grafana's variables as it would fill them in. */
export const filledIn = (query: string, job: string, interval: string): string =>
  query.replaceAll('$job', job).replaceAll('$__rate_interval', interval);

/** What a dashboard's SQL knows of its surroundings. */
export interface Surroundings {
  readonly from: Date;
  readonly to: Date;
  readonly timeZone: string;
}
/** SQL with Grafana's macros and our variable as Grafana would fill them in. */
export const macrosFilledIn = (sql: string, { from, to, timeZone }: Surroundings): string =>
  sql
    .replaceAll(/\$__timeFilter\(([^)]+)\)/g, (_, column: string) => `${column} BETWEEN '${from.toISOString()}' AND '${to.toISOString()}'`)
    .replaceAll('${tz:sqlstring}', `'${timeZone}'`);

export interface MetricUse {
  readonly metric: string;
  /** That it is asked by. */
  readonly labels: readonly string[];
}

/** Labels that Prometheus adds to what it scrapes. */
const SCRAPED_LABELS = new Set(['job', 'instance']);

/** Our own metrics in an expression, with the labels of their matchers. */
export const metricsIn = (expression: string): readonly MetricUse[] =>
  [...expression.matchAll(/\b(relate_mirror_\w+)(?:\{([^}]*)\})?/g)].map(([, metric = '', matchers = '']) => ({
    metric,
    labels: [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].flatMap(([, label = '']) => (SCRAPED_LABELS.has(label) ? [] : [label])),
  }));

/**
 * Whether documents that name these explain a metric: a histogram is named once and asked for by its parts, and `relate_mirror_process_*` stands
 * for all that begin so.
 */
export const isExplained = (metric: string, named: ReadonlySet<string>): boolean =>
  named.has(metric) ||
  named.has(metric.replace(/_(?:bucket|sum|count)$/, '')) ||
  [...named].some((name) => name.endsWith('*') && metric.startsWith(name.slice(0, -1)));

/** What stands in deploy/monitoring without Prometheus and Grafana at hand: that it is whole, and that documents and rules name the same. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseDocument, plain, sectionOf, tableOf } from '../docs/markdown.ts';
import {
  CONTACTS_DASHBOARD,
  DASHBOARD,
  filledIn,
  isExplained,
  metricsIn,
  MONITORING,
  readDashboard,
  readPanels,
  readRules,
  readRuleTests,
  readYaml,
} from './files.ts';
import { shortenRules } from './shorten.ts';

const OPERATIONS = parseDocument('docs/operations.md', readFileSync(path.join(MONITORING, '..', '..', 'docs', 'operations.md'), 'utf8'));
const RULES = readRules();
const NAMES = [...new Set(RULES.map(({ alert }) => alert))];

describe('alerts', () => {
  it('are those of docs/operations.md, each with a section of its own', () => {
    const sections = [...sectionOf(OPERATIONS, 'Alerts').matchAll(/^### (\w+)$/gm)].map(([, name = '']) => name);
    expect(sections.toSorted()).toEqual(NAMES.toSorted());
  });

  it.each(RULES)('$alert ($labels.severity) leads to its own section', ({ alert, annotations }) => {
    expect(annotations.runbook_url).toBe(`docs/operations.md#${alert.toLowerCase()}`);
    expect(OPERATIONS.headings.map(({ anchor }) => anchor)).toContain(alert.toLowerCase());
  });

  it('are in the overview of docs/operations.md with their severities', () => {
    const rows = tableOf(sectionOf(OPERATIONS, 'Alerts'), 'alert').map(
      ([name = '', severity = '']) => `${plain(name)}: ${plain(severity)}`,
    );
    const severities = NAMES.map((name) => {
      const own = RULES.flatMap(({ alert, labels }) => (alert === name ? labels.severity : []));
      return `${name}: ${own.join(', ')}`;
    });
    expect(rows.toSorted()).toEqual(severities.toSorted());
  });

  it('with two rules have two severities, so that Prometheus tells them apart', () => {
    expect(new Set(RULES.map(({ alert, labels }) => `${alert} ${labels.severity}`)).size).toBe(RULES.length);
  });

  it('have unit tests that see each rule fire, each alert not fire, and a healthy mirror without any', () => {
    const checks = readRuleTests().flatMap(({ alert_rule_test: tests }) => tests);
    const fired = checks.flatMap(({ alertname, exp_alerts: alerts }) =>
      alerts.map((alert) => `${alertname} ${alert.exp_labels['severity']}`),
    );
    expect([...new Set(fired)].toSorted()).toEqual(RULES.map(({ alert, labels }) => `${alert} ${labels.severity}`).toSorted());
    const [healthy] = readRuleTests();
    expect([...new Set(healthy?.alert_rule_test.map(({ alertname }) => alertname))].toSorted()).toEqual(NAMES.toSorted());
    expect(healthy?.alert_rule_test.every(({ exp_alerts: alerts }) => alerts.length === 0)).toBe(true);
    for (const name of NAMES)
      expect(
        checks.some(
          ({ alertname, exp_alerts: alerts, eval_time: at }) => alertname === name && alerts.length === 0 && !['1h', '47h'].includes(at),
        ),
      ).toBe(true);
  });
});

describe('metrics', () => {
  const named = new Set(tableOf(sectionOf(OPERATIONS, 'Metrics'), 'metric').map(([name = '']) => plain(name)));
  const uses = [
    ...RULES.map(({ alert, expr }) => ({ where: alert, query: expr })),
    ...readDashboard().promql.map(({ panel, query }) => ({ where: panel, query })),
  ].flatMap(({ where, query }) => metricsIn(query).map(({ metric }) => ({ where, metric })));

  it('that rules and dashboard ask for are in docs/operations.md', () => {
    expect(uses.length).toBeGreaterThan(50);
    expect(uses.filter(({ metric }) => !isExplained(metric, named))).toEqual([]);
    expect(isExplained('relate_mirror_no_such_thing', named)).toBe(false);
  });

  it('of the unit tests are those of the rules, or what a rule leaves aside', () => {
    const tested = metricsIn(readFileSync(path.join(MONITORING, 'alerts.test.yml'), 'utf8')).map(({ metric }) => metric);
    expect(tested.filter((metric) => !isExplained(metric, named))).toEqual([]);
  });
});

describe('the dashboards', () => {
  it.each([DASHBOARD, CONTACTS_DASHBOARD])('%s has panels of one name and number each, that do not lie upon each other', (file) => {
    const panels = readPanels(file);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)}/${y + Math.floor(n / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describe('the dashboard', () => {
  const panels = readPanels(DASHBOARD);

  it('asks the data sources that are provisioned, and stands where the provider looks', () => {
    const sources = ['prometheus', 'postgres'].flatMap((name) => {
      const { datasources } = readYaml(`grafana/provisioning/datasources/${name}.yml`) as { datasources: { uid: string }[] };
      return datasources.map(({ uid }) => uid);
    });
    const asked = new Set(
      panels.flatMap(({ targets }) => targets.map(({ datasource }) => datasource?.uid)).filter((uid) => uid !== undefined),
    );
    expect([...asked].toSorted()).toEqual(sources.toSorted());
    expect(readYaml('grafana/provisioning/dashboards/relate-mirror.yml')).toMatchObject({
      providers: [{ options: { path: '/var/lib/grafana/dashboards' } }],
    });
    expect(existsSync(DASHBOARD)).toBe(true);
  });

  it('is filled in without a variable left', () => {
    for (const { query } of readDashboard().promql) expect(filledIn(query, 'relate-mirror', '1m')).not.toContain('$');
  });
});

describe('shortened rules', () => {
  const text = readFileSync(path.join(MONITORING, 'alerts.yml'), 'utf8');
  it('are the same rules, and no duration is left as it was', () => {
    const short = parse(shortenRules(text, 60)) as { groups: { rules: { alert: string; expr: string; for: string }[] }[] };
    const rules = short.groups.flatMap((group) => group.rules);
    expect(rules.map(({ alert }) => alert)).toEqual(RULES.map(({ alert }) => alert));
    const by = (name: string) => rules.find(({ alert }) => alert === name);
    expect(by('RelateMirrorCrmDown')?.for).toBe('5s');
    expect(by('RelateMirrorPullLagging')?.expr).toContain('> 10)');
    expect(by('RelateMirrorRateLimited')?.expr).toContain('[15s]');
    expect(by('RelateMirrorEventLoopBlocked')?.expr).toContain('> 0.5');
    expect(rules.filter(({ expr, for: wait }) => /\[\d+[mhd]\]/.test(expr) || !/^\d+s$/.test(wait))).toEqual([]);
  });
});

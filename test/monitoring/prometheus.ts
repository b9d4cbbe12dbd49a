/** A real Prometheus as a child process, that scrapes one job and evaluates rules; Debian's package brings it. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { z } from 'zod';
import { freePort } from '../../src/sandbox/postgres/server.ts';

export const JOB = 'relate-mirror';
const READY_MS_MAX = 30_000;
const LOOK_EVERY_MS = 100;

export interface Sample {
  readonly labels: { readonly [name: string]: string };
  readonly value: number;
}
export interface RuleHealth {
  readonly name: string;
  readonly health: string;
  readonly lastError: string;
}

export interface Prometheus {
  /** An instant query. Rejects with what Prometheus says of an expression that it does not understand. */
  query(expression: string): Promise<readonly Sample[]>;
  /** Names of the alerts that fire now, each once. */
  firing(): Promise<readonly string[]>;
  rules(): Promise<readonly RuleHealth[]>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

export interface PrometheusOptions {
  /** host:port of each process of the mirror. */
  readonly targets: readonly string[];
  /** The text of a rules file. */
  readonly rules: string;
  readonly intervalSeconds: number;
}

const Vector = z.object({
  data: z.object({ result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })) }),
});
const Alerts = z.object({ data: z.object({ alerts: z.array(z.object({ state: z.string(), labels: z.record(z.string(), z.string()) })) }) });
const Groups = z.object({
  data: z.object({
    groups: z.array(z.object({ rules: z.array(z.object({ name: z.string(), health: z.string(), lastError: z.string().default('') })) })),
  }),
});

/** Whether this machine has it. */
export const hasPrometheus = async (): Promise<boolean> =>
  await promisify(execFile)('prometheus', ['--version']).then(
    () => true,
    () => false,
  );

const configOf = ({ targets, intervalSeconds }: PrometheusOptions): string =>
  stringify({
    global: { scrape_interval: `${intervalSeconds}s`, scrape_timeout: `${intervalSeconds}s`, evaluation_interval: `${intervalSeconds}s` },
    rule_files: ['rules.yml'],
    scrape_configs: [{ job_name: JOB, static_configs: [{ targets }] }],
  });

export const startPrometheus = async (options: PrometheusOptions): Promise<Prometheus> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'relate-mirror-prometheus-'));
  await writeFile(path.join(folder, 'prometheus.yml'), configOf(options));
  await writeFile(path.join(folder, 'rules.yml'), options.rules);
  const address = `127.0.0.1:${await freePort()}`;
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${address}`];
  const child = spawn('prometheus', [...args, '--log.level=warn'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  const ended = once(child, 'exit').then(() => undefined);
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    process.off('exit', kill);
    await rm(folder, { recursive: true, force: true });
  };
  const ask = async (what: string): Promise<unknown> => {
    const answer = await fetch(`http://${address}/api/v1/${what}`);
    const body: unknown = await answer.json();
    if (!answer.ok) throw new Error(`Prometheus: ${(body as { error?: string }).error ?? answer.status}`);
    return body;
  };
  const deadlineMs = performance.now() + READY_MS_MAX;
  while (
    !(await fetch(`http://${address}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      await stop();
      throw new Error(`Prometheus did not start: ${said.slice(-2_000)}`);
    }
    await pause(LOOK_EVERY_MS);
  }
  return {
    query: async (expression) => {
      const { data } = Vector.parse(await ask(`query?query=${encodeURIComponent(expression)}`));
      return data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
    },
    firing: async () => {
      const { data } = Alerts.parse(await ask('alerts'));
      return [...new Set(data.alerts.flatMap(({ state, labels }) => (state === 'firing' ? (labels['alertname'] ?? []) : [])))].toSorted();
    },
    rules: async () => Groups.parse(await ask('rules')).data.groups.flatMap(({ rules }) => rules),
    stop,
  };
};

/**
 * The built program under everything that can befall processes: two daemons on one database, edits on both sides all the time, kill -9, frozen
 * leaders, crashes of Postgres, wires that fall silent, and a CRM with bad days. In the end both sides must be equal, and every promise kept.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { createSandboxAccount, type SandboxAccount } from '../../src/sandbox/crm/account.ts';
import { startSandbox } from '../../src/sandbox/crm/server.ts';
import { buildProgram } from '../e2e/built-program.ts';
import { dealBlows, type Blows } from './blows.ts';
import { startCrew, type Crew } from './crew.ts';
import { judgeBudget, judgeLeading } from './judge-processes.ts';
import { judge } from './judge.ts';
import { watchLeadership } from './leadership.ts';
import { startLocalPeople } from './local-people.ts';
import { startOwnPostgres } from './own-postgres.ts';
import { followPairs, inStep, keepRecords, readEnding } from './records.ts';
import { startRemotePeople } from './remote-people.ts';
import { saveStory } from './story.ts';
import { Souls } from './souls.ts';
import { makeTimeline } from './timeline.ts';
import { Tally, type Progress, type Verdict } from './verdict.ts';
import { startWeather } from './weather.ts';

export interface ProcessRunOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly progress: Progress;
}

const CONTACTS = 200;
const TOKEN = 'soak-token';
/** Twenty a second, so that a burst of edits meets the limit. */
const RATE_PER_MINUTE = 1_200;
const SHARE = 0.9;
const FIRST_LOAD_MS_MAX = 60_000;
const IN_STEP_MS_MAX = 180_000;
/** After everything is in step: no write may follow by itself. */
const QUIET_MS = 3_000;
const WRITES = ['create', 'update', 'delete', 'attach', 'detach', 'sync', 'restore'] as const;

/** Short times, and a brake that is out of the way: it has its own tests, and must not hold what is meant here. */
const ENV = {
  CRM_TOKEN: TOKEN,
  CRM_RATE_SHARE: String(SHARE),
  CRM_TIMEOUT_MS: '2000',
  RETRY_MIN_MS: '50',
  RETRY_MAX_MS: '1000',
  CREATE_RECHECK_MS: '500',
  PULL_CRON: '* * * * * *',
  SWEEP_CRON: '*/15 * * * * *',
  PUSH_POLL_MS: '1000',
  BRAKE_ROWS: '100000',
  BRAKE_MAX: '100000',
  HTTP_PORT: '0',
};

const halves = (account: SandboxAccount, kind: 'companies' | 'deals', rest: 0 | 1): readonly number[] =>
  account.records(kind).flatMap(({ id }) => (id % 2 === rest ? [id] : []));

export const runProcesses = async ({ minutes, seed, progress }: ProcessRunOptions): Promise<Verdict> => {
  const startedMs = performance.now();
  const durationMs = Math.round(minutes * 60_000);
  const [tally, souls, violations] = [new Tally(), new Souls(), [] as string[]];
  const failed = (what: string): void => void violations.push(what);
  const program = await buildProgram();
  const account = createSandboxAccount();
  account.seed({ contacts: CONTACTS, seed });
  const records = keepRecords(account);
  const sandbox = await startSandbox({ account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE });
  const postgres = await startOwnPostgres();
  const pool = createPool({ connectionString: postgres.url, max: 3, applicationName: 'soak' });
  const leadership = watchLeadership(postgres.url);
  const crew = await startCrew({ program, databaseUrl: postgres.url, crmUrl: sandbox.url, env: ENV });
  const pairs = followPairs(pool, souls);
  let blows: Blows | null = null;
  try {
    progress('first load');
    await inStep(pool, account, FIRST_LOAD_MS_MAX);
    for (const { id } of account.contacts()) souls.add({ tag: null, origin: 'seed', doomed: false, crmId: id, rowId: null });
    await pairs.once();
    const deletesMax = Math.max(4, Math.round(minutes * 12));
    const common = { seed, souls, tally, deletesMax };
    const local = startLocalPeople({
      ...common,
      url: postgres.url,
      companies: halves(account, 'companies', 0),
      deals: halves(account, 'deals', 0),
      failed,
    });
    const remote = startRemotePeople({
      ...common,
      account,
      companies: halves(account, 'companies', 1),
      deals: halves(account, 'deals', 1),
    });
    const weather = startWeather(sandbox, seed + 1, tally);
    blows = dealBlows({ timeline: makeTimeline(seed, durationMs), crew, postgres, leadership, tally, failed });
    const untilMs = performance.now() + durationMs;
    while (performance.now() < untilMs) {
      await pause(Math.min(1_000, Math.max(0, untilMs - performance.now())));
      const leftS = Math.ceil((untilMs - performance.now()) / 1_000);
      const kills = tally.get('kills of the leader') + tally.get('kills of a standby');
      progress(`${leftS} s left: ${kills} kills, ${account.calls.count()} calls, ${souls.all.length} contacts`);
    }
    await Promise.all([local.stop(), remote.stop(), blows.done]);
    await weather.clear();
    progress('edits have ended; waiting until both sides are equal');
    const settleFromMs = performance.now();
    violations.push(...(await settle(crew, pool, account, progress)));
    tally.add('seconds until equal', Math.round((performance.now() - settleFromMs) / 1_000));
    await pairs.once();
    const { violations: broken, races } = judge(await readEnding(pool, account, souls, records));
    violations.push(...broken);
    tally.add('blind overwrites', races);
  } catch (error) {
    failed(`the run broke off: ${String(error)}`);
  }
  await pairs.stop();
  await leadership.stop();
  await crew.close();
  violations.push(...crew.deserted);
  const led = judgeLeading({ reigns: leadership.reigns, writes: crew.writes, blows });
  const budget = judgeBudget({
    calls: account.calls.calls,
    ratePerMinute: RATE_PER_MINUTE,
    share: SHARE,
    startsMs: records.toAccountMs(leadership.reigns),
  });
  violations.push(...led.violations, ...budget.violations);
  tally.add('starts without Postgres, made again', crew.restarts.count);
  const figures = { ...tally.all(), ...led.figures, ...budget.figures, contacts: souls.all.length };
  const verdict: Verdict = { name: 'process', seed, runs: 1, ms: performance.now() - startedMs, figures, violations };
  if (violations.length > 0) violations.push(`see ${await saveStory(verdict, { crew, account, pool, souls, reigns: leadership.reigns })}`);
  await pool.end();
  await sandbox.close();
  await postgres.remove();
  return verdict;
};

/** Everything runs again: in step, after at most one sweep; then nothing is written any more. */
const settle = async (crew: Crew, pool: Pool, account: SandboxAccount, progress: Progress): Promise<readonly string[]> => {
  for (const slot of crew.slots) if (slot.frozen) crew.thaw(slot);
  try {
    await inStep(pool, account, IN_STEP_MS_MAX, progress);
  } catch (error) {
    return [`does not converge: ${(error as Error).message}`];
  }
  const before = account.calls.count(...WRITES);
  await pause(QUIET_MS);
  const echoes = account.calls.count(...WRITES) - before;
  return echoes === 0 ? [] : [`echo: ${echoes} writes after everything was equal`];
};

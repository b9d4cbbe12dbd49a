/**
 * Many creates through a CRM that loses answers and a daemon that is killed: each row must end with exactly one contact, and each contact with
 * exactly one row. Some rows have an e-mail, some a phone, some nothing but a name; the CRM's search runs behind.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createPool } from '../../src/postgres/pool.ts';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { SandboxRequest } from '../../src/sandbox/crm/faults.ts';
import { startSandbox, type SandboxServer } from '../../src/sandbox/crm/server.ts';
import { buildProgram } from '../e2e/built-program.ts';
import type { Child } from '../e2e/child.ts';
import { createDice, type Dice } from '../sim/dice.ts';
import { withLaggySearch } from './laggy-search.ts';
import { startDaemon } from './daemon.ts';
import { startOwnPostgres } from './own-postgres.ts';
import { inStep } from './records.ts';
import { Tally, type Progress, type Verdict } from './verdict.ts';

export interface CreatesRunOptions {
  readonly creates: number;
  readonly seed: number;
  readonly progress: Progress;
  /** SIGKILLs of the daemon, each at a random create. Default 10. */
  readonly kills?: number;
}

const CONTACTS_BEFORE = 50;
const SEARCH_LAG_MS = 2_000;
const LOST_REPLIES = 0.02;
const ERRORS_AFTER_COMMIT = 0.01;
const STATEMENTS = 8;
const TOKEN = 'soak-token';
const LOAD_MS_MAX = 60_000;
/** Far more than it takes; without it a run that stands still would never end. */
const MS_A_CREATE_MAX = 200;
const STANDING_STILL_MS_MAX = 120_000;
const LOOK_EVERY_MS = 500;

/** The pull as a user has it: each minute. */
const ENV = {
  CRM_TOKEN: TOKEN,
  CRM_RATE_SHARE: '1',
  CRM_TIMEOUT_MS: '2000',
  RETRY_MIN_MS: '100',
  RETRY_MAX_MS: '2000',
  CREATE_RECHECK_MS: String(SEARCH_LAG_MS + 500),
  PUSH_POLL_MS: '1000',
  HTTP_PORT: '0',
};
const RATE_PER_MINUTE = 1_000_000;

const INSERT = `
insert into crm.contacts (first_name, last_name, email, phones, city)
select 'New', 'N' || n, case when n % 3 = 0 then 'n' || n || '@soak.example' end,
  case when n % 3 = 1 then jsonb_build_array(jsonb_build_object('number', '+41 44 ' || n)) else '[]' end, 'City ' || n % 50
from generate_series($1::int, $2::int) n`;

const STATES = `
select count(*)::int as rows, count(crm_id)::int as paired, count(distinct crm_id)::int as distinct_ids from crm.contacts where first_name = 'New'`;
const PARKED = `
select error_code, case when c.email is not null then 'e-mail' when c.phones <> '[]' then 'phone' else 'name only' end as has, count(*)::int as n
from sync.parked p left join crm.contacts c on c.id = p.contact_id group by 1, 2 order by 1, 2`;

/** Which creates go wrong, and how: by chance, never the same create of a daemon for ever. */
const scriptFaults = (sandbox: SandboxServer, dice: Dice, tally: Tally): void => {
  const isCreate = ({ call }: SandboxRequest): boolean => call === 'create';
  const strikes =
    (share: number, what: string) =>
    (request: SandboxRequest): boolean => {
      const hit = isCreate(request) && dice.chance(share);
      if (hit) tally.add(what);
      return hit;
    };
  for (const [share, kind, what] of [
    [LOST_REPLIES / 2, 'reset-after', 'lost replies (reset)'],
    [LOST_REPLIES / 2, 'hang-after', 'lost replies (silence)'],
    [ERRORS_AFTER_COMMIT, '500-after', '500 after the commit'],
  ] as const)
    sandbox.fault({ call: 'create', kind, times: Infinity, match: strikes(share, what) });
};

interface Crewman {
  child: Child;
  kills: number;
}

/** Kills the daemon at chosen creates, before the CRM sees them or after, and starts the next. */
const killAtCreates = (
  sandbox: SandboxServer,
  dice: Dice,
  { creates, kills }: Required<Pick<CreatesRunOptions, 'creates' | 'kills'>>,
  start: () => Child,
) => {
  const daemon: Crewman = { child: start(), kills: 0 };
  const at = new Set(Array.from({ length: kills }, (_, n) => Math.floor(((n + dice.below(100) / 100) * creates) / kills)));
  let seen = 0;
  const strike = (): void => {
    daemon.child.kill('SIGKILL');
    daemon.kills += 1;
    void daemon.child.ended.then(() => (daemon.child = start()));
  };
  const count = (moment: 'arrived' | 'answered'): void => {
    const isFirst = moment === 'arrived';
    if (isFirst) seen += 1;
    // Half of them as the POST arrives, half once the contact is there and before the answer is out.
    if (at.has(seen) && (seen % 2 === 0) === isFirst) {
      at.delete(seen);
      strike();
    }
  };
  sandbox.onRequest(({ call }) => (call === 'create' ? count('arrived') : undefined));
  sandbox.account.calls.onCall(({ call }) => (call === 'create' ? count('answered') : undefined));
  return daemon;
};

export const runCreates = async ({ creates, seed, progress, kills = 10 }: CreatesRunOptions): Promise<Verdict> => {
  const startedMs = performance.now();
  const [tally, violations] = [new Tally(), [] as string[]];
  const dice = createDice(seed);
  const program = await buildProgram();
  const account = withLaggySearch(createSandboxAccount(), SEARCH_LAG_MS);
  account.seed({ contacts: CONTACTS_BEFORE, seed });
  const sandbox = await startSandbox({ account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE });
  const postgres = await startOwnPostgres();
  const pool = createPool({ connectionString: postgres.url, max: 2, applicationName: 'soak', statementTimeoutMs: 0 });
  const env = { ...ENV, DATABASE_URL: postgres.url, CRM_URL: sandbox.url };
  const first = startDaemon(program, env);
  try {
    await inStep(pool, account, LOAD_MS_MAX);
  } finally {
    first.kill('SIGKILL');
    await first.ended;
  }
  scriptFaults(sandbox, createDice(seed + 1), tally);
  const daemon = killAtCreates(sandbox, dice, { creates, kills }, () => startDaemon(program, env));
  const insertedMs = performance.now();
  for (let n = 0; n < STATEMENTS; n += 1)
    await pool.query(INSERT, [Math.floor((n * creates) / STATEMENTS) + 1, Math.floor(((n + 1) * creates) / STATEMENTS)]);
  let [paired, movedMs] = [0, performance.now()];
  let rates = '';
  const rest = async (): Promise<boolean> => {
    const [row] = (
      await pool.query<{ depth: number; paired: number; parked: number }>(
        `select queue_depth::int as depth, parked::int, (select count(crm_id)::int from crm.contacts where first_name = 'New') as paired from sync.status`,
      )
    ).rows;
    if (row === undefined) return false;
    if (row.paired > paired) {
      const [decade, before] = [Math.floor((10 * row.paired) / creates), Math.floor((10 * paired) / creates)];
      if (decade > before) rates += ` ${Math.round(row.paired / ((performance.now() - insertedMs) / 1_000))}`;
      [paired, movedMs] = [row.paired, performance.now()];
    }
    progress(`${row.paired} of ${creates} paired, ${row.parked} parked, ${daemon.kills} kills, ${account.calls.count()} calls`);
    return row.depth === 0;
  };
  const deadlineMs = insertedMs + LOAD_MS_MAX + creates * MS_A_CREATE_MAX;
  while (!(await rest())) {
    if (performance.now() > deadlineMs || performance.now() - movedMs > STANDING_STILL_MS_MAX) {
      violations.push(`stands still: ${paired} of ${creates} paired`);
      break;
    }
    await pause(LOOK_EVERY_MS);
  }
  const seconds = (performance.now() - insertedMs) / 1_000;
  sandbox.clearFaults();
  daemon.child.kill('SIGKILL');
  await daemon.child.ended;

  const [states] = (await pool.query<{ rows: number; paired: number; distinct_ids: number }>(STATES)).rows;
  const parked = (await pool.query<{ error_code: string; has: string; n: number }>(PARKED)).rows;
  const made = [...account.contacts(), ...account.trashed()].filter(({ first_name: name }) => name === 'New');
  const names = new Set(made.map(({ last_name: name }) => name));
  if (made.length !== names.size) violations.push(`duplicates: ${made.length} contacts for ${names.size} rows`);
  if (names.size !== creates) violations.push(`lost creates: ${names.size} of ${creates} rows have a contact in the CRM`);
  if (states?.rows !== creates) violations.push(`the mirror has ${states?.rows} rows, not ${creates}`);
  if (states?.paired !== creates || states.distinct_ids !== creates)
    violations.push(`pairs: ${states?.paired} rows are paired, with ${states?.distinct_ids} contacts`);
  const crossed = await findCrossed(pool, new Map(made.map(({ id, last_name: name }) => [id, name])));
  if (crossed > 0) violations.push(`${crossed} rows are paired with another row's contact`);
  for (const { error_code: code, has, n } of parked) violations.push(`parked: ${n} rows with ${has}: ${code}`);
  if (daemon.kills < kills) violations.push(`only ${daemon.kills} of ${kills} kills`);
  const figures = {
    creates,
    ...tally.all(),
    kills: daemon.kills,
    parked: parked.reduce((sum, { n }) => sum + n, 0),
    seconds: Math.round(seconds),
    'creates/s': Math.round(creates / seconds),
    'creates/s up to each tenth': rates.trim(),
    POSTs: account.calls.count('create'),
    'calls besides': account.calls.count() - account.calls.count('create'),
  };
  await pool.end();
  await sandbox.close();
  await postgres.remove();
  return { name: 'creates', seed, runs: 1, ms: performance.now() - startedMs, figures, violations };
};

const findCrossed = async (pool: ReturnType<typeof createPool>, made: ReadonlyMap<number, string | null>): Promise<number> => {
  const { rows } = await pool.query<{ crm_id: number; last_name: string }>(
    `select crm_id, last_name from crm.contacts where first_name = 'New' and crm_id is not null`,
  );
  return rows.filter(({ crm_id: crmId, last_name: name }) => made.get(crmId) !== name).length;
};

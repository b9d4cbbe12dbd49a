/**
 * No personal data and no secret in what the program says: marked values go through every path, errors included, and everything that came
 * out is searched for them. The marks are also looked for where they belong, so that the search itself is known to find.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { buildProgram } from '../e2e/built-program.ts';
import { startChild, type Child, type Ended } from '../e2e/child.ts';
import { until } from '../e2e/world.ts';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { createSandboxAccount, type SandboxAccount } from '../../src/sandbox/crm/account.ts';
import { startSandbox, type SandboxServer } from '../../src/sandbox/crm/server.ts';
import { startHostileCrm, type Attack, type HostileCrm } from './hostile-crm.ts';
import { type Found, marksIn, PERSONAL, SECRETS } from './marks.ts';

const NOTHING: readonly Found[] = [];
const ALL = Object.values(PERSONAL).join(' ') + JSON.stringify(SECRETS);
const UNIQUE = PERSONAL.first_name.slice('Markfirst'.length);
const ROLE = `leaks_${UNIQUE}`;

/** Values live where the recovery needs them, and nowhere else in `sync`. */
const MAY_HOLD_VALUES = [
  'change_log',
  'contact_state',
  'conflicts',
  'contact_versions',
  /^contact_versions_/,
  'version_spans',
  'phone_forms',
  // Views of these, and the CRM's or a trigger's own words of a refusal.
  'queue',
  'parked',
  'refused',
  'contact_status',
];

const answers =
  (status: number, body: string, headers: Record<string, string> = {}): Attack =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', 'x-app-version': SECRETS.crmToken, ...headers }).end(body);
const QUOTING = JSON.stringify({ message: ALL, errors: { [PERSONAL.email]: [ALL], email: [ALL] } });

const ATTACKS: readonly (readonly [string, Attack])[] = [
  ['500 that quotes everything', answers(500, QUOTING)],
  ['400 that quotes everything', answers(400, QUOTING)],
  ['401 that quotes everything', answers(401, QUOTING)],
  ['403 that quotes everything', answers(403, JSON.stringify({ error: ALL }))],
  ['429 that quotes everything', answers(429, QUOTING, { 'retry-after': '0' })],
  ['no JSON', answers(200, `<html>${ALL}`)],
  ['another shape', answers(200, JSON.stringify({ [PERSONAL.email]: ALL }))],
  ['a bad envelope', answers(200, JSON.stringify({ data: [{ id: PERSONAL.phone, [PERSONAL.email]: 1 }], meta: ALL }))],
  ['a redirect', answers(302, ALL, { location: `https://${SECRETS.crmToken}@elsewhere.example/${encodeURIComponent(ALL)}` })],
  ['no HTTP', (response) => response.socket?.end(`${ALL}\r\n\r\n`)],
  ['a bad header', (response) => response.socket?.end(`HTTP/1.1 200 OK\r\n${ALL}\r\n\r\n`)],
  ['a broken body', (response) => response.writeHead(200, { 'content-length': 9000 }).write(ALL, () => response.socket?.destroy())],
];

describe.each(['json', 'pretty'] as const)('with LOG_FORMAT=%s and LOG_LEVEL=debug', { timeout: 180_000 }, (format) => {
  let database: TestDatabase;
  let pool: Pool;
  let account: SandboxAccount;
  let sandbox: SandboxServer;
  let crm: HostileCrm;
  let daemon: Child;
  let env: NodeJS.ProcessEnv;
  let url: string;
  /** Everything that came out, by where. */
  const out: { readonly where: string; readonly text: string }[] = [];
  /** What plan tells, values and all. */
  const plans: string[] = [];
  const queries = new Set<string>();
  let watching: NodeJS.Timeout;

  const sql = async (text: string, values: readonly unknown[] = []) => (await pool.query<Record<string, unknown>>(text, [...values])).rows;
  const run = async (args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ended> => {
    const ended = await startChild(await buildProgram(), args, { ...env, HTTP_PORT: '0', ...more }).ended;
    out.push({ where: `stderr of ${args.join(' ')}`, text: ended.stderr });
    return ended;
  };
  const get = async (path: string, token?: string): Promise<string> => {
    const answer = await fetch(`${url}${path}`, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
    return `${answer.status} ${JSON.stringify([...answer.headers])} ${await answer.text()}`;
  };
  const crmIdOf = (): number => account.contacts()[0]?.id ?? 0;

  beforeAll(async () => {
    database = await createTestDatabase();
    pool = createPool({ connectionString: database.url, max: 3, applicationName: 'test', lockTimeoutMs: 10_000 });
    await sql(`drop role if exists ${ROLE}`).catch(() => undefined);
    await sql(`create role ${ROLE} login superuser password '${SECRETS.databasePassword}'`);
    account = createSandboxAccount({ customFields: [{ name: 'cf_note', type: 'Text', label: 'Note' }] });
    account.seed({ contacts: 40 });
    const company = account.addRecord('companies', PERSONAL.company);
    const marked = account.update(account.contacts()[0]?.id ?? 0, {
      first_name: PERSONAL.first_name,
      last_name: PERSONAL.last_name,
      email: PERSONAL.email,
      street: PERSONAL.street,
      phones: [{ number: PERSONAL.phone, type: 'work' }],
      cf_note: PERSONAL.cf_note,
    });
    account.attach(marked.id, { companies: [company.id] });
    sandbox = await startSandbox({ account, token: SECRETS.crmToken, ratePerMinute: 1_000_000 });
    crm = await startHostileCrm(sandbox.url);
    const login = new URL(database.url);
    login.username = ROLE;
    login.password = SECRETS.databasePassword;
    env = {
      PATH: process.env['PATH'],
      CRM_URL: crm.url,
      CRM_TOKEN: SECRETS.crmToken,
      ADMIN_TOKEN: SECRETS.adminToken,
      DATABASE_URL: login.href,
      LOG_LEVEL: 'debug',
      LOG_FORMAT: format,
      HTTP_PORT: '0',
      CRM_RATE_SHARE: '1',
      CRM_TIMEOUT_MS: '2000',
      RETRY_MIN_MS: '20',
      RETRY_MAX_MS: '200',
      CREATE_RECHECK_MS: '200',
      PULL_CRON: '* * * * * *',
      PUSH_POLL_MS: '500',
      CONFLICT_POLICY: 'manual',
      BRAKE_ROWS: '3',
      BRAKE_SHARE: '0.01',
    };
    watching = setInterval(() => {
      void pool
        .query<{ text: string }>(
          `select concat_ws(' ', application_name, query) as text from pg_stat_activity where application_name like 'relate-mirror%'`,
        )
        .then(({ rows }) => rows.forEach(({ text }) => queries.add(text)))
        .catch(() => undefined);
    }, 15);
    daemon = startChild(await buildProgram(), ['start'], env);
    url = await until('the address', () => /http:\/\/127\.0\.0\.1:\d+/.exec(daemon.output().stderr)?.[0]);
    await until('the first load', async () => (await sql('select from sync.status where first_sweep_done')).length > 0);
  }, 90_000);

  afterAll(async () => {
    clearInterval(watching);
    daemon.kill('SIGKILL');
    await daemon.ended;
    await crm.close();
    await sandbox.close();
    await sql(`reassign owned by ${ROLE} to current_user`).catch(() => undefined);
    await pool.end();
    await database.drop();
  });

  it('edits that go well, that are refused, and that conflict', async () => {
    await sql(`update crm.contacts set job_title = $1 where crm_id = $2`, [PERSONAL.job_title, crmIdOf()]);
    await until('the push', () => account.contact(crmIdOf())?.job_title === PERSONAL.job_title);
    // The CRM's words quote what was sent.
    crm.attack(({ method }) => method === 'POST', answers(422, QUOTING));
    await sql(`insert into crm.contacts (first_name, email) values ($1, $2)`, [PERSONAL.said, `x${PERSONAL.email}`]);
    await until('the refusal', async () => (await sql('select from sync.parked')).length > 0);
    crm.behave();
    // A push under way is over by then, and the last look at the CRM is too old to push after.
    await sql('select sync.pause()');
    await until('a while without a pull', async () => (await sql('select from sync.status where pull_lag_seconds > 3')).length > 0);
    await sql(`update crm.contacts set last_name = $1 where crm_id = $2`, [`${PERSONAL.last_name} here`, crmIdOf()]);
    account.update(crmIdOf(), { last_name: `${PERSONAL.last_name} there` });
    await sql('select sync.resume()');
    const conflict = await until('the conflict', async () => (await sql(`select from sync.conflicts where state = 'open'`)).length > 0);
    expect(conflict).toBe(true);
  });

  it("what Postgres, a constraint or somebody's trigger refuses", async () => {
    await sql(`alter table crm.contacts add constraint marks_refused check (state is distinct from '${PERSONAL.said}') not valid`);
    await sql(`create function public.tell() returns trigger language plpgsql as $$ begin
      if new.city = 'tell' then raise exception 'not % %', new.email, new.street using detail = new.first_name; end if; return new; end $$`);
    await sql(`create trigger tell before update on crm.contacts for each row execute function public.tell()`);
    const [first, second] = account.contacts().slice(1);
    account.update(first?.id ?? 0, { state: PERSONAL.said });
    account.update(second?.id ?? 0, { city: 'tell', email: `y${PERSONAL.email}`, street: PERSONAL.street });
    const refused = async () => (await sql(`select from sync.parked where error_code = 'database_refused'`)).length >= 2;
    expect(await until('both refusals', refused)).toBe(true);
  });

  it('what the brake holds', async () => {
    const ids = account
      .contacts()
      .slice(10, 30)
      .map(({ id }) => id);
    await sql(`update crm.contacts set street = $1 where crm_id = any($2)`, [PERSONAL.street, ids]);
    await until('the pushes', () => ids.every((id) => account.contact(id)?.street === PERSONAL.street));
    await sql(`delete from crm.contacts where crm_id = any($1)`, [ids]);
    expect(await until('the hold', async () => (await sql(`select from sync.holds where state = 'open'`)).length > 0)).toBe(true);
  });

  it.each(ATTACKS)('an answer that is %s', async (_name, attack) => {
    const before = crm.attacked();
    crm.attack(() => true, attack);
    await sql(`update crm.contacts set street = street || ' ' where crm_id = $1`, [crmIdOf()]);
    expect(await until('two attacks', () => crm.attacked() >= before + 2)).toBe(true);
    crm.behave();
  });

  it('what plan and doctor say beside their purpose, of a CRM that answers and of one that attacks', async () => {
    for (const args of [['plan'], ['plan', '--full', '--json']]) plans.push((await run(args)).stdout);
    for (const [, attack] of ATTACKS) {
      crm.attack(() => true, attack);
      const [{ stdout }] = await Promise.all([run(['doctor']), run(['plan', '--full'])]);
      out.push({ where: 'stdout of doctor', text: stdout });
    }
    crm.behave();
    expect(plans.join('\n')).toContain('calls_total');
  });

  it('a CRM that is away, and a session that is ended', async () => {
    await crm.close();
    await sql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'relate-mirror%'`);
    expect(await until('the broken connection', () => daemon.output().stderr.includes('connection_refused'))).toBe(true);
  });

  it('what it says over HTTP', async () => {
    // With the token it tells, so that what follows can fail.
    expect(marksIn('conflicts', await get('/api/conflicts', SECRETS.adminToken))).not.toEqual(NOTHING);
    for (const path of [
      '/',
      '/healthz',
      '/readyz',
      '/metrics',
      '/api/status',
      '/api/session',
      '/api/runs',
      '/api/parked',
      '/api/holds',
      '/api/conflicts',
      '/api/calls',
      '/api/rows',
      '/api/nothing',
      `/api/runs?limit=${SECRETS.settings}`,
    ]) {
      out.push(
        { where: `GET ${path}`, text: await get(path) },
        { where: `GET ${path} with a wrong token`, text: await get(path, 'wrong') },
      );
    }
    out.push({ where: '/metrics with the token', text: await get('/metrics', SECRETS.adminToken) });
    const events = await fetch(`${url}/api/events`);
    const reader = events.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    await reader?.cancel();
    out.push({ where: 'SSE', text: new TextDecoder().decode(value) });
  });

  it('what the commands say beside their purpose', async () => {
    for (const args of [['status'], ['holds'], ['holds', '--json'], ['sync'], ['grants']]) {
      out.push({ where: `stdout of ${args.join(' ')}`, text: (await run(args)).stdout });
    }
    // The doctor looks at everything and shows no value; neither does either of them in its log, whatever the CRM says.
    for (const args of [['doctor'], ['doctor', '--json']])
      out.push({ where: `stdout of ${args.join(' ')}`, text: (await run(args)).stdout });
    // These show values: that is what they are for.
    expect(plans.flatMap((text) => marksIn('plan', text))).not.toEqual(NOTHING);
    expect(marksIn('conflicts', (await run(['conflicts'])).stdout)).not.toEqual(NOTHING);
    await run(['search', PERSONAL.email]);
    await run(['conflicts', 'resolve', '999999', JSON.stringify(PERSONAL.said)]);
    // A term or a value on the command line is in argv: whoever types it puts it there. It is not repeated.
    const refused = await run(['retry', PERSONAL.said]);
    expect(refused.code).toBe(2);
    out.splice(
      out.findIndex(({ where }) => where.startsWith('stderr of retry')),
      1,
    );
  });

  it.runIf(format === 'json')('settings that are wrong', async () => {
    const mark = SECRETS.settings;
    const bad: readonly NodeJS.ProcessEnv[] = [
      { CRM_URL: `https://user:${mark}@crm.example/api` },
      { CRM_URL: `http://crm.example/api?token=${mark}` },
      { CRM_URL: `https://crm.example/api#${mark}` },
      { CRM_URL: `https://user:${mark}/@crm.example/api` },
      { CRM_TOKEN: `Bearer ${mark}` },
      { ADMIN_TOKEN: `two words ${mark}` },
      { DATABASE_URL: `mysql://user:${mark}@host/db` },
      { DATABASE_URL: `postgres://user:${mark}@host/db?sslmode=${mark}` },
      { DATABASE_LISTEN_URL: mark },
    ];
    for (const each of bad) {
      const ended = await run(['status'], each);
      expect(ended.code).toBe(2);
      out.push({ where: `stdout of status with ${Object.keys(each).join()}`, text: ended.stdout });
    }
  });

  it.runIf(format === 'json')('a database that refuses the login, or is not there', async () => {
    const wrong = new URL(env['DATABASE_URL'] ?? '');
    wrong.password = SECRETS.settings;
    const nobody = new URL(wrong);
    nobody.port = '1';
    const nothing = new URL(env['DATABASE_URL'] ?? '');
    nothing.pathname = '/nothing_here';
    for (const DATABASE_URL of [wrong.href, nobody.href, nothing.href]) {
      const ended = await run(['status'], { DATABASE_URL });
      expect(ended.code).not.toBe(0);
      out.push({ where: 'stdout of status', text: ended.stdout });
    }
  });

  it('an error that nobody caught', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'relate-mirror-'));
    const file = path.join(folder, 'throws.mjs');
    const error = 'Object.assign(new Error(process.env.MARKS), { options: process.env.MARKS, parameters: [process.env.MARKS] })';
    for (const code of [`throw ${error}`, `Promise.reject(${error})`, `throw process.env.MARKS`]) {
      writeFileSync(file, `setTimeout(() => { ${code} }, 1000)`);
      const ended = await run(['start'], { NODE_OPTIONS: `--import=${file}`, MARKS: ALL });
      expect(ended).toMatchObject({ code: 1, stdout: '' });
      expect(ended.stderr).toContain('an unexpected error ended the program');
    }
    rmSync(folder, { recursive: true });
  });

  it('holds no marked value anywhere', async () => {
    out.push({ where: 'argv', text: readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8') });
    out.push({ where: 'process title', text: readFileSync(`/proc/${daemon.pid}/comm`, 'utf8') });
    daemon.kill('SIGTERM');
    const { stdout, stderr } = await daemon.ended;
    out.push({ where: 'stdout of the daemon', text: stdout }, { where: 'stderr of the daemon', text: stderr });
    out.push({ where: 'pg_stat_activity', text: [...queries].join('\n') });
    const tables = await sql(
      `select relname::text as name from pg_class where relnamespace = 'sync'::regnamespace and relkind in ('r', 'p', 'v')`,
    );
    expect(tables.length).toBeGreaterThan(15);
    for (const { name } of tables) {
      const mayHold = MAY_HOLD_VALUES.some((may) => (typeof may === 'string' ? may === name : may.test(String(name))));
      const [row] = await sql(`select string_agg(t::text, e'\\n') as text from sync."${String(name)}" t`);
      if (!mayHold) out.push({ where: `sync.${String(name)}`, text: String(row?.['text']) });
    }
    expect(queries.size).toBeGreaterThan(20);
    expect(stderr.length).toBeGreaterThan(5000);
    expect(out.flatMap(({ where, text }) => marksIn(where, text))).toEqual(NOTHING);
    // The one secret that the CRM can quote is in none of them, recovery or not.
    for (const { name } of tables) {
      const [row] = await sql(`select string_agg(t::text, e'\\n') as text from sync."${String(name)}" t`);
      expect(marksIn(`sync.${String(name)}`, String(row?.['text']), [SECRETS.crmToken])).toEqual(NOTHING);
    }
  });
});

/** Readers who mean no harm, and do what harms elsewhere: whatever they leave open, ask for at once or break off, the sync goes on, both ways. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type pg from 'pg';
import { createBiKeeper } from '../../src/postgres/bi.ts';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { readFields } from '../../src/sync/custom-fields.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { createTestLogin, type TestLogin } from '../login.ts';
import { connect, one, refusal } from '../postgres/editing.ts';
import { openHarness, type Harness } from '../sync/harness.ts';

const CONTACTS = 150;
const EVERYBODY = 'select count(*)::int as value from bi.contacts';
const CROWD = 50;
const PATIENCE = { timeout: 15_000 };

let harness: Harness;
let login: TestLogin;
let owner: pg.Client;
let refresh: () => Promise<boolean>;
let edits = 0;

beforeAll(async () => {
  harness = await openHarness({ seed: { contacts: CONTACTS } });
  const options = { connectionString: harness.url, log: harness.deps.log };
  const columns = createBiKeeper({ ...options, pool: harness.pool });
  const { signal } = new AbortController();
  refresh = () => columns.keepOnce(signal);
  await createHistoryKeeper({ ...options, days: 365 }).keepOnce(signal);
  await harness.probe();
  await harness.settle();
  await refresh();
  login = await createTestLogin(harness.url, (role) => [`grant relate_mirror_reader to ${role}`]);
  owner = await connect(harness.url);
});
afterAll(async () => {
  await owner.end();
  await login.drop();
  await harness.close();
});

/** An edit on either side arrives on the other, and a look at everything ends whole. */
const goesOn = async (): Promise<void> => {
  const [there, here] = harness.account.contacts();
  const [city, title] = [`Town ${(edits += 1)}`, `Title ${edits}`];
  harness.account.update(there?.id ?? 0, { city });
  await harness.sql('update crm.contacts set job_title = $1 where crm_id = $2', [title, here?.id]);
  await harness.settle();
  expect(await sweepOnce(harness.deps, 'sweep', null)).toMatchObject({ complete: true });
  expect(harness.account.contact(here?.id ?? 0)?.job_title).toBe(title);
  expect(await harness.sql('select city from crm.contacts where crm_id = $1', [there?.id])).toEqual([{ city }]);
  expect(await harness.differences()).toEqual([]);
};

const asReader = async (work: (reader: pg.Client) => Promise<void>): Promise<void> => {
  const reader = await connect(login.url);
  try {
    await work(reader);
  } finally {
    await reader.end();
  }
};

it('a transaction that is left open after a look delays a new column, and nothing else', async () => {
  await asReader(async (reader) => {
    await reader.query('begin isolation level repeatable read');
    expect(await one(reader, EVERYBODY)).toBe(CONTACTS);
    harness.account.defineCustomField({ name: 'cf_later', label: 'Later', type: 'Text' });
    expect(await readFields(harness.deps)).toBeNull();
    expect(await refresh()).toBe(false);
    await goesOn();
    expect(await one(reader, EVERYBODY)).toBe(CONTACTS);
    await reader.query('commit');
    expect(await refresh()).toBe(true);
    await reader.query('select cf_later from bi.contacts limit 1');
  });
});

it('a cursor over everybody goes on in the moment in which it was opened', async () => {
  await asReader(async (reader) => {
    await reader.query('begin; declare everybody cursor for select crm_id, city, job_title from bi.contacts');
    const read = [...(await reader.query('fetch 10 from everybody')).rows];
    await goesOn();
    for (let more = 10; more > 0;) {
      const { rows } = await reader.query('fetch 10 from everybody');
      more = rows.length;
      read.push(...rows);
    }
    expect(read).toHaveLength(CONTACTS);
    expect(JSON.stringify(read)).not.toContain(`Town ${edits}`);
    await reader.query('commit');
  });
});

it('a query that is cancelled leaves nothing behind', async () => {
  await asReader(async (reader) => {
    const pid = await one<number>(reader, 'select pg_backend_pid() as value');
    const cancelled = refusal(reader, 'select count(*) from bi.contacts a, bi.contacts b, bi.contacts c, bi.contacts d');
    const isRunning = `select count(*)::int as value from pg_locks where pid = $1 and relation = 'bi.contacts'::regclass`;
    await expect.poll(() => one(owner, isRunning, [pid]), PATIENCE).toBe(1);
    await goesOn();
    await owner.query('select pg_cancel_backend($1)', [pid]);
    expect(await cancelled).toMatchObject({ code: '57014' });
    expect(await one(owner, 'select count(*)::int as value from pg_locks where pid = $1', [pid])).toBe(0);
    expect(await one(reader, EVERYBODY)).toBe(CONTACTS);
  });
});

it(`${CROWD} connections that ask for everything at once`, async () => {
  const crowd = await Promise.all(Array.from({ length: CROWD }, () => connect(login.url)));
  const answers = crowd.map(async (reader) => (await reader.query('select * from bi.contacts')).rows.length);
  await goesOn();
  expect(new Set(await Promise.all(answers))).toEqual(new Set([CONTACTS]));
  await Promise.all(crowd.map((reader) => reader.end()));
});

it('a statement that was prepared for all columns fails when there are more of them; one that names them does not', async () => {
  await asReader(async (reader) => {
    const all = { name: 'all', text: 'select * from bi.contacts order by id limit 1' };
    const named = { name: 'named', text: 'select id, full_name from bi.contacts order by id limit 1' };
    for (const statement of [all, named]) expect((await reader.query(statement)).rowCount).toBe(1);
    harness.account.defineCustomField({ name: 'cf_even_later', label: 'Even later', type: 'Text' });
    expect(await readFields(harness.deps)).toBeNull();
    await expect.poll(refresh, PATIENCE).toBe(true);
    expect((await reader.query(named)).rowCount).toBe(1);
    await expect(reader.query(all)).rejects.toMatchObject({ code: '0A000' });
    expect((await reader.query({ ...all, name: 'all again' })).fields.map(({ name }) => name)).toContain('cf_even_later');
  });
});

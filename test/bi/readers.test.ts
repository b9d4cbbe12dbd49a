/**
 * Readers are never hurt: while they ask without a pause, everything is read anew, custom fields come, change and go, and the database is
 * migrated. No error, nobody missing, no two views that contradict each other in one answer, and no wait for a lock of a second.
 *
 * `READERS` contacts, 300 by default; `npm run readers` runs it with 200,000.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createBiKeeper } from '../../src/postgres/bi.ts';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { migrateDatabase } from '../../src/postgres/migrate.ts';
import { readFields } from '../../src/sync/custom-fields.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { createTestDatabase } from '../database.ts';
import { createTestLogin } from '../login.ts';
import { connect } from '../postgres/editing.ts';
import { openHarness, type Harness } from '../sync/harness.ts';
import { asOfNow, cookbook, everyColumn, history, markOf, typedColumns, wholeness } from './asked.ts';
import { startReaders, type Asked, type Met, type Readers } from './reader-loop.ts';

const CONTACTS = Number(process.env['READERS'] ?? 300);
const IN_FULL = process.env['READERS'] !== undefined;
const PATIENCE_MS = 3_600_000;
const CONNECTIONS = 3;
/** Edits here are a call of the CRM each; those there come by the page. */
const EDITED_HERE = 100;
const WAIT_MS_MAX = 1_000;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** In full, figures are for people. */
const tell = (scene: string, met: Met): void => {
  if (!IN_FULL) return;
  const slowest = [...met.slowestMsOf].toSorted(([, a], [, b]) => b - a).slice(0, 5);
  process.stdout.write(
    `${scene}: ${met.answers} answers, longest wait for a lock ${Math.round(met.longestWaitMs)} ms; slowest: ` +
      `${slowest.map(([name, ms]) => `${name} ${Math.round(ms)} ms`).join(', ')}\n`,
  );
};

const expectUnhurt = (scene: string, met: Met): void => {
  tell(scene, met);
  expect(met.wrong).toEqual([]);
  expect(met.longestWaitMs).toBeLessThan(WAIT_MS_MAX);
  expect([...met.answersOf].filter(([, answers]) => answers === 0)).toEqual([]);
};

/** Reads on until the work is done, and every reader has asked everything during it or after it. */
const during = async (readers: Readers, scene: string, work: () => Promise<void>): Promise<void> => {
  readers.met();
  await work();
  await readers.round();
  expectUnhurt(scene, readers.met());
};

const openReaders = async (url: string, questions: readonly Asked[]): Promise<Readers> => {
  const login = await createTestLogin(url, (role) => [`grant relate_mirror_reader to ${role}`]);
  const readers = await startReaders({ url: login.url, watchUrl: url, questions, connections: CONNECTIONS });
  closers.push(
    () => login.drop(),
    () => readers.stop(),
  );
  return readers;
};

/** Which questions of the cookbook have an answer here at all. */
const answeredQuestions = async (harness: Harness): Promise<ReadonlySet<number>> => {
  const filled = new Set<number>();
  for (const [at, { sql }] of cookbook(new Set()).entries()) if ((await harness.sql(sql)).length > 0) filled.add(at + 1);
  return filled;
};

interface LoadedMirror {
  readonly harness: Harness;
  /** Brings the columns of bi.contacts up to date, if nobody is in the way. */
  readonly refresh: () => Promise<boolean>;
}
const openMirror = async (): Promise<LoadedMirror> => {
  const harness = await openHarness({ seed: { contacts: CONTACTS }, timeoutMs: 60_000 });
  const options = { connectionString: harness.url, log: harness.deps.log };
  const [keeper, columns] = [createHistoryKeeper({ ...options, days: 365 }), createBiKeeper({ ...options, pool: harness.pool })];
  const { signal } = new AbortController();
  await keeper.keepOnce(signal);
  await harness.probe();
  await harness.settle();
  await keeper.keepOnce(signal);
  await columns.keepOnce(signal);
  // As if it had been kept for a year: the cookbook asks about the past.
  await harness.sql(`update sync.account set history_since = history_since - interval '365 days'`);
  await harness.sql(`analyze`);
  return { harness, refresh: () => columns.keepOnce(signal) };
};

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The last migration without views that analysts read, but for the history. */
const BEFORE_BI = '0019';
const FILL: readonly string[] = [
  'select sync.add_history_months()',
  'select sync.switch_history(true)',
  `select set_config('relate_mirror.writer', pg_current_xact_id()::text, true);
   insert into crm.contacts (crm_id, first_name, email, custom_fields)
   select n, 'Ann ' || n, n || '@mail.example', jsonb_build_object('cf_nickname', 'Nick ' || n) from generate_series(1, ${CONTACTS}) n`,
  `select sync.snapshot_history(0, ${CONTACTS + 1})`,
  // As that version granted it.
  'grant usage on schema bi to relate_mirror_reader',
  'grant select on all tables in schema bi to relate_mirror_reader',
  'grant execute on all functions in schema bi to relate_mirror_reader',
];
/** What later versions do: a column of the largest table, and a view with one more. */
const CHANGE_WHAT_IS_READ = `
alter table crm.contacts add column tomorrow text;
--> statement-breakpoint
create or replace view bi.companies as select id, name, null::text as tomorrow from crm.companies;`;

const companies: Asked = { name: 'companies', sql: 'select * from bi.companies', check: (rows) => (rows.length === 0 ? null : 'rows') };

interface Journal {
  readonly entries: readonly { readonly idx: number; readonly when: number; readonly tag: string }[];
}
const journalOf = (folder: string): string => join(folder, 'meta', '_journal.json');
const readJournal = async (folder: string): Promise<Journal> => JSON.parse(await readFile(journalOf(folder), 'utf8')) as Journal;

/** A folder with the migrations up to one of them; null: all. */
const migrationsUpTo = async (last: string | null): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'relate-mirror-readers-'));
  await cp('drizzle', folder, { recursive: true });
  const journal = await readJournal(folder);
  const kept = journal.entries.filter(({ tag }) => last === null || tag.slice(0, last.length) <= last);
  await writeFile(journalOf(folder), JSON.stringify({ ...journal, entries: kept }));
  return folder;
};
const addMigration = async (folder: string, sql: string): Promise<void> => {
  const journal = await readJournal(folder);
  const [idx, when] = [journal.entries.length, (journal.entries.at(-1)?.when ?? 0) + 1];
  const entry = { idx, version: '7', when, tag: `${idx}_tomorrow`, breakpoints: true };
  await writeFile(join(folder, `${entry.tag}.sql`), sql);
  await writeFile(journalOf(folder), JSON.stringify({ ...journal, entries: [...journal.entries, entry] }));
};

describe(`readers of ${CONTACTS} contacts`, () => {
  let mirror: LoadedMirror;
  beforeAll(async () => {
    mirror = await openMirror();
  }, PATIENCE_MS);
  afterAll(() => mirror.harness.close());

  it('are not hurt by a resync of everything, nor by custom fields that come, change and go', { timeout: PATIENCE_MS }, async () => {
    const { harness, refresh } = mirror;
    const { account, deps } = harness;
    const filled = await answeredQuestions(harness);
    const questions = [wholeness(CONTACTS), typedColumns, everyColumn, asOfNow(CONTACTS), history(CONTACTS), ...cookbook(filled)];
    const readers = await openReaders(harness.url, questions);
    // What it takes while nothing happens, for the figures.
    if (IN_FULL) await during(readers, 'quiet', async () => {});

    await during(readers, 'resync', async () => {
      for (const { id } of account.contacts()) {
        const mark = markOf(id);
        if (id % 3 === 0) account.update(id, { job_title: mark, city: mark, cf_nickname: mark, phones: [{ number: `+49 30 ${id}` }] });
      }
      await harness.sql(`
        update crm.contacts set job_title = 'mark here', city = 'mark here', custom_fields = custom_fields || '{"cf_nickname": "mark here"}'
        where crm_id % 3 = 1 and crm_id < ${EDITED_HERE}`);
      expect(await sweepOnce(deps, 'resync', null)).toMatchObject({ complete: true, stoppedBy: null });
    });

    await during(readers, 'custom fields', async () => {
      const columnsOf = async (): Promise<readonly string[]> =>
        (await harness.sql(`select attname from pg_attribute where attrelid = 'bi.contacts'::regclass and attnum > 0 order by attnum`)).map(
          ({ attname }) => String(attname),
        );
      const changed = async (): Promise<void> => {
        expect(await readFields(deps)).toBeNull();
        await expect.poll(refresh, { timeout: 60_000, interval: 50 }).toBe(true);
      };
      const before = await columnsOf();
      for (let n = 0; n < 10; n += 1) account.defineCustomField({ name: `cf_new_${n}`, label: `New ${n}`, type: 'Number' });
      await changed();
      for (const { id } of account.contacts().slice(0, 20)) account.update(id, { cf_new_1: id });
      await harness.sync();
      account.defineCustomField({ name: 'cf_new_1', label: 'New 1', type: 'Text' });
      account.defineCustomField({ name: 'cf_new_2', label: 'Renamed', type: 'Number' });
      await changed();
      const after = await columnsOf();
      expect(after.slice(0, before.length)).toEqual(before);
      expect(after.length).toBeGreaterThanOrEqual(before.length + 11);
    });
  });

  it('that come while a new column waits for a report of theirs wait for nothing', { timeout: PATIENCE_MS }, async () => {
    const { harness, refresh } = mirror;
    const login = await createTestLogin(harness.url, (role) => [`grant relate_mirror_reader to ${role}`]);
    closers.push(() => login.drop());
    const report = await connect(login.url);
    await report.query('begin; select count(*) from bi.contacts');
    harness.account.defineCustomField({ name: 'cf_tomorrow', label: 'Tomorrow', type: 'Text' });
    expect(await readFields(harness.deps)).toBeNull();
    const readers = await startReaders({
      url: login.url,
      watchUrl: harness.url,
      questions: [wholeness(CONTACTS), everyColumn],
      connections: 10,
    });
    for (let n = 0; n < 5; n += 1) expect(await refresh()).toBe(false);
    await readers.round();
    await report.query('commit');
    await report.end();
    await expect.poll(refresh, { timeout: 60_000, interval: 50 }).toBe(true);
    await readers.round();
    expectUnhurt('a report in the way of a column', await readers.stop());
    expect((await harness.sql('select cf_tomorrow from bi.contacts limit 1')).length).toBe(1);
  });

  it('that never leave the view alone get its new column all the same', { timeout: PATIENCE_MS }, async () => {
    const { harness, refresh } = mirror;
    const login = await createTestLogin(harness.url, (role) => [`grant relate_mirror_reader to ${role}`]);
    closers.push(() => login.drop());
    // Three such queries overlap: there are hardly 100 ms in which all of them end.
    const long: Asked = { name: 'a query that takes its time', sql: 'select pg_sleep(0.3) from bi.contacts limit 1', check: () => null };
    const readers = await startReaders({ url: login.url, watchUrl: harness.url, questions: [long], connections: CONNECTIONS });
    closers.push(() => readers.stop());
    harness.account.defineCustomField({ name: 'cf_wanted', label: 'Wanted', type: 'Text' });
    expect(await readFields(harness.deps)).toBeNull();
    await harness.sql(`update sync.bi_refresh set waits_since = clock_timestamp() - interval '1 minute'`);
    await readers.round();
    expect(await refresh()).toBe(true);
    await readers.round();
    expectUnhurt('a view that is never left alone', await readers.stop());
  });

  it('are not hurt by migrations of a database that they read, nor by one that waits for a report', { timeout: PATIENCE_MS }, async () => {
    const database = await createTestDatabase({ empty: true });
    closers.push(() => database.drop());
    const [older, newer] = [await migrationsUpTo(BEFORE_BI), await migrationsUpTo(null)];
    closers.push(
      () => rm(older, { recursive: true }),
      () => rm(newer, { recursive: true }),
    );
    await migrateDatabase({ connectionString: database.url, migrationsFolder: older });
    const owner = await connect(database.url);
    closers.push(() => owner.end());
    await owner.query('set statement_timeout = 0');
    for (const statement of FILL) await owner.query(statement);
    const past = await openReaders(database.url, [asOfNow(CONTACTS), history(CONTACTS)]);
    await during(past, 'from before bi to the newest', async () => {
      expect((await migrateDatabase({ connectionString: database.url })).applied).toBeGreaterThan(0);
    });
    await past.stop();

    await addMigration(newer, CHANGE_WHAT_IS_READ);
    const readers = await openReaders(database.url, [wholeness(CONTACTS), everyColumn, asOfNow(CONTACTS), companies]);
    const report = await connect(database.url);
    await report.query('begin; select count(*) from bi.contacts');
    await during(readers, 'a migration that waits for a report', async () => {
      const waits = Promise.withResolvers<void>();
      const log = { ...SILENT, warn: () => waits.resolve() };
      const migrated = migrateDatabase({ connectionString: database.url, migrationsFolder: newer, log });
      await waits.promise;
      await readers.round();
      await report.query('commit');
      expect(await migrated).toMatchObject({ applied: 1 });
    });
    await report.end();
    expect((await owner.query('select tomorrow from bi.companies')).rows).toEqual([]);
  });
});

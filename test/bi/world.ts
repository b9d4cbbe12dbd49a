/**
 * The sandbox that the cookbook's answers are of: its contacts through the real sync, then the edits of `story.ts` on both sides, each with its
 * own fixed time in the history; and a `now()` that is always the same. Needs a superuser.
 */
import pg from 'pg';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { createPhoneReader } from '../../src/phones/read-phones.ts';
import { createPhoneForms } from '../../src/postgres/phone-forms.ts';
import { migrateDatabase } from '../../src/postgres/migrate.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { createTestLogin, type TestLogin } from '../login.ts';
import { openHarness, type Harness } from '../sync/harness.ts';
import type { Answer } from './cookbook.ts';
import { ASKED_AT, type Author, createDays, DECIDED_BY_PEOPLE, LOADED_AT, SEED, SILENT_EDITS, steps, type Step } from './story.ts';

const AUTHORS = ['ann', 'webshop'] as const satisfies readonly Author[];
export const READERS = ['relate_mirror_reader', 'relate_mirror_reader_masked', 'relate_mirror_editor'] as const;
export type Reader = (typeof READERS)[number];

export interface BiWorld {
  /** One statement, as somebody who is a member of that role alone. */
  ask(reader: Reader, sql: string): Promise<Answer>;
  /** OIDs of the columns' types. */
  typesOf(reader: Reader, sql: string): Promise<readonly number[]>;
  /** For the statements after it. */
  prepare(reader: Reader, statements: string): Promise<void>;
  /** As a superuser. */
  sql: Harness['sql'];
  close(): Promise<void>;
}

/** What the statement runs before Postgres' own now(): a name is looked up along the search path. */
const FROZEN = `
  create schema frozen;
  create function frozen.now() returns timestamptz language sql stable parallel safe return timestamptz '${ASKED_AT.toISOString()}';
  grant usage on schema frozen to public`;

/**
 * The versions written since, in the story's time: what was taken over from the CRM half a minute after its own time, the rest at the step's. A version
 * moves to the partition of its time.
 */
const STAMP = `
  update sync.contact_versions v set
    who = coalesce($3::jsonb ->> v.who, v.who),
    valid_from = case
      when v.origin in ('crm', 'merge') and v.who = 'CRM' and v.op <> 'delete' then
        coalesce((select c.crm_updated_at + interval '30 seconds' from crm.contacts c where c.id = v.contact_id), $2)
      else $2 end
  where v.id > $1`;
const LAST_VERSION = 'select coalesce(max(id), 0) as id from sync.contact_versions';

/** That its last pull was just now. */
const LEADER_SAYS = `update sync.leader set last_pull_at = clock_timestamp()`;

/** As psql would write it, but for booleans. */
const BOOLEAN_OID = 16;
const asText: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) => (text: string) => (oid === BOOLEAN_OID ? String(text === 't') : text),
};

const openReader = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: url, types: asText });
  await client.connect();
  await client.query(`set timezone = 'UTC'; set search_path = frozen, pg_catalog`);
  return client;
};

/** Lets the story happen. */
const tell = async (harness: Harness, logins: ReadonlyMap<Author, TestLogin>, setClock: (at: Date) => void): Promise<void> => {
  const names = JSON.stringify(Object.fromEntries([...logins].map(([author, { role }]) => [role, author])));
  const stampAfter = async (at: Date, work: () => Promise<void>): Promise<void> => {
    const [last] = await harness.sql(LAST_VERSION);
    await work();
    await harness.sql(STAMP, [last?.['id'], at, names]);
  };
  const edit = async ({ here = [] }: Step): Promise<void> => {
    for (const { who, sql } of here) {
      const client = new pg.Client({ connectionString: logins.get(who)?.url });
      await client.connect();
      try {
        const { rowCount } = await client.query(sql);
        if (rowCount === 0) throw new Error(`The story edits nobody: ${sql}`);
      } finally {
        await client.end();
      }
    }
  };
  await stampAfter(LOADED_AT, async () => {
    await harness.settle();
  });
  await harness.sql('update sync.contact_versions set valid_from = $1', [LOADED_AT]);
  await harness.sql('update sync.account set history_since = $1', [LOADED_AT]);
  const days = createDays();
  for (const step of steps()) {
    await stampAfter(step.at, async () => {
      days(harness.account, setClock, step.at);
      setClock(step.at);
      step.there?.(harness.account);
      await edit(step);
      if (step.sweep === true) await sweepOnce(harness.deps, 'sweep', null);
      await harness.settle();
    });
  }
  setClock(ASKED_AT);
  await stampAfter(ASKED_AT, async () => {
    await sweepOnce(harness.deps, 'sweep', null);
    await harness.settle();
  });
};

/** Texts in the order of the answers, whatever the server's own is: the embedded server's has it, a container's has not. */
const createOrderedDatabase = async (): Promise<TestDatabase> => {
  const copy = await createTestDatabase();
  const client = new pg.Client({ connectionString: copy.url });
  await client.connect();
  const { rows } = await client.query<{ ordered: boolean }>(`select '(nobody)' < 'Ann' and 'Zoë' < 'van' and 'Z' < 'Ü' as ordered`);
  await client.end();
  if (rows[0]?.ordered === true) return copy;
  await copy.drop();
  const database = await createTestDatabase({ empty: true, locale: 'C.UTF-8' });
  await migrateDatabase({ connectionString: database.url });
  return database;
};

export const openBiWorld = async (): Promise<BiWorld> => {
  let now = LOADED_AT;
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of closers.toReversed()) await step();
  };
  try {
    const harness = await openHarness({
      account: { clock: { now: () => now }, silentEdits: SILENT_EDITS },
      seed: SEED,
      database: await createOrderedDatabase(),
      settings: { pushConcurrency: 1, brake: { rows: 10_000, share: 1, max: 10_000 } },
    });
    closers.push(() => harness.close());
    await createHistoryKeeper({ connectionString: harness.url, days: 365, log: harness.deps.log }).keepOnce(new AbortController().signal);
    await harness.probe();
    const loginOf = async (role: string): Promise<TestLogin> => {
      const login = await createTestLogin(harness.url, (name) => [`grant ${role} to ${name}`]);
      closers.push(() => login.drop());
      return login;
    };
    const logins = new Map<Author, TestLogin>();
    for (const author of AUTHORS) logins.set(author, await loginOf('relate_mirror_editor'));
    await harness.sql(`insert into sync.field_policy values ($1, 'manual')`, [DECIDED_BY_PEOPLE]);
    await tell(harness, logins, (at) => (now = at));
    await harness.sql(FROZEN);
    // What the daemon's loops do and say besides.
    await harness.sql('select sync.refresh_bi()');
    const loadReader = () => Promise.resolve(createPhoneReader());
    const phones = createPhoneForms({ connectionString: harness.url, loadReader, log: harness.deps.log });
    await phones.keepOnce(new AbortController().signal, true);
    await phones.close();
    await harness.sql(LEADER_SAYS);
    await harness.sql('update sync.account set last_complete_sweep_at = $1', [ASKED_AT]);
    await harness.sql('analyze');
    const clients = new Map<Reader, pg.Client>();
    for (const reader of READERS) {
      const client = await openReader((await loginOf(reader)).url);
      closers.push(() => client.end());
      clients.set(reader, client);
    }
    const clientOf = (reader: Reader): pg.Client => {
      const client = clients.get(reader);
      if (client === undefined) throw new Error(`nobody reads as ${reader}`);
      return client;
    };
    return {
      ask: async (reader, sql) => {
        const { fields, rows } = await clientOf(reader).query<(string | null)[]>({ text: sql, rowMode: 'array' });
        return { columns: fields.map(({ name }) => name), rows };
      },
      typesOf: async (reader, sql) => (await clientOf(reader).query(sql)).fields.map(({ dataTypeID }) => dataTypeID),
      prepare: async (reader, statements) => void (await clientOf(reader).query(statements)),
      sql: harness.sql,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};

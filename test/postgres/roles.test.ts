/** What each role may do, and what it is refused: as real logins, on a server of their own. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type pg from 'pg';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { grantsScript, isRoleName } from '../../src/postgres/roles.ts';
import { LOCK_HOLDS } from '../../src/postgres/sql/brake.ts';
import { LOCK_PAIRING } from '../../src/postgres/sql/lock.ts';
import { DAEMON_ROLE, EDITOR_FUNCTIONS, SYNC_RELATIONS } from '../../src/postgres/sql/grants.ts';
import { addContact, asDaemon, one, refusal } from './editing.ts';
import { OWNER, startRoleServer, type RoleServer } from './role-server.ts';

let server: RoleServer;
let reader: pg.Client;
let editor: pg.Client;
let owner: pg.Client;

const FORBIDDEN = { code: '42501' };
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

beforeAll(async () => {
  server = await startRoleServer();
  await server.migrateAs(OWNER);
  await server.script(grantsScript(null));
  await server.addLogin('ann_reads', 'relate_mirror_reader');
  await server.addLogin('bob_edits', 'relate_mirror_editor');
  await server.addLogin('nobody_special');
  [reader, editor, owner] = [await server.as('ann_reads'), await server.as('bob_edits'), await server.as(OWNER)];
});
afterAll(() => server.stop());

const setState = async (change: number, state: string): Promise<void> =>
  void (await server.sql(`update sync.change_log set state = $2, next_attempt_at = null where id = $1`, [change, state]));
const refusedTo = async (client: pg.Client, statements: readonly string[]): Promise<readonly string[]> => {
  const allowed: string[] = [];
  for (const statement of statements) {
    const said = await refusal(client, statement).catch((error: unknown) => error as Error);
    if (!('code' in said) || said.code !== FORBIDDEN.code) allowed.push(`${statement}: ${said.message}`);
  }
  return allowed;
};

it('the owner of the schemas has no right but CREATE in the database, and may not create roles', async () => {
  const [row] = await server.sql(
    `select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_roles where rolname = $1`,
    [OWNER],
  );
  expect(Object.values(row ?? {})).toEqual([false, false, false, false, false]);
});

it('every relation of schema sync is somebody’s to read, by decision', async () => {
  const rows = await server.sql(
    `select relname as name from pg_class where relnamespace = 'sync'::regnamespace and relkind in ('r', 'v', 'p', 'm') and not relispartition`,
  );
  expect(rows.map(({ name }) => String(name)).toSorted()).toEqual(Object.keys(SYNC_RELATIONS).toSorted());
});

describe('a reader', () => {
  const readable = (least: readonly string[]) =>
    Object.entries(SYNC_RELATIONS).flatMap(([name, by]) => (least.includes(by) ? [`select * from sync.${name}`] : []));

  it('reads how the sync is going', async () => {
    for (const statement of readable(['reader'])) await reader.query(statement);
    expect(await one(reader, 'select paused as value from sync.status')).toBe(false);
  });

  it('reads no contact, no value, and nothing that only the daemon needs', async () => {
    expect(await refusedTo(reader, readable(['editor', 'daemon']))).toEqual([]);
    expect(
      await refusedTo(reader, ['select id from crm.contacts', 'select * from crm.companies', 'select * from crm.contact_deals']),
    ).toEqual([]);
    expect(await refusedTo(reader, ['select * from relate_mirror.__drizzle_migrations'])).toEqual([]);
  });

  it('reads the history, and what the contacts were, but not the table of the versions', async () => {
    const keeper = createHistoryKeeper({ connectionString: server.urlOf(OWNER), days: 365, log: SILENT });
    expect(await keeper.keepOnce(new AbortController().signal)).toBe(true);
    await addContact(editor, 'Eve');
    expect(await one(reader, `select who as value from bi.contact_history where first_name = 'Eve'`)).toBe('bob_edits');
    expect(await one(reader, `select who as value from bi.contacts_at(clock_timestamp()) where first_name = 'Eve'`)).toBe('bob_edits');
    const upkeep = [
      'forget_history()',
      'switch_history(false)',
      'snapshot_history(0, 1)',
      'add_history_months()',
      'prune_history(1)',
      'create_publication()',
    ];
    const month = await server.sql(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'sync.contact_versions'::regclass`,
    );
    for (const client of [reader, editor]) {
      expect(await refusedTo(client, [...upkeep.map((call) => `select sync.${call}`), 'delete from bi.contact_history'])).toEqual([]);
      expect(
        await refusedTo(
          client,
          month.map(({ name }) => `select * from ${String(name)}`),
        ),
      ).toEqual([]);
    }
  });

  it('calls no function and writes nothing', async () => {
    const calls = EDITOR_FUNCTIONS.map((signature) => `select sync.${signature.replace(/\w+(?=[,)])/g, 'null')}`);
    expect(await refusedTo(reader, calls)).toEqual([]);
    const writes = [
      `insert into crm.contacts (first_name) values ('x')`,
      'update sync.runs set error = null',
      'delete from sync.holds',
      'create table sync.mine ()',
      'create table crm.mine ()',
      'create schema mine',
    ];
    expect(await refusedTo(reader, writes)).toEqual([]);
  });
});

describe('an editor', () => {
  it('reads contacts, names and conflicts, but neither base nor log', async () => {
    for (const table of [
      'crm.contacts',
      'crm.companies',
      'crm.users',
      'crm.contact_deals',
      'sync.conflicts',
      'sync.custom_fields',
      'sync.status',
    ])
      await editor.query(`select * from ${table}`);
    const hidden = Object.entries(SYNC_RELATIONS).flatMap(([name, by]) => (by === 'daemon' ? [`select * from sync.${name}`] : []));
    expect(hidden.length).toBeGreaterThan(5);
    expect(await refusedTo(editor, hidden)).toEqual([]);
  });

  it('inserts, edits, links and deletes; the log names the login', async () => {
    const id = await addContact(editor, 'Ada');
    await editor.query(
      `update crm.contacts set city = 'Bern', phones = '[{"number": "+41 1"}]', custom_fields = '{"cf_a": 1}' where id = $1`,
      [id],
    );
    for (const [table, column] of [
      ['companies', 'company_id'],
      ['deals', 'deal_id'],
      ['activities', 'activity_id'],
    ]) {
      await editor.query(`insert into crm.contact_${table} (contact_id, ${column}) values ($1, 5) on conflict do nothing`, [id]);
      await editor.query(`update crm.contact_${table} set ${column} = 6 where contact_id = $1`, [id]);
      await editor.query(`delete from crm.contact_${table} where contact_id = $1`, [id]);
    }
    await editor.query('delete from crm.contacts where id = $1', [id]);
    const log = await server.sql('select op, changed_by from sync.change_log where contact_id = $1 order by id', [id]);
    expect(log.map(({ op }) => op)).toEqual([
      'insert',
      'update',
      ...Array.from({ length: 3 }, () => ['attach', 'detach', 'attach', 'detach']).flat(),
      'delete',
    ]);
    expect(new Set(log.map(({ changed_by: by }) => by))).toEqual(new Set(['bob_edits']));
  });

  it('is named by its login though it set another role’s name as its own', async () => {
    await editor.query('set role relate_mirror_editor');
    const id = await addContact(editor, 'Ada');
    await editor.query('reset role');
    const [row] = await server.sql('select changed_by from sync.change_log where contact_id = $1', [id]);
    // What it acts as; which login may act so is pg_auth_members' to say.
    expect(row?.['changed_by']).toBe('relate_mirror_editor');
  });

  it('writes no column of the daemon’s, and no table but the four', async () => {
    const id = await addContact(editor);
    for (const set of ['crm_id = 7', `extra = '{}'`, 'crm_updated_at = now()', 'crm_created_at = now()'])
      expect(await refusal(editor, `update crm.contacts set ${set} where id = ${id}`)).toMatchObject(FORBIDDEN);
    expect(await refusal(editor, `update crm.contacts set id = default where id = ${id}`)).toMatchObject(FORBIDDEN);
    const writes = [
      `insert into crm.contacts (first_name, crm_id) values ('x', 5)`,
      `insert into crm.companies values (1, 'x')`,
      'update sync.contact_state set base = null',
      'update sync.change_log set state = null',
      'delete from sync.change_log',
      `insert into sync.field_policy values ('city', 'crm')`,
      `update sync.conflicts set state = 'decided'`,
      `update sync.holds set state = 'approved'`,
      'update sync.account set paused_at = null',
      'truncate crm.contacts',
      'alter table crm.contacts disable trigger all',
      `create trigger mine before insert on crm.contacts for each row execute function sync.guard_contact()`,
      'drop trigger relate_mirror_capture_insert on crm.contacts',
      'set session_replication_role = replica',
      'create function sync.mine() returns int language sql return 1',
      `select sync.put_fields(1, '{}')`,
      `select sync.request_run('sync', false)`,
      'select sync.begin_own_write()',
      `select sync.check_identity('x')`,
    ];
    expect(await refusedTo(editor, writes)).toEqual([]);
  });

  it('cannot pass its writes off as the daemon’s', async () => {
    const id = await addContact(editor);
    const mark = `set_config('relate_mirror.writer', pg_current_xact_id()::text, true)`;
    const forged = async (...statements: readonly string[]): Promise<void> => {
      await editor.query('begin');
      try {
        for (const statement of statements.slice(0, -1)) await editor.query(statement);
        expect(await refusal(editor, statements.at(-1) ?? '')).toMatchObject({
          ...FORBIDDEN,
          message: 'only relate-mirror marks writes as its own',
        });
      } finally {
        await editor.query('rollback');
      }
    };
    await forged(`select ${mark}`, `update crm.contacts set city = 'unseen' where id = ${id}`);
    await forged(`select ${mark}`, `insert into crm.contacts (first_name) values ('unseen')`);
    await forged(`select ${mark}`, `delete from crm.contacts where id = ${id}`);
    await forged(`select ${mark}`, `insert into crm.contact_companies values (${id}, 1)`);
    // Marked in the middle of the statement, and taken back before it ends.
    await forged(
      `update crm.contacts set crm_id = 5 where id = ${id} and ${mark} <> '' returning set_config('relate_mirror.writer', '', true)`,
    );
    // Marked only when every row was looked at.
    await forged(`update crm.contacts set city = 'unseen' where id = ${id} returning ${mark}`);
    // Marked beside the write, in one query: the rows are written by then, and what reads the mark has not run yet.
    for (const write of [
      `insert into crm.contacts (first_name) values ('unseen') returning 1`,
      `update crm.contacts set city = 'unseen' where id = ${id} returning 1`,
      `delete from crm.contacts where id = ${id} returning 1`,
      ...['companies', 'deals', 'activities'].map((table) => `insert into crm.contact_${table} values (${id}, 1) returning 1`),
    ]) {
      await forged(`with x as (${write}), n as (select count(*) as c from x) select ${mark}, c from n`);
    }
    // As a cursor's rows are fetched, and within a block that catches what it likes.
    await forged(`do $$ declare r record; begin
      perform set_config('relate_mirror.origin', 'crm', true);
      begin update crm.contacts set city = 'unseen' where id = ${id}; perform 1 / 0; exception when division_by_zero then null; end;
      for r in with x as (update crm.contacts set city = 'unseen' where id = ${id} returning 1) select ${mark} from x loop null; end loop;
    end $$`);
    // A function of his own in front of Postgres' own.
    await server.sql('create schema if not exists evil; grant all on schema evil to bob_edits');
    await editor.query(
      `create or replace function evil.has_function_privilege(name, regprocedure, text) returns boolean language sql return true`,
    );
    await forged('set local search_path = evil, pg_catalog', `select ${mark}`, `update crm.contacts set crm_id = 5 where id = ${id}`);
    await editor.query('drop function evil.has_function_privilege(name, regprocedure, text)');
    // An operator of his own.
    await editor.query(`
      create function evil.never(text, text) returns boolean language sql return false;
      create operator evil.= (leftarg = text, rightarg = text, function = evil.never)`);
    await forged('set local search_path = evil, pg_catalog', `select ${mark}`, `update crm.contacts set city = 'unseen' where id = ${id}`);
    await editor.query('drop function evil.never(text, text) cascade');
    // Nothing of all that is left, and his own edits are still his.
    expect(await server.sql(`select id from crm.contacts where city = 'unseen'`)).toEqual([]);
    await editor.query(`update crm.contacts set city = 'seen' where id = ${id}`);
    expect(await server.sql(`select changed_by from sync.change_log where new_values ->> 'city' = 'seen'`)).toEqual([
      { changed_by: 'bob_edits' },
    ]);
  });

  it('calls every function that people call', async () => {
    const id = await addContact(editor);
    const change = Number((await server.sql('select id from sync.change_log where contact_id = $1', [id]))[0]?.['id']);
    expect(await one(editor, 'select sync.wait(null, 0) as value')).toBe('pending');
    for (const call of ['request_resync()', 'request_resync(true)', 'request_sync()', 'request_audit()', 'pause()', 'resume()'])
      await editor.query(`select sync.${call}`);
    await setState(change, 'parked');
    expect(await one(editor, 'select sync.retry($1) as value', [change])).toBe('pending');
    await setState(change, 'parked');
    expect(Number(await one(editor, 'select sync.retry_all() as value'))).toBeGreaterThan(0);
    const hold = async (): Promise<number> => {
      await server.sql(`insert into sync.holds (direction, reason, rows, plan) values ('push', 'many', 1, '[]')`);
      const [row] = await server.sql('select max(id) as id from sync.holds');
      await server.sql(`update sync.change_log set state = 'held', hold_id = $2, settled_at = null where id = $1`, [change, row?.['id']]);
      return Number(row?.['id']);
    };
    await editor.query('select sync.approve($1)', [await hold()]);
    await editor.query('select sync.reject($1)', [await hold()]);
    const [decided] = await server.sql('select decided_by from sync.holds order by id desc limit 1');
    expect(decided?.['decided_by']).toBe('bob_edits');
    await editor.query('select sync.mark_restored()');
  });

  it('is told of an id that is none, by every function that takes one', async () => {
    for (const call of ['retry(-1)', 'approve(-1)', 'reject(-1)', `resolve(-1, 'crm')`, 'wait(-1)'])
      expect(await refusal(editor, `select sync.${call}`)).toMatchObject({
        code: 'P0002',
        message: expect.stringMatching(/^there is no .* -1$/) as string,
      });
  });

  it('decides conflicts, also for a value that it cannot read elsewhere', async () => {
    await asDaemon(
      owner,
      `insert into crm.contacts (crm_id, first_name, city) values (900, 'Ann', 'Rome')`,
      `insert into sync.contact_state (contact_id, crm_id, base, base_hash)
       select id, crm_id, '{"first_name": "Ann", "city": "Rome", "phones": [], "custom_fields": {}}', 'h' from crm.contacts where crm_id = 900`,
    );
    for (const [field, choice] of [
      ['city', 'crm'],
      ['first_name', '"Anna"'],
    ] as const) {
      await server.sql(
        `insert into sync.conflicts (contact_id, field, local, remote, outcome, state, policy)
         select id, $1, '"Rome"', '"Bonn"', 'open', 'open', 'manual' from crm.contacts where crm_id = 900`,
        [field],
      );
      await editor.query(`select sync.resolve((select max(id) from sync.conflicts), $1)`, [choice]);
    }
    const [row] = await server.sql('select city, first_name from crm.contacts where crm_id = 900');
    expect(row).toEqual({ city: 'Bonn', first_name: 'Anna' });
  });
});

it('no login but the owner’s and the daemon’s takes a lock that the sync works under', async () => {
  const nobody = await server.as('nobody_special');
  for (const client of [reader, editor, nobody])
    expect(
      await refusedTo(client, [
        ...['holds', 'pairing'].map((name) => `select sync.take_lock('${name}')`),
        'select from sync.locks for update',
        'select from sync.locks for share',
      ]),
    ).toEqual([]);
  // Every advisory lock of the project's, held by somebody who may do nothing.
  await nobody.query('select pg_advisory_lock(7210, n) from generate_series(0, 20) n');
  await owner.query(`begin; set local lock_timeout = '2s'`);
  for (const statement of [LOCK_HOLDS, LOCK_PAIRING, `select sync.check_identity('http://127.0.0.1')`, 'select sync.mark_restored()'])
    await owner.query(statement);
  await owner.query('rollback');
  await nobody.query('select pg_advisory_unlock_all()');
  // One that was emptied by hand is as good.
  await owner.query('delete from sync.locks');
  const other = await server.as(OWNER);
  await owner.query(`begin; select sync.take_lock('holds')`);
  await other.query(`begin; set local lock_timeout = '50ms'; select sync.take_lock('pairing')`);
  expect(await refusal(other, `select sync.take_lock('holds')`)).toMatchObject({ code: '55P03' });
  await other.query('rollback');
  await owner.query('commit');
  expect(await server.sql('select name from sync.locks')).toEqual([{ name: 'holds' }]);
});

it('a login of no group sees nothing', async () => {
  const nobody = await server.as('nobody_special');
  expect(await refusedTo(nobody, ['select * from sync.status', 'select * from crm.contacts', 'select sync.pause()'])).toEqual([]);
});

it('a daemon that owns nothing keeps the history: partitions, first versions and pruning', async () => {
  await server.script(grantsScript('dan_daemon'));
  await server.sql(`alter role dan_daemon login password 'password-of-a-test'`);
  const url = new URL(server.urlOf('dan_daemon'));
  const keeper = (days: number) => createHistoryKeeper({ connectionString: url.href, days, log: SILENT });
  for (const days of [0, 30]) expect(await keeper(days).keepOnce(new AbortController().signal)).toBe(true);
  expect(await server.sql('select history_since is not null as whole from sync.account')).toEqual([{ whole: true }]);
  expect(await keeper(0).keepOnce(new AbortController().signal)).toBe(true);
  // What is kept, the owner alone removes.
  expect(await refusedTo(await server.as('dan_daemon'), ['select sync.forget_history()'])).toEqual([]);
  expect(Number(await one(owner, 'select sync.forget_history() as value'))).toBeGreaterThan(0);
});

describe('the script of `relate-mirror grants`', () => {
  it('runs twice, with and without a daemon, and by the owner once the roles are there', async () => {
    await server.script(grantsScript(DAEMON_ROLE));
    await server.script(grantsScript(DAEMON_ROLE));
    await server.script(grantsScript(null), OWNER);
    await server.script(grantsScript(DAEMON_ROLE), OWNER);
    const granted = `has_table_privilege('${DAEMON_ROLE}', 'sync.change_log', 'insert') and not has_table_privilege('${DAEMON_ROLE}', 'sync.field_policy', 'insert')`;
    expect(await server.sql(`select ${granted} as granted`)).toEqual([{ granted: true }]);
  });

  it('says in one error that the schemas are not there yet, when the roles are made already', async () => {
    const fresh = await startRoleServer();
    try {
      await expect(fresh.script(grantsScript(DAEMON_ROLE))).rejects.toThrow('schema sync is not there yet: run relate-mirror migrate');
      const [roles = '', rights = ''] = grantsScript(DAEMON_ROLE).split('-- Rights:');
      await fresh.script(roles);
      const { length } = await fresh.sql(`select from pg_roles where rolname like 'relate\\_mirror\\_%' and rolname <> '${OWNER}'`);
      expect(length).toBe(4);
      // One statement, and comments: after its error psql has nothing left to tell of.
      const [, , after = ''] = rights.split('$relate_mirror_grants$');
      expect(after.split('\n').filter((line) => !line.startsWith('--') && line !== '')).toEqual([';']);
    } finally {
      await fresh.stop();
    }
  });

  it('takes any name of a role that needs quotes, and none that means everybody', async () => {
    await server.script(grantsScript('Sync-Daemon@corp.example'));
    const name = `has_table_privilege('Sync-Daemon@corp.example', 'crm.contacts', 'update') as may`;
    expect(await server.sql(`select ${name}`)).toEqual([{ may: true }]);
    expect(['public', 'PUBLIC', 'none', 'pg_read_all_data', `a"b`, `a'b`, 'a$$b', '', 'ä'.repeat(32)].filter(isRoleName)).toEqual([]);
    expect(isRoleName('ä'.repeat(31))).toBe(true);
  });
});

describe('migrate', () => {
  it('makes the roles where it may, at once in several databases of one server', async () => {
    const fresh = await startRoleServer();
    try {
      await fresh.sql(`alter role ${OWNER} createrole`);
      const names = Array.from({ length: 4 }, (_, at) => `mirror_${at}`);
      for (const name of names) {
        await fresh.sql(`create database ${name}`);
        await fresh.sql(`grant create on database ${name} to ${OWNER}`);
      }
      await Promise.all(names.flatMap((name) => Array.from({ length: 5 }, () => fresh.migrateAs(OWNER, name))));
      const roles = await fresh.sql(`select rolname, rolcanlogin from pg_roles where rolname like 'relate_mirror_%' order by 1`);
      expect(roles.filter(({ rolcanlogin: login }) => login === false).map(({ rolname }) => rolname)).toEqual([
        'relate_mirror_editor',
        'relate_mirror_reader',
        'relate_mirror_reader_masked',
      ]);
      await fresh.sql(`drop database mirror_0`);
      await fresh.addLogin('cid_reads', 'relate_mirror_reader');
      for (const name of names.slice(1)) {
        const { default: pgModule } = await import('pg');
        const client = new pgModule.Client({ connectionString: fresh.urlOf('cid_reads', name) });
        await client.connect();
        expect((await client.query('select queue_depth from sync.status')).rowCount).toBe(1);
        await client.end();
      }
    } finally {
      await fresh.stop();
    }
  });

  it('gives the roles what was taken from them, each time the owner calls it', async () => {
    await server.sql('revoke select on sync.status from relate_mirror_reader');
    expect(await refusal(reader, 'select * from sync.status')).toMatchObject(FORBIDDEN);
    await server.migrateAs(OWNER);
    expect((await reader.query('select * from sync.status')).rowCount).toBe(1);
  });
});

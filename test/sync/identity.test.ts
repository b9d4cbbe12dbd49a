/** A database that was restored, cloned or failed over, and a CRM_URL that points elsewhere: nothing is pushed before a person has looked. */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log } from '../../src/ports/ambient.ts';
import { createMirror } from '../../src/postgres/mirror.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { readSnapshot } from '../../src/postgres/snapshot.ts';
import { differences } from '../../src/sandbox/compare.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { checkIdentity } from '../../src/sync/identity.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { createCapabilityStore, needsSweep, sweepOnce, syncOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness } from './harness.ts';

const CONTACTS = 12;
const WRITES = ['create', 'update', 'delete', 'attach', 'detach', 'sync', 'restore'] as const;
const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let harness: Harness;
let clones: { readonly pool: pg.Pool; drop(): Promise<void> }[] = [];
beforeEach(async () => {
  harness = await openHarness({ seed: { contacts: CONTACTS } });
  clones = [];
  await lead();
  await harness.probe();
  await harness.settle();
});
afterEach(async () => {
  for (const clone of clones) {
    await clone.pool.end();
    await clone.drop();
  }
  await harness.close();
});

/** What a term begins with. */
const lead = async (deps: SyncDeps = harness.deps, url = harness.sandbox.url) => {
  await deps.mirror.recoverAttempts(0);
  return await checkIdentity(deps, url);
};
const writes = (): number => harness.account.calls.count(...WRITES);

/** The database as it is now, under another oid: a backup that is restored, or a clone. */
const copyDatabase = async () => {
  const name = `${new URL(harness.url).pathname.slice(1)}_${randomBytes(3).toString('hex')}`;
  const admin = new URL(harness.url);
  admin.pathname = '/postgres';
  const server = createPool({ connectionString: admin.href, max: 1, applicationName: 'relate-mirror test' });
  await server.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '${new URL(harness.url).pathname.slice(1)}' and pid <> pg_backend_pid()`,
  );
  await server.query(`create database ${name} template ${new URL(harness.url).pathname.slice(1)} strategy file_copy`);
  const url = new URL(harness.url);
  url.pathname = `/${name}`;
  const pool = createPool({ connectionString: url.href, max: 8, applicationName: 'relate-mirror test' });
  clones.push({
    pool,
    drop: async () => {
      await server.query(`drop database ${name} with (force)`);
      await server.end();
    },
  });
  await pool.query(`update sync.leader set holder = 'restored', epoch = 2, expires_at = 'infinity'`);
  const mirror = createMirror({ pool, lease: { epoch: () => 2 }, log: silent });
  const store = createCapabilityStore(mirror);
  store.set(harness.store.get());
  const deps: SyncDeps = { ...harness.deps, mirror, capabilities: store };
  const memory = createPushMemory();
  const sql = async (text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> =>
    (await pool.query<Record<string, unknown>>(text, [...values])).rows;
  return {
    deps,
    memory,
    sql,
    pool,
    settle: async (): Promise<void> => {
      for (let round = 0; round < 20; round += 1) {
        await syncOnce(deps, memory);
        if ((await mirror.nextDueMs({ creates: true, ordered: false })) === null) return;
        await deps.clock.sleep(20);
      }
    },
    differences: async () => differences(await readSnapshot(pool), harness.account.contacts()),
  };
};
type Copy = Awaited<ReturnType<typeof copyDatabase>>;

const openHold = async ({ sql }: Pick<Copy, 'sql'>) =>
  (await sql(`select id::int, direction, cause, reason, rows::int, plan from sync.holds where state = 'open'`))[0] ?? {};
const statusHold = async ({ sql }: Pick<Copy, 'sql'>) => (await sql('select identity_hold::int from sync.status'))[0]?.['identity_hold'];

describe('the same database', () => {
  it('is its own at every further start, and its identity is stored', async () => {
    expect(await lead()).toMatchObject({ verdict: 'own' });
    const [account] = await harness.sql(
      'select crm_url, system_identifier ~ $1 as system, timeline, database_oid = (select oid from pg_database where datname = current_database()) as oid from sync.account',
      ['^[0-9]+$'],
    );
    expect(account).toEqual({ crm_url: harness.sandbox.url, system: true, timeline: 1, oid: true });
    expect(await statusHold(harness)).toBeNull();
  });

  it.each([
    ['system_identifier', `'1'`, /system identifier \d+ instead of 1/],
    ['timeline', '7', /timeline 1 instead of 7/],
  ])('under another %s was restored or failed over', async (column, value, reason) => {
    await harness.sql(`update sync.account set ${column} = ${value}`);
    expect(await lead()).toMatchObject({ verdict: 'changed', reason: expect.stringMatching(reason) });
  });

  it('says less where the role may know less', async () => {
    await harness.sql('update sync.account set system_identifier = null, timeline = null');
    expect(await lead()).toMatchObject({ verdict: 'own' });
    expect(await harness.sql('select system_identifier is not null as known from sync.account')).toEqual([{ known: true }]);
  });
});

describe('a restored or cloned database', () => {
  it('pushes nothing, however much is due, until a sweep and a person have been there', async () => {
    await harness.sql(`update crm.contacts set city = 'Olten'`);
    const copy = await copyDatabase();
    expect(await lead(copy.deps)).toMatchObject({ verdict: 'changed', reason: expect.stringContaining('database oid') });
    await pushDue(copy.deps, copy.memory);
    expect(await needsSweep(copy.deps)).toBe(true);
    expect(writes()).toBe(0);
    const hold = await openHold(copy);
    expect(await statusHold(copy)).toBe(hold['id']);
    await expect(copy.sql('select sync.approve($1)', [hold['id']])).rejects.toThrow('no complete sweep');

    await copy.sql(`insert into crm.contacts (first_name, city) values ('Edited meanwhile', 'Olten')`);
    await syncOnce(copy.deps, copy.memory);
    expect(await needsSweep(copy.deps)).toBe(false);
    expect(writes()).toBe(0);
    // The plan tells what would be pushed as of the sweep.
    expect(await openHold(copy)).toMatchObject({ direction: 'push', cause: 'identity', rows: CONTACTS + 1 });
    await copy.sql('select sync.approve($1)', [hold['id']]);
    await copy.settle();
    expect(harness.account.contacts().every(({ city }) => city === 'Olten')).toBe(true);
    expect(await statusHold(copy)).toBeNull();
    expect(await lead(copy.deps)).toMatchObject({ verdict: 'own' });
  });

  it('whose queue was pushed after the backup: no contact twice, no edit undone, no delete repeated', async () => {
    const [edited, deleted] = (await harness.sql('select id::int, crm_id::int from crm.contacts order by id limit 2')) as {
      id: number;
      crm_id: number;
    }[];
    await harness.sql(`insert into crm.contacts (first_name, email) values ('New', 'new@example.test')`);
    await harness.sql(`update crm.contacts set city = 'Before' where id = $1`, [edited?.id]);
    await harness.sql('delete from crm.contacts where id = $1', [deleted?.id]);
    const copy = await copyDatabase();
    await harness.settle();
    harness.account.update(edited?.crm_id ?? 0, { city: 'Later' });
    harness.account.create({ first_name: 'Later', email: 'later@example.test' });
    const before = writes();
    expect(harness.account.contacts()).toHaveLength(CONTACTS + 1);

    await lead(copy.deps);
    await syncOnce(copy.deps, copy.memory);
    const hold = await openHold(copy);
    expect(writes()).toBe(before);
    await copy.sql('select sync.approve($1)', [hold['id']]);
    await copy.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS + 1);
    expect(harness.account.contacts().filter(({ first_name: name }) => name === 'New')).toHaveLength(1);
    expect(harness.account.contact(edited?.crm_id ?? 0)).toMatchObject({ city: 'Later' });
    expect(await copy.differences()).toEqual([]);
    expect(harness.account.calls.count('create')).toBe(1);
  });

  it('holds its open deletions; rejected, their rows come back, and the push stays stopped until it is marked and approved anew', async () => {
    const [gone] = (await harness.sql('select id::int, crm_id::int from crm.contacts order by id limit 1')) as {
      id: number;
      crm_id: number;
    }[];
    await harness.sql('delete from crm.contacts where id = $1', [gone?.id]);
    await harness.sql(`update crm.contacts set city = 'Olten' where id = (select max(id) from crm.contacts)`);
    const copy = await copyDatabase();
    await lead(copy.deps);
    expect(await copy.sql(`select op, state from sync.change_log where settled_at is null order by id`)).toEqual([
      { op: 'delete', state: 'held' },
      { op: 'update', state: 'pending' },
    ]);
    await copy.sql('select sync.reject($1)', [(await openHold(copy))['id']]);
    await syncOnce(copy.deps, copy.memory);
    expect(await copy.sql('select crm_id::int from crm.contacts where id = $1', [gone?.id])).toEqual([{ crm_id: gone?.crm_id }]);
    expect(writes()).toBe(0);
    expect(await statusHold(copy)).not.toBeNull();
    expect(await lead(copy.deps)).toMatchObject({ verdict: 'changed', isNew: false });

    const [marked] = await copy.sql('select sync.mark_restored()::int as id');
    await syncOnce(copy.deps, copy.memory);
    expect(writes()).toBe(0);
    await copy.sql('select sync.approve($1)', [marked?.['id']]);
    await copy.settle();
    expect(writes()).toBe(1);
    expect(await copy.differences()).toEqual([]);
  });

  it('asks about a create that was under way at the backup before it sends it again', async () => {
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    await harness.sql(`insert into crm.contacts (first_name, email) values ('New', 'new@example.test')`);
    await pushDue(harness.deps, harness.memory);
    const copy = await copyDatabase();
    await lead(copy.deps);
    await syncOnce(copy.deps, copy.memory);
    await copy.sql('select sync.approve($1)', [(await openHold(copy))['id']]);
    await copy.settle();
    expect(harness.account.contacts().filter(({ first_name: name }) => name === 'New')).toHaveLength(1);
    expect(await copy.differences()).toEqual([]);
  });

  it('killed right after it was noticed is as it was: one hold, nothing pushed', async () => {
    await harness.sql(`update crm.contacts set city = 'Olten'`);
    const copy = await copyDatabase();
    await lead(copy.deps);
    const again = { ...copy.deps, mirror: createMirror({ pool: copy.pool, lease: { epoch: () => 2 }, log: silent }) };
    expect(await lead(again)).toMatchObject({ verdict: 'changed', isNew: false });
    await pushDue(again, createPushMemory());
    expect(writes()).toBe(0);
    expect(await copy.sql('select count(*)::int as holds from sync.holds')).toEqual([{ holds: 1 }]);
  });

  it('copied once more before the approval needs another sweep', async () => {
    const copy = await copyDatabase();
    await lead(copy.deps);
    await syncOnce(copy.deps, copy.memory);
    await copy.sql('update sync.account set database_oid = 1');
    expect(await needsSweep(copy.deps)).toBe(false);
    await lead(copy.deps);
    expect(await needsSweep(copy.deps)).toBe(true);
    expect(await copy.sql(`select count(*)::int as holds from sync.holds`)).toEqual([{ holds: 1 }]);
  });
});

describe('mark_restored', () => {
  it('stops a push that is running, and a sweep that had begun before does not count', async () => {
    const run = await harness.mirror.startRun('sweep', false);
    const [marked] = await harness.sql('select sync.mark_restored()::int as id');
    await harness.sql(`update crm.contacts set city = 'Olten'`);
    await harness.sync();
    await harness.mirror.finishRun(run.id, { state: 'done', complete: true, error: null });
    expect(writes()).toBe(0);
    expect(await harness.sql('select identity_hold::int as hold from sync.status')).toEqual([{ hold: marked?.['id'] }]);
    await sweepOnce(harness.deps, 'sweep', null);
    await harness.sql('select sync.approve($1)', [marked?.['id']]);
    await harness.settle();
    expect(await harness.differences()).toEqual([]);
    expect(writes()).toBe(CONTACTS);
  });
});

describe('another CRM_URL', () => {
  const other = 'https://other.example.test/api';
  it('is a hold that says both addresses; back at the old one it is released', async () => {
    expect(await lead(harness.deps, other)).toMatchObject({ verdict: 'other_account' });
    const hold = await openHold(harness);
    expect(hold).toMatchObject({ direction: 'pull', cause: 'identity', reason: expect.stringContaining(other) });
    expect(hold['reason']).toContain(harness.sandbox.url);
    expect(await statusHold(harness)).toBe(hold['id']);
    expect(await lead()).toMatchObject({ verdict: 'own' });
    expect(await statusHold(harness)).toBeNull();
  });

  it('approved, is the same account under another address', async () => {
    await lead(harness.deps, other);
    await harness.sql('select sync.approve($1)', [(await openHold(harness))['id']]);
    expect(await lead(harness.deps, other)).toMatchObject({ verdict: 'own' });
    expect(await harness.sql('select crm_url from sync.account')).toEqual([{ crm_url: other }]);
  });

  it('rejected, stays another account', async () => {
    await lead(harness.deps, other);
    const hold = await openHold(harness);
    await harness.sql('select sync.reject($1)', [hold['id']]);
    expect(await lead(harness.deps, other)).toMatchObject({ verdict: 'other_account', holdId: hold['id'], isNew: false });
    expect(await statusHold(harness)).toBe(hold['id']);
  });
});

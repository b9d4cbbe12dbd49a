/** Edits that no trigger saw are found, and take the way of every edit: queued, held where they are many, and never a deletion by themselves. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Mirror } from '../../src/ports/mirror.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { auditOnce, sweepOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
const CONTACTS = 30;
beforeEach(async () => {
  harness = await openHarness({ seed: { contacts: CONTACTS } });
  await harness.probe();
  await harness.settle();
});
afterEach(async () => await harness.close());

/** Runs statements as a restore may: nothing of ours sees them. */
const uncaptured = async (...statements: readonly string[]): Promise<void> => {
  const tables = ['contacts', 'contact_companies', 'contact_deals', 'contact_activities'];
  const each = (how: 'disable' | 'enable') => tables.map((table) => `alter table crm.${table} ${how} trigger user;`);
  // Enabled as they were: capture even for replicas.
  const always = `do $$ declare t record; begin for t in select tgrelid::regclass as on_table, tgname from pg_trigger where tgname ~ '^relate_mirror_capture'
    loop execute format('alter table %s enable always trigger %I', t.on_table, t.tgname); end loop; end $$`;
  await harness.sql(
    ['begin', ...[...each('disable'), ...statements, ...each('enable')].map((text) => text.replace(/;$/, '')), always, 'commit'].join(
      ';\n',
    ),
  );
};
const asReplica = async (statement: string): Promise<void> =>
  void (await harness.sql(`begin; set local session_replication_role = replica; ${statement}; commit`));
const audit = async (deps: SyncDeps = harness.deps) => await auditOnce(deps, null);
const ids = async (limit: number): Promise<readonly { id: number; crmId: number }[]> =>
  (await harness.sql('select id::int, crm_id::int from crm.contacts order by id limit $1', [limit])).map((row) => ({
    id: Number(row['id']),
    crmId: Number(row['crm_id']),
  }));
const one = async (): Promise<{ id: number; crmId: number }> => (await ids(1))[0] ?? { id: 0, crmId: 0 };
const log = async () =>
  await harness.sql('select contact_id::int, op, state, changed_by from sync.change_log where settled_at is null order by id');
const holds = async () => await harness.sql(`select id::int, direction, rows::int, state, reason from sync.holds order by id`);
const openHold = async (): Promise<number> => Number((await harness.sql(`select id::int from sync.holds where state = 'open'`))[0]?.['id']);
const companies = (crmId: number): readonly number[] => harness.account.contact(crmId)?.companies ?? [];
/** A company that the contact is not linked to. */
const otherCompany = (crmId: number): number =>
  harness.account.records('companies').find(({ id }) => !companies(crmId).includes(id))?.id ?? 0;

describe('with nothing to find', () => {
  it('writes nothing but its own run, which tells what it compared', async () => {
    const before = await harness.tuples();
    expect(await audit()).toEqual({ rows: CONTACTS, queued: 0, held: 0, stoppedBy: null });
    const after = await harness.tuples();
    expect([...after].filter(([name, tuples]) => before.get(name) !== tuples).map(([name]) => name)).toEqual(['sync.runs']);
    const [run] = await harness.sql(
      'select kind, state, complete, rows_seen::int, rows_written::int from sync.runs order by id desc limit 1',
    );
    expect(run).toEqual({ kind: 'audit', state: 'done', complete: true, rows_seen: CONTACTS, rows_written: 0 });
  });

  it('is content with another spelling of the same value', async () => {
    const { id } = await one();
    await uncaptured(
      `update crm.contacts set city = coalesce(city, 'Bern') || ' ', custom_fields = custom_fields || '{"cf_none": null}' where id = ${id}`,
    );
    await harness.sql(`update sync.contact_state set base = base || jsonb_build_object('city', (select trim(city) from crm.contacts where id = ${id}))
      where contact_id = ${id}`);
    expect(await audit()).toMatchObject({ queued: 0, held: 0 });
    expect(await log()).toEqual([]);
  });

  it('leaves what is edited in the usual way to the usual way', async () => {
    await harness.sql(`update crm.contacts set city = 'Olten'`);
    expect(await audit()).toMatchObject({ queued: 0, held: 0 });
  });
});

describe('an edit that no trigger saw', () => {
  it('of fields, made by a restore that lost log rows: is named, pushed once, and then there is nothing more to find', async () => {
    const [first, second] = await ids(2);
    await harness.sql(`update crm.contacts set city = 'Olten' where id = $1`, [first?.id]);
    await harness.sql('delete from sync.change_log');
    await uncaptured(`update crm.contacts set job_title = 'Restored', street = 'Here' where id = ${second?.id}`);
    expect(await audit()).toMatchObject({ queued: 2, held: 0 });
    expect(await harness.sql(`select new_values from sync.change_log order by id`)).toMatchObject([
      { new_values: { city: 'Olten' } },
      { new_values: { job_title: 'Restored', street: 'Here' } },
    ]);
    expect(await harness.sql(`select contact_id::int, op from sync.damage order by id`)).toEqual(
      [first, second].map((contact) => ({ contact_id: contact?.id, op: 'audit' })),
    );
    const before = harness.account.calls.count('update');
    await harness.settle();
    expect(harness.account.calls.count('update') - before).toBe(2);
    expect(harness.account.contact(first?.crmId ?? 0)).toMatchObject({ city: 'Olten' });
    expect(harness.account.contact(second?.crmId ?? 0)).toMatchObject({ job_title: 'Restored', street: 'Here' });
    expect(await harness.differences()).toEqual([]);
    expect(await audit()).toMatchObject({ queued: 0, held: 0 });
  });

  it("of links, emptied by a replica's session that no guard stops: is detached", async () => {
    const { id, crmId } = await one();
    harness.account.attach(crmId, { companies: [otherCompany(crmId)] });
    await harness.settle();
    const linked = await harness.sql('select distinct contact_id from crm.contact_companies');
    await asReplica('truncate crm.contact_companies');
    expect(await log()).toEqual([]);
    expect(await audit()).toMatchObject({ queued: linked.length, held: 0 });
    await harness.settle();
    expect(await harness.differences()).toEqual([]);
    expect(companies(crmId)).toEqual([]);
    expect(await harness.sql('select state from sync.contact_status where contact_id = $1', [id])).toEqual([{ state: 'in_sync' }]);
  });

  it.each([
    ['suppresses', 'return null'],
    ['changes', 'new.company_id := new.company_id % 2 + 1; return new'],
  ])("of a link that the daemon writes and a user's trigger %s: is the mirror's word", async (_what, body) => {
    await harness.sql(`create function public.meddle() returns trigger language plpgsql as 'begin ${body}; end'`);
    await harness.sql('create trigger meddle before insert on crm.contact_companies for each row execute function public.meddle()');
    const [contact] = (await harness.sql(
      'select id::int, crm_id::int from crm.contacts c where not exists (select from crm.contact_companies l where l.contact_id = c.id) order by id limit 1',
    )) as { id: number; crm_id: number }[];
    harness.account.attach(contact?.crm_id ?? 0, { companies: [otherCompany(contact?.crm_id ?? 0)] });
    await harness.settle();
    expect(await log()).toEqual([]);
    await audit();
    await harness.settle();
    const here = (await harness.sql('select company_id::int from crm.contact_companies where contact_id = $1', [contact?.id])).map(
      (row) => row['company_id'],
    );
    expect(companies(contact?.crm_id ?? 0)).toEqual(here);
    expect(await harness.differences()).toEqual([]);
  });

  it('of a new row: is created in the CRM, once', async () => {
    await uncaptured(`insert into crm.contacts (first_name, email) values ('Copied', 'copied@example.test')`);
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS);
    expect(await audit()).toMatchObject({ queued: 1 });
    expect(await audit()).toMatchObject({ queued: 0 });
    await harness.settle();
    expect(harness.account.contacts().filter(({ first_name: name }) => name === 'Copied')).toHaveLength(1);
    expect(await harness.differences()).toEqual([]);
  });

  it('of a row that came with its crm_id and without a state: the contact is read and both become one', async () => {
    const { id, crmId } = await one();
    await harness.sql('delete from sync.contact_state where contact_id = $1', [id]);
    await uncaptured(`update crm.contacts set job_title = 'Here' where id = ${id}`);
    harness.account.update(crmId, { city: 'There' });
    await audit();
    await harness.settle();
    expect(await harness.sql('select city from crm.contacts where id = $1', [id])).toEqual([{ city: 'There' }]);
    expect(await harness.differences()).toEqual([]);
    expect(await harness.sql('select * from sync.refused')).toEqual([]);
  });

  it('follows each complete sweep', async () => {
    const { id, crmId } = await one();
    await uncaptured(`update crm.contacts set city = 'Olten' where id = ${id}`);
    await sweepOnce(harness.deps, 'sweep', null);
    await harness.settle();
    expect(harness.account.contact(crmId)).toMatchObject({ city: 'Olten' });
    expect(await harness.sql(`select state from sync.runs where kind = 'audit'`)).toEqual([{ state: 'done' }, { state: 'done' }]);
  });

  it('of a field with an open conflict waits for the person who decides it', async () => {
    const { id, crmId } = await one();
    await harness.sql(`insert into sync.field_policy values ('city', 'manual')`);
    await harness.sql(`update crm.contacts set city = 'Here' where id = $1`, [id]);
    harness.account.update(crmId, { city: 'There' });
    await harness.settle();
    expect(await harness.sql(`select field from sync.conflicts where state = 'open'`)).toEqual([{ field: 'city' }]);
    expect(await audit()).toMatchObject({ queued: 0, held: 0 });
    await uncaptured(`update crm.contacts set job_title = 'Found' where id = ${id}`);
    expect(await audit()).toMatchObject({ queued: 1 });
    await harness.settle();
    expect(harness.account.contact(crmId)).toMatchObject({ city: 'There', job_title: 'Found' });
  });

  it('loses to an edit of the CRM under newest, since nobody knows when it was made; the conflict keeps it', async () => {
    const { id, crmId } = await one();
    await uncaptured(`update crm.contacts set city = 'Found' where id = ${id}`);
    await audit();
    harness.account.update(crmId, { city: 'There' });
    await harness.settle();
    expect(harness.account.contact(crmId)).toMatchObject({ city: 'There' });
    expect(await harness.sql('select city from crm.contacts where id = $1', [id])).toEqual([{ city: 'There' }]);
    expect(await harness.sql(`select local, remote, outcome, compared -> 'localAt' as at from sync.conflicts`)).toEqual([
      { local: 'Found', remote: 'There', outcome: 'crm', at: null },
    ]);
  });
});

describe('more than the brake lets through', () => {
  const spoil = async (): Promise<void> => {
    await uncaptured(`update crm.contacts set city = 'Spoiled'`, `insert into crm.contact_deals select id, 77 from crm.contacts`);
  };

  it('is held as a whole; approved, it is pushed', async () => {
    await spoil();
    expect(await audit()).toMatchObject({ queued: 0, held: CONTACTS });
    await harness.settle();
    expect(harness.account.contacts().some(({ city }) => city === 'Spoiled')).toBe(false);
    expect(await holds()).toMatchObject([{ direction: 'push', rows: CONTACTS, state: 'open' }]);
    expect(await audit()).toMatchObject({ queued: 0, held: 0 });
    await harness.sql('select sync.approve($1)', [await openHold()]);
    await harness.settle();
    expect(harness.account.contacts().every(({ city }) => city === 'Spoiled')).toBe(true);
  });

  it('is held as a whole; rejected, it is undone and not found again', async () => {
    const before = await harness.sql('select id, city from crm.contacts order by id');
    await spoil();
    await uncaptured(`insert into crm.contacts (first_name) values ('Copied')`);
    await audit();
    await harness.sql('select sync.reject($1)', [await openHold()]);
    await harness.settle();
    expect(await harness.sql(`select id, city from crm.contacts where crm_id is not null order by id`)).toEqual(before);
    expect(await harness.sql('select count(*)::int as links from crm.contact_deals where deal_id = 77')).toEqual([{ links: 0 }]);
    expect(await audit()).toMatchObject({ queued: 0, held: 0 });
    // What nobody is known to have inserted is not thrown away either.
    expect(await harness.sql('select op from sync.parked')).toEqual([{ op: 'insert' }]);
    expect(harness.account.contacts()).toHaveLength(CONTACTS);
  });

  it('counts what an earlier audit of the hour let through', async () => {
    const some = await ids(20);
    await uncaptured(`update crm.contacts set city = 'Spoiled' where id in (select id from crm.contacts order by id limit 20)`);
    expect(await audit()).toMatchObject({ queued: some.length, held: 0 });
    await harness.settle();
    await uncaptured(`update crm.contacts set city = 'Again' where id in (select id from crm.contacts order by id desc limit 10)`);
    expect(await audit()).toMatchObject({ queued: 0, held: 10 });
  });
});

describe('a row that is gone though nobody deleted it', () => {
  const vanish = async (): Promise<{ id: number; crmId: number }> => {
    const contact = await one();
    await uncaptured(`delete from crm.contacts where id = ${contact.id}`);
    return contact;
  };

  it('is held, by no sweep brought back and by no push deleted; approved, it is deleted in the CRM', async () => {
    const { id } = await vanish();
    await sweepOnce(harness.deps, 'sweep', null);
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS);
    expect(await harness.sql('select id from crm.contacts where id = $1', [id])).toEqual([]);
    expect(await log()).toEqual([{ contact_id: id, op: 'delete', state: 'held', changed_by: 'relate-mirror audit' }]);
    expect(await holds()).toMatchObject([
      { direction: 'push', rows: 1, state: 'open', reason: expect.stringContaining('nobody is known to have deleted') },
    ]);
    await harness.sql('select sync.approve($1)', [await openHold()]);
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS - 1);
    expect(await harness.differences()).toEqual([]);
  });

  it('is held; rejected, it comes back as the CRM has it by now, under its old id', async () => {
    const { id, crmId } = await vanish();
    await audit();
    harness.account.update(crmId, { city: 'Meanwhile' });
    await harness.sql('select sync.reject($1)', [await openHold()]);
    expect(await audit()).toMatchObject({ held: 0 });
    await harness.settle();
    expect(await harness.sql('select crm_id::int, city from crm.contacts where id = $1', [id])).toEqual([
      { crm_id: crmId, city: 'Meanwhile' },
    ]);
    expect(await harness.differences()).toEqual([]);
  });

  it('between the look and the lock of its edit is not queued as a deletion, but held by the next audit', async () => {
    const { id } = await one();
    await uncaptured(`update crm.contacts set city = 'Found' where id = ${id}`);
    const { mirror } = harness.deps;
    const meddled: Mirror = {
      ...mirror,
      transaction: async (steps) =>
        await mirror.transaction(async (tx) => {
          const brakeLoad: typeof tx.brakeLoad = async (direction) => {
            await uncaptured(`delete from crm.contacts where id = ${id}`);
            return await tx.brakeLoad(direction);
          };
          return await steps({ ...tx, brakeLoad });
        }),
    };
    expect(await audit({ ...harness.deps, mirror: meddled })).toMatchObject({ queued: 0, held: 0 });
    expect(await log()).toEqual([]);
    expect(await audit()).toMatchObject({ queued: 0, held: 1 });
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS);
  });

  it('is held also where an edit of it was still to be pushed', async () => {
    const contact = await one();
    await harness.sql(`update crm.contacts set city = 'Olten' where id = $1`, [contact.id]);
    await uncaptured(`delete from crm.contacts where id = ${contact.id}`);
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS);
    expect(await holds()).toMatchObject([{ direction: 'push', state: 'open' }]);
    await harness.sql('select sync.approve($1)', [await openHold()]);
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS - 1);
  });

  it('and all the others with it, truncated by a replica: not one contact of the CRM is deleted', async () => {
    await asReplica('truncate crm.contacts cascade');
    await sweepOnce(harness.deps, 'sweep', null);
    await harness.settle();
    expect(harness.account.contacts()).toHaveLength(CONTACTS);
    expect(await holds()).toMatchObject([{ direction: 'push', rows: CONTACTS, state: 'open' }]);
    await harness.sql('select sync.reject($1)', [await openHold()]);
    await harness.settle();
    expect(await harness.differences()).toEqual([]);
  });
});

describe('an audit that does not end', () => {
  /** A mirror that dies in its nth transaction that logs something. */
  const dying = (mirror: Mirror, nth: number): Mirror => {
    let logs = 0;
    return {
      ...mirror,
      transaction: async (steps) =>
        await mirror.transaction(
          async (tx) =>
            await steps({
              ...tx,
              logFound: async (found) => {
                logs += 1;
                if (logs === nth) throw new Error('killed');
                return await tx.logFound(found);
              },
            }),
        ),
    };
  };

  it('killed between two transactions is made good by the next: every edit is pushed, none twice', async () => {
    for (let n = 0; n < 120; n += 1) harness.account.create({ first_name: `More ${n}` });
    await harness.settle();
    const deps = { ...harness.deps, settings: { ...harness.deps.settings, brake: { rows: 1000, share: 1, max: 1000 } } };
    await uncaptured(`update crm.contacts set city = 'Found'`);
    await expect(audit({ ...deps, mirror: dying(deps.mirror, 2) })).rejects.toThrow('killed');
    const some = (await log()).length;
    expect(some).toBeGreaterThan(0);
    const all = Number((await harness.sql('select count(*)::int as n from crm.contacts'))[0]?.['n']);
    expect(await audit(deps)).toMatchObject({ queued: all - some });
    const before = harness.account.calls.count('update');
    await harness.settle();
    expect(harness.account.calls.count('update') - before).toBe(all);
    expect(await harness.differences()).toEqual([]);
  });

  it('paused says so and logs nothing', async () => {
    const { id } = await one();
    await uncaptured(`update crm.contacts set city = 'Found' where id = ${id}`);
    await harness.sql('select sync.pause()');
    expect(await audit()).toMatchObject({ stoppedBy: 'paused' });
    expect(await log()).toEqual([]);
    expect(await harness.sql('select state, error from sync.runs order by id desc limit 1')).toEqual([
      { state: 'failed', error: 'paused' },
    ]);
  });

  it('does not wait for a row that somebody edits right now', async () => {
    const { id } = await one();
    await uncaptured(`update crm.contacts set city = 'Found'`, `update crm.contacts set city = 'Found' where id = ${id}`);
    const client = await harness.pool.connect();
    try {
      await client.query('begin');
      await client.query(`update crm.contacts set job_title = 'Mine' where id = $1`, [id]);
      const deps = { ...harness.deps, settings: { ...harness.deps.settings, brake: { rows: 1000, share: 1, max: 1000 } } };
      expect(await audit(deps)).toMatchObject({ queued: CONTACTS - 1 });
      await client.query('commit');
    } finally {
      client.release();
    }
    await harness.settle();
    expect(await harness.differences()).toEqual([]);
  });
});

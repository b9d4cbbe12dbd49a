/** What people, and other machines, do at the wrong moment: decisions that race with the daemon, retries asked for too soon, rows that were copied. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createCrm } from '../../src/crm/contacts.ts';
import { createPacing } from '../../src/crm/pacing.ts';
import { createMirror } from '../../src/postgres/mirror.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { serveRequest, sweepOnce } from '../../src/sync/rounds.ts';
import { openBrakeWorld, type BrakeWorld } from './brake-world.ts';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

const openBrake = async (): Promise<BrakeWorld> => {
  const world = await openBrakeWorld('upstream');
  harness = world;
  return world;
};
const open = async (options: Parameters<typeof openHarness>[0] = {}): Promise<void> => {
  harness = await openHarness({ seed: { contacts: 3 }, ...options });
  await harness.probe();
  await harness.settle();
};
const firstRow = async (): Promise<{ readonly id: number; readonly crmId: number }> => {
  const [row] = await harness.sql('select id::int, crm_id::int from crm.contacts order by id limit 1');
  return { id: Number(row?.['id']), crmId: Number(row?.['crm_id']) };
};
const leftOpen = async () => await harness.sql('select op, state, error_code from sync.change_log where settled_at is null order by id');

/** Until a person is asked whose contact it is: on a busy machine the look after the lost POST comes late. */
const untilAsked = async (): Promise<void> => {
  await vi.waitFor(
    async () => {
      await harness.settle();
      expect(await leftOpen()).toMatchObject([{ state: 'parked', error_code: 'several_matches' }]);
    },
    { timeout: 15_000, interval: 100 },
  );
};

/** Until a transaction of the daemon waits for a lock. */
const someoneWaits = async (): Promise<void> => {
  const look = `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  for (let looks = 0; looks < 5000; looks += 1) {
    const [found] = await harness.sql(look);
    if (Number(found?.['n']) > 0) return;
  }
  throw new Error('nobody waits for a lock');
};

describe('a hold that a person decides', () => {
  it('in the very moment in which something more is held: that goes into a plan of its own', async () => {
    const world = await openBrake();
    await world.sql('delete from crm.contacts where id in (select id from crm.contacts order by id limit 20)');
    await world.settle();
    const hold = await world.onlyHold();
    await world.sql('delete from crm.contacts where id = (select max(id) from crm.contacts)');
    const person = await world.pool.connect();
    await person.query('begin');
    await person.query('select sync.approve($1)', [hold.id]);
    const pushing = pushDue(world.deps, world.memory);
    await someoneWaits();
    await person.query('commit');
    person.release();
    await pushing;
    await world.settle();
    const stuck = await world.sql(
      `select l.id from sync.change_log l join sync.holds h on h.id = l.hold_id where l.state = 'held' and h.state <> 'open'`,
    );
    expect(stuck).toEqual([]);
  });

  it('against what was emptied, after the CRM has moved on: the row takes what both sides agree on by now', async () => {
    const world = await openBrake();
    const { id, crmId } = await firstRow();
    world.account.update(crmId, { city: 'Zurich' });
    // Later than a tie, so that the mirror's edit is the newer one.
    await world.sql(`select pg_sleep(2.2)`);
    await world.sql('update crm.contacts set city = null');
    await world.settle();
    await world.decide('reject');
    await world.settle();
    await sweepOnce(world.deps, 'sweep', null);
    await world.settle();
    expect(world.account.contact(crmId)?.city).toBe('Zurich');
    expect(await world.sql('select city from crm.contacts where id = $1', [id])).toEqual([{ city: 'Zurich' }]);
  });
});

describe('a create of which nobody knows', () => {
  it('is not asked about before the POST of a lost leader can no longer be under way, whoever asks for a retry', async () => {
    await open({ settings: { createGraceMs: 60_000 }, timeoutMs: 5000 });
    const arrived = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let isFirst = true;
    harness.sandbox.onRequest(async ({ call }) => {
      if (call !== 'create' || !isFirst) return;
      isFirst = false;
      arrived.resolve();
      await released.promise;
    });
    await harness.sql(`insert into crm.contacts (first_name, last_name) values ('Only', 'Once')`);
    const old = pushDue(harness.deps, harness.memory).catch(() => undefined);
    await arrived.promise;
    await harness.sql('update sync.leader set epoch = 2');
    const mirror = createMirror({ pool: harness.pool, lease: { epoch: () => 2 }, log: harness.deps.log });
    const pacing = createPacing({ clock: systemClock, share: 1 });
    const crm = createCrm({ url: harness.sandbox.url, token: 'test-token', timeoutMs: 5000, pacing });
    const [deps, memory] = [{ ...harness.deps, mirror, crm }, createPushMemory()];
    await mirror.recoverAttempts(60_000);
    await harness.sql('select sync.retry_all()');
    await harness.sql('select sync.retry(id) from sync.change_log where settled_at is null');
    await pushDue(deps, memory);
    released.resolve();
    await old;
    crm.close();
    expect(harness.account.contacts().filter(({ last_name: name }) => name === 'Once')).toHaveLength(1);
  });

  it('of a row that was copied in SQL, key and all, does not take the original for its own', async () => {
    const field = { name: 'cf_mirror_key', label: 'Mirror key', type: 'Text' } as const;
    await open({ account: { customFields: [field] }, settings: { externalIdField: 'cf_mirror_key', createRecheckMs: 30 } });
    await harness.sql(`insert into crm.contacts (first_name, last_name) values ('Anna', 'Original')`);
    await harness.settle();
    harness.sandbox.fault({ call: 'create', kind: 'reset-before' });
    await harness.sql(
      `insert into crm.contacts (first_name, last_name, custom_fields)
       select 'Berta', 'Copy', custom_fields from crm.contacts where last_name = 'Original'`,
    );
    await harness.settle();
    const names = await harness.sql(`select first_name from crm.contacts where last_name in ('Original', 'Copy') order by 1`);
    expect(names).toEqual([{ first_name: 'Anna' }, { first_name: 'Berta' }]);
    expect(await harness.differences()).toEqual([]);
  });

  // With the short wait a look comes after its end, with the long one within it: what was decided must outlive it.
  it.each([
    ['when the wait is over', 100],
    ['while the CRM is still waited for', 1500],
  ])('that looks like a contact with a row is let go when its row is deleted, and sent when a person says so, %s', async (_, recheckMs) => {
    await open({ settings: { createRecheckMs: recheckMs } });
    harness.account.create({ first_name: 'Anna', last_name: 'Twin' });
    await harness.settle();
    const lose = () => [harness.sandbox.fault({ call: 'create', kind: 'reset-before' })];
    lose();
    await harness.sql(`insert into crm.contacts (first_name, last_name) values ('Anna', 'Twin')`);
    await untilAsked();
    await harness.sql('delete from crm.contacts where crm_id is null');
    await harness.settle();
    expect(await leftOpen()).toEqual([]);
    lose();
    await harness.sql(`insert into crm.contacts (first_name, last_name) values ('Anna', 'Twin')`);
    await untilAsked();
    await harness.sql('select sync.retry_all()');
    await harness.settle();
    expect(await leftOpen()).toHaveLength(1);
    await harness.sql(`select sync.retry(change_id) from sync.parked where error_code = 'several_matches'`);
    await harness.settle();
    expect(await leftOpen()).toEqual([]);
    expect(harness.account.contacts().filter(({ last_name: name }) => name === 'Twin')).toHaveLength(2);
    expect(await harness.differences()).toEqual([]);
  });
});

describe('a contact', () => {
  it('that is trashed again as often as it is restored is not fought for: the edit waits, longer each time', async () => {
    await open();
    const { id, crmId } = await firstRow();
    harness.account.delete(crmId);
    harness.sandbox.onRequest(({ call }) => {
      if (call === 'retrieve' && harness.account.contact(crmId)?.deletedAtMs === null) harness.account.delete(crmId);
    });
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [id]);
    await pushDue(harness.deps, harness.memory);
    expect(harness.account.calls.count('restore')).toBeLessThan(6);
    expect(await leftOpen()).toMatchObject([{ op: 'update', state: 'retry' }]);
  });

  it('that was decided for the mirror though its edits cancel each other out is brought back all the same', async () => {
    await open({ settings: { conflictPolicy: 'manual' } });
    const { id, crmId } = await firstRow();
    harness.account.delete(crmId);
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [id]);
    await harness.settle();
    await harness.sql(
      `update crm.contacts set city = (select base ->> 'city' from sync.contact_state where contact_id = $1) where id = $1`,
      [id],
    );
    await harness.settle();
    await harness.sql(`select sync.resolve(id, 'mirror') from sync.conflicts where state = 'open'`);
    await harness.settle();
    expect(harness.account.contact(crmId)?.deletedAtMs).toBeNull();
    expect(await harness.differences()).toEqual([]);
  });

  it('that goes takes the question about its field along, so that nobody is asked for ever', async () => {
    await open({ settings: { conflictPolicy: 'manual' } });
    const { id, crmId } = await firstRow();
    harness.account.update(crmId, { city: 'There' });
    await harness.sql(`update crm.contacts set city = 'Here' where id = $1`, [id]);
    await harness.settle();
    expect(await harness.sql(`select field from sync.conflicts where state = 'open'`)).toEqual([{ field: 'city' }]);
    await harness.sql('delete from crm.contacts where id = $1', [id]);
    await harness.settle();
    await harness.sql(`select sync.resolve(id, 'mirror') from sync.conflicts where state = 'open'`);
    expect(await harness.sql(`select field from sync.conflicts where state = 'open'`)).toEqual([]);
  });
});

describe('a run', () => {
  it('that never got as far as its first page is ended: it can be asked for again, and leaves nothing running', async () => {
    await open();
    harness.sandbox.setToken('another');
    for (let round = 0; round < 3; round += 1) await sweepOnce(harness.deps, 'sweep', null);
    harness.sandbox.setToken('test-token');
    await harness.sql('select sync.request_resync()');
    const request = await harness.mirror.takeRequest();
    await harness.sql('select sync.pause()');
    if (request !== null) await serveRequest(harness.deps, harness.memory, request);
    await harness.sql('select sync.resume()');
    expect(await harness.sql(`select id from sync.runs where state = 'running'`)).toEqual([]);
    const [again] = await harness.sql('select sync.request_resync()::int as id');
    expect((await harness.mirror.takeRequest())?.id).toBe(again?.['id']);
  });

  it('does not take a contact that was gone before it began for one that nobody saw', async () => {
    await open({ seed: { contacts: 20 }, mode: 'documented' });
    const { crmId } = await firstRow();
    harness.account.delete(crmId);
    const { list } = harness.crm;
    // A list that lacks the same contact each time, and counts it.
    const hidden = harness.account.contacts()[5]?.id;
    const crm = {
      ...harness.crm,
      list: async (...parameters: Parameters<typeof list>) => {
        const answer = await list(...parameters);
        return answer.ok
          ? { ...answer, value: { ...answer.value, records: answer.value.records.filter(({ crmId: id }) => id !== hidden) } }
          : answer;
      },
    };
    await harness.sql('delete from sync.marks');
    await harness.sql(`delete from crm.contacts where crm_id = $1`, [hidden]);
    expect((await sweepOnce({ ...harness.deps, crm }, 'sweep', null)).complete).toBe(false);
  });
});

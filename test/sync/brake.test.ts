/** Big damage stops at the brake, in both directions, as a plan that a person reads and decides. */
import { afterEach, describe, expect, it } from 'vitest';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { CONTACTS, openBrakeWorld, type BrakeWorld } from './brake-world.ts';

let world: BrakeWorld;
afterEach(async () => await world.close());

const open = async (mode: 'documented' | 'upstream' = 'upstream'): Promise<void> => {
  world = await openBrakeWorld(mode);
};
const statusCounts = async (): Promise<unknown> =>
  await world.sql('select state, count(*)::int as n from sync.contact_status group by 1 order by 1');
const firstRow = async (): Promise<{ readonly id: number; readonly crmId: number }> => {
  const [row] = await world.sql('select id::int, crm_id::int from crm.contacts order by id limit 1');
  return { id: Number(row?.['id']), crmId: Number(row?.['crm_id']) };
};

/** Bulk damage done here, the calls that would carry it, and the line that it makes. */
const LOCAL = {
  'DELETE FROM crm.contacts': { call: 'delete', line: { op: 'delete' } },
  'update crm.contacts set city = null': { call: 'update', line: { op: 'update', fields: ['city'] } },
  'delete from crm.contact_companies': { call: 'detach', line: { op: 'detach', links: { companies: [expect.any(Number)] } } },
} as const;
type Statement = keyof typeof LOCAL;
const STATEMENTS = Object.keys(LOCAL) as Statement[];

describe.each(['documented', 'upstream'] as const)('in bulk, here (%s)', (mode) => {
  it.each(STATEMENTS)('%s: nothing is sent, one plan names every contact and no value', async (statement) => {
    await open(mode);
    const { call, line } = LOCAL[statement];
    await world.sql(statement);
    await world.settle();
    expect(world.account.calls.count(call)).toBe(0);
    expect(world.writes()).toBe(0);
    const hold = await world.onlyHold();
    expect(hold).toMatchObject({ direction: 'push', state: 'open', rows: CONTACTS });
    expect(hold.plan).toEqual(hold.plan.map(() => ({ contact_id: expect.any(Number), crm_id: expect.any(Number), ...line })));
    expect(new Set(hold.plan.map((each) => each['contact_id'])).size).toBe(CONTACTS);
    expect(JSON.stringify(hold)).not.toMatch(/secret|Basel/);
    expect(await statusCounts()).toEqual([{ state: 'held', n: CONTACTS }]);
    expect(await world.sql('select held::int, queue_depth::int from sync.status')).toEqual([{ held: CONTACTS, queue_depth: 0 }]);
    // It stays so.
    await sweepOnce(world.deps, 'sweep', null);
    await world.settle();
    expect(world.writes()).toBe(0);
    expect(await world.onlyHold()).toEqual(hold);
  });

  it.each(STATEMENTS)('%s, approved: goes through, and is counted', async (statement) => {
    await open(mode);
    const { call, line } = LOCAL[statement];
    await world.sql(statement);
    await world.settle();
    await world.decide('approve');
    await world.inStep();
    expect(world.account.calls.count(call)).toBe(CONTACTS);
    expect(await world.sql('select direction, op, count(*)::int as n from sync.damage group by 1, 2')).toEqual([
      { direction: 'push', op: line.op === 'update' ? 'empty' : line.op, n: CONTACTS },
    ]);
    expect(await world.onlyHold()).toMatchObject({ state: 'approved' });
  });

  it.each(STATEMENTS)('%s, rejected: everything is as before, here and there', async (statement) => {
    await open(mode);
    const before = await world.sql('select id, crm_id, city, job_title from crm.contacts order by id');
    await world.sql(statement);
    await world.settle();
    await world.decide('reject');
    await world.inStep();
    expect(world.writes()).toBe(0);
    expect(await world.sql('select id, crm_id, city, job_title from crm.contacts order by id')).toEqual(before);
    expect(await world.count('crm.contact_companies')).toBe(CONTACTS);
    expect(await world.onlyHold()).toMatchObject({ state: 'rejected' });
  });
});

describe('here', () => {
  it('single edits count like a batch: each goes through until the hour is used up, then they wait', async () => {
    await open();
    const rows = await world.sql('select id from crm.contacts order by id limit 6');
    for (const { id } of rows.slice(0, 5)) {
      await world.sql('update crm.contacts set city = null where id = $1', [id]);
      await world.settle();
    }
    expect(world.account.calls.count('update')).toBe(5);
    expect(await world.holds()).toEqual([]);
    await world.sql('delete from crm.contacts where id = $1', [rows[5]?.['id']]);
    await world.settle();
    expect(world.account.calls.count('delete')).toBe(0);
    expect(await world.onlyHold()).toMatchObject({ rows: 1, plan: [{ op: 'delete' }] });
  });

  it('a contact that is damaged twice is one contact, and what changes or adds is none', async () => {
    await open();
    const { id } = await firstRow();
    for (const field of ['city', 'job_title', 'street', 'postal_code', 'state', 'last_name']) {
      await world.sql(`update crm.contacts set ${field} = 'x' where id = $1`, [id]);
      await world.settle();
      await world.sql(`update crm.contacts set ${field} = null where id = $1`, [id]);
      await world.settle();
    }
    await world.sql(`update crm.contacts set city = 'Everywhere'`);
    await world.inStep();
    expect(await world.holds()).toEqual([]);
    expect(await world.sql('select count(distinct contact_id)::int as n, count(*)::int as rows from sync.damage')).toEqual([
      { n: 1, rows: 6 },
    ]);
  });

  it('a call whose outcome nobody knows counts too', async () => {
    await open();
    const { id } = await firstRow();
    world.sandbox.fault({ call: 'update', kind: 'reset-after' });
    await world.sql('update crm.contacts set city = null where id = $1', [id]);
    await world.inStep();
    expect(world.account.calls.count('update')).toBe(1);
    expect(await world.sql('select contact_id::int as id, op from sync.damage')).toEqual([{ id, op: 'empty' }]);
  });

  it('an approval is for what stood in the plan: what is emptied later is asked for anew', async () => {
    await open();
    await world.sql('update crm.contacts set city = null');
    await world.settle();
    await world.decide('approve');
    await world.sql('update crm.contacts set job_title = null');
    await world.settle();
    expect(world.account.contacts().filter(({ job_title: title }) => title !== null)).toHaveLength(CONTACTS);
    const [first, second] = await world.holds();
    expect(first).toMatchObject({ state: 'approved', rows: CONTACTS });
    expect(second).toMatchObject({ state: 'open', rows: CONTACTS });
    await world.decide('approve');
    await world.inStep();
    expect(world.account.contacts().every(({ city, job_title: title }) => city === null && title === null)).toBe(true);
  });

  it('an edit of a contact that has something held waits with it, and outlives the rejection', async () => {
    await open();
    await world.sql('update crm.contacts set city = null');
    await world.settle();
    const { id, crmId } = await firstRow();
    await world.sql(`update crm.contacts set first_name = 'Later' where id = $1`, [id]);
    await world.settle();
    expect(world.writes()).toBe(0);
    expect(await world.onlyHold()).toMatchObject({ rows: CONTACTS });
    await world.decide('reject');
    await world.inStep();
    expect(world.account.contact(crmId)).toMatchObject({ first_name: 'Later', city: 'Basel' });
    expect(world.writes()).toBe(1);
  });

  it.each([
    ['update crm.contacts set city = null', `update crm.contacts c set city = 'Basel' where c.id = any($1)`],
    [
      'delete from crm.contact_companies',
      `insert into crm.contact_companies select c.id, (select min(id) from crm.companies) from crm.contacts c where c.id = any($1)
       on conflict do nothing`,
    ],
  ])('%s, and taken back: the plan is released by itself', async (statement, back) => {
    await open();
    const ids = (await world.sql('select id::int from crm.contacts order by id')).map((row) => Number(row['id']));
    const [id] = ids;
    await world.sql(statement);
    await world.settle();
    await world.sql(back, [[id]]);
    await world.waiting(CONTACTS - 1);
    const shrunk = await world.onlyHold();
    expect(shrunk).toMatchObject({ state: 'open', rows: CONTACTS - 1 });
    expect(shrunk.plan.filter((line) => line['released'] === true)).toMatchObject([{ contact_id: id }]);
    await world.sql(back, [ids]);
    await world.inStep();
    expect(world.writes()).toBe(0);
    expect(await world.onlyHold()).toMatchObject({ state: 'released', rows: 0 });
    expect(await world.sql('select decided_by from sync.holds')).toEqual([{ decided_by: 'relate-mirror' }]);
  });

  it('the CRM comes to the same by itself: nothing is left to push, and the plan is released', async () => {
    await open();
    await world.sql('update crm.contacts set city = null');
    await world.settle();
    for (const { id } of world.account.contacts()) world.account.update(id, { city: null });
    await world.inStep();
    expect(world.writes()).toBe(0);
    expect(await world.onlyHold()).toMatchObject({ state: 'released', rows: 0 });
  });

  it('a held deletion, edited in the CRM since, comes back and leaves the plan', async () => {
    await open();
    await world.sql('delete from crm.contacts');
    await world.settle();
    const [survivor] = world.account.contacts();
    world.account.update(survivor?.id ?? 0, { city: 'Bern' });
    await world.settle();
    expect(await world.sql('select crm_id::int, city from crm.contacts')).toEqual([{ crm_id: survivor?.id, city: 'Bern' }]);
    expect(await world.onlyHold()).toMatchObject({ state: 'open', rows: CONTACTS - 1 });
    await world.decide('approve');
    await world.inStep();
    expect(world.account.contacts()).toHaveLength(1);
  });
});

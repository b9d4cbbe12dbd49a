/**
 * `plan` says what will be done; then it is done, and each contact fared as it was told: what changed in the mirror, the writes in their order,
 * their fields, conflicts, holds, what is parked. In one world for each policy and write mode, each situation has a contact of its own.
 */
import { describe, expect, it, type TestContext } from 'vitest';
import { POLICIES } from '../../src/domain/merge.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';
import { happens, planOf, told, type Account, type Planned } from './plan-world.ts';

const CONTACTS = 40;
const open = async ({ onTestFinished }: TestContext, options: HarnessOptions = {}): Promise<Harness> => {
  const harness = await openHarness({ seed: { contacts: CONTACTS }, ...options });
  onTestFinished(() => harness.close());
  return harness;
};
const openSynced = async (context: TestContext, options: HarnessOptions = {}): Promise<Harness> => {
  const harness = await open(context, options);
  await harness.probe();
  expect(await harness.sync()).toBeNull();
  return harness;
};

interface Subject {
  readonly id: number;
  readonly crmId: number;
}

/** Contacts in turn, each taken once. */
const subjectsOf = async ({ sql }: Harness): Promise<() => Subject> => {
  const rows = await sql('select id, crm_id from crm.contacts order by id');
  return () => {
    const row = rows.shift();
    if (row === undefined) throw new Error('no contact left');
    return { id: Number(row['id']), crmId: Number(row['crm_id']) };
  };
};

const city = async ({ sql }: Harness, { id }: Subject, value: string): Promise<unknown> =>
  await sql('update crm.contacts set city = $2 where id = $1', [id, value]);
/** Both clocks have whole seconds: what is to be earlier or later is so by an hour. */
const editedHours = async ({ sql }: Harness, { id }: Subject, hours: number): Promise<unknown> =>
  await sql(`update sync.change_log set changed_at = changed_at + $2 * interval '1 hour' where contact_id = $1 and settled_at is null`, [
    id,
    hours,
  ]);
const attach = async ({ sql }: Harness, { id }: Subject, count = 1): Promise<unknown> =>
  await sql(
    `insert into crm.contact_companies select $1, c.id from crm.companies c
     where not exists (select from crm.contact_companies l where l.contact_id = $1 and l.company_id = c.id) order by c.id limit $2`,
    [id, count],
  );

/** What it answers is done when all others are prepared. */
type Arrange = (harness: Harness, subject: Subject) => Promise<unknown>;

const BOTH_SIDES: { readonly [name: string]: Arrange } = {
  'edited on both sides, here last': async (h, s) => {
    await city(h, s, 'Oslo');
    await editedHours(h, s, 1);
    h.account.update(s.crmId, { city: 'Bergen', state: 'X' });
  },
  'edited on both sides, there last': async (h, s) => {
    await city(h, s, 'Oslo');
    await h.sql(`update crm.contacts set street = 'Storgata 1' where id = $1`, [s.id]);
    await editedHours(h, s, -1);
    h.account.update(s.crmId, { city: 'Bergen' });
  },
  'edited here, deleted there': async (h, s) => {
    await city(h, s, 'Oslo');
    h.account.delete(s.crmId);
  },
  'a phone added here, deleted there': async (h, s) => {
    await h.sql(`update crm.contacts set phones = phones || '[{"number": "+47 22 00 00 09"}]' where id = $1`, [s.id]);
    h.account.delete(s.crmId);
  },
  'linked here, deleted there': async (h, s) => {
    await attach(h, s);
    h.account.delete(s.crmId);
  },
  'deleted here, edited there': async (h, s) => {
    await h.sql('delete from crm.contacts where id = $1', [s.id]);
    h.account.update(s.crmId, { city: 'Bergen' });
  },
  'deleted on both sides': async (h, s) => {
    await h.sql('delete from crm.contacts where id = $1', [s.id]);
    h.account.delete(s.crmId);
  },
  'phones added on both sides': async (h, s) => {
    await h.sql(`update crm.contacts set phones = '[{"number": "+47 22 00 00 01"}]' where id = $1`, [s.id]);
    h.account.update(s.crmId, { phones: [...(h.account.contact(s.crmId)?.phones ?? []), { number: '+47 22 00 00 02', type: 'work' }] });
  },
  'linked on both sides': async (h, s) => {
    await attach(h, s);
    h.account.attach(s.crmId, { deals: [h.account.records('deals').at(-1)?.id ?? 0] });
  },
};

const ONE_SIDE: { readonly [name: string]: Arrange } = {
  // Those that sync for themselves come first: the others are not to be swept along.
  'a link swapped for another here': async (h, s) => {
    const [a, b, c] = h.account.records('deals').map(({ id }) => id);
    h.account.sync(s.crmId, { deals: [a ?? 0, b ?? 0] });
    await h.sync();
    return () => h.sql('update crm.contact_deals set deal_id = $3 where contact_id = $1 and deal_id = $2', [s.id, b, c]);
  },
  'restored there': async (h, s) => {
    h.account.delete(s.crmId);
    await h.sync();
    return async () => h.account.restore(s.crmId);
  },
  'edited here': (h, s) => city(h, s, 'Oslo'),
  'edited here several times, and back': async (h, s) => {
    const [row] = await h.sql('select city from crm.contacts where id = $1', [s.id]);
    for (const value of ['Oslo', 'Chur', 'Bern', row?.['city'] as string]) await city(h, s, value);
  },
  'emptied here': (h, s) => h.sql('update crm.contacts set email = null, city = $2 where id = $1', [s.id, 'Oslo']),
  'a phone added here': (h, s) =>
    h.sql(`update crm.contacts set phones = phones || '[{"number": "+47 22 00 00 00"}]' where id = $1`, [s.id]),
  'edited, and deleted here': async (h, s) => {
    await city(h, s, 'Oslo');
    await h.sql('delete from crm.contacts where id = $1', [s.id]);
  },
  'deleted here': (h, s) => h.sql('delete from crm.contacts where id = $1', [s.id]),
  'inserted here, with a link': async (h) => {
    const [row] = await h.sql(`insert into crm.contacts (first_name, email) values ('Ada', 'ada@example.com') returning id`);
    await attach(h, { id: Number(row?.['id']), crmId: 0 });
  },
  'inserted and deleted here': async (h) => {
    await h.sql(`insert into crm.contacts (first_name) values ('Nobody')`);
    await h.sql(`delete from crm.contacts where first_name = 'Nobody'`);
  },
  'links attached here': (h, s) => attach(h, s, 2),
  'edited there': async (h, s) => h.account.update(s.crmId, { city: 'Bergen', job_title: 'Captain' }),
  'created there': async (h) => h.account.create({ first_name: 'Grace', last_name: 'Hopper' }),
  'deleted there': async (h, s) => h.account.delete(s.crmId),
  'unlinked there': async (h, s) => {
    const [company] = await h.sql('select company_id from crm.contact_companies where contact_id = $1', [s.id]);
    if (company !== undefined) h.account.detach(s.crmId, { companies: [Number(company['company_id'])] });
    h.account.update(s.crmId, { city: 'Bergen' });
  },
};

const arrangeAll = async (harness: Harness, situations: { readonly [name: string]: Arrange }): Promise<void> => {
  const next = await subjectsOf(harness);
  const last: unknown[] = [];
  for (const arrange of Object.values(situations)) last.push(await arrange(harness, next()));
  for (const step of last) if (typeof step === 'function') await (step as () => Promise<unknown>)();
};

const agree = async (
  harness: Harness,
  options: { readonly full?: boolean } = {},
  work: () => Promise<unknown> = () => harness.sync(),
): Promise<Planned & Account> => {
  const planned = await planOf(harness, options);
  const happened = await happens(harness, work);
  expect(told(planned)).toEqual(happened);
  return { ...planned, ...happened };
};

const MODES = ['merged', 'ordered'] as const;
const TIGHT = { rows: 2, share: 0.05, max: 10 };

describe('plan agrees with what is then done', () => {
  it.for(POLICIES.flatMap((conflictPolicy) => MODES.map((writeMode) => ({ conflictPolicy, writeMode }))))(
    'touched on both sides, under the policy $conflictPolicy, $writeMode',
    async (settings, context) => {
      const harness = await openSynced(context, { settings });
      await arrangeAll(harness, BOTH_SIDES);
      const { writes, conflicts, parked } = await agree(harness);
      // It was not about nothing.
      expect(conflicts.length).toBeGreaterThan(3);
      expect(writes.some((line) => line.includes('restore'))).toBe(['newest', 'mirror'].includes(settings.conflictPolicy));
      expect(parked.length > 0).toBe(settings.conflictPolicy === 'manual');
    },
  );

  it.for(MODES)('touched on one side, %s', async (writeMode, context) => {
    const harness = await openSynced(context, { settings: { writeMode } });
    await arrangeAll(harness, ONE_SIDE);
    const { changes, calls } = await agree(harness);
    // Detached and attached again in one statement is one call of the net effect, and two edits.
    expect(calls).toMatchObject(writeMode === 'ordered' ? { create: 2, detach: 1 } : { create: 1, sync: 1 });
    expect(changes.every(({ state }) => state === 'due')).toBe(true);
    expect(await harness.differences()).toEqual([]);
  });

  it('over the brake, in either direction; and with a hold that is open, approved and rejected', async (context) => {
    const harness = await openSynced(context, { settings: { brake: TIGHT } });
    const { account, sql } = harness;
    await sql(`delete from crm.contacts where id <= 3`);
    await sql(`update crm.contacts set email = null, city = 'Oslo' where id = 4`);
    await sql(`update crm.contacts set city = 'Oslo' where id = 5`);
    for (const { id } of account.contacts().slice(20, 24)) account.delete(id);
    const first = await agree(harness);
    expect(first.held).toHaveLength(8);
    expect(first.changes.find(({ direction, state }) => direction === 'push' && state === 'held')?.reason).toBe(
      '4 contacts wait to be deleted, emptied or unlinked, and 2 may be now: 2 or 5 % of the mirror, at most 10',
    );

    // Both are open now; more comes.
    await sql('delete from crm.contacts where id = 6');
    account.delete(account.contacts().at(-1)?.id ?? 0);
    const more = await agree(harness);
    expect(more.held).toHaveLength(10);
    expect(more.changes.map(({ reason }) => reason)).toEqual(expect.arrayContaining(['hold 1', 'hold 2']));

    await sql(`select sync.approve(id) from sync.holds where direction = 'push'`);
    await sql(`select sync.reject(id) from sync.holds where direction = 'pull'`);
    expect((await agree(harness)).calls).toMatchObject({ delete: 4, update: 1 });
    await sql('delete from crm.contacts where id = 7');
    const last = await agree(harness);
    expect(last.changes.find(({ contact_id: id }) => id === 7)?.reason).toMatch(
      /^1 contact waits .*, and none may be now, since the last hour has seen 5:/,
    );
  });

  it('with something parked, a conflict that is open, and what comes on top', async (context) => {
    const harness = await openSynced(context, { settings: { conflictPolicy: 'manual' } });
    const { account, sql } = harness;
    const taken = `update crm.contacts set email = (select email from crm.contacts where id = 9) where id = $1`;
    await sql(taken, [1]);
    await sql(taken, [2]);
    await sql(`update crm.contacts set city = 'Oslo' where id = 3`);
    account.update(Number((await sql('select crm_id from crm.contacts where id = 3'))[0]?.['crm_id']), { city: 'Bergen' });
    await harness.sync();
    const idle = await agree(harness);
    expect(idle).toMatchObject({ parked: ['1', '2'], conflicts: ['3 city open by manual'], writes: [] });
    expect(idle.changes.map(({ reason }) => reason)).toEqual(['invalid', 'invalid']);
    await sql(`update crm.contacts set email = null where id = 2`);
    expect(await agree(harness)).toMatchObject({ parked: ['1'] });
  });

  it('in a database that was restored: all is held, whatever is due', async (context) => {
    const harness = await openSynced(context);
    await harness.sql('select sync.mark_restored()');
    await harness.sql('delete from crm.contacts where id = 1');
    await harness.sql(`update crm.contacts set city = 'Oslo' where id = 2`);
    const planned = await planOf(harness);
    expect(planned.lines).toMatchObject([{ code: 'restored' }, { code: 'full_comparison_needed' }, {}, {}, {}]);
    expect(planned.lines[1]).toMatchObject({ detail: expect.stringMatching(/^Both sides have to be compared as a whole again/) as string });
    expect(planned.total.push).toMatchObject({ held: 2, updates: 0, deletes: 0 });
    const full = await agree(harness, { full: true });
    expect(full).toMatchObject({ held: ['push 1', 'push 2'], writes: [] });
    expect(full.changes[0]?.reason).toBe('hold 1: nothing is pushed before it is approved');
  });

  it('before the first load, with rows that were here first: the whole of it, and without --full what it costs', async (context) => {
    const harness = await open(context);
    const { account, sql } = harness;
    const [first] = account.contacts();
    await sql(
      `insert into crm.contacts (first_name, last_name, email, city) values ('Other', 'Name', $1, 'Paired'), ('Ada', null, 'ada@example.com', null)`,
      [first?.email],
    );
    const estimated = await planOf(harness);
    expect(estimated.changes.map(({ action, state, reason }) => [action, state, reason])).toEqual(
      Array.from({ length: 2 }, () => ['create', 'due', 'after the first load, unless that finds it in the CRM']),
    );
    account.calls.clear();
    const { lines, calls, total } = await agree(harness, { full: true }, async () => {
      await harness.probe();
      await harness.sync();
    });
    expect(lines).toContainEqual(expect.objectContaining({ action: 'pair', name: 'Other Name', contact_id: 1 }));
    expect(calls).toEqual({ create: 1, update: 1 });
    const reads = account.calls.count('listActivities');
    expect(reads).toBeGreaterThanOrEqual(CONTACTS);
    expect(total.calls['activities']).toBe(reads);
    expect(estimated.total.calls['activities']).toBe(reads);
  });

  it('where the CRM has no trash: made anew, under the same row', async (context) => {
    const harness = await openSynced(context, { mode: 'documented' });
    const { account, sql } = harness;
    const [contact] = account.contacts();
    account.delete(contact?.id ?? 0);
    account.purge(contact?.id ?? 0);
    await sql(`update crm.contacts set city = 'Oslo' where crm_id = $1`, [contact?.id]);
    const { calls, conflicts } = await agree(harness, { full: true }, async () => {
      await sweepOnce(harness.deps, 'sweep', null);
      await harness.sync();
    });
    expect(calls).toEqual({ create: 1 });
    expect(conflicts).toEqual(['1 contact mirror by newest']);
  });

  it('--full: an edit that no trigger saw, a row that is gone, and what was purged in the CRM', async (context) => {
    const harness = await openSynced(context);
    const { account, sql } = harness;
    const crmIdOf = async (id: number): Promise<number> =>
      Number((await sql('select crm_id from crm.contacts where id = $1', [id]))[0]?.['crm_id']);
    await sql('alter table crm.contacts disable trigger user');
    await sql(`update crm.contacts set city = 'Unseen' where id = 1`);
    await sql('delete from crm.contacts where id = 2');
    await sql('alter table crm.contacts enable trigger user');
    for (const id of [3, 4]) {
      const crmId = await crmIdOf(id);
      account.delete(crmId);
      account.purge(crmId);
    }
    await sql(`update crm.contacts set city = 'Oslo' where id = 4`);
    const planned = await planOf(harness, { full: true });
    const of = (id: number) => planned.changes.filter(({ contact_id: contact }) => contact === id);
    expect(of(1)).toMatchObject([{ direction: 'push', action: 'update', state: 'due', fields: { city: { after: 'Unseen' } } }]);
    expect(of(2)).toMatchObject([{ direction: 'push', action: 'delete', state: 'held' }]);
    expect(of(3)).toMatchObject([{ direction: 'pull', action: 'delete', state: 'due' }]);
    // Only the restore's answer tells.
    expect(of(4)).toMatchObject([{ action: 'update', reason: expect.stringContaining('made anew where it was purged') as string }]);
    const happened = await happens(harness, async () => {
      await sweepOnce(harness.deps, 'sweep', null);
      await harness.sync();
    });
    expect(happened.held).toEqual(['push 2']);
    expect(happened.calls).toEqual({ create: 1, update: 2, restore: 1 });
    expect(happened.conflicts).toEqual(told(planned).conflicts);
  });
});

/** Edits that commit at the worst moment: while a call is on its way, between a page's answer and its storing, under somebody's lock. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LinkKind } from '../../src/domain/contact.ts';
import type { Crm } from '../../src/ports/crm.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { pullOnce, sweepOnce } from '../../src/sync/rounds.ts';
import { addPlainContacts, createEditor, type Editor, type Row } from './edits.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 120_000 });

let harness: Harness;
let editor: Editor;
const sessions: pg.PoolClient[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.release(true);
});

const open = async (options: HarnessOptions): Promise<void> => {
  harness = await openHarness({ seed: { contacts: 30 }, ...options });
  addPlainContacts(harness, 2);
  expect(await harness.probe()).toBeNull();
  await harness.settle();
  editor = createEditor(harness);
};

/** One mirror for the tests of a describe; each takes contacts that no other has touched. */
const together = (options: HarnessOptions = {}): void => {
  beforeAll(async () => await open(options));
  afterAll(async () => await harness.close());
  beforeEach(() => {
    harness.account.calls.clear();
    harness.sandbox.clearFaults();
  });
};
/** A mirror of each test's own. */
const apart = (options: HarnessOptions = {}): void => {
  beforeEach(async () => await open(options));
  afterEach(async () => await harness.close());
};

const equal = async (): Promise<void> => {
  await harness.settle(200);
  expect(await harness.differences()).toEqual([]);
  expect(await harness.sql('select op, state, error from sync.change_log where settled_at is null')).toEqual([]);
};
const push = async (deps: SyncDeps = harness.deps) => await pushDue(deps, createPushMemory());
const rowOf = async ({ id }: Row): Promise<Record<string, unknown> | undefined> =>
  (await harness.sql('select * from crm.contacts where id = $1', [id]))[0];
const there = ({ crmId }: Row) => harness.account.contact(crmId);

/** Once, when such a call has arrived and is not processed yet. */
const onceDuring = (call: CallName, work: () => Promise<unknown>): (() => boolean) => {
  let happened = false;
  const stop = harness.sandbox.onRequest(async (request) => {
    if (happened || request.call !== call) return;
    happened = true;
    stop();
    await work();
  });
  return () => happened;
};

/** Once, when the answer to such a call is here and nothing was done with it yet. */
const onceAfter = (method: keyof Crm, work: () => Promise<unknown>): SyncDeps => {
  let happened = false;
  const call = harness.crm[method] as (...args: readonly unknown[]) => Promise<unknown>;
  const wrapped = async (...args: readonly unknown[]): Promise<unknown> => {
    const answer = await call(...args);
    if (happened) return answer;
    happened = true;
    await work();
    return answer;
  };
  return { ...harness.deps, crm: { ...harness.crm, [method]: wrapped } };
};

/** A person's transaction, open until told otherwise. */
const begin = async (...statements: readonly (readonly [string, readonly unknown[]])[]): Promise<() => Promise<void>> => {
  const client = await harness.pool.connect();
  sessions.push(client);
  await client.query('begin');
  for (const [text, values] of statements) await client.query(text, [...values]);
  return async () => void (await client.query('commit'));
};

const otherId = (kind: LinkKind, { crmId }: Row, besides: readonly number[] = []): number => {
  const linked = harness.account.contact(crmId)?.[kind] ?? [];
  const record = harness.account.records(kind).find(({ id }) => !linked.includes(id) && !besides.includes(id));
  if (record === undefined) throw new Error(`nothing to link among the ${kind}`);
  return record.id;
};

/** What somebody does to the row while the call is under way, and what has to be true of the CRM's contact in the end. */
interface Meanwhile {
  readonly edit: (row: Row) => Promise<unknown>;
  readonly check: (row: Row) => void;
}
const MEANWHILE: { readonly [name: string]: Meanwhile } = {
  'the same field': {
    edit: async ({ id }) => await harness.sql(`update crm.contacts set city = 'later' where id = $1`, [id]),
    check: (row) => expect(there(row)?.city).toBe('later'),
  },
  'the same field, back to what it was': {
    edit: async ({ id }) => await harness.sql(`update crm.contacts set city = 'base' where id = $1`, [id]),
    check: (row) => expect(there(row)?.city).toBe('base'),
  },
  'another field': {
    edit: async ({ id }) => await harness.sql(`update crm.contacts set street = 'later' where id = $1`, [id]),
    check: (row) => expect(there(row)).toMatchObject({ city: 'sooner', street: 'later' }),
  },
  'its phones': {
    // No two contacts may share a number.
    edit: async ({ id }) =>
      await harness.sql(`update crm.contacts set phones = jsonb_build_array(jsonb_build_object('number', '+1 900 ' || id)) where id = $1`, [
        id,
      ]),
    check: (row) => expect(there(row)?.phones.map(({ number }) => number)).toEqual([`+1 900 ${row.id}`]),
  },
  'its links': {
    edit: async ({ id }) => {
      await harness.sql('delete from crm.contact_companies where contact_id = $1', [id]);
      await harness.sql('insert into crm.contact_deals select $1, d.id from crm.deals d order by d.id limit 1 on conflict do nothing', [
        id,
      ]);
    },
    check: (row) => {
      expect(there(row)?.companies).toEqual([]);
      expect(there(row)?.deals).toContain(harness.account.records('deals')[0]?.id);
    },
  },
  'the whole row, by deleting it': {
    edit: async ({ id }) => await harness.sql('delete from crm.contacts where id = $1', [id]),
    check: (row) => expect(there(row)?.deletedAtMs).not.toBeNull(),
  },
};
const CASES = Object.entries(MEANWHILE);

/** A contact that is in step, with a company, a city and a street. */
const prepared = async (): Promise<Row> => {
  const row = await editor.take({ companies: 1 });
  await harness.sql(`update crm.contacts set city = 'base', street = 'base' where id = $1`, [row.id]);
  await harness.settle();
  return row;
};

describe('while an update is under way, somebody edits', () => {
  together();

  it.each(CASES)('%s: the edit survives', async (_name, { edit, check }) => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'sooner' where id = $1`, [row.id]);
    const happened = onceDuring('update', async () => await edit(row));
    await equal();
    expect(happened()).toBe(true);
    check(row);
  });
});

describe('while an update is under way whose answer will be lost, and the CRM wins conflicts, somebody edits', () => {
  together({ settings: { conflictPolicy: 'crm' } });

  it.each(CASES)('%s: the edit survives, and there is no conflict', async (_name, { edit, check }) => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'sooner' where id = $1`, [row.id]);
    harness.sandbox.fault({ call: 'update', kind: 'reset-after' });
    const happened = onceDuring('update', async () => await edit(row));
    await equal();
    expect(happened()).toBe(true);
    check(row);
    expect(await harness.sql('select field, local, remote from sync.conflicts')).toEqual([]);
  });
});

describe('while a create is under way, somebody edits', () => {
  together({ settings: { conflictPolicy: 'crm' } });
  let people = 0;
  const nameNow = (): string => `New ${people}`;
  const insert = async (): Promise<number> => {
    people += 1;
    const [row] = await harness.sql(`insert into crm.contacts (first_name, city, street) values ($1, 'sooner', 'base') returning id`, [
      nameNow(),
    ]);
    await harness.sql('insert into crm.contact_companies select $1, c.id from crm.companies c order by c.id limit 1', [row?.['id']]);
    return Number(row?.['id']);
  };
  const created = (id: number): Row => {
    const contact = [...harness.account.contacts(), ...harness.account.trashed()].find(({ first_name: name }) => name === nameNow());
    return { id, crmId: contact?.id ?? 0 };
  };

  it.each(CASES.flatMap(([name, meanwhile]) => (['answered', 'lost'] as const).map((answer) => [name, answer, meanwhile] as const)))(
    '%s (its answer is %s): the edit survives, and there is one contact',
    async (_name, answer, { edit, check }) => {
      const before = harness.account.contacts().length;
      const id = await insert();
      if (answer === 'lost') harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
      onceDuring('create', async () => await edit({ id, crmId: 0 }));
      await equal();
      check(created(id));
      const alive = there(created(id))?.deletedAtMs === null ? 1 : 0;
      expect(harness.account.contacts().length).toBe(before + alive);
      expect(harness.account.calls.count('create')).toBe(1);
      expect((await rowOf({ id, crmId: 0 }))?.['crm_id'] ?? null).toBe(alive === 1 ? created(id).crmId : null);
    },
  );

  it('nothing, but a page brings the new contact before the answer is stored: one row, with the id it had', async () => {
    const id = await insert();
    const deps = onceAfter('create', async () => await pullOnce(harness.deps, createPushMemory()));
    await push(deps);
    expect(await harness.sql(`select id, crm_id from crm.contacts where first_name = $1`, [nameNow()])).toEqual([
      { id, crm_id: created(id).crmId },
    ]);
    await equal();
  });
});

describe('while link calls are under way, somebody edits the same links', () => {
  together();

  it.each(['answered', 'lost'] as const)('detaches what is being attached (%s)', async (answer) => {
    const row = await editor.take();
    const company = otherId('companies', row);
    await harness.sql('insert into crm.contact_companies values ($1, $2)', [row.id, company]);
    if (answer === 'lost') harness.sandbox.fault({ call: 'attach', kind: 'reset-after' });
    const happened = onceDuring(
      'attach',
      async () => await harness.sql('delete from crm.contact_companies where contact_id = $1 and company_id = $2', [row.id, company]),
    );
    await equal();
    expect(happened()).toBe(true);
    expect(there(row)?.companies).not.toContain(company);
  });

  it.each(['answered', 'lost'] as const)('attaches what is being detached (%s)', async (answer) => {
    const row = await editor.take({ deals: 1 });
    const [deal] = there(row)?.deals ?? [];
    await harness.sql('delete from crm.contact_deals where contact_id = $1 and deal_id = $2', [row.id, deal]);
    if (answer === 'lost') harness.sandbox.fault({ call: 'detach', kind: 'reset-after' });
    const happened = onceDuring('detach', async () => await harness.sql('insert into crm.contact_deals values ($1, $2)', [row.id, deal]));
    await equal();
    expect(happened()).toBe(true);
    expect(there(row)?.deals).toContain(deal);
  });

  it.each(['answered', 'lost'] as const)('adds to a set that is being replaced (%s)', async (answer) => {
    const row = await editor.take({ companies: 2 });
    const [gone] = there(row)?.companies ?? [];
    const added = otherId('companies', row);
    const later = otherId('companies', row, [added]);
    await harness.sql('delete from crm.contact_companies where contact_id = $1 and company_id = $2', [row.id, gone]);
    await harness.sql('insert into crm.contact_companies values ($1, $2)', [row.id, added]);
    if (answer === 'lost') harness.sandbox.fault({ call: 'sync', kind: 'reset-after' });
    const happened = onceDuring(
      'sync',
      async () => await harness.sql('insert into crm.contact_companies values ($1, $2)', [row.id, later]),
    );
    await equal();
    expect(happened()).toBe(true);
    expect(there(row)?.companies).toEqual(expect.arrayContaining([added, later]));
    expect(there(row)?.companies).not.toContain(gone);
  });
});

describe('while a delete is under way', () => {
  together();

  it('and its answer is lost, nothing is deleted a second time that somebody restored', async () => {
    const row = await editor.take();
    await harness.sql('delete from crm.contacts where id = $1', [row.id]);
    harness.sandbox.fault({ call: 'delete', kind: 'reset-after' });
    await push();
    expect(there(row)?.deletedAtMs).not.toBeNull();
    await equal();
    expect(harness.account.calls.count('delete')).toBe(1);
  });

  it('somebody in the CRM edits the contact: the trashed contact stays trashed, and no row comes back by a page from before', async () => {
    const row = await editor.take();
    await harness.sql('delete from crm.contacts where id = $1', [row.id]);
    const happened = onceDuring('delete', async () => harness.account.update(row.crmId, { city: 'there' }));
    await equal();
    expect(happened()).toBe(true);
    expect(await rowOf(row)).toBeUndefined();
  });
});

/** The edit in the CRM that the page brings. */
const EDITS_THERE = { street: 'there' } as const;

describe('while a page is under way, somebody edits', () => {
  together();

  it.each(CASES.flatMap(([name, meanwhile]) => (['before', 'after'] as const).map((moment) => [name, moment, meanwhile] as const)))(
    '%s, committed %s the CRM reads: both edits survive',
    async (name, moment, { edit, check }) => {
      const row = await prepared();
      await harness.sql(`update crm.contacts set city = 'sooner' where id = $1`, [row.id]);
      await harness.settle();
      harness.account.update(row.crmId, { job_title: 'there' });
      if (moment === 'before') {
        onceDuring('list', async () => await edit(row));
        await pullOnce(harness.deps, createPushMemory());
      } else
        await pullOnce(
          onceAfter('list', async () => await edit(row)),
          createPushMemory(),
        );
      await equal();
      // An edit there outlives a deletion here under the policy `newest`.
      if (!name.includes('deleting')) check(row);
      expect(there(row)).toMatchObject({ deletedAtMs: null, job_title: 'there' });
    },
  );

  it('and the edit is pushed and settled before the page is stored: the page does not undo it', async () => {
    const row = await prepared();
    harness.account.update(row.crmId, EDITS_THERE);
    await pullOnce(
      onceAfter('list', async () => {
        await harness.sql(`update crm.contacts set city = 'later' where id = $1`, [row.id]);
        await push({ ...harness.deps, settings: { ...harness.deps.settings, conflictPolicy: 'mirror' } });
        expect(there(row)?.city).toBe('later');
      }),
      createPushMemory(),
    );
    expect((await rowOf(row))?.['city']).toBe('later');
    await equal();
    expect(there(row)).toMatchObject({ city: 'later', street: 'there' });
    expect(harness.account.calls.calls.filter(({ call, body }) => call === 'update' && JSON.stringify(body).includes('base'))).toHaveLength(
      1,
    );
  });

  it('and the deletion is pushed and settled before the page is stored: the row does not come back', async () => {
    const row = await prepared();
    harness.account.update(row.crmId, EDITS_THERE);
    await pullOnce(
      onceAfter('list', async () => {
        await harness.sql('delete from crm.contacts where id = $1', [row.id]);
        await push({ ...harness.deps, settings: { ...harness.deps.settings, conflictPolicy: 'mirror' } });
      }),
      createPushMemory(),
    );
    expect(await rowOf(row)).toBeUndefined();
    await equal();
    expect(there(row)?.deletedAtMs).not.toBeNull();
  });
});

describe('while a single contact is read, somebody edits', () => {
  together({ mode: 'documented' });

  it('the whole row, by deleting it, while a sweep asks for what its list left out: the row does not come back', async () => {
    const row = await editor.take();
    // Not in the list, and there when asked for.
    harness.sandbox.fault({ call: 'list', kind: 'short-list', times: 4 });
    await sweepOnce(
      onceAfter('retrieve', async () => await harness.sql('delete from crm.contacts where id = $1', [row.id])),
      'sweep',
      null,
    );
    expect(await rowOf(row)).toBeUndefined();
    await harness.settle();
    expect(there(row)?.deletedAtMs).not.toBeNull();
  });

  it.each(CASES)('%s: both edits survive', async (_name, { edit, check }) => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'sooner' where id = $1`, [row.id]);
    await harness.settle();
    harness.account.update(row.crmId, { job_title: 'there' });
    await pullOnce(harness.deps, createPushMemory());
    await harness.sql(`insert into sync.marks (crm_id, reason) values ($1, 'deferred') on conflict do nothing`, [row.crmId]);
    const happened = onceDuring('retrieve', async () => await edit(row));
    await harness.settle();
    expect(happened()).toBe(true);
    expect(await harness.differences(['companies', 'deals'])).toEqual([]);
    // The list has brought that edit already: a deletion since then is no conflict.
    check(row);
    expect(there(row)?.job_title).toBe('there');
  });
});

describe('under the lock of somebody’s transaction', () => {
  together();

  it('a page goes on without that row, and brings its edit later; neither side’s edit is lost', async () => {
    const [held, free] = [await prepared(), await editor.take()];
    harness.account.update(held.crmId, EDITS_THERE);
    harness.account.update(free.crmId, EDITS_THERE);
    const commit = await begin([`update crm.contacts set city = 'here' where id = $1`, [held.id]]);
    const report = await pullOnce(harness.deps, createPushMemory());
    expect(report.stoppedBy).toBeNull();
    expect((await rowOf(free))?.['street']).toBe('there');
    await commit();
    await equal();
    expect(there(held)).toMatchObject({ city: 'here', street: 'there' });
  });

  it('which ends between the page and the push: the CRM’s newer edit of that very field is not overwritten', async () => {
    const row = await prepared();
    harness.account.update(row.crmId, { city: 'there' });
    const commit = await begin([`update crm.contacts set city = 'here', street = 'here' where id = $1`, [row.id]]);
    // Something is due, so that the push looks at the CRM first; the page finds the row locked.
    await harness.sql('insert into crm.contact_deals values ($1, $2) on conflict do nothing', [(await editor.take()).id, 1]);
    const deps = onceAfter('list', async () => {});
    let pages = 0;
    const mirror = {
      ...deps.mirror,
      fieldPolicies: deps.mirror.fieldPolicies,
      account: async () => {
        // The page was stored and has put the contact off; the claim comes next.
        if ((await harness.mirror.countMarks(['deferred'])) > 0 && (pages += 1) === 1) await commit();
        return await deps.mirror.account();
      },
    };
    await push({ ...deps, mirror });
    expect(pages).toBeGreaterThan(0);
    await equal();
    expect(await harness.sql('select field, local, remote, outcome from sync.conflicts where contact_id = $1', [row.id])).toEqual([
      { field: 'city', local: 'here', remote: 'there', outcome: 'crm' },
    ]);
    expect(there(row)).toMatchObject({ city: 'there', street: 'here' });
  });

  it('on a link, a page goes on without that contact', async () => {
    const [held, free] = [await editor.take(), await editor.take()];
    const company = otherId('companies', held);
    const commit = await begin(['insert into crm.contact_companies values ($1, $2)', [held.id, company]]);
    harness.account.attach(held.crmId, { companies: [company] });
    harness.account.update(free.crmId, EDITS_THERE);
    expect((await pullOnce(harness.deps, createPushMemory())).stoppedBy).toBeNull();
    expect((await rowOf(free))?.['street']).toBe('there');
    expect(await harness.sql('select * from sync.refused')).toEqual([]);
    await commit();
    await equal();
  });

  it('on a link, a contact that was deleted in the CRM keeps nobody else', async () => {
    const [held, free] = [await editor.take({ plain: true }), await editor.take()];
    const commit = await begin(['insert into crm.contact_companies values ($1, $2)', [held.id, 1]]);
    harness.account.delete(held.crmId);
    harness.account.delete(free.crmId);
    expect((await pullOnce(harness.deps, createPushMemory())).stoppedBy).toBeNull();
    expect(await rowOf(free)).toBeUndefined();
    await commit();
    await equal();
    // The link is an edit: it outlives the deletion.
    expect(there(held)).toMatchObject({ deletedAtMs: null, companies: [1] });
  });

  it('an answer cannot be stored: the contact is read when the lock is gone, nothing is sent twice, and the others are not kept', async () => {
    const [held, ...others] = [await prepared(), await editor.take(), await editor.take()];
    for (const { id } of [held, ...others]) await harness.sql(`update crm.contacts set city = 'sooner' where id = $1`, [id]);
    let commit = async (): Promise<void> => {};
    onceDuring('update', async () => {
      commit = await begin([`update crm.contacts set street = 'here' where id = $1`, [held.id]]);
    });
    await pushDue({ ...harness.deps, settings: { ...harness.deps.settings, pushConcurrency: 1 } }, harness.memory);
    expect(others.map((row) => there(row)?.city)).toEqual(['sooner', 'sooner']);
    await commit();
    await equal();
    expect(there(held)).toMatchObject({ city: 'sooner', street: 'here' });
    const sent = harness.account.calls.calls.filter(({ call, id }) => call === 'update' && id === held.crmId).map(({ body }) => body);
    expect(sent.slice(1)).toEqual([{ city: 'sooner' }, { street: 'here' }]);
  });
});

describe('a rule of the user’s own', () => {
  apart();

  it('that refuses what the CRM answered parks that contact with the rule’s words', async () => {
    const [strict, other] = [await editor.take(), await editor.take()];
    await harness.sql(`alter table crm.contacts add constraint no_exile check (city is distinct from 'Elba')`);
    for (const { id } of [strict, other]) await harness.sql(`update crm.contacts set street = 'here' where id = $1`, [id]);
    onceDuring('update', async () => harness.account.update(strict.crmId, { city: 'Elba' }));
    await push({ ...harness.deps, settings: { ...harness.deps.settings, pushConcurrency: 1 } });
    expect(there(other)?.street).toBe('here');
    expect(await harness.sql('select contact_id, error_code, error from sync.parked')).toEqual([
      { contact_id: strict.id, error_code: 'database_refused', error: expect.stringContaining('no_exile') as unknown },
    ]);
    harness.account.update(strict.crmId, { city: 'Paris' });
    await harness.sql('select sync.retry_all()');
    await equal();
    expect(await harness.sql('select * from sync.refused')).toEqual([]);
  });

  it('that keeps a row keeps that row alone, when many were deleted in the CRM', async () => {
    const [kept, ...gone] = [await editor.take(), await editor.take(), await editor.take()];
    await harness.sql(`create table public.invoices (contact_id bigint references crm.contacts (id))`);
    await harness.sql('insert into public.invoices values ($1)', [kept.id]);
    for (const { crmId } of [kept, ...gone]) harness.account.delete(crmId);
    await harness.settle();
    expect(await Promise.all([kept, ...gone].map(async (row) => (await rowOf(row)) !== undefined))).toEqual([true, false, false]);
    expect(await harness.sql('select crm_id, error_code from sync.refused')).toEqual([
      { crm_id: kept.crmId, error_code: 'database_refused' },
    ]);
    await harness.sql('drop table public.invoices');
    await sweepOnce(harness.deps, 'sweep', null);
    await equal();
    expect(await harness.sql('select * from sync.refused')).toEqual([]);
  });
});

describe('two who push at once', () => {
  apart();

  it('send each edit once', async () => {
    harness.account.calls.clear();
    await harness.sql(`update crm.contacts set city = 'here'`);
    await harness.sql(`insert into crm.contacts (first_name) select 'New ' || n from generate_series(1, 10) n`);
    await Promise.all([push(), push(), push()]);
    expect([harness.account.calls.count('update'), harness.account.calls.count('create')]).toEqual([32, 10]);
    await equal();
  });

  it('while somebody edits on without a pause: the last word stands', async () => {
    const row = await prepared();
    const writer = (async () => {
      for (let edit = 1; edit <= 60; edit += 1)
        await harness.sql('update crm.contacts set city = $2 where id = $1', [row.id, `edit ${edit}`]);
    })();
    const pushes = Array.from({ length: 3 }, async () => {
      for (let round = 0; round < 8; round += 1) await push();
    });
    await Promise.all([writer, ...pushes]);
    await equal();
    expect(there(row)?.city).toBe('edit 60');
  });
});

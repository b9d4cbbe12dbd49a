/** Edits that commit in the very gap that a guard of the page closes. Each of these goes red when that guard is switched off (test/mutants). */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { pullOnce } from '../../src/sync/rounds.ts';
import { addPlainContacts, createEditor, type Editor, type Row } from './edits.ts';
import { openHarness, type Harness } from './harness.ts';
import { atStep, onceDuring, startStatement, untilSomebodyWaits, type Started } from './moments.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000 });

let harness: Harness;
let editor: Editor;
/** The CRM's clock, where it stands still. */
let stoppedMs: number | null = null;
beforeAll(async () => {
  const clock = { now: () => new Date(stoppedMs ?? Date.now()) };
  harness = await openHarness({ seed: { contacts: 20 }, account: { clock } });
  addPlainContacts(harness, 2);
  await harness.probe();
  await harness.settle();
  editor = createEditor(harness);
});
afterAll(async () => await harness.close());

const prepared = async (wants: { readonly companies?: number } = {}): Promise<Row> => {
  const row = await editor.take(wants);
  await harness.sql(`update crm.contacts set city = 'base' where id = $1`, [row.id]);
  await harness.settle();
  return row;
};
const rowOf = async ({ id }: Row): Promise<Record<string, unknown> | undefined> =>
  (await harness.sql('select * from crm.contacts where id = $1', [id]))[0];
const there = ({ crmId }: Row) => harness.account.contact(crmId);
const equal = async (): Promise<void> => {
  await harness.settle();
  expect(await harness.differences()).toEqual([]);
  expect(await harness.sql('select op, state, error from sync.change_log where settled_at is null')).toEqual([]);
};
const EDIT = `update crm.contacts set city = 'here' where id = $1`;

describe('somebody edits, while a page brings another edit of the same contact,', () => {
  it('of the same field between the reading of the row and its writing: it waits, and is not lost', async () => {
    const row = await prepared();
    harness.account.update(row.crmId, { street: 'there' });
    const edits: Started[] = [];
    const { deps } = atStep(harness.deps, 'after', 'read', async () => edits.push(await startStatement(harness, EDIT, [row.id])));
    await pullOnce(deps, createPushMemory());
    for (const { done } of edits) await done;
    expect(edits).toHaveLength(1);
    expect(await rowOf(row)).toMatchObject({ city: 'here', street: 'there' });
    await equal();
    expect(there(row)).toMatchObject({ city: 'here', street: 'there' });
  });

  it('of the same field just before the row is locked: it is seen, and not lost', async () => {
    const row = await prepared();
    harness.account.update(row.crmId, { street: 'there' });
    const { deps, happened } = atStep(harness.deps, 'before', 'lockContacts', async () => await harness.sql(EDIT, [row.id]));
    await pullOnce(deps, createPushMemory());
    expect(happened()).toBe(true);
    expect(await rowOf(row)).toMatchObject({ city: 'here', street: 'there' });
    await equal();
    expect(there(row)).toMatchObject({ city: 'here', street: 'there' });
  });

  it('a link while the page removes another one: only that one goes', async () => {
    const row = await prepared({ companies: 1 });
    const [removed = 0] = there(row)?.companies ?? [];
    const added = harness.account.records('companies').find(({ id }) => there(row)?.companies.includes(id) === false)?.id ?? 0;
    harness.account.detach(row.crmId, { companies: [removed] });
    const links: Started[] = [];
    const { deps } = atStep(harness.deps, 'after', 'read', async () =>
      links.push(await startStatement(harness, 'insert into crm.contact_companies values ($1, $2)', [row.id, added])),
    );
    await pullOnce(deps, createPushMemory());
    for (const { done } of links) await done;
    // The lock on the row stands in nobody's way.
    expect(links.map(({ waits }) => waits)).toEqual([false]);
    await equal();
    expect(there(row)?.companies).toContain(added);
    expect(there(row)?.companies).not.toContain(removed);
  });

  it('and it is pushed and settled before the page is stored: what is older than the settle does not undo it', async () => {
    const row = await prepared();
    // Within one second of the CRM: its own times tell nothing.
    stoppedMs = Date.now();
    harness.account.update(row.crmId, { street: 'there' });
    let isPushed = false;
    const list: typeof harness.crm.list = async (params, options) => {
      const answer = await harness.crm.list(params, options);
      if (isPushed) return answer;
      isPushed = true;
      await harness.sql(EDIT, [row.id]);
      // Under this policy nobody looks at the CRM before a push.
      await pushDue({ ...harness.deps, settings: { ...harness.deps.settings, conflictPolicy: 'mirror' } }, createPushMemory());
      expect(there(row)?.city).toBe('here');
      return answer;
    };
    await pullOnce({ ...harness.deps, crm: { ...harness.crm, list } }, createPushMemory());
    stoppedMs = null;
    expect(await rowOf(row)).toMatchObject({ city: 'here' });
    await equal();
    expect(there(row)).toMatchObject({ city: 'here', street: 'there' });
  });

  it('and our PUT is still on its way: the page leaves the contact alone', async () => {
    const row = await prepared();
    await harness.sql(EDIT, [row.id]);
    const happened = onceDuring(harness, 'update', async () => {
      harness.account.update(row.crmId, { street: 'there' });
      await pullOnce(harness.deps, createPushMemory());
      // What the page brings may be older than what the call will have done when it is stored.
      expect(await rowOf(row)).toMatchObject({ city: 'here', street: expect.not.stringMatching('there') as unknown });
      expect(await harness.sql(`select reason from sync.marks where crm_id = $1 and reason = 'deferred'`, [row.crmId])).toHaveLength(1);
    });
    await pushDue(harness.deps, createPushMemory());
    expect(happened()).toBe(true);
    await equal();
    expect(there(row)).toMatchObject({ city: 'here', street: 'there' });
  });

  it('of a contact that our create may have made: no second row, not even for a moment', async () => {
    await harness.sql(`insert into crm.contacts (first_name) values ('Only one')`);
    let rows: readonly unknown[] = [];
    const create: typeof harness.crm.create = async (body, options) => {
      const answer = await harness.crm.create(body, options);
      await pullOnce(harness.deps, createPushMemory());
      rows = await harness.sql(`select id from crm.contacts where first_name = 'Only one'`);
      return answer;
    };
    await pushDue({ ...harness.deps, crm: { ...harness.crm, create } }, createPushMemory());
    expect(rows).toHaveLength(1);
    await equal();
  });

  it('of a contact whose create is being settled just now: the settle waits for the page, and nothing is refused', async () => {
    await harness.sql(`insert into crm.contacts (first_name) values ('Meeting')`);
    const [created, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const create: typeof harness.crm.create = async (body, options) => {
      const answer = await harness.crm.create(body, options);
      created.resolve();
      await answered.promise;
      return answer;
    };
    let isPushed = false;
    const pushing = pushDue({ ...harness.deps, crm: { ...harness.crm, create } }, createPushMemory()).then(() => (isPushed = true));
    await created.promise;
    const { deps, happened } = atStep(harness.deps, 'before', 'oldestOpenCreate', async () => {
      answered.resolve();
      await untilSomebodyWaits(harness, () => isPushed);
    });
    await pullOnce(deps, createPushMemory());
    await pushing;
    expect(happened()).toBe(true);
    expect(await harness.sql('select crm_id, error from sync.refused')).toEqual([]);
    expect(await harness.sql(`select id from crm.contacts where first_name = 'Meeting'`)).toHaveLength(1);
    await equal();
  });

  it('the row, by deleting it, before the page comes: it does not come back', async () => {
    const row = await prepared();
    await harness.sql('delete from crm.contacts where id = $1', [row.id]);
    await pullOnce(harness.deps, createPushMemory());
    expect(await rowOf(row)).toBeUndefined();
    await equal();
    expect(there(row)?.deletedAtMs).not.toBeNull();
  });
});

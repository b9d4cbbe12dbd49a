/** What people do in the CRM: every kind of edit, against an unedited row and against one that was edited here. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { LinkKind } from '../../src/domain/contact.ts';
import type { Policy } from '../../src/domain/merge.ts';
import type { AccountContact } from '../../src/sandbox/crm/records.ts';
import type { SandboxMode } from '../../src/sandbox/crm/server.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { addPlainContacts, createEditor, type Editor, type Row } from './edits.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 120_000 });

let harness: Harness;
let editor: Editor;
/** How far the CRM's clock is from ours just now: an edit there can be made to look older or newer. */
let skewMs = 0;
afterEach(() => (skewMs = 0));

const open = async (mode: SandboxMode, options: HarnessOptions = {}): Promise<void> => {
  const clock = { now: () => new Date(Date.now() + skewMs) };
  harness = await openHarness({ mode, seed: { contacts: 25 }, ...options, account: { clock, ...options.account } });
  addPlainContacts(harness, 12);
  expect(await harness.probe()).toBeNull();
  await harness.settle();
  editor = createEditor(harness);
};
/** One mirror for the tests of a describe; each takes contacts that no other has touched. */
const together = (mode: SandboxMode): void => {
  beforeAll(async () => await open(mode));
  afterAll(async () => await harness.close());
};
/** Each test opens a mirror of its own. */
const apart = (): void => {
  afterEach(async () => await harness.close());
};

const KINDS: { readonly [M in SandboxMode]: readonly LinkKind[] } = {
  documented: ['companies', 'deals'],
  upstream: ['companies', 'deals', 'activities'],
};

const rowOf = async (id: number): Promise<Record<string, unknown> | undefined> =>
  (await harness.sql('select * from crm.contacts where id = $1', [id]))[0];
const conflicts = async ({ id }: Row): Promise<readonly Record<string, unknown>[]> =>
  await harness.sql('select field, base, local, remote, outcome, policy, state from sync.conflicts where contact_id = $1 order by id', [
    id,
  ]);
const setPolicy = async (field: string, policy: Policy): Promise<unknown> =>
  await harness.sql('insert into sync.field_policy values ($1, $2) on conflict (field) do update set policy = excluded.policy', [
    field,
    policy,
  ]);
const equal = async (mode: SandboxMode): Promise<void> => {
  expect(await harness.differences(KINDS[mode])).toEqual([]);
  expect(await harness.sql('select op, state, error from sync.change_log where settled_at is null')).toEqual([]);
};
const remoteId = (kind: LinkKind, contact: AccountContact | null): number => {
  const record = harness.account.records(kind).find(({ id }) => contact?.[kind].includes(id) === false);
  if (record === undefined) throw new Error(`nothing to link among the ${kind}`);
  return record.id;
};
const sweep = async (): Promise<Awaited<ReturnType<typeof sweepOnce>>> => await sweepOnce(harness.deps, 'sweep', null);
/** An edit in the CRM that carries a time this far from now. */
const editAt = (ms: number, edit: () => void): void => {
  skewMs = ms;
  edit();
  skewMs = 0;
};

describe.each(['documented', 'upstream'] as const)('in %s mode, a person in the CRM', (mode) => {
  together(mode);

  it('sets every field, and clears every field', async () => {
    const { id, crmId } = await editor.take();
    const custom = Object.fromEntries(harness.account.customFields().map(({ name }) => [name, null]));
    const texts = {
      first_name: 'Ada',
      last_name: 'Byron',
      email: 'ada@set.example',
      job_title: 'a',
      street: 'b',
      city: 'c',
      state: 'd',
      postal_code: 'e',
    };
    const phones = [{ number: '+1 202 555 0100', type: 'other' }];
    harness.account.update(crmId, { ...texts, user_id: 2, source_id: 2, country_id: 2, phones });
    await harness.settle();
    expect(await rowOf(id)).toMatchObject({ ...texts, user_id: 2, country_id: 2, phones });
    await equal(mode);
    const cleared = Object.fromEntries(Object.keys(texts).map((name) => [name, name === 'first_name' ? 'Ada' : null]));
    harness.account.update(crmId, { ...cleared, ...custom, user_id: null, source_id: null, country_id: null, phones: [] });
    await harness.settle();
    expect(await rowOf(id)).toMatchObject({ ...cleared, user_id: null, source_id: null, country_id: null, phones: [] });
    await equal(mode);
  });

  it('links and unlinks', async () => {
    const { crmId } = await editor.take();
    for (const kind of KINDS[mode]) {
      const { account } = harness;
      // Activities are read when updated_at has moved, and its seconds are whole.
      skewMs += 2000;
      const before = account.contact(crmId)?.[kind] ?? [];
      account.attach(crmId, { [kind]: [remoteId(kind, account.contact(crmId))] });
      await harness.settle();
      await equal(mode);
      skewMs += 2000;
      if (before.length > 0) account.detach(crmId, { [kind]: before });
      await harness.settle();
      await equal(mode);
      expect(account.contact(crmId)?.[kind]).toHaveLength(1);
    }
  });

  it('creates a contact with everything', async () => {
    const links = { companies: [harness.account.records('companies')[0]?.id], deals: [harness.account.records('deals')[0]?.id] };
    const { id } = harness.account.create({
      first_name: 'New',
      email: 'new@there.example',
      phones: [{ number: '+41 79 000 00 00' }],
      ...links,
    });
    await harness.settle();
    expect(await harness.sql('select first_name, email from crm.contacts where crm_id = $1', [id])).toEqual([
      { first_name: 'New', email: 'new@there.example' },
    ]);
    await equal(mode);
  });

  it('edits one contact 500 times between two pulls: one version of the row', async () => {
    const { crmId } = await editor.take();
    const before = await harness.tuples();
    for (let edit = 1; edit <= 500; edit += 1) harness.account.update(crmId, { job_title: `title ${edit}` });
    await harness.settle();
    const after = await harness.tuples();
    const written = (table: string): number => (after.get(table) ?? 0) - (before.get(table) ?? 0);
    expect([written('crm.contacts'), written('sync.contact_state'), written('sync.change_log')]).toEqual([1, 1, 0]);
    await equal(mode);
  });

  it('changes a field and changes it back: no tuple but that of crm_updated_at', async () => {
    const { crmId } = await editor.take();
    const city = harness.account.contact(crmId)?.city ?? null;
    const before = await harness.tuples();
    harness.account.update(crmId, { city: 'elsewhere' });
    harness.account.update(crmId, { city });
    await harness.settle();
    const after = await harness.tuples();
    const written = (table: string): number => (after.get(table) ?? 0) - (before.get(table) ?? 0);
    expect([written('crm.contacts'), written('sync.contact_state'), written('sync.change_log')]).toEqual([1, 0, 0]);
  });

  it('edits another field than somebody here: both edits survive', async () => {
    const row = await editor.take();
    const { id, crmId } = row;
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [id]);
    harness.account.update(crmId, { street: 'there' });
    await harness.settle();
    expect(harness.account.contact(crmId)).toMatchObject({ city: 'here', street: 'there' });
    await equal(mode);
    expect(await conflicts(row)).toEqual([]);
  });

  it('leaves alone: a second round writes nothing, even after edits on both sides', async () => {
    const [here, there] = [await editor.take(), await editor.take()];
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [here.id]);
    harness.account.update(there.crmId, { city: 'there' });
    await harness.settle();
    await harness.settle();
    const before = await harness.tuples();
    harness.account.calls.clear();
    await harness.settle();
    expect(await harness.tuples()).toEqual(before);
    expect(harness.account.calls.calls.filter(({ method }) => method !== 'GET')).toEqual([]);
  });

  it('hides a contact from the token: its row stays and is marked until it is shown again', async () => {
    const { id, crmId } = await editor.take();
    const hidden = async (): Promise<unknown> =>
      (await harness.sql('select hidden_at is not null as hidden from sync.contact_state where contact_id = $1', [id]))[0]?.['hidden'];
    harness.account.hide(crmId);
    expect(await sweep()).toMatchObject({ complete: true, removed: 0 });
    expect([await hidden(), (await rowOf(id))?.['crm_id']]).toEqual([true, crmId]);
    harness.account.show(crmId);
    expect(await sweep()).toMatchObject({ complete: true, removed: 0 });
    expect(await hidden()).toBe(false);
    await equal(mode);
  });
});

describe('what a page', () => {
  apart();

  it.each(['documented', 'upstream'] as const)('cut short leaves out is brought by the next pull (%s)', async (mode) => {
    await open(mode, { settings: { overlapMs: 0 }, account: { perPageMax: 4 } });
    for (let edit = 0; edit < 4; edit += 1) harness.account.update((await editor.take()).crmId, { city: 'there' });
    skewMs = 30_000;
    harness.sandbox.fault({ call: 'list', kind: 'short-list' });
    await harness.sync();
    expect(await harness.differences(KINDS[mode])).not.toEqual([]);
    await harness.settle();
    await equal(mode);
  });
});

describe('a person in the CRM deletes a contact', () => {
  apart();

  it('and its row goes with the next pull, because the trash lists it', async () => {
    await open('upstream');
    const { id, crmId } = await editor.take();
    harness.account.delete(crmId);
    await harness.sync();
    expect(await rowOf(id)).toBeUndefined();
    expect(harness.account.calls.calls.some(({ call, method }) => call === 'delete' || (method !== 'GET' && call !== 'unknown'))).toBe(
      false,
    );
    await equal('upstream');
  });

  it('and where there is no trash to look into, its row goes with the next sweep, after a 404 for its very id', async () => {
    await open('documented');
    const { id, crmId } = await editor.take();
    harness.account.delete(crmId);
    await harness.settle();
    expect(await rowOf(id)).toBeDefined();
    harness.account.calls.clear();
    expect(await sweep()).toMatchObject({ complete: true, removed: 1 });
    const asked = harness.account.calls.calls
      .filter(({ call }) => call === 'retrieve')
      .map(({ id: asking, status }) => ({ asking, status }));
    expect(asked).toContainEqual({ asking: crmId, status: 404 });
    expect(asked.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await rowOf(id)).toBeUndefined();
    await equal('documented');
  });

  it.each(['documented', 'upstream'] as const)(
    'and restores it: the row comes back under its old id, with its links (%s)',
    async (mode) => {
      await open(mode);
      const { id, crmId } = await editor.take();
      harness.account.attach(crmId, { companies: [remoteId('companies', harness.account.contact(crmId))] });
      await harness.settle();
      harness.account.delete(crmId);
      await sweep();
      await harness.settle();
      expect(await rowOf(id)).toBeUndefined();
      harness.account.restore(crmId);
      await harness.settle();
      expect(await rowOf(id)).toMatchObject({ crm_id: crmId });
      await equal(mode);
    },
  );

  it.each(['documented', 'upstream'] as const)(
    'while the sweep walks: the contact that slides across the page edge is not missed (%s)',
    async (mode) => {
      await open(mode, { account: { perPageMax: 10 } });
      const victim = await editor.take();
      const late = harness.account.contacts().map(({ id }) => id);
      for (const crmId of late) harness.account.update(crmId, { city: 'everywhere' });
      const stop = harness.sandbox.onRequest(({ call, query }) => {
        if (call !== 'list' || query['page'] !== '2') return;
        stop();
        harness.account.delete(victim.crmId);
      });
      expect(await sweep()).toMatchObject({ complete: true });
      expect(await harness.sql(`select crm_id from crm.contacts where city is distinct from 'everywhere'`)).toEqual([]);
      await harness.settle();
      await equal(mode);
    },
  );

  it('many at once: the brake holds them, and approval proves each again', async () => {
    await open('upstream', { settings: { brake: { rows: 2, share: 0.1, max: 1000 } } });
    const doomed: Row[] = [];
    for (let count = 0; count < 6; count += 1) doomed.push(await editor.take());
    for (const { crmId } of doomed) harness.account.delete(crmId);
    await harness.settle();
    expect(await harness.sql('select count(*)::int as n from crm.contacts')).toEqual([{ n: 37 }]);
    const back = doomed[0]?.crmId ?? 0;
    harness.account.restore(back);
    const [hold] = await harness.sql(`select id, direction, rows from sync.holds where state = 'open'`);
    expect(hold).toMatchObject({ direction: 'pull', rows: 6 });
    await harness.sql('select sync.approve($1)', [hold?.['id']]);
    await harness.settle();
    await equal('upstream');
    expect(await harness.sql('select count(*)::int as n from crm.contacts')).toEqual([{ n: 32 }]);
  });
});

describe('the same field is edited on both sides, and the policy is', () => {
  together('upstream');

  const fight = async (policy: Policy, remoteAgeMs: number): Promise<Row> => {
    const pair = await editor.take();
    await setPolicy('city', policy);
    await harness.sql(`update crm.contacts set city = 'base' where id = $1`, [pair.id]);
    await harness.settle();
    await harness.sql(`update crm.contacts set city = 'here', job_title = 'also here' where id = $1`, [pair.id]);
    editAt(-remoteAgeMs, () => harness.account.update(pair.crmId, { city: 'there', street: 'also there' }));
    await harness.settle();
    expect(harness.account.contact(pair.crmId)).toMatchObject({ job_title: 'also here', street: 'also there' });
    return pair;
  };
  const decided = { field: 'city', base: 'base', local: 'here', remote: 'there', state: 'decided' } as const;

  it.each([
    ['newest and the CRM is newer', 'newest', -60_000, 'there', 'crm'],
    ['newest and the mirror is newer', 'newest', 60_000, 'here', 'mirror'],
    ['newest and nobody is', 'newest', 0, 'there', 'crm'],
    ['crm', 'crm', 60_000, 'there', 'crm'],
    ['mirror', 'mirror', -60_000, 'here', 'mirror'],
  ] as const)('%s: that value stands on both sides, and the other is kept', async (_name, policy, ageMs, stands, outcome) => {
    const row = await fight(policy, ageMs);
    const { id, crmId } = row;
    expect([(await rowOf(id))?.['city'], harness.account.contact(crmId)?.city]).toEqual([stands, stands]);
    await equal('upstream');
    expect(await conflicts(row)).toEqual([{ ...decided, policy, outcome }]);
  });

  it.each(['crm', 'mirror'] as const)('manual: each side keeps its own, everything else flows, until a person says %s', async (choice) => {
    const row = await fight('manual', 0);
    const { id, crmId } = row;
    expect([(await rowOf(id))?.['city'], harness.account.contact(crmId)?.city]).toEqual(['here', 'there']);
    harness.account.update(crmId, { city: 'there, again', state: 'flows' });
    await harness.settle();
    expect(await conflicts(row)).toEqual([{ ...decided, remote: 'there, again', policy: 'manual', outcome: 'open', state: 'open' }]);
    expect(await rowOf(id)).toMatchObject({ city: 'here', state: 'flows' });
    await harness.sql('select sync.resolve(id, $1) from sync.conflicts where contact_id = $2', [choice, id]);
    await harness.settle();
    const stands = choice === 'crm' ? 'there, again' : 'here';
    expect([(await rowOf(id))?.['city'], harness.account.contact(crmId)?.city]).toEqual([stands, stands]);
    await equal('upstream');
  });
});

describe('deleted there and edited here', () => {
  apart();

  const fight = async (mode: SandboxMode, policy: Policy): Promise<Row> => {
    await open(mode);
    const { id: crmId } = harness.account.create({ first_name: 'Only a name' });
    await harness.settle();
    await setPolicy('contact', policy);
    const [row] = await harness.sql('select id from crm.contacts where crm_id = $1', [crmId]);
    const id = Number(row?.['id']);
    harness.account.delete(crmId);
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [id]);
    await harness.settle();
    await sweep();
    await harness.settle();
    return { id, crmId };
  };

  it.each(['newest', 'mirror'] as const)(
    'policy %s: the contact is restored and edited, under its ids; one conflict says so',
    async (policy) => {
      const there = await fight('upstream', policy);
      const { id, crmId } = there;
      expect(harness.account.contact(crmId)).toMatchObject({ deletedAtMs: null, city: 'here' });
      expect(await rowOf(id)).toMatchObject({ crm_id: crmId, city: 'here' });
      expect(await conflicts(there)).toMatchObject([{ field: 'contact', remote: null, outcome: 'mirror', policy, state: 'decided' }]);
      await equal('upstream');
    },
  );

  it('without a trash to restore it from it is created again, under the same row', async () => {
    const there = await fight('documented', 'newest');
    const { id, crmId } = there;
    const row = await rowOf(id);
    expect(row).toMatchObject({ city: 'here' });
    expect(Number(row?.['crm_id'])).toBeGreaterThan(crmId);
    expect(await conflicts(there)).toMatchObject([{ field: 'contact', outcome: 'mirror' }]);
    await equal('documented');
  });

  it('without a trash, and the edit was on its way with its outcome unknown: the 404 ends the doubt', async () => {
    await open('documented');
    const { id: crmId } = harness.account.create({ first_name: 'Only a name' });
    await harness.settle();
    await harness.sql(`update crm.contacts set city = 'here' where crm_id = $1`, [crmId]);
    harness.sandbox.fault({ call: 'update', kind: 'reset-before' });
    const stop = harness.sandbox.onRequest(({ call }) => {
      if (call !== 'update') return;
      stop();
      harness.account.delete(crmId);
    });
    await harness.settle();
    expect(await harness.sql(`select crm_id > $1 as anew, city from crm.contacts where first_name = 'Only a name'`, [crmId])).toEqual([
      { anew: true, city: 'here' },
    ]);
    await equal('documented');
  });

  it('policy crm: the row goes, and the conflict keeps what was edited', async () => {
    const there = await fight('upstream', 'crm');
    const { id } = there;
    expect(await rowOf(id)).toBeUndefined();
    const [conflict] = await conflicts(there);
    expect(conflict).toMatchObject({ field: 'contact', outcome: 'crm', policy: 'crm', local: { city: 'here' } });
    await equal('upstream');
  });

  it('policy manual: the row stays as it is, marked, and nothing is pushed', async () => {
    const there = await fight('upstream', 'manual');
    const { id, crmId } = there;
    expect(await rowOf(id)).toMatchObject({ city: 'here' });
    expect(harness.account.contact(crmId)?.deletedAtMs).not.toBeNull();
    expect(await conflicts(there)).toMatchObject([{ field: 'contact', outcome: 'open', state: 'open' }]);
    expect(await harness.sql('select state, error_code from sync.change_log where settled_at is null')).toEqual([
      { state: 'parked', error_code: 'deleted_in_crm' },
    ]);
  });

  it('and purged: it is created again under the same row', async () => {
    await open('upstream');
    const { id: crmId } = harness.account.create({ first_name: 'Only a name' });
    await harness.settle();
    harness.account.delete(crmId);
    harness.account.purge(crmId);
    await harness.sql(`update crm.contacts set city = 'here' where crm_id = $1`, [crmId]);
    await harness.settle();
    const [row] = await harness.sql(`select crm_id from crm.contacts where city = 'here' and first_name = 'Only a name'`);
    expect(harness.account.contact(Number(row?.['crm_id']))).toMatchObject({ city: 'here' });
    await equal('upstream');
  });

  it('and the CRM will not have it back: parked with its words, once', async () => {
    await open('upstream');
    const { id, crmId } = await editor.take();
    harness.account.delete(crmId);
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [id]);
    harness.sandbox.fault({ call: 'restore', kind: '403-record', times: Infinity });
    await harness.settle();
    await harness.settle();
    expect(await harness.sql('select state, error from sync.change_log where settled_at is null')).toEqual([
      { state: 'parked', error: 'This action is unauthorized.' },
    ]);
    expect(harness.account.calls.count('restore')).toBe(1);
    expect(await rowOf(id)).toMatchObject({ city: 'here' });
  });
});

describe('deleted here and edited there', () => {
  together('upstream');

  const fight = async (policy: Policy): Promise<Row> => {
    const pair = await editor.take();
    await setPolicy('contact', policy);
    await harness.sql('delete from crm.contacts where id = $1', [pair.id]);
    harness.account.update(pair.crmId, { city: 'there' });
    await harness.settle();
    return pair;
  };

  it.each(['newest', 'crm'] as const)('policy %s: the edit lives, and the row comes back under its old id', async (policy) => {
    const here = await fight(policy);
    const { id, crmId } = here;
    expect(harness.account.contact(crmId)).toMatchObject({ deletedAtMs: null, city: 'there' });
    expect(await rowOf(id)).toMatchObject({ crm_id: crmId, city: 'there' });
    expect(await conflicts(here)).toMatchObject([{ field: 'contact', local: null, outcome: 'crm', policy }]);
    await equal('upstream');
  });

  it('policy mirror: it is deleted there too, and the conflict keeps what was edited', async () => {
    const here = await fight('mirror');
    const { id, crmId } = here;
    expect(harness.account.contact(crmId)?.deletedAtMs).not.toBeNull();
    expect(await rowOf(id)).toBeUndefined();
    expect(await conflicts(here)).toMatchObject([{ field: 'contact', remote: { city: 'there' }, outcome: 'mirror', policy: 'mirror' }]);
    await equal('upstream');
  });
});

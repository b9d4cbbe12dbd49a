/** What the push and the create allow for, one gap a test. Each goes red when that guard is switched off (test/mutants). */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Policy } from '../../src/domain/merge.ts';
import type { RemoteContact } from '../../src/domain/contact.ts';
import type { BadRecord, Crm } from '../../src/ports/crm.ts';
import { createMirror } from '../../src/postgres/mirror.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { addPlainContacts, createEditor, type Editor, type Row } from './edits.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';
import { atStep, onceDuring } from './moments.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000 });

let harness: Harness;
let editor: Editor;
const open = async (options: HarnessOptions = {}): Promise<void> => {
  harness = await openHarness({ seed: { contacts: 20 }, ...options });
  addPlainContacts(harness, 2);
  expect(await harness.probe()).toBeNull();
};
const openInStep = async (options: HarnessOptions = {}): Promise<void> => {
  await open(options);
  await harness.settle();
  editor = createEditor(harness);
};

const there = ({ crmId }: Row) => harness.account.contact(crmId);
const push = async (crm: Crm = harness.crm) => await pushDue({ ...harness.deps, crm }, createPushMemory());
const sent = (call: string): readonly unknown[] => harness.account.calls.calls.filter((one) => one.call === call).map(({ body }) => body);
const equal = async (): Promise<void> => {
  await harness.settle();
  expect(await harness.differences()).toEqual([]);
  expect(await harness.sql('select op, state, error from sync.change_log where settled_at is null')).toEqual([]);
};
const prepared = async (wants: { readonly companies?: number } = {}): Promise<Row> => {
  const row = await editor.take(wants);
  await harness.sql(`update crm.contacts set city = 'base', street = 'base' where id = $1`, [row.id]);
  await harness.settle();
  harness.account.calls.clear();
  return row;
};

describe('somebody edits in the CRM', () => {
  beforeAll(async () => await openInStep());
  afterAll(async () => await harness.close());
  const setPolicy = (conflictPolicy: Policy) => ({ ...harness.deps, settings: { ...harness.deps.settings, conflictPolicy } });

  it('another field while our PUT is on its way: the answer brings it, and the next push does not undo it', async () => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [row.id]);
    const happened = onceDuring(harness, 'update', () => harness.account.update(row.crmId, { street: 'there' }));
    // Under this policy nobody looks at the CRM before a push: the answer alone tells.
    await pushDue(setPolicy('mirror'), createPushMemory());
    await pushDue(setPolicy('mirror'), createPushMemory());
    expect(happened()).toBe(true);
    expect(sent('update')).toEqual([{ city: 'here' }]);
    expect(there(row)).toMatchObject({ city: 'here', street: 'there' });
    expect(await harness.sql('select city, street from crm.contacts where id = $1', [row.id])).toEqual([{ city: 'here', street: 'there' }]);
    await equal();
  });

  it('the same field shortly before our push: it is looked at, and decided by the policy', async () => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [row.id]);
    harness.account.update(row.crmId, { city: 'there' });
    await pushDue(setPolicy('crm'), createPushMemory());
    expect(there(row)?.city).toBe('there');
    expect(await harness.sql('select field, local, remote, outcome from sync.conflicts where contact_id = $1', [row.id])).toEqual([
      { field: 'city', local: 'here', remote: 'there', outcome: 'crm' },
    ]);
    await equal();
  });

  it('another phone shortly before our push of the list: it is read, and survives', async () => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set phones = phones || '[{"number": "+41 44 000 00 02"}]' where id = $1`, [row.id]);
    harness.account.update(row.crmId, { phones: [...(there(row)?.phones ?? []), { number: '+41 44 000 00 01', type: 'work' }] });
    await pushDue(setPolicy('mirror'), createPushMemory());
    expect(there(row)?.phones.map(({ number }) => number)).toEqual(expect.arrayContaining(['+41 44 000 00 01', '+41 44 000 00 02']));
    await equal();
  });

  it('another link shortly before our push of the set: it is read, and survives', async () => {
    const row = await prepared({ companies: 2 });
    const free = harness.account.records('companies').filter(({ id }) => there(row)?.companies.includes(id) === false);
    const [removed, ours, theirs] = [there(row)?.companies[0] ?? 0, free[0]?.id ?? 0, free[1]?.id ?? 0];
    await harness.sql('delete from crm.contact_companies where contact_id = $1 and company_id = $2', [row.id, removed]);
    await harness.sql('insert into crm.contact_companies values ($1, $2)', [row.id, ours]);
    harness.account.attach(row.crmId, { companies: [theirs] });
    await pushDue(setPolicy('mirror'), createPushMemory());
    expect(sent('sync')).toHaveLength(1);
    expect(there(row)?.companies).toEqual(expect.arrayContaining([ours, theirs]));
    expect(there(row)?.companies).not.toContain(removed);
    await equal();
  });

  it('nothing, but answers with another form of what was sent: a value that the CRM rewrites is taken over, and sent once', async () => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [row.id]);
    const update: Crm['update'] = async (crmId, body, options) => {
      const answer = await harness.crm.update(crmId, body, options);
      if (!answer.ok || body.city === undefined) return answer;
      harness.account.update(crmId, { city: 'HERE' });
      return { ...answer, value: { ...answer.value, fields: { ...answer.value.fields, city: 'HERE' } } };
    };
    for (let round = 0; round < 3; round += 1) await push({ ...harness.crm, update });
    expect(sent('update')).toEqual([{ city: 'here' }]);
    expect(await harness.sql('select city from crm.contacts where id = $1', [row.id])).toEqual([{ city: 'HERE' }]);
    await equal();
  });
});

describe('somebody edits here', () => {
  beforeAll(async () => await openInStep());
  afterAll(async () => await harness.close());

  it('another field of a contact that is just being claimed: the edit goes along, or gets its own turn', async () => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [row.id]);
    const { deps, happened } = atStep(
      harness.deps,
      'before',
      'claim',
      async () => await harness.sql(`update crm.contacts set street = 'here' where id = $1`, [row.id]),
    );
    await pushDue(deps, createPushMemory());
    expect(happened()).toBe(true);
    await equal();
    expect(there(row)).toMatchObject({ city: 'here', street: 'here' });
  });
});

describe('the links of a contact', () => {
  beforeAll(async () => await openInStep());
  afterAll(async () => await harness.close());

  it('are never replaced by a set of which the CRM knows nobody: that would wipe them all', async () => {
    const row = await prepared({ companies: 1 });
    const [kept = 0, ...others] = there(row)?.companies ?? [];
    if (others.length > 0) {
      await harness.sql('delete from crm.contact_companies where contact_id = $1 and company_id <> $2', [row.id, kept]);
      await harness.settle();
    }
    harness.account.calls.clear();
    await harness.sql('delete from crm.contact_companies where contact_id = $1', [row.id]);
    await harness.sql('insert into crm.contact_companies values ($1, 999999)', [row.id]);
    await push();
    expect(sent('sync')).toEqual([]);
    expect(sent('detach')).toEqual([{ companies: [kept] }]);
  });
});

describe('a claim of a leader that froze in the middle of it', () => {
  beforeEach(async () => await openInStep());
  afterEach(async () => await harness.close());

  it('and that commits after another has taken over: the contact is not under way for ever', async () => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [row.id]);
    const successor = createMirror({ pool: harness.pool, lease: { epoch: () => 2 }, log: harness.deps.log });
    await harness.mirror.transaction(async (tx) => {
      await tx.claim(await tx.lockDue(10, { creates: true }));
      await harness.sql('update sync.leader set epoch = 2');
      // It cannot see what is not committed yet.
      expect(await successor.recoverAttempts(0)).toBe(0);
    });
    const deps = { ...harness.deps, mirror: successor };
    for (let round = 0; round < 3; round += 1) await pushDue(deps, createPushMemory());
    expect(there(row)?.city).toBe('here');
    expect(await harness.sql('select state from sync.change_log where settled_at is null')).toEqual([]);
  });
});

/** What a client sees of a POST that hangs. */
const NO_ANSWER = {
  class: 'unknown',
  code: 'timeout',
  status: null,
  message: 'no answer',
  fields: {},
  retryAfterMs: null,
  proven: false,
} as const;

describe('a create', () => {
  beforeEach(async () => await openInStep({ settings: { createRecheckMs: 60_000, backoff: { minMs: 1, maxMs: 2 } } }));
  afterEach(async () => await harness.close());
  const named = (name: string) => harness.account.contacts().filter(({ first_name: first }) => first === name);

  it('is asked about again until CREATE_RECHECK_MS are over: a POST that arrives late is not doubled', async () => {
    await harness.sql(`insert into crm.contacts (first_name, email) values ('Late', 'late@example.test')`);
    const posts: (() => Promise<unknown>)[] = [];
    let asked = 0;
    const slow: Crm = {
      ...harness.crm,
      create: async (body, options) => {
        posts.push(async () => await harness.crm.create(body, options));
        return { ok: false, failure: NO_ANSWER, meta: null };
      },
      search: async (params, options) => {
        asked += 1;
        // The second question comes too early as well; by the third the POST has arrived.
        if (asked === 3) for (const post of posts) await post();
        return await harness.crm.search(params, options);
      },
    };
    const memory = createPushMemory();
    for (let round = 0; round < 6; round += 1) {
      // Due at once, instead of a second later.
      await harness.sql(`update sync.change_log set next_attempt_at = clock_timestamp() where state = 'unknown'`);
      await pushDue({ ...harness.deps, crm: slow }, memory);
    }
    expect(asked).toBe(3);
    expect(named('Late')).toHaveLength(1);
    expect(harness.account.calls.count('create')).toBe(1);
    await equal();
  });

  it('does not take a contact away from another row', async () => {
    // Of the same moment, since a contact that is too old is nobody's create.
    const { id: crmId } = harness.account.create({ first_name: 'Twin', last_name: 'Twinson' });
    await harness.settle();
    const [first] = await harness.sql('select id from crm.contacts where crm_id = $1', [crmId]);
    await harness.sql(`insert into crm.contacts (first_name, last_name) values ('Twin', 'Twinson')`);
    harness.sandbox.fault({ call: 'create', kind: 'reset-before' });
    await push();
    await harness.sql(`update sync.change_log set next_attempt_at = clock_timestamp() where state = 'unknown'`);
    await push();
    expect(await harness.sql('select id from crm.contacts where crm_id = $1', [crmId])).toEqual([first]);
    expect(await harness.sql('select count(*)::int as rows from crm.contacts where last_name = $1', ['Twinson'])).toEqual([{ rows: 2 }]);
  });
});

describe('a create of which the CRM can show nothing readable', () => {
  beforeEach(async () => await openInStep({ settings: { createRecheckMs: 0, backoff: { minMs: 60_000, maxMs: 60_000 } } }));
  afterEach(async () => await harness.close());

  it('is not sent again: the contact that nobody can read may be it', async () => {
    const email = 'unreadable@example.test';
    await harness.sql(`insert into crm.contacts (first_name, email) values ('Unreadable', $1)`, [email]);
    harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
    const isOurs = ({ fields }: RemoteContact): boolean => fields.email === email;
    const hidden = (records: readonly RemoteContact[], bad: readonly BadRecord[]) => ({
      records: records.filter((record) => !isOurs(record)),
      bad: [...bad, ...records.filter(isOurs).map(({ crmId }) => ({ crmId, problem: 'made unreadable' }))],
    });
    const unreadable: Crm = {
      ...harness.crm,
      list: async (params, options) => {
        const answer = await harness.crm.list(params, options);
        return answer.ok ? { ...answer, value: { ...answer.value, ...hidden(answer.value.records, answer.value.bad) } } : answer;
      },
      search: async (params, options) => {
        const answer = await harness.crm.search(params, options);
        return answer.ok ? { ...answer, value: hidden(answer.value.records, answer.value.bad) } : answer;
      },
    };
    for (let round = 0; round < 3; round += 1) {
      await push(unreadable);
      await harness.sql(`update sync.change_log set next_attempt_at = clock_timestamp() where state = 'unknown'`);
    }
    expect(harness.account.calls.count('create')).toBe(1);
    await equal();
  });
});

describe('a row that was there before the first load', () => {
  beforeEach(async () => await open());
  afterEach(async () => await harness.close());

  it('waits for the first complete sweep: what is here already may be there already', async () => {
    const [known] = harness.account.contacts().filter(({ email }) => email !== null);
    await harness.sql('insert into crm.contacts (first_name, email) values ($1, $2)', [known?.first_name, known?.email]);
    await push();
    expect(harness.account.calls.count('create')).toBe(0);
    await equal();
    expect(harness.account.calls.count('create')).toBe(0);
    expect(await harness.sql('select crm_id from crm.contacts where email = $1', [known?.email])).toEqual([{ crm_id: known?.id }]);
  });
});

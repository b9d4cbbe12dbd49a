/** What only a real server can show of the mirror adapter: connections, transaction ids, other people's triggers. */
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMirror } from '../../src/postgres/mirror.ts';
import { fieldsWith, links, newContact, NO_WRITE, pairedContacts, recordOf, situation } from '../contract/mirror-harness.ts';
import { openMirrorDatabase, type MirrorDatabase, type PostgresHarness } from './mirror-harness.ts';

let database: MirrorDatabase;
let harness: PostgresHarness;
beforeAll(async () => {
  database = await openMirrorDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  harness = await database.make();
});

const END_OPEN_TRANSACTIONS = `
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`;

afterEach(() => harness.close());

/** A trigger of the user's on crm.contacts, gone with the next test's reset (its function is called users_own). */
const createTrigger = async (when: string, body: string): Promise<void> => {
  await harness.sql(`create function users_own() returns trigger language plpgsql as $$ begin ${body} end $$`);
  await harness.sql(`create trigger users_own ${when} on crm.contacts for each row execute function users_own()`);
};

describe('own writes', () => {
  it("captures what a user's AFTER trigger edits inside of our transaction, and nothing of ours", async () => {
    await createTrigger(
      'after insert',
      `insert into crm.contact_companies values (new.id, 5); update crm.contacts set city = 'Rome' where id = new.id; return null;`,
    );
    const [a = 0] = await pairedContacts(harness.mirror, newContact(7, {}, { companies: [1], deals: [], activities: [] }));
    expect((await harness.log()).map(({ contactId, op, newValues }) => ({ contactId, op, newValues }))).toEqual([
      { contactId: a, op: 'attach', newValues: { company_id: 5 } },
      { contactId: a, op: 'update', newValues: { city: 'Rome' } },
    ]);
  });

  it("logs what a user's BEFORE trigger changes while we write something else", async () => {
    const [a = 0] = await pairedContacts(harness.mirror, newContact(7, { custom_fields: { cf_a: 1 } }));
    await createTrigger('before update', `new.custom_fields := '{"cf_b": 2}'; return new;`);
    await harness.mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: a, extra: { value: { x: 1 }, hash: 'x' } }]));
    expect((await harness.log()).map(({ oldValues, newValues }) => ({ oldValues, newValues }))).toEqual([
      { oldValues: { cf_a: 1, cf_b: null }, newValues: { cf_a: null, cf_b: 2 } },
    ]);
  });

  it('leaves nothing on the pooled connection that would silence the next edit', async () => {
    const { mirror, pool } = harness;
    const single = new pg.Pool({ ...pool.options, max: 1 });
    try {
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const own = createMirror({ pool: single, lease: { epoch: () => 1 }, log: { debug() {}, info() {}, warn() {}, error() {} } });
      await own.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: a, fields: fieldsWith({ city: 'Bern' }) }]));
      await single.query(`update crm.contacts set city = 'Rome'`);
    } finally {
      await single.end();
    }
    expect((await harness.log()).map(({ newValues }) => newValues)).toEqual([{ city: 'Rome' }]);
  });

  it('takes no transaction id where nothing is new', async () => {
    const contact = newContact(7);
    const [a = 0] = await pairedContacts(harness.mirror, contact);
    await harness.mirror.transaction((tx) => tx.saveNames([{ kind: 'users', id: 1, name: 'Eve' }]));
    const openIds = await harness.mirror.transaction(async (tx) => {
      await tx.peek([7, 8]);
      await tx.read([a]);
      await tx.saveNames([{ kind: 'users', id: 1, name: 'Eve' }]);
      await tx.touch([{ contactId: a, crmUpdatedAt: contact.record.updatedAt ?? new Date(0) }]);
      await tx.save([{ ...NO_WRITE, contactId: a }]);
      await tx.clearRefused([7]);
      return await harness.sql(
        `select backend_xid from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
      );
    });
    expect(openIds).toEqual([{ backend_xid: null }]);
  });
});

describe('refusals', () => {
  it.each([
    ['a raise in a trigger', `raise exception 'no'; return new;`, 'P0001'],
    ['a trigger that is broken', `perform * from no_such_table; return new;`, '42P01'],
  ])('are returned for %s', async (_what, body, sqlState) => {
    await createTrigger('before insert', body);
    const refusal = await harness.mirror.transaction((tx) => tx.savepoint(async () => void (await tx.insert([newContact(7)]))));
    expect(refusal).toMatchObject({ sqlState });
  });

  it('are returned for a value that Postgres cannot store', async () => {
    const refusal = await harness.mirror.transaction((tx) =>
      tx.savepoint(async () => void (await tx.insert([newContact(7, { city: 'nul \u0000' })]))),
    );
    expect(refusal?.sqlState).toBe('22P05');
  });

  it('are not made of a lost connection, which fails the transaction', async () => {
    const failing = harness.mirror.transaction((tx) =>
      tx.savepoint(async () => {
        await tx.queue([1], 'update');
        await harness.sql(END_OPEN_TRANSACTIONS);
        await tx.queue([2], 'update');
      }),
    );
    await expect(failing).rejects.toBeInstanceOf(Error);
    expect(await harness.log()).toEqual([]);
  });
});

describe('connections', () => {
  it('go back to the pool after success, failure and lost leadership', async () => {
    const { mirror, pool } = harness;
    await mirror.now();
    await mirror.transaction((tx) => tx.peek([1]));
    await expect(mirror.transaction(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    harness.setLeaseEpoch(99);
    await expect(mirror.transaction((tx) => tx.peek([1]))).rejects.toThrow('not the leader');
    expect(pool.idleCount).toBe(pool.totalCount);
  });

  it('that break in the middle are thrown away, and the error is passed on', async () => {
    const { mirror, pool } = harness;
    const broken = mirror.transaction(async (tx) => {
      await tx.queue([1], 'update');
      await harness.sql(END_OPEN_TRANSACTIONS);
      await tx.queue([2], 'update');
    });
    await expect(broken).rejects.toBeInstanceOf(Error);
    expect(await harness.log()).toEqual([]);
    expect(pool.idleCount).toBe(pool.totalCount);
  });
});

describe('batches', () => {
  it('of a hundred contacts keep each contact its own', async () => {
    const crmIds = Array.from({ length: 100 }, (_, index) => 1000 - index);
    const contacts = crmIds.map((crmId) =>
      newContact(
        crmId,
        { city: `c${crmId}`, custom_fields: { cf_n: crmId } },
        { companies: [crmId, crmId + 1], deals: [], activities: null },
      ),
    );
    const ids = await pairedContacts(harness.mirror, ...contacts);
    await harness.mirror.transaction((tx) =>
      tx.save(
        ids.map((contactId, index) => ({
          ...NO_WRITE,
          contactId,
          ...(index % 2 === 0 && { fields: fieldsWith({ street: `s${contactId}` }) }),
          addLinks: links({ deals: [contactId] }),
          removeLinks: links({ companies: [crmIds[index] ?? 0] }),
        })),
      ),
    );
    const found = await harness.mirror.transaction((tx) => tx.read(ids));
    for (const [index, contactId] of ids.entries()) {
      const crmId = crmIds[index] ?? 0;
      const { row, base } = found.get(contactId) ?? {};
      expect(row?.fields.street).toBe(index % 2 === 0 ? `s${contactId}` : null);
      expect(row?.fields.city).toBe(index % 2 === 0 ? null : `c${crmId}`);
      expect(row?.links).toEqual({ companies: [crmId + 1], deals: [contactId], activities: [] });
      expect(base?.fields.custom_fields).toEqual({ cf_n: crmId });
    }
  });

  it('match a hundred records against a hundred rows', async () => {
    await harness.sql(
      `insert into crm.contacts (first_name, email) select 'Ada', format('p%s@example.com', n) from generate_series(1, 100) n`,
    );
    const records = Array.from({ length: 100 }, (_, index) => recordOf(index + 1, { email: `P${index + 1}@example.com` }));
    const matches = await harness.mirror.transaction((tx) => tx.matchUnpaired(records, { byContent: true }));
    expect(matches.paired.size).toBe(100);
    expect((await situation(harness.mirror, matches.paired.get(42) ?? 0)).row?.fields.email).toBe('p42@example.com');
  });
});

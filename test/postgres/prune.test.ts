/** What the retention removes, and what rests on a record that is older than it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
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

const DAYS = 90;
const OLD = `clock_timestamp() - interval '91 days'`;
const YOUNG = `clock_timestamp() - interval '89 days'`;
const prune = () => harness.mirror.prune(DAYS);
const left = async (table: 'conflicts' | 'holds'): Promise<readonly string[]> => {
  const column = table === 'conflicts' ? 'field' : 'reason';
  return (await harness.sql(`select ${column} as name from sync.${table} order by 1`)).map(({ name }) => String(name));
};

describe('conflicts', () => {
  const conflict = (contact: number, field: string, state: 'open' | 'decided', at: string, decidedAt = at) =>
    harness.sql(
      `insert into sync.conflicts (contact_id, field, outcome, state, at, decided_at)
       values ($1, $2, 'crm', $3, ${at}, case when $3 = 'decided' then ${decidedAt} end)`,
      [contact, field, state],
    );

  it('decided longer ago than CHANGE_LOG_DAYS go; open ones and younger decisions stay', async () => {
    await conflict(1, 'decided long ago', 'decided', OLD);
    await conflict(1, 'decided lately', 'decided', OLD, YOUNG);
    await conflict(1, 'open', 'open', OLD);
    expect(await prune()).toBe(1);
    expect(await left('conflicts')).toEqual(['decided lately', 'open']);
  });

  it('on which a row marked gone, or an open edit, rests stay', async () => {
    await harness.sql(`insert into sync.contact_state (contact_id, gone_at) values (1, ${OLD}), (2, null)`);
    await harness.sql(`insert into sync.change_log (contact_id, op, changed_by, txid, state) values (3, 'update', 'x', 1, 'parked')`);
    for (const contact of [1, 2, 3]) await conflict(contact, `of ${contact}`, 'decided', OLD);
    expect(await prune()).toBe(1);
    expect(await left('conflicts')).toEqual(['of 1', 'of 3']);
  });
});

describe('holds', () => {
  const hold = async (reason: string, state: string, decidedAt: string, cause = 'brake'): Promise<number> => {
    await harness.sql(
      `insert into sync.holds (direction, cause, reason, rows, plan, state, created_at, decided_at)
       values ('push', $1, $2, 1, '[]', $3, ${OLD}, case when $3 <> 'open' then ${decidedAt} end)`,
      [cause, reason, state],
    );
    const [row] = await harness.sql('select max(id) as id from sync.holds');
    return Number(row?.['id']);
  };

  it('closed longer ago than CHANGE_LOG_DAYS go, with the log rows that they held; open ones and younger decisions stay', async () => {
    const approved = await hold('approved', 'approved', OLD);
    await harness.sql(
      `insert into sync.change_log (contact_id, op, changed_by, txid, state, settled_at, hold_id) values (1, 'delete', 'x', 1, 'done', ${OLD}, $1)`,
      [approved],
    );
    await hold('rejected', 'rejected', OLD);
    await hold('released', 'released', OLD);
    await hold('rejected lately', 'rejected', YOUNG);
    await hold('open', 'open', OLD);
    expect(await prune()).toBe(4);
    expect(await left('holds')).toEqual(['open', 'rejected lately']);
  });

  it('that something refers to, or that go on stopping the push, stay', async () => {
    const parked = await hold('of a parked edit', 'rejected', OLD);
    await harness.sql(
      `insert into sync.change_log (contact_id, op, changed_by, txid, state, hold_id) values (1, 'insert', 'x', 1, 'parked', $1)`,
      [parked],
    );
    const young = await hold('of an edit settled lately', 'approved', OLD);
    await harness.sql(
      `insert into sync.change_log (contact_id, op, changed_by, txid, state, settled_at, hold_id) values (1, 'delete', 'x', 1, 'done', ${YOUNG}, $1)`,
      [young],
    );
    const state = await hold('of a contact', 'approved', OLD);
    await harness.sql('insert into sync.contact_state (contact_id, hold_id) values (2, $1)', [state]);
    await hold('of another account', 'rejected', OLD, 'identity');
    const identity = await hold('of this database', 'approved', OLD, 'identity');
    await harness.sql('update sync.account set identity_hold_id = $1', [identity]);
    expect(await prune()).toBe(0);
    expect(await left('holds')).toHaveLength(5);
  });
});

it('a hundred thousand old records go in one sweep’s pause', async () => {
  await harness.sql(
    `insert into sync.conflicts (contact_id, field, outcome, state, at, decided_at) select n, 'city', 'crm', 'decided', ${OLD}, ${OLD} from generate_series(1, 100000) n`,
  );
  const startedAt = performance.now();
  expect(await prune()).toBe(100_000);
  // Of the 30 s that a statement may take.
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});

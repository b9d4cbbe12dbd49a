/**
 * The history against what people saw: a seeded run of edits on both sides through the real sync, its state written down at 50 moments, and
 * each of them rebuilt in the end. `HISTORY_SEED=n` runs that one again.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { createDice, type Dice } from '../sim/dice.ts';
import { openHarness, type Harness } from './harness.ts';

const SEED = Number(process.env['HISTORY_SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));
const MOMENTS = 50;
const STEPS_BETWEEN = 4;

let harness: Harness;
beforeEach(async () => {
  harness = await openHarness({ seed: { contacts: 30 }, settings: { brake: { rows: 1000, share: 1, max: 1000 } } });
  const keeper = createHistoryKeeper({ connectionString: harness.url, days: 365, log: harness.deps.log });
  await keeper.keepOnce(new AbortController().signal);
  await harness.probe();
});
afterEach(async () => await harness.close());

const COLUMNS = `id, crm_id, first_name, last_name, email, phones, user_id, source_id, job_title, street, city, state, postal_code, country_id,
  custom_fields, extra, crm_created_at`;
/** One statement: the moment is read before any row, and nothing is under way. */
const STATE = `
  with here as materialized (select clock_timestamp()::text as moment)
  select here.moment, (select jsonb_agg(to_jsonb(c) order by c.id) from (select ${COLUMNS} from crm.contacts) c) as state from here`;
const REBUILT = `select jsonb_agg(to_jsonb(c) order by c.id) as state from (select ${COLUMNS} from bi.contacts_at($1)) c`;

const anyId = async (dice: Dice): Promise<number | null> => {
  const rows = await harness.sql('select id from crm.contacts order by id');
  return rows.length === 0 ? null : Number(dice.pick(rows)['id']);
};
const WORDS = ['Rome', 'Oslo', 'Bonn', 'Bern', 'Graz'];

const editHere = async (dice: Dice, n: number): Promise<void> => {
  const id = await anyId(dice);
  const word = dice.pick(WORDS);
  const [text, values]: [string, unknown[]] = dice.pick([
    ['update crm.contacts set city = $2 where id = $1', [id, word]],
    ['update crm.contacts set job_title = $2, street = null where id = $1', [id, word]],
    [
      `update crm.contacts set phones = phones || jsonb_build_array(jsonb_build_object('number', '+41 61 555 ' || $2::int)) where id = $1`,
      [id, 1000 + n],
    ],
    [`update crm.contacts set custom_fields = custom_fields || jsonb_build_object('cf_nickname', $2::text) where id = $1`, [id, word]],
    ['update crm.contacts set state = $2 where id % 3 = $1::bigint % 3', [id, word]],
    ['insert into crm.contacts (first_name, email) values ($1, $2)', [word, `here${n}@example.com`]],
    ['delete from crm.contacts where id = $1', [id]],
  ]);
  await harness.sql(text, values);
};

const editThere = (dice: Dice, n: number): void => {
  const { account } = harness;
  const contacts = account.contacts();
  const word = dice.pick(WORDS);
  const what = dice.below(6);
  if (contacts.length === 0 || what === 0) account.create({ first_name: word, email: `there${n}@example.com` });
  else if (what === 1) account.delete(dice.pick(contacts).id);
  else if (what === 2 && account.trashed().length > 0) account.restore(dice.pick(account.trashed()).id);
  else account.update(dice.pick(contacts).id, what === 3 ? { street: word } : { last_name: `${word} ${n}` });
};

/** Both sides at once, other fields: what comes of it is neither's alone. */
const editBoth = async (dice: Dice, n: number): Promise<void> => {
  const rows = await harness.sql('select id, crm_id from crm.contacts where crm_id is not null order by id');
  const known = rows.filter((row) => harness.account.contact(Number(row['crm_id']))?.deletedAtMs === null);
  if (known.length === 0) return;
  const { id, crm_id: crmId } = dice.pick(known);
  harness.account.update(Number(crmId), { street: `${dice.pick(WORDS)} ${n}` });
  await harness.sql('update crm.contacts set city = $2 where id = $1', [id, `${dice.pick(WORDS)} ${n}`]);
};

const step = async (dice: Dice, n: number): Promise<void> => {
  const what = dice.below(12);
  if (what < 4) await editHere(dice, n);
  else if (what < 7) editThere(dice, n);
  else if (what < 9) await editBoth(dice, n);
  else if (what < 11) await harness.sync();
  else await sweepOnce(harness.deps, 'resync', null);
};

it(`rebuilds the state of ${MOMENTS} moments of a run of both sides (seed ${SEED})`, { timeout: 180_000 }, async () => {
  const dice = createDice(SEED);
  await harness.settle();
  const seen: { readonly moment: unknown; readonly state: unknown }[] = [];
  for (let n = 1; seen.length < MOMENTS; n += 1) {
    await step(dice, n);
    if (n % STEPS_BETWEEN !== 0) continue;
    const [row] = await harness.sql(STATE);
    seen.push({ moment: row?.['moment'], state: row?.['state'] });
  }
  await harness.settle();
  expect(new Set(seen.map(({ state }) => JSON.stringify(state))).size).toBeGreaterThan(MOMENTS / 2);
  for (const { moment, state } of seen) expect((await harness.sql(REBUILT, [moment]))[0]?.['state']).toEqual(state);

  const origins = await harness.sql(
    'select origin, array_agg(distinct who) as who from bi.contact_history group by origin order by origin',
  );
  const [me] = await harness.sql('select session_user::text as name');
  expect(origins).toEqual([
    { origin: 'crm', who: ['CRM'] },
    { origin: 'merge', who: ['CRM'] },
    { origin: 'mirror', who: [me?.['name']] },
    { origin: 'resync', who: ['CRM'] },
  ]);
});

it('writes no version while both sides are quiet, and none for a time that moved alone', { timeout: 60_000 }, async () => {
  await harness.settle();
  const count = async () => Number((await harness.sql('select count(*) as n from bi.contact_history'))[0]?.['n']);
  const before = await count();
  expect(before).toBeGreaterThanOrEqual(30);
  await harness.sync();
  await sweepOnce(harness.deps, 'resync', null);
  expect(await count()).toBe(before);
});

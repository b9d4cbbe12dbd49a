/**
 * People at the database: plain SQL, one transaction each, straight to Postgres. What was committed is known for certain: after a lost
 * connection the capture's log is asked, which commits with the edit or not at all.
 */
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { createDice, type Dice } from '../sim/dice.ts';
import { FIELDS, type Field, type Soul, type Souls } from './souls.ts';
import type { Tally } from './verdict.ts';

export interface People {
  stop(): Promise<void>;
}

export interface LocalPeopleOptions {
  readonly url: string;
  readonly seed: number;
  readonly souls: Souls;
  readonly tally: Tally;
  readonly deletesMax: number;
  /** Ids that the CRM knows; these people link the even ones. */
  readonly companies: readonly number[];
  readonly deals: readonly number[];
  readonly failed: (what: string) => void;
}

type Row = Record<string, unknown>;

const PEOPLE = 2;
const REST_MS = 250;
/** Refusals that leave nothing behind: a deadlock, a lock that was not to be had, a link to a row that is gone, a disk that is full. */
const DISK_FULL = '53100';
const REFUSED = new Set(['40P01', '55P03', '23503', '40001', DISK_FULL]);
const isCustom = (field: Field): boolean => field.startsWith('cf_');

const isLostConnection = (error: unknown): boolean => {
  const code = (error as { readonly code?: string }).code ?? '';
  return !/^[0-9A-Z]{5}$/.test(code) || code.startsWith('57') || code.startsWith('08');
};

export const startLocalPeople = (options: LocalPeopleOptions): People => {
  const { souls, tally, failed } = options;
  const pool = new pg.Pool({ connectionString: options.url, max: PEOPLE + 1, application_name: 'soak person', query_timeout: 20_000 });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  const stopping = new AbortController();

  const ask = async (text: string, values: readonly unknown[]): Promise<Row[]> => {
    for (;;) {
      try {
        return (await pool.query<Row>(text, [...values])).rows;
      } catch (error) {
        // A full disk refuses even to let somebody in.
        if (!isLostConnection(error) && (error as { readonly code?: string }).code !== DISK_FULL) throw error;
        await pause(100);
      }
    }
  };
  /** Whether it changed anything. `arrived` is asked only where the answer was lost; the statement returns a row for each change. */
  const commit = async (text: string, values: readonly unknown[], arrived: () => Promise<boolean>): Promise<boolean> => {
    try {
      return (await pool.query<Row>(text, [...values])).rows.length > 0;
    } catch (error) {
      if (isLostConnection(error)) {
        tally.add('edits whose commit was in doubt');
        return await arrived();
      }
      if (!REFUSED.has((error as { code: string }).code)) failed(`a person's SQL was refused: ${(error as Error).message}`);
      return false;
    }
  };

  const logged = async (rowId: number, field: string, value: string): Promise<boolean> =>
    (await ask('select from sync.change_log where contact_id = $1 and new_values ->> $2 = $3', [rowId, field, value])).length > 0;

  const setField = async (soul: Soul, field: Field, value: string | null): Promise<void> => {
    const { rowId } = soul;
    if (rowId === null) return;
    const change = isCustom(field) ? `custom_fields = custom_fields || jsonb_build_object('${field}', $2::text)` : `${field} = $2`;
    const arrived = async (): Promise<boolean> => {
      if (value !== null) return await logged(rowId, field, value);
      const read = isCustom(field) ? `custom_fields ->> '${field}'` : field;
      return (await ask(`select from crm.contacts where id = $1 and ${read} is null`, [rowId])).length > 0;
    };
    if (!(await commit(`update crm.contacts set ${change} where id = $1 returning id`, [rowId, value], arrived))) return;
    souls.write(soul, 'local', field, value);
    tally.add('local edits');
  };

  const setPhone = async (soul: Soul, number: string, present: boolean): Promise<void> => {
    const change = present
      ? `phones || jsonb_build_array(jsonb_build_object('number', $2::text, 'type', 'work'))`
      : `coalesce((select jsonb_agg(p) from jsonb_array_elements(phones) p where p ->> 'number' <> $2), '[]')`;
    const holds = `exists (select from jsonb_array_elements(phones) p where p ->> 'number' = $2)`;
    const arrived = async (): Promise<boolean> =>
      (await ask(`select from crm.contacts where id = $1 and ${holds} = $3`, [soul.rowId, number, present])).length > 0;
    const text = `update crm.contacts set phones = ${change} where id = $1 and ${holds} = not $3::boolean returning id`;
    if (!(await commit(text, [soul.rowId, number, present], arrived))) return;
    souls.put(soul, 'local', 'phones', number, present);
    tally.add('local edits of phones');
  };

  const setLink = async (soul: Soul, kind: 'companies' | 'deals', id: number): Promise<void> => {
    const [table, column] = kind === 'companies' ? ['crm.contact_companies', 'company_id'] : ['crm.contact_deals', 'deal_id'];
    const find = `select from ${table} where contact_id = $1 and ${column} = $2`;
    const present = (await ask(find, [soul.rowId, id])).length === 0;
    const text = present
      ? `insert into ${table} (contact_id, ${column}) values ($1, $2) on conflict do nothing returning contact_id`
      : `delete from ${table} where contact_id = $1 and ${column} = $2 returning contact_id`;
    const arrived = async (): Promise<boolean> => (await ask(find, [soul.rowId, id])).length > 0 === present;
    if (!(await commit(text, [soul.rowId, id], arrived))) return;
    souls.put(soul, 'local', kind, id, present);
    tally.add('local link edits');
  };

  const insert = async (dice: Dice): Promise<void> => {
    const tag = souls.next('local');
    const phone = `+41 79 ${tag}`;
    const kind = dice.below(3);
    const city = souls.next('local');
    const company = dice.chance(0.4) ? dice.pick(options.companies) : null;
    const text = `with made as (
        insert into crm.contacts (first_name, last_name, city, email, phones)
        values ('New', $1, $2, $3, case when $4::text is null then '[]' else jsonb_build_array(jsonb_build_object('number', $4, 'type', 'mobile')) end)
        returning id
      ), link as (insert into crm.contact_companies select id, $5::bigint from made where $5 is not null)
      select id::int from made`;
    const email = kind === 0 ? `${tag}local@soak.example` : null;
    const find = async (): Promise<Row[]> => await ask('select id::int from crm.contacts where last_name = $1', [tag]);
    const phones = kind === 1 ? phone : null;
    if (!(await commit(text, [tag, city, email, phones, company], async () => (await find()).length > 0))) return;
    const rowId = Number((await find())[0]?.['id']);
    const soul = souls.add({ tag, origin: 'local', doomed: dice.chance(0.25), crmId: null, rowId });
    souls.write(soul, 'local', 'city', city);
    if (company !== null) souls.put(soul, 'local', 'companies', company, true);
    if (kind === 1) souls.put(soul, 'local', 'phones', phone, true);
    tally.add('local creates');
  };

  const remove = async (soul: Soul): Promise<void> => {
    const { rowId } = soul;
    if (rowId === null) return;
    const logged = `select from sync.change_log where contact_id = $1 and op = 'delete'`;
    const arrived = async (): Promise<boolean> => (await ask(logged, [rowId])).length > 0;
    if (!(await commit('delete from crm.contacts where id = $1 returning id', [rowId], arrived))) return;
    soul.deletedBy ??= 'local';
    tally.add('local deletes');
  };

  const bulk = async (mine: readonly Soul[], dice: Dice): Promise<void> => {
    const chosen = [...new Set(Array.from({ length: 10 }, () => dice.pick(mine)))].toSorted((a, b) => (a.rowId ?? 0) - (b.rowId ?? 0));
    const value = souls.next('local');
    const ids = chosen.map(({ rowId }) => rowId);
    const arrived = async (): Promise<boolean> =>
      (await ask(`select from sync.change_log where contact_id = any($1::bigint[]) and new_values ->> 'street' = $2`, [ids, value]))
        .length > 0;
    if (!(await commit('update crm.contacts set street = $2 where id = any($1::bigint[]) returning id', [ids, value], arrived))) return;
    // Each is asked for by its log row: one that was deleted there meanwhile has none.
    const changed = await ask(`select contact_id::int as id from sync.change_log where new_values ->> 'street' = $1`, [value]);
    const written = new Set(changed.map((row) => row['id']));
    for (const soul of chosen) if (written.has(soul.rowId)) souls.write(soul, 'local', 'street', value);
    tally.add('local bulk edits');
  };

  const act = async (dice: Dice, me: number): Promise<void> => {
    const mine = souls.all.filter(
      (soul, at) => at % PEOPLE === me && soul.rowId !== null && soul.deletedBy !== 'local' && !(soul.doomed && soul.origin === 'remote'),
    );
    if (mine.length === 0) return await insert(dice);
    const soul = dice.pick(mine);
    const throwOf = dice.below(100);
    if (throwOf < 50) return await setField(soul, dice.pick(FIELDS.local), dice.chance(0.1) ? null : souls.next('local'));
    if (throwOf < 60) return await setField(soul, 'state', souls.next('local'));
    if (throwOf < 68) {
      const own = [...soul.elements.values()].find(({ kind, side, present }) => kind === 'phones' && side === 'local' && present);
      return await setPhone(soul, own === undefined ? `+41 79 ${souls.next('local')}` : String(own.element), own === undefined);
    }
    if (throwOf < 74) return await setLink(soul, 'companies', dice.pick(options.companies));
    if (throwOf < 80) return await setLink(soul, 'deals', dice.pick(options.deals));
    if (throwOf < 92) return await insert(dice);
    if (throwOf < 96) return await bulk(mine, dice);
    if (tally.get('local deletes') >= options.deletesMax) return;
    const doomed = mine.filter((other) => other.doomed);
    // Now and then one that somebody may be editing in the CRM this very moment.
    return await remove(dice.chance(0.3) || doomed.length === 0 ? soul : dice.pick(doomed));
  };

  const person = async (me: number): Promise<void> => {
    const dice = createDice(options.seed + me);
    while (!stopping.signal.aborted) {
      await act(dice, me).catch((error: unknown) => failed(`a person at the database gave up: ${String(error)}`));
      await pause(REST_MS + dice.below(REST_MS), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const done = Promise.all(Array.from({ length: PEOPLE }, (_, me) => person(me)));
  return {
    stop: async () => {
      stopping.abort();
      await done;
      await pool.end();
    },
  };
};

/** Edits of every kind on both sides of a mirror that is in step, and what has to be true once they have met. */
import { expect } from 'vitest';
import type { LinkKind } from '../../src/domain/contact.ts';
import type { Harness } from './harness.ts';

export interface Row {
  readonly id: number;
  readonly crmId: number;
}

/** What an edited account has to look like in the end. */
export interface Expected {
  /** First names that exactly one living contact has. */
  readonly once: readonly string[];
  /** Contacts that may be gone by now: deleted on either side. */
  readonly mayBeGone: ReadonlySet<number>;
  /** Ids that were there before. */
  readonly before: ReadonlySet<number>;
}

/** What brings about which call, and what is edited in the CRM all along. */
export const EDITS = ['insert', 'change', 'phone', 'attach', 'detach', 'relink', 'delete', 'outlive', 'there'] as const;
export type Edit = (typeof EDITS)[number];

/** Contacts with nothing but this name can be created again when they were trashed: no e-mail or phone of theirs is taken. */
const PLAIN = 'Plain';

export const addPlainContacts = ({ account }: Harness, count: number): void => {
  for (let plain = 1; plain <= count; plain += 1) account.create({ first_name: `${PLAIN} ${plain}` });
};

const TAKE = `
  select c.id, c.crm_id from crm.contacts c
  where c.crm_id is not null and c.id <> all ($1::bigint[]) and (c.first_name like '${PLAIN} %') = $2
    and (select count(*) from crm.contact_companies l where l.contact_id = c.id) >= $3
    and (select count(*) from crm.contact_deals l where l.contact_id = c.id) >= $4
  order by c.crm_id limit 1`;

export const createEditor = (harness: Harness) => {
  const { account, sql } = harness;
  const used: number[] = [];
  let people = 0;

  /** A contact that no earlier edit has touched. */
  const take = async ({ plain = false, companies = 0, deals = 0 } = {}): Promise<Row> => {
    const [row] = await sql(TAKE, [used, plain, companies, deals]);
    if (row === undefined) throw new Error('the account has too few contacts for these edits');
    used.push(Number(row['id']));
    return { id: Number(row['id']), crmId: Number(row['crm_id']) };
  };
  const free = (kind: LinkKind, crmId: number): number => {
    const linked = new Set(account.contact(crmId)?.[kind]);
    const record = account.records(kind).find(({ id }) => !linked.has(id));
    if (record === undefined) throw new Error(`every one of the ${kind} is linked to ${crmId}`);
    return record.id;
  };
  const insert = async (name: string, email: string | null, phone: string | null): Promise<number> => {
    const phones = phone === null ? '[]' : JSON.stringify([{ number: phone, type: 'work' }]);
    const [row] = await sql(`insert into crm.contacts (first_name, email, phones) values ($1, $2, $3) returning id`, [name, email, phones]);
    return Number(row?.['id']);
  };
  const insertOne = async (tag: string): Promise<string> => {
    const name = `Insert ${tag}`;
    const [email, phone] = [people % 3 === 0 ? `${tag}@insert.example` : null, people % 3 === 1 ? `+41 79 ${tag}` : null];
    const id = await insert(name, email, phone);
    for (const kind of ['companies', 'deals', 'activities'] as const) {
      const column = { companies: 'company', deals: 'deal', activities: 'activity' }[kind];
      await sql(`insert into crm.contact_${kind} (contact_id, ${column}_id) values ($1, $2)`, [id, account.records(kind)[0]?.id]);
    }
    return name;
  };

  const gone: number[] = [];
  const once: string[] = [];
  const MAKE: { readonly [E in Edit]: (tag: string) => Promise<void> } = {
    insert: async (tag) => void once.push(await insertOne(tag)),
    change: async (tag) => {
      const { id, crmId } = await take();
      await sql('update crm.contacts set city = $2 where id = $1', [id, `here ${tag}`]);
      account.update(crmId, { street: `there ${tag}` });
    },
    phone: async (tag) => {
      const { id, crmId } = await take();
      await sql('update crm.contacts set phones = phones || $2 where id = $1', [
        id,
        JSON.stringify([{ number: `+1 900 ${tag}`, type: 'other' }]),
      ]);
      account.update(crmId, { last_name: null });
    },
    attach: async () => {
      const { id, crmId } = await take();
      await sql('insert into crm.contact_companies values ($1, $2)', [id, free('companies', crmId)]);
      await sql('insert into crm.contact_activities values ($1, $2)', [id, free('activities', crmId)]);
    },
    detach: async () => {
      const { id } = await take({ deals: 1 });
      await sql('delete from crm.contact_deals where contact_id = $1', [id]);
    },
    relink: async () => {
      const { id, crmId } = await take({ companies: 2 });
      await sql('delete from crm.contact_companies where contact_id = $1 and company_id = $2', [id, account.contact(crmId)?.companies[0]]);
      await sql('insert into crm.contact_companies values ($1, $2)', [id, free('companies', crmId)]);
      account.attach(crmId, { deals: [free('deals', crmId)] });
    },
    delete: async () => {
      const { id, crmId } = await take();
      await sql('delete from crm.contacts where id = $1', [id]);
      gone.push(crmId);
    },
    outlive: async (tag) => {
      const { id, crmId } = await take({ plain: true });
      await sql('update crm.contacts set job_title = $2 where id = $1', [id, `fought ${tag}`]);
      gone.push(crmId);
      once.push(account.delete(crmId).first_name ?? '');
    },
    there: async (tag) => {
      account.update((await take()).crmId, { job_title: `there ${tag}`, phones: [{ number: `+1 901 ${tag}`, type: 'mobile' }] });
      gone.push(account.delete((await take()).crmId).id);
      once.push(account.create({ first_name: `There ${tag}`, email: `${tag}@there.example` }).first_name ?? '');
    },
  };

  return {
    take,
    insert,
    /** Makes these edits; the expectation covers all that were made so far. */
    edit: async (edits: readonly Edit[]): Promise<Expected> => {
      const before = new Set(account.contacts().map(({ id }) => id));
      for (const edit of edits) {
        people += 1;
        await MAKE[edit](String(people));
      }
      return { once: [...once], mayBeGone: new Set(gone), before };
    },
  };
};
export type Editor = ReturnType<typeof createEditor>;

/** Both sides are equal, nothing was doubled or lost, nothing is left to do. */
export const expectInStep = async (harness: Harness, { once, mayBeGone, before }: Expected, kinds: readonly LinkKind[]): Promise<void> => {
  const open = await harness.sql('select op, state, error_code, error from sync.change_log where settled_at is null');
  expect(open).toEqual([]);
  expect(await harness.sql('select error_code, error from sync.refused')).toEqual([]);
  expect(await harness.differences(kinds)).toEqual([]);
  const living = harness.account.contacts();
  const names = living.map(({ first_name: name }) => name);
  expect(once.filter((name) => names.filter((other) => other === name).length !== 1)).toEqual([]);
  const ids = new Set(living.map(({ id }) => id));
  expect([...before].filter((id) => !ids.has(id) && !mayBeGone.has(id))).toEqual([]);
};

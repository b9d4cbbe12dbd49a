/** One edit of every kind on both sides of a mirror that is in step, and what has to be true once they have met. */
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

const INSERT = `insert into crm.contacts (first_name, email, phones, city) values ($1, $2, $3, 'Bern') returning id`;

/** Takes contacts that no earlier edit has touched, and edits each in its own way. `tag` makes the names unique. */
export const createEditor = (harness: Harness) => {
  const { account, sql } = harness;
  let used = 0;
  /** The next untouched contact that is still on both sides. */
  const take = async (): Promise<Row> => {
    const [row] = await sql(
      `select id, crm_id from crm.contacts where crm_id > $1 and first_name not like 'Plain %' order by crm_id limit 1`,
      [used],
    );
    if (row === undefined) throw new Error('the account has too few contacts for these edits');
    used = Number(row['crm_id']);
    return { id: Number(row['id']), crmId: used };
  };
  /** A contact with nothing but its name, which the CRM can create again after it was trashed. */
  const takePlain = async (): Promise<Row> => {
    const [row] = await sql(
      `select id, crm_id from crm.contacts c where first_name like 'Plain %'
         and not exists (select from sync.change_log l where l.contact_id = c.id) order by crm_id limit 1`,
    );
    if (row === undefined) throw new Error('the account has too few plain contacts for these edits');
    return { id: Number(row['id']), crmId: Number(row['crm_id']) };
  };
  const free = (kind: LinkKind, crmId: number): number => {
    const linked = new Set(account.contact(crmId)?.[kind]);
    const record = account.records(kind).find(({ id }) => !linked.has(id));
    if (record === undefined) throw new Error(`every one of the ${kind} is linked to ${crmId}`);
    return record.id;
  };
  const insertPeople = async (tag: string): Promise<readonly string[]> => {
    const names = ['Mail', 'Phone', 'Bare'].map((name) => `${name} ${tag}`);
    const [mail, phone, bare] = names;
    const [first] = await sql(INSERT, [mail, `${tag}@insert.example`, '[]']);
    const [company, deal, activity] = (['companies', 'deals', 'activities'] as const).map((kind) => account.records(kind)[0]?.id);
    await sql('insert into crm.contact_companies values ($1, $2)', [first?.['id'], company]);
    await sql('insert into crm.contact_deals values ($1, $2)', [first?.['id'], deal]);
    await sql('insert into crm.contact_activities values ($1, $2)', [first?.['id'], activity]);
    await sql(INSERT, [phone, null, JSON.stringify([{ number: `+41 79 ${tag}`, type: 'work' }])]);
    await sql(INSERT, [bare, null, '[]']);
    return names;
  };
  const editLinks = async (): Promise<void> => {
    const [added, removed, both] = [await take(), await take(), await take()];
    await sql('insert into crm.contact_companies values ($1, $2)', [added.id, free('companies', added.crmId)]);
    await sql('insert into crm.contact_activities values ($1, $2)', [added.id, free('activities', added.crmId)]);
    await sql('delete from crm.contact_deals where contact_id = $1', [removed.id]);
    await sql('delete from crm.contact_companies where contact_id = $1 and company_id = (select min(company_id) from crm.contact_companies where contact_id = $1)', [both.id]);
    await sql('insert into crm.contact_companies values ($1, $2)', [both.id, free('companies', both.crmId)]);
    account.attach(both.crmId, { deals: [free('deals', both.crmId)] });
  };
  const editFields = async (tag: string): Promise<void> => {
    const [changed, phoned] = [await take(), await take()];
    await sql('update crm.contacts set city = $2 where id = $1', [changed.id, `here ${tag}`]);
    account.update(changed.crmId, { street: `there ${tag}` });
    await sql(`update crm.contacts set phones = phones || $2 where id = $1`, [phoned.id, JSON.stringify([{ number: `+1 900 ${tag}`, type: 'other' }])]);
    account.update(phoned.crmId, { last_name: null });
    account.update((await take()).crmId, { job_title: `there ${tag}`, phones: [{ number: `+1 901 ${tag}`, type: 'mobile' }] });
  };
  return async (tag: string): Promise<Expected> => {
    const before = new Set(account.contacts().map(({ id }) => id));
    await editFields(tag);
    await editLinks();
    const [here, there, fought] = [await take(), await take(), await takePlain()];
    await sql('delete from crm.contacts where id = $1', [here.id]);
    account.delete(there.crmId);
    await sql('update crm.contacts set job_title = $2 where id = $1', [fought.id, `fought ${tag}`]);
    const fighter = account.delete(fought.crmId).first_name ?? '';
    account.create({ first_name: `There ${tag}`, email: `${tag}@there.example` });
    const names = await insertPeople(tag);
    return { once: [...names, `There ${tag}`, fighter], mayBeGone: new Set([here.crmId, there.crmId, fought.crmId]), before };
  };
};

/** Both sides are equal, nothing was doubled or lost, nothing is left to do. */
export const expectInStep = async (harness: Harness, { once, mayBeGone, before }: Expected, kinds: readonly LinkKind[]): Promise<void> => {
  const open = await harness.sql('select op, state, error_code, error from sync.change_log where settled_at is null');
  expect(open).toEqual([]);
  expect(await harness.differences(kinds)).toEqual([]);
  const living = harness.account.contacts();
  const names = living.map(({ first_name: name }) => name);
  expect(names.filter((name) => name !== null && once.includes(name)).toSorted()).toEqual([...once].toSorted());
  const ids = new Set(living.map(({ id }) => id));
  expect([...before].filter((id) => !ids.has(id) && !mayBeGone.has(id))).toEqual([]);
};

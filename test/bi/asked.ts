/** What the readers of the loop ask, with what must be true of every single answer, whatever happens meanwhile. */
import { readCookbook } from './cookbook.ts';
import type { Asked, Row } from './reader-loop.ts';

const first = (rows: readonly Row[]): Row => rows[0] ?? {};

/** An edit of the test writes one mark into all four places at once; a row that shows two marks is half applied. */
const MARK = 'mark ';
export const markOf = (n: number): string => `${MARK}${n}`;

/** One statement is one moment: views that tell of the same thing agree in it, and nobody is missing. */
export const wholeness = (contacts: number): Asked => ({
  name: 'everybody is there, as a whole',
  sql: `
    select count(*)::int as contacts, count(distinct crm_id)::int as paired,
      sum(phone_count)::int as phones, (select count(*)::int from bi.contact_phones) as phone_rows,
      sum(company_count)::int as companies, (select count(*)::int from bi.contact_companies) as company_rows,
      sum(deal_count)::int as deals, (select count(*)::int from bi.contact_deals) as deal_rows,
      count(*) filter (where (job_title like '${MARK}%' or city like '${MARK}%') and (
        city is distinct from job_title or custom_fields ->> 'cf_nickname' is distinct from job_title))::int as torn
    from bi.contacts`,
  check: (rows) => {
    const seen = first(rows);
    const isWhole =
      seen['contacts'] === contacts &&
      seen['paired'] === contacts &&
      seen['phones'] === seen['phone_rows'] &&
      seen['companies'] === seen['company_rows'] &&
      seen['deals'] === seen['deal_rows'] &&
      seen['torn'] === 0;
    return isWhole ? null : JSON.stringify(seen);
  },
});

export const typedColumns: Asked = {
  name: 'a typed column says what the field holds',
  sql: `select count(*)::int as wrong from bi.contacts where cf_nickname is distinct from custom_fields ->> 'cf_nickname'`,
  check: (rows) => (first(rows)['wrong'] === 0 ? null : JSON.stringify(rows)),
};

export const everyColumn: Asked = {
  name: 'the first page of all columns',
  sql: 'select * from bi.contacts order by id limit 50',
  check: (rows) => (rows.length === 50 ? null : `${rows.length} rows`),
};

export const asOfNow = (contacts: number): Asked => ({
  name: 'the contacts as of now',
  sql: 'select count(*)::int as contacts from bi.contacts_at(clock_timestamp())',
  check: (rows) => (first(rows)['contacts'] === contacts ? null : JSON.stringify(rows)),
});

/** Versions are only added; each contact's history has one end. */
export const history = (contacts: number): Asked => ({
  name: 'the history',
  // E-mail is a column that is masked for some: it calls the functions that say for whom.
  sql: `select count(*)::int as versions, count(*) filter (where valid_to is null)::int as latest, max(email) as email from bi.contact_history`,
  check: (rows) => {
    const { versions, latest } = first(rows);
    return latest === contacts && Number(versions) >= contacts ? null : JSON.stringify(rows);
  },
});

/** Of the cookbook: whoever got an answer once gets one each time. `filled`: the questions that the data has an answer to. */
export const cookbook = (filled: ReadonlySet<number>): readonly Asked[] =>
  readCookbook().map(({ number, title, sql }) => ({
    name: `${number}. ${title}`,
    sql,
    check: (rows) => (rows.length === 0 && filled.has(number) ? 'empty' : null),
  }));

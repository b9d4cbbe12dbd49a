/**
 * The cookbook of docs/bi.md: each query as it stands there, as a reader, gives the answer that stands under it. `npm run cookbook` writes the answers
 * anew; read the difference before you commit it.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from '../docs/markdown.ts';
import { type Answer, COOKBOOK, parseCookbook, type Question, readCookbook, withAnswers, writeAnswers } from './cookbook.ts';
import { type BiWorld, openBiWorld } from './world.ts';

const QUESTIONS = readCookbook();
const isWriting = process.env['COOKBOOK'] === 'write';
/** Its text says so of a question that masked values cannot answer. */
const isOnlyPlain = ({ text }: Question): boolean => /masked\s+reader/.test(text);

let world: BiWorld;
const written = new Map<number, Answer>();
beforeAll(async () => (world = await openBiWorld()));
afterAll(async () => {
  await world.close();
  if (isWriting) writeAnswers(written);
});

it('the history that is asked holds every kind of change, by people here and there', async () => {
  const traces = await world.sql(
    'select array_agg(distinct op) as op, array_agg(distinct origin) as origin, array_agg(distinct who) as who from bi.contact_history',
  );
  expect(traces).toEqual([
    { op: ['delete', 'insert', 'update'], origin: ['crm', 'merge', 'mirror', 'resync'], who: ['CRM', 'ann', 'webshop'] },
  ]);
});

it('a contact was merged twice: by the mirror, and by a person who decided what was left', async () => {
  const merges = await world.sql(
    `select array_agg(who order by version_id) as who from bi.contact_history where origin = 'merge' group by contact_id having count(*) > 1`,
  );
  expect(merges).toEqual([{ who: ['CRM', 'ann'] }]);
});

describe('as a reader', () => {
  it.each(QUESTIONS)('$number $title', async ({ number, sql, columns, rows }) => {
    const answer = await world.ask('relate_mirror_reader', sql);
    written.set(number, answer);
    expect(answer).toEqual(isWriting ? answer : { columns, rows });
    // Nothing that could be empty without anybody noticing.
    expect(answer.rows.length).toBeGreaterThan(0);
    const empty = answer.columns.filter((_, at) => answer.rows.every((row) => row[at] === null));
    expect(empty).toEqual([]);
  });

  it('the answers do not depend on the time zone of the session, or on the plan', async () => {
    const other = `set timezone = 'America/Los_Angeles'; set enable_hashagg = off; set enable_hashjoin = off; set enable_seqscan = off`;
    await world.prepare('relate_mirror_reader', other);
    for (const { number, sql } of QUESTIONS) expect(await world.ask('relate_mirror_reader', sql)).toEqual(written.get(number));
  });
});

it.each(QUESTIONS)('an editor gets the same answer: $number $title', async ({ number, sql }) => {
  expect(await world.ask('relate_mirror_editor', sql)).toEqual(written.get(number));
});

/** What no masked answer may hold; a nickname may be somebody's first name, which is shown. */
const PERSONAL = `
  select distinct value from crm.contacts c cross join lateral (
    select c.email union all select c.street
    union all select c.custom_fields ->> f from unnest('{cf_second_email,cf_notes,cf_nickname,cf_website}'::text[]) f
    union all select p ->> 'number' from jsonb_array_elements(c.phones) p
  ) v (value) where value is not null and not exists (select from crm.contacts n where n.first_name = value)`;

describe('as a masked reader', () => {
  /** The masked answer, and the plain one with what is masked in the other put in its place. */
  const both = async ({ number, sql }: Question): Promise<readonly [Answer, Answer]> => {
    const masked = await world.ask('relate_mirror_reader_masked', sql);
    const { columns, rows } = written.get(number) ?? { columns: [], rows: [] };
    // None of them asks for custom_fields or extra as a whole: a null is no mask.
    const isMasked = (cell: string | null): boolean => cell !== null && cell.includes('***');
    const seenAt = (y: number, x: number): string | null => masked.rows[y]?.[x] ?? null;
    return [masked, { columns, rows: rows.map((row, y) => row.map((cell, x) => (isMasked(seenAt(y, x)) ? seenAt(y, x) : cell))) }];
  };
  it.each(QUESTIONS.filter((question) => !isOnlyPlain(question)))(
    'the same rows, but for what is masked: $number $title',
    async (question) => {
      const [masked, expected] = await both(question);
      expect(masked).toEqual(expected);
    },
  );
  it.each(QUESTIONS.filter(isOnlyPlain))('other rows, as the document says: $number $title', async (question) => {
    const [masked, expected] = await both(question);
    expect(masked).not.toEqual(expected);
  });

  it('no answer holds an e-mail, a phone or a street', async () => {
    const values = (await world.sql(PERSONAL)).map(({ value }) => String(value));
    expect(values.length).toBeGreaterThan(300);
    for (const { sql } of QUESTIONS) {
      const seen = JSON.stringify((await world.ask('relate_mirror_reader_masked', sql)).rows);
      expect(values.filter((value) => seen.includes(value))).toEqual([]);
    }
  });
});

describe('docs/bi-tools.md', () => {
  const { fences } = parseDocument('docs/bi-tools.md', readFileSync(path.join(path.dirname(COOKBOOK), 'bi-tools.md'), 'utf8'));
  it('has queries that run and find something', async () => {
    const queries = fences.flatMap(({ language, text }) => (language === 'sql' ? [text] : []));
    expect(queries.length).toBeGreaterThan(1);
    for (const sql of queries) expect((await world.ask('relate_mirror_reader', sql)).rows.length).toBeGreaterThan(10);
  });
});

describe('the document', () => {
  it('numbers twenty questions or more from 1 on, and leads to each from its top', () => {
    expect(QUESTIONS.length).toBeGreaterThanOrEqual(20);
    expect(QUESTIONS.map(({ number }) => number)).toEqual(QUESTIONS.map((_, at) => at + 1));
    const { links } = parseDocument('docs/bi.md', readFileSync(COOKBOOK, 'utf8'));
    expect(links.filter((link) => /^#\d/.test(link))).toEqual(QUESTIONS.map(({ anchor }) => `#${anchor}`));
  });

  it('is written anew with other answers, and read again as they are', () => {
    const text =
      '# A\n\n### 1. Who?\n\n```sql\nselect 1;\n```\n\n| a |\n| - |\n| 1 |\n\nMind.\n\n### 2. What?\n\n```sql\nselect 2;\n```\n\nMind.\n';
    const answer: Answer = {
      columns: ['b', 'c'],
      rows: [
        ['x | y', null],
        ['', 'z'],
      ],
    };
    const again = parseCookbook(
      withAnswers(
        text,
        new Map([
          [1, answer],
          [2, answer],
        ]),
      ),
    );
    const rows = [
      ['x | y', null],
      [null, 'z'],
    ];
    expect(again.map(({ columns, rows }) => ({ columns, rows }))).toEqual([1, 2].map(() => ({ columns: ['b', 'c'], rows })));
    expect(again.map(({ text: prose }) => prose.trim())).toEqual(['Mind.', 'Mind.']);
  });
});

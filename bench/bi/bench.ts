/**
 * The cookbook of docs/bi.md as an analyst asks it: each question as relate_mirror_reader, at a million contacts, first and warm. `--docs` writes the
 * table into the document.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { COOKBOOK, type Question, readCookbook } from '../../test/bi/cookbook.ts';
import type { Bench } from '../bench.ts';
import type { BenchDatabase } from '../database.ts';
import { type Figure, median, timed } from '../figures.ts';
import { describeMachine, loadNow, type Machine } from '../machine.ts';
import { type PlanShape, planShape } from './plan.ts';
import { populate } from './population.ts';
import { type Asked, withTimings } from './table.ts';

const WARM_RUNS = 5;
const TARGET_MS = 200;

const ask = async (database: BenchDatabase, { number, title, sql }: Question): Promise<Asked> => {
  // A session of its own: nothing is planned or looked up yet. What the system keeps of the files is left as the question before left it.
  await database.disconnect();
  await database.query('set role relate_mirror_reader');
  const first = await timed(() => database.query(sql));
  const ms: number[] = [];
  for (let run = 0; run < WARM_RUNS; run += 1) ms.push((await timed(() => database.query(sql))).ms);
  const [explained] = await database.query<{ 'QUERY PLAN': unknown }>(`explain (analyze, buffers, timing off, format json) ${sql}`);
  const plan: PlanShape = planShape(explained?.['QUERY PLAN']);
  return { number, title, warmMs: median(ms), firstMs: first.ms, rows: first.value.length, plan };
};

const figureOf = ({ number, title, warmMs, firstMs, rows, plan }: Asked): Figure => ({
  name: `${number}. ${title}`,
  unit: 'ms',
  ours: warmMs,
  than: { name: 'the first time', value: firstMs },
  target: { of: 'ours', max: TARGET_MS },
  detail: { rows, ...plan },
});

export const bi: Bench = async ({ server, budget, docs, say }) => {
  const contacts = budget.biContacts;
  const database = await server.createDatabase();
  await populate(database, contacts, say);
  const asked: Asked[] = [];
  for (const question of readCookbook()) {
    say(`bi: ${question.number}. ${question.title}`);
    asked.push(await ask(database, question));
  }
  const machine: Machine = describeMachine(server);
  if (docs) await writeFile(COOKBOOK, withTimings(await readFile(COOKBOOK, 'utf8'), { asked, contacts, machine, load: loadNow() }));
  return asked.map(figureOf);
};

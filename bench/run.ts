/**
 * `npm run bench [NAME…]`: our figures beside their limits and peers, measured in one run. Prints a table and writes bench/results/.
 *
 * `bi` is run where it is named, and with `--docs` writes its table into docs/bi.md. `--tiny` takes seconds and only shows that everything works. BENCH_CONTACTS sets the size of the account (default 10,000);
 * TEST_DATABASE_URL a server of one's own in place of the embedded one.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Bench, BenchContext, Budget } from './bench.ts';
import { bi } from './bi/bench.ts';
import { capture } from './capture.ts';
import { changes } from './changes.ts';
import { startServer } from './database.ts';
import { type Figure, holds, ratioOf } from './figures.ts';
import { history } from './history.ts';
import { initial } from './initial.ts';
import { latency } from './latency.ts';
import { describeMachine, loadNow, type Machine, machineLines } from './machine.ts';
import { loadMirror, type Mirrored } from './mirror.ts';
import { quiet } from './quiet.ts';
import { toTable } from './table.ts';

/** In the order in which they run: the first three share one account, which `changes` changes. */
const BENCHES: { readonly [name: string]: Bench } = { initial, quiet, changes, latency, capture, history, bi };
/** Takes as long as all the others, and a million contacts are 5 GB: only where it is named. */
const WHEN_NAMED: ReadonlySet<string> = new Set(['bi']);

const FULL: Budget = {
  judged: true,
  contacts: 10_000,
  peerContacts: 10_000,
  changed: [0, 10, 1_000],
  pulls: 5,
  edits: 100,
  idleMs: 1_100,
  bulkRows: 100_000,
  bulkRounds: 3,
  singleUpdates: 1_000,
  biContacts: 1_000_000,
};
const TINY: Budget = {
  judged: false,
  contacts: 300,
  peerContacts: 100,
  changed: [0, 10, 150],
  pulls: 1,
  edits: 2,
  idleMs: 100,
  bulkRows: 2_000,
  bulkRounds: 1,
  singleUpdates: 50,
  biContacts: 2_000,
};

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const toBudget = (tiny: boolean, contacts: string | undefined): Budget => {
  const budget = tiny ? TINY : FULL;
  if (contacts === undefined || contacts === '') return budget;
  const count = Number(contacts);
  const least = Math.max(...budget.changed);
  if (!Number.isSafeInteger(count) || count < least)
    throw new Error(`BENCH_CONTACTS="${contacts}": allowed is a whole number from ${least}.`);
  return { ...budget, contacts: count, biContacts: count };
};

interface Result {
  readonly bench: string;
  /** Load of the machine when it began: 0 is a quiet one. */
  readonly load: number;
  readonly seconds: number;
  readonly figures: readonly Figure[];
}

const unjudged = ({ name, unit, ours, than }: Figure): Figure => ({ name, unit, ours, ...(than && { than }) });

const runAll = async (names: readonly string[], context: BenchContext): Promise<readonly Result[]> => {
  const results: Result[] = [];
  for (const [bench, run] of Object.entries(BENCHES)) {
    if (!names.includes(bench)) continue;
    const [load, startedMs] = [loadNow(), performance.now()];
    const found = await run(context);
    const figures = context.budget.judged ? found : found.map(unjudged);
    const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
    results.push({ bench, load, seconds, figures });
    say(['', `${bench} (${seconds} s, load ${load})`, ...toTable(figures), ''].join('\n'));
  }
  return results;
};

const store = async (budget: Budget, machine: Machine, results: readonly Result[]): Promise<void> => {
  const at = new Date().toISOString();
  const directory = new URL('./results/', import.meta.url);
  await mkdir(directory, { recursive: true });
  const detailed = results.map((result) => ({
    ...result,
    figures: result.figures.map((figure) => ({ ...figure, ratio: ratioOf(figure), holds: holds(figure) })),
  }));
  const file = `${at.replaceAll(/[:.]/g, '-')}.json`;
  await writeFile(new URL(file, directory), `${JSON.stringify({ at, machine, budget, results: detailed }, null, 2)}\n`);
  say(`bench/results/${file}`);
};

const main = async (): Promise<void> => {
  const { values, positionals } = parseArgs({
    options: { tiny: { type: 'boolean', default: false }, docs: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const unknown = positionals.filter((name) => !(name in BENCHES));
  if (unknown.length > 0) throw new Error(`No such bench: ${unknown.join(', ')}. There are ${Object.keys(BENCHES).join(', ')}.`);
  const budget = toBudget(values.tiny, process.env['BENCH_CONTACTS']);
  await using server = await startServer(process.env['TEST_DATABASE_URL']);
  await using shared = new AsyncDisposableStack();
  let loading: Promise<Mirrored> | null = null;
  const mirrored = (): Promise<Mirrored> => (loading ??= loadMirror(server, budget.contacts).then((loaded) => shared.use(loaded)));
  const machine = describeMachine(server);
  say(machineLines(machine).join('\n'));
  if (values.tiny) say('tiny: this shows that the bench works; its figures mean nothing');
  const names = positionals.length === 0 ? Object.keys(BENCHES).filter((name) => !WHEN_NAMED.has(name)) : positionals;
  await store(budget, machine, await runAll(names, { server, budget, docs: values.docs, mirrored, say }));
};

await main();

/**
 * What the history takes: disk and WAL beside the contacts' own, the first versions of a filled mirror, a month's pruning, and how long questions
 * about the past take. As many contacts as the larger of BENCH_CONTACTS and the bulk update's rows.
 */
import type { Bench } from './bench.ts';
import { fill, keepHistory } from './capture.ts';
import type { BenchDatabase } from './database.ts';
import { type Figure, median, perSecond, timed } from './figures.ts';

const EDITS = 1000;
const ASKED = 3;
const BATCH = 200;

const numberOf = async (database: BenchDatabase, sql: string, values: readonly unknown[] = []): Promise<number> =>
  Number((await database.query<{ value: string | null }>(sql, values))[0]?.value);

const bytesOf = async (database: BenchDatabase, relation: string): Promise<number> =>
  await numberOf(
    database,
    `select coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size('${relation}')) as value from pg_partition_tree('${relation}') where isleaf`,
  );

const snapshot = async (database: BenchDatabase): Promise<void> => {
  for (let after: number | null = 0; after !== null;) {
    const [row]: readonly { value: string | null }[] = await database.query('select sync.snapshot_history($1, $2) as value', [
      after,
      BATCH,
    ]);
    after = row?.value == null ? null : Number(row.value);
  }
};

/** Bytes of WAL of one edit, each in a transaction of its own; the pages it touches were logged whole before. */
const walOfEdit = async (database: BenchDatabase, rows: number): Promise<number> => {
  const editAll = async (round: string): Promise<void> => {
    for (let n = 1; n <= EDITS; n += 1)
      await database.query('update crm.contacts set city = $2 where id = $1', [1 + ((n * 7919) % rows), `${round} ${n}`]);
  };
  const position = `select pg_current_wal_insert_lsn() - '0/0' as value`;
  await database.query('checkpoint');
  await editAll('First');
  const before = await numberOf(database, position);
  await editAll('Second');
  return Math.round(((await numberOf(database, position)) - before) / EDITS);
};

const askedMs = async (database: BenchDatabase, sql: string, values: readonly unknown[] = []): Promise<number> => {
  const ms: number[] = [];
  for (let n = 0; n <= ASKED; n += 1) ms.push((await timed(() => database.query(sql, values))).ms);
  // The first one reads what the others find in memory.
  return median(ms.slice(1));
};

export const history: Bench = async ({ server, budget, say }) => {
  const rows = Math.max(budget.bulkRows, budget.contacts);
  say(`history: filling ${rows} rows`);
  const database = await server.createDatabase();
  await fill(database, rows);
  const plain = await server.createDatabase(database);
  const walPlain = await walOfEdit(plain, rows);
  const contactBytes = (await bytesOf(database, 'crm.contacts')) / rows;
  await keepHistory(database);
  say('history: first versions');
  const first = await timed(() => snapshot(database));
  await database.query('vacuum analyze');
  const versionBytes = (await bytesOf(database, 'sync.contact_versions')) / rows;
  const walKept = await walOfEdit(database, rows);
  const figures: Figure[] = [
    {
      name: 'disk of a version, its index included',
      unit: 'bytes',
      ours: Math.round(versionBytes),
      than: { name: 'of the contact itself', value: Math.round(contactBytes) },
    },
    { name: 'WAL of an edit, kept in the history', unit: 'bytes', ours: walKept, than: { name: 'captured only', value: walPlain } },
    { name: `first versions of ${rows} contacts`, unit: 'contacts/s', ours: perSecond(rows, first.ms) },
  ];
  say('history: questions');
  const [now] = await database.query<{ value: string }>('select clock_timestamp()::text as value');
  const ask = async (name: string, sql: string, values: readonly unknown[] = []): Promise<void> => {
    figures.push({ name, unit: 'ms', ours: await askedMs(database, sql, values) });
  };
  await ask(`count of the ${rows} contacts at a moment`, 'select count(*) from bi.contacts_at($1)', [now?.value]);
  await ask('all versions of one contact', 'select * from bi.contact_history where contact_id = $1', [Math.round(rows / 2)]);
  await ask(
    `who changed the ${2 * EDITS} contacts edited since`,
    `select who, count(*) from bi.contact_history where op = 'update' group by who`,
  );
  say('history: pruning');
  await database.query(`select sync.add_history_month(now() - interval '800 days')`);
  await database.query(`update sync.contact_versions set valid_from = valid_from - interval '800 days' where op = 'snapshot'`);
  const pruned = await timed(() => database.query('select sync.prune_history(1)'));
  figures.push({ name: `pruning a month of ${rows} versions of which nearly all are still true`, unit: 'ms', ours: pruned.ms });
  return figures;
};

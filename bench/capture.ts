/** What capture and history cost the people who write: the same updates of the same rows, with the triggers and without any. */
import type { Bench } from './bench.ts';
import type { BenchDatabase } from './database.ts';
import { median, perSecond, quantile, timed } from './figures.ts';

/** As the daemon writes them: not captured, so that the first update finds an empty log. */
const FILL = `
insert into crm.contacts (first_name, last_name, email, job_title, street, city, user_id, phones, custom_fields)
select 'First ' || n, 'Last ' || n, 'contact' || n || '@mail.example', 'Engineer', n || ' Long Street', 'Basel', n % 7 + 1,
  jsonb_build_array(jsonb_build_object('number', '+41 61 ' || n, 'type', 'work')), jsonb_build_object('cf_score', n, 'cf_note', 'note ' || n)
from generate_series(1, $1::int) n`;
const BULK = `update crm.contacts set job_title = 'Round ' || $1::text`;
const SINGLE = 'update crm.contacts set job_title = $2 where id = $1';

interface Side {
  readonly database: BenchDatabase;
  readonly bulkMs: number[];
  readonly singleMs: number[];
}

export const fill = async (database: BenchDatabase, rows: number): Promise<void> => {
  await database.query('begin');
  await database.query('select sync.begin_own_write()');
  await database.query(FILL, [rows]);
  await database.query('commit');
  await database.query('vacuum analyze');
  await database.disconnect();
};

/** As the daemon switches it on, but for the first versions. */
export const keepHistory = async (database: BenchDatabase): Promise<void> => {
  await database.query('select sync.add_history_months(), sync.switch_history(true)');
};

/** All start from the same place: no dead rows, an empty log, and a checkpoint that is over. */
const tidy = async ({ database }: Side): Promise<void> => {
  await database.query('truncate sync.change_log, sync.contact_versions');
  await database.query('vacuum (full, analyze) crm.contacts');
  await database.query('checkpoint');
};

export const capture: Bench = async ({ server, budget, say }) => {
  const { bulkRows, bulkRounds, singleUpdates } = budget;
  say(`capture: filling ${bulkRows} rows`);
  const captured = await server.createDatabase();
  await fill(captured, bulkRows);
  const bare = await server.createDatabase(captured);
  await bare.query('alter table crm.contacts disable trigger user');
  const kept = await server.createDatabase(captured);
  await keepHistory(kept);
  const sides: readonly [Side, Side, Side] = [
    { database: captured, bulkMs: [], singleMs: [] },
    { database: bare, bulkMs: [], singleMs: [] },
    { database: kept, bulkMs: [], singleMs: [] },
  ];
  // In turns, so that both meet the same minutes of the machine.
  for (let round = 1; round <= bulkRounds; round += 1) {
    say(`capture: updating ${bulkRows} rows, round ${round} of ${bulkRounds}`);
    for (const side of sides) {
      await tidy(side);
      side.bulkMs.push((await timed(() => side.database.query(BULK, [String(round)]))).ms);
    }
  }
  say(`capture: ${singleUpdates} single updates`);
  for (const side of sides) await tidy(side);
  for (let n = 1; n <= singleUpdates; n += 1) {
    const id = 1 + ((n * 7919) % bulkRows);
    for (const { database, singleMs } of sides) singleMs.push((await timed(() => database.query(SINGLE, [id, `Single ${n}`]))).ms);
  }
  return figuresOf(bulkRows, sides);
};

const figuresOf = (rows: number, [captured, bare, kept]: readonly [Side, Side, Side]): Awaited<ReturnType<Bench>> => {
  const bulk = (side: Side, what: string, max: number) =>
    ({
      name: `update of ${rows} rows, ${what}`,
      unit: 'ms',
      ours: median(side.bulkMs),
      than: { name: 'without triggers', value: median(bare.bulkMs) },
      target: { of: 'ratio', max },
    }) as const;
  const single = (side: Side, what: string, share: number, name: string) =>
    ({
      name: `update of one row, ${what}, ${name}`,
      unit: 'ms',
      ours: quantile(side.singleMs, share),
      than: { name: `without triggers, ${name}`, value: quantile(bare.singleMs, share) },
    }) as const;
  return [
    bulk(captured, 'captured', 2),
    { name: `update of ${rows} rows, captured`, unit: 'rows/s', ours: perSecond(rows, median(captured.bulkMs)) },
    bulk(kept, 'captured and kept in the history', 4),
    { ...single(captured, 'captured', 0.5, 'p50'), target: { of: 'ratio', max: 1.3 } },
    single(captured, 'captured', 0.99, 'p99'),
    { ...single(kept, 'captured and kept in the history', 0.5, 'p50'), target: { of: 'ratio', max: 1.3 } },
    single(kept, 'captured and kept in the history', 0.99, 'p99'),
  ];
};

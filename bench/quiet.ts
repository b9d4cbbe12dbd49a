/** A sweep over contacts that have not changed: it reads everything and must write nothing. */
import { barePages, readBare } from './bare-pages.ts';
import type { Bench } from './bench.ts';
import { perSecond } from './figures.ts';
import { sweepTimed, withLeader } from './mirror.ts';
import { tuplesWritten, walBytes } from './written.ts';

export const quiet: Bench = async ({ mirrored, say }) => {
  const { contacts, sandbox, database, load } = await mirrored();
  // What the load left behind (hint bits, dirty pages) would otherwise be written by whoever reads the rows first.
  await database.query('vacuum analyze');
  await database.query('checkpoint');
  say(`quiet: sweeping ${contacts} unchanged contacts`);
  const tuplesBefore = await tuplesWritten(database);
  const { sweep, wal } = await withLeader(sandbox, database, async (deps) => {
    const walBefore = await walBytes(database);
    return { sweep: await sweepTimed(deps), wal: (await walBytes(database)) - walBefore };
  });
  const tuplesAfter = await tuplesWritten(database);
  const bare = await readBare(barePages(sandbox));
  return [
    {
      name: 'tuples in crm, states and log',
      unit: 'tuples',
      ours: tuplesAfter.content - tuplesBefore.content,
      target: { of: 'ours', max: 0 },
    },
    { name: "tuples of the run's own bookkeeping", unit: 'tuples', ours: tuplesAfter.bookkeeping - tuplesBefore.bookkeeping },
    { name: 'WAL of a quiet sweep', unit: 'bytes', ours: wal, target: { of: 'ours', max: 100_000 } },
    {
      name: 'quiet sweep',
      unit: 'contacts/s',
      ours: perSecond(contacts, sweep.ms),
      than: { name: 'first load of the same contacts', value: perSecond(contacts, load.ms) },
      target: { of: 'ratio', min: 3 },
    },
    {
      name: 'quiet sweep',
      unit: 'contacts/s',
      ours: perSecond(contacts, sweep.ms),
      than: { name: 'the same pages by HTTP, unread', value: perSecond(contacts, bare.httpMs) },
    },
    { name: "time outside the CRM's answers", unit: '%', ours: 100 * Math.max(0, 1 - bare.httpMs / sweep.ms) },
  ];
};

/**
 * The first load, end to end: HTTP, parsing, canonical form, hashes, rows, states and links, page by page, each page in one transaction.
 * Beside it what bounds it (the rows written bare; the answers read bare) and how most scripts do it (one upsert a row, five at a time).
 */
import { barePages, readBare } from './bare-pages.ts';
import { insertByPage, upsertByRow } from './bare-writes.ts';
import type { Bench } from './bench.ts';
import { perSecond } from './figures.ts';

export const initial: Bench = async ({ server, budget, mirrored, say }) => {
  say(`initial: loading ${budget.contacts} contacts`);
  const { contacts, sandbox, database, load } = await mirrored();
  say('initial: the same rows, one INSERT a page');
  const insertMs = await insertByPage(database, await server.createDatabase());
  say('initial: the same pages, read and parsed');
  const bare = await readBare(barePages(sandbox));
  say('initial: one upsert a row, five at a time');
  const peer = await upsertByRow(barePages(sandbox), await server.createDatabase(), budget.peerContacts);

  const ours = perSecond(contacts, load.ms);
  const figure = { unit: 'contacts/s', ours } as const;
  return [
    {
      ...figure,
      name: 'first load, end to end',
      than: { name: 'one INSERT a page, same tables, no HTTP', value: perSecond(contacts, insertMs) },
      target: { of: 'ratio', min: 0.5 },
    },
    {
      ...figure,
      name: 'first load, end to end',
      than: { name: 'peer: one upsert a row, five at a time', value: perSecond(peer.contacts, peer.ms) },
      target: { of: 'ratio', min: 5 },
    },
    {
      ...figure,
      name: 'first load, end to end',
      than: { name: 'the same pages by HTTP, unread', value: perSecond(contacts, bare.httpMs) },
    },
    { ...figure, name: 'first load, end to end', than: { name: 'JSON.parse of the same pages', value: perSecond(contacts, bare.parseMs) } },
    {
      name: 'first load, without the time for the pages',
      unit: 'contacts/s',
      ours: perSecond(contacts, load.ms - load.awaitingCrmMs),
      than: { name: 'one INSERT a page, same tables, no HTTP', value: perSecond(contacts, insertMs) },
    },
  ];
};

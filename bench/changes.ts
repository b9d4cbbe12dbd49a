/** The changes pull: what it costs has to follow the number of changes, not the number of contacts. */
import type { SyncDeps } from '../src/sync/deps.ts';
import { createPushMemory } from '../src/sync/push.ts';
import { pullOnce } from '../src/sync/rounds.ts';
import { barePages, readBare } from './bare-pages.ts';
import type { Bench } from './bench.ts';
import { type Figure, median, timed } from './figures.ts';
import { type Mirrored, withLeader } from './mirror.ts';

const PER_PAGE = 100;
/** More than a pull looks back behind its watermark, so that each finds the changes made since the one before and no others. */
const APART_SECONDS = 600;
interface Pull {
  readonly ms: number;
  /** Of the contacts' list. */
  readonly listCalls: number;
  /** Where the CRM has a trash, one look into it is among them. */
  readonly allCalls: number;
}

const pullAfter = async (deps: SyncDeps, { sandbox }: Mirrored, changed: number): Promise<Pull> => {
  if (changed > 0) await sandbox.call('edit', { contacts: changed });
  await sandbox.call('advance', { seconds: APART_SECONDS });
  await sandbox.call('takeCalls', null);
  const { ms, value: report } = await timed(() => pullOnce(deps, createPushMemory()));
  if (report.stoppedBy !== null || report.rowsWritten !== changed) {
    throw new Error(`${changed} contacts had changed; the pull wrote ${report.rowsWritten} (${report.stoppedBy?.code ?? 'to its end'}).`);
  }
  const calls = await sandbox.call('takeCalls', null);
  return { ms, listCalls: calls['list'] ?? 0, allCalls: Object.values(calls).reduce((sum, count) => sum + count, 0) };
};

const figuresOf = (changed: number, contacts: number, pulls: readonly Pull[], bare: number): readonly Figure[] => {
  const name = `pull of ${changed} changes among ${contacts}`;
  return [
    {
      name: `${name}: list calls`,
      unit: 'calls',
      ours: Math.max(...pulls.map(({ listCalls }) => listCalls)),
      target: { of: 'ours', max: 1 + Math.ceil(changed / PER_PAGE) },
    },
    { name: `${name}: all calls, trash included`, unit: 'calls', ours: Math.max(...pulls.map(({ allCalls }) => allCalls)) },
    { name, unit: 'ms', ours: median(pulls.map(({ ms }) => ms)), than: { name: 'the same pages by HTTP, unread', value: bare } },
  ];
};

/** The contacts' pages of such a pull, read with nothing around them. */
const bareMs = async ({ sandbox }: Mirrored, since: Date): Promise<number> =>
  (await readBare(barePages(sandbox, { order: { field: 'updated_at', direction: 'desc' }, updatedSince: since }))).httpMs;

export const changes: Bench = async ({ mirrored, budget, say }) => {
  const mirror = await mirrored();
  return await withLeader(mirror.sandbox, mirror.database, async (deps) => {
    const figures: Figure[] = [];
    for (const changed of budget.changed) {
      say(`changes: ${changed} of ${mirror.contacts}`);
      const pulls: Pull[] = [];
      let since = new Date();
      for (let round = 0; round < budget.pulls; round += 1) {
        const { changesWatermark } = await deps.mirror.account();
        since = changesWatermark ?? since;
        pulls.push(await pullAfter(deps, mirror, changed));
      }
      figures.push(...figuresOf(changed, mirror.contacts, pulls, await bareMs(mirror, since)));
    }
    return figures;
  });
};

/** The ids that a rehearsed walk has seen, in memory. */
import type { MirrorView } from '../../ports/mirror-view.ts';
import type { Mirror, MirrorTx } from '../../ports/mirror.ts';

type SeenReads = Pick<Mirror, 'clearSeen' | 'countSeen' | 'unseen' | 'oneSeen'>;

const BATCH = 1000;

/** @param gone CRM ids whose rows are gone, or marked so, by what was rehearsed before */
export const createSeen = (
  view: Pick<MirrorView, 'pairedIds'>,
  gone: ReadonlySet<number>,
): { readonly reads: SeenReads; readonly steps: Pick<MirrorTx, 'saveSeen'> } => {
  const seen = new Set<number>();
  const unseen = async (afterId: number, limit: number): Promise<readonly number[]> => {
    const found: number[] = [];
    for (let after = afterId; found.length < limit;) {
      const ids = await view.pairedIds(after, BATCH);
      found.push(...ids.filter((id) => !seen.has(id) && !gone.has(id)));
      const last = ids.at(-1);
      if (last === undefined || ids.length < BATCH) break;
      after = last;
    }
    return found.slice(0, limit);
  };
  return {
    reads: {
      clearSeen: async () => seen.clear(),
      countSeen: async (maxId) => [...seen].filter((id) => id <= maxId).length,
      unseen,
      oneSeen: async () => {
        const paired = (await view.pairedIds(0, BATCH)).filter((id) => !gone.has(id));
        return paired.find((id) => seen.has(id)) ?? paired[0] ?? null;
      },
    },
    steps: {
      saveSeen: async (crmIds) => {
        const before = seen.size;
        for (const crmId of crmIds) seen.add(crmId);
        return seen.size - before;
      },
    },
  };
};

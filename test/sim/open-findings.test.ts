/** What the simulation has found and nobody has mended yet, as short as it gets. A test here that begins to pass is one to delete. */
import { describe, expect, it } from 'vitest';
import { live } from './life.ts';
import type { Rounds, Schedule } from './schedule.ts';

const SETTING = { mode: 'upstream', skewMs: 0, perPage: 100, freshMs: 0 } as const;
const sync = (order: number, during: Rounds['during']): Rounds => ({
  side: 'sync',
  rounds: ['sync'],
  order,
  during,
  crashAt: null,
  refuseAt: null,
});

const OPEN: { readonly [what: string]: Schedule } = {
  'a later edit does not lose to our own earlier one, sent after a create in the same attempt, whose answer was lost': {
    ...SETTING,
    seed: 58,
    policy: 'crm',
    events: [
      sync(323238660, [
        {
          at: 78,
          action: {
            side: 'local',
            act: 'edit',
            who: 3,
            edits: [
              { edit: 'link', kind: 'companies', id: 1 },
              { edit: 'set', field: 'cf_note', n: 13 },
            ],
          },
        },
        { at: 33, action: { side: 'local', act: 'insert', n: 14, edits: [] } },
        { at: 34, action: { side: 'fault', call: 'update', kind: 'reset-after', times: 1 } },
      ]),
      { side: 'local', act: 'edit', who: 11, edits: [{ edit: 'set', field: 'cf_note', n: 16 }] },
    ],
  },
  'a row that somebody is editing during the first sweep is still paired with its twin': {
    ...SETTING,
    seed: 2119,
    policy: 'newest',
    events: [
      { side: 'twin', n: 1, here: [], there: [] },
      sync(1043994245, [{ at: 14, action: { side: 'local', act: 'edit', who: 8, edits: [{ edit: 'set', field: 'cf_note', n: 11 }] } }]),
    ],
  },
  'a contact that is restored there after its edited row was to be created anew gets that very row back (a CRM without a trash route)': {
    ...SETTING,
    seed: 1412,
    mode: 'documented',
    policy: 'newest',
    events: [
      { side: 'twin', n: 1, here: [], there: [] },
      { side: 'twin', n: 9, here: [], there: [{ edit: 'link', kind: 'companies', id: 2 }] },
      sync(825175361, [{ at: 37, action: { side: 'remote', act: 'delete', who: 3 } }]),
      { side: 'remote', act: 'restore', who: 3 },
    ],
  },
  'a phone removed there while our write of the list is unknown does not come back': {
    ...SETTING,
    seed: 7141,
    policy: 'newest',
    events: [
      { side: 'twin', n: 1, here: [{ edit: 'addPhone', n: 2 }], there: [{ edit: 'addPhone', n: 8 }] },
      { side: 'fault', call: 'update', kind: 'html-200', times: 1 },
      sync(804845899, []),
      { side: 'remote', act: 'edit', who: 6, edits: [{ edit: 'removePhone', n: 32 }] },
    ],
  },
};

describe('an open finding', () => {
  it.fails.each(Object.entries(OPEN))('%s', async (_what, schedule) => {
    expect((await live(schedule)).broken).toEqual([]);
  });
});

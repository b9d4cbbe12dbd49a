/** What the simulation has found: each hole was closed by a guard, and its schedule is the test (test/sim/regressions.test.ts). */
import { patch, type Mutant } from './mutant.ts';

const REGRESSIONS = 'test/sim/regressions.test.ts';

export const FOUND: readonly Mutant[] = [
  {
    name: 'a claim that commits after the takeover stays under way',
    promise: 10,
    patches: [
      patch(
        'src/sync/push.ts',
        'if (round.contacts === 0) await deps.mirror.recoverAttempts(',
        'if (round.contacts < 0) await deps.mirror.recoverAttempts(',
      ),
    ],
    tests: [
      {
        file: 'test/sync/guards-push.test.ts',
        name: 'and that commits after another has taken over: the contact is not under way for ever',
      },
    ],
  },
  {
    name: 'a parked create forgets beside whom',
    promise: 3,
    patches: [patch('src/sync/find-created.ts', 'kind === isNamesake && !job.wasParked ?', 'kind === isNamesake ?')],
    tests: [
      {
        file: REGRESSIONS,
        name: 'a create that is parked because only the name speaks for its contact is not sent a second time after a later edit',
      },
    ],
  },
  {
    name: 'a page brings back what was deleted beside its parked create',
    promise: 1,
    patches: [patch('src/postgres/sql/pair.ts', `l.op = 'delete' and l.state <> 'parked'`, `l.op = 'delete' and false`)],
    tests: [
      {
        file: 'test/postgres/mirror.test.ts',
        name: 'counts a parked create as open again once its row is deleted, until that is parked as well',
      },
    ],
  },
  {
    name: 'an edit that no trigger saw goes with its row',
    promise: 1,
    patches: [
      patch(
        'src/sync/removal.ts',
        'if (rest.open.ops.size > 0) return true;',
        'if (rest.open.ops.size >= 0) return rest.open.ops.size > 0;',
      ),
    ],
    tests: [
      {
        file: REGRESSIONS,
        name: 'an edit that no trigger saw is not lost with its row when the contact is deleted there before the audit came by',
      },
    ],
  },
  {
    name: 'a page that changes nothing wakes what is parked',
    promise: 4,
    patches: [patch('src/sync/merge-records.ts', 'each.dirty && changes(each) && !waits(each)', 'each.dirty && !waits(each)')],
    tests: [
      { file: REGRESSIONS, name: 'an edit that is parked is not sent again with every pull because its contact has an open conflict' },
    ],
  },
];

/** What waits for a person: the brake, the audit, the identity of the database, a pause; and the order of edits where it is asked for. */
import { patch, type Mutant } from './mutant.ts';

const AUDIT = { source: 'src/sync/audit.ts', test: 'test/sync/audit.test.ts' };
const BRAKE = { source: 'src/sync/brake.ts', test: 'test/sync/brake.test.ts' };
const IDENTITY = { source: 'drizzle/0011_identity.sql', test: 'test/sync/identity.test.ts' };
const MIRROR = 'test/postgres/mirror.test.ts';

export const PERSON_MUTANTS: readonly Mutant[] = [
  {
    name: 'audit deletes',
    promise: 5,
    patches: [patch(AUDIT.source, `if (gone.length > 0) await tx.hold('push', VANISHED, gone);`, '')],
    tests: [{ file: AUDIT.test, name: 'is held, by no sweep brought back and by no push deleted; approved, it is deleted in the CRM' }],
  },
  {
    name: 'a row that vanished is deleted in the CRM by the push',
    promise: 5,
    patches: [patch('src/sync/plan.ts', `  if (hasVanished(situation)) return 'ask';\n`, '')],
    tests: [{ file: AUDIT.test, name: 'is held also where an edit of it was still to be pushed' }],
  },
  {
    name: 'a row that vanished comes back by the next page',
    promise: 1,
    patches: [patch('src/sync/merge-records.ts', `  if (isHeldForPerson && !page.answers.includes('deferred')) return 0;\n`, '')],
    tests: [{ file: AUDIT.test, name: 'is held, by no sweep brought back and by no push deleted; approved, it is deleted in the CRM' }],
  },
  {
    name: 'audit without brake',
    promise: 9,
    patches: [patch(AUDIT.source, 'const holds = ids.length + waiting >', 'const holds = ids.length < 0 && ids.length + waiting >')],
    tests: [{ file: AUDIT.test, name: 'is held as a whole; approved, it is pushed' }],
  },
  {
    name: 'no audit after a sweep',
    promise: 6,
    patches: [
      patch(
        'src/sync/rounds.ts',
        `      await quietly(deps, () => auditOnce(deps, null), 'the audit failed; the next complete sweep is followed by another');\n`,
        '',
      ),
    ],
    tests: [{ file: AUDIT.test, name: 'follows each complete sweep' }],
  },
  {
    name: 'damage not counted',
    promise: 9,
    patches: [patch('src/sync/answer.ts', '    await countDestroyed(tx, job, answer.destroyed);\n', '')],
    tests: [{ file: BRAKE.test, name: 'single edits count like a batch: each goes through until the hour is used up, then they wait' }],
  },
  {
    name: 'damage of a call without answer not counted',
    promise: 9,
    patches: [patch('src/sync/settle.ts', `if (failure.class === 'unknown') await countDestroyed(tx, job, destroyed);`, '')],
    tests: [{ file: BRAKE.test, name: 'a call whose outcome nobody knows counts too' }],
  },
  {
    name: 'an approval covers what came later',
    promise: 9,
    patches: [
      patch(
        BRAKE.source,
        'fields: destruction.fields.filter((name) => !approvals.fields.includes(name)),',
        'fields: approvals.fields.length > 0 ? [] : destruction.fields,',
      ),
    ],
    tests: [{ file: BRAKE.test, name: 'an approval is for what stood in the plan: what is emptied later is asked for anew' }],
  },
  {
    name: 'pages without brake',
    promise: 9,
    patches: [
      patch(
        'src/sync/incoming.ts',
        'return waiting + fresh.length > brakeAllowance(',
        'return fresh.length < 0 && waiting + fresh.length > brakeAllowance(',
      ),
    ],
    tests: [
      { file: 'test/sync/guards-pull.test.ts', name: 'that would empty more contacts than the brake lets through leaves them as they are' },
    ],
  },
  {
    name: 'push from a restored database',
    promise: 3,
    patches: [patch('src/sync/claim.ts', 'return paused || identityHold !== null ? null :', 'return paused ? null :')],
    tests: [{ file: IDENTITY.test, name: 'pushes nothing, however much is due, until a sweep and a person have been there' }],
  },
  {
    name: 'a restored database not noticed',
    promise: 3,
    patches: [patch('drizzle/0016_writer_and_locks.sql', `  if differences <> '{}' then\n`, `  if differences is null then\n`)],
    tests: [{ file: IDENTITY.test, name: 'under another %s was restored or failed over' }],
  },
  {
    name: 'a restored database approved unswept',
    promise: 3,
    patches: [patch(IDENTITY.source, '  if not sync.identity_swept() then\n', '  if sync.identity_swept() is null then\n')],
    tests: [{ file: MIRROR, name: 'is approved only after a complete sweep that began later; then nothing is held any more' }],
  },
  {
    name: 'a sweep goes on through a pause',
    promise: 9,
    patches: [
      patch('src/sync/deps.ts', '((await mirror.account()).paused ? PAUSED : null)', '((await mirror.account()).paused ? null : null)'),
    ],
    tests: [{ file: 'test/sync/pause.test.ts', name: 'stops a sweep after the page that is under way; resumed, it goes on behind it' }],
  },
  {
    name: 'ordered: later edits overtake',
    promise: 1,
    patches: [
      patch(
        'src/postgres/sql/ordered.ts',
        `      and (\${rank('earlier')}) < (\${rank(alias)})`,
        `      and false and (\${rank('earlier')}) < (\${rank(alias)})`,
      ),
    ],
    tests: [{ file: MIRROR, name: 'keeps later edits back while the first waits for its time, and nobody else' }],
  },
  {
    name: 'ordered: an older edit of ours over the winner',
    promise: 2,
    patches: [patch('src/sync/ordered-step.ts', '    if (isLost) lost.add(field);\n', '')],
    tests: [
      {
        file: 'test/sync/ordered.test.ts',
        name: 'that wins is not overwritten by the older ones of ours that still wait; their other fields are sent',
      },
    ],
  },
  {
    name: 'ordered: steps not taken one by one',
    promise: 1,
    patches: [
      patch(
        'src/sync/claim.ts',
        'ordered === true ? tx.claimSteps(due) : tx.claim(due)',
        'ordered === true && due.length < 0 ? tx.claimSteps(due) : tx.claim(due)',
      ),
    ],
    tests: [{ file: 'test/sync/ordered.test.ts', name: 'A→B→A is two PUTs, each with what it set' }],
  },
];

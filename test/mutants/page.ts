/** Pull, page, marks and sweep. */
import { patch, type Mutant } from './mutant.ts';

const PAGE = 'src/sync/page.ts';
const SWEEP = 'src/sync/sweep.ts';
const MIRROR = 'test/postgres/mirror.test.ts';
const FAULTS = 'test/sync/faults.test.ts';
const REMOTE = 'test/sync/remote.test.ts';
const GUARDS = { page: 'test/sync/guards-page.test.ts', pull: 'test/sync/guards-pull.test.ts' };

export const PAGE_MUTANTS: readonly Mutant[] = [
  {
    name: 'deferred contact not marked',
    promise: 2,
    patches: [patch(PAGE, '  await defer(tx, page, deferred);\n', '')],
    tests: [
      { file: GUARDS.pull, name: 'that cannot have a row puts its contact off, and reads it by its id though the watermark has passed it' },
    ],
  },
  {
    name: 'contact with a call in flight merged all the same',
    promise: 1,
    patches: [patch(PAGE, 'busy: situation.attempt !== null }', 'busy: false }')],
    tests: [{ file: GUARDS.page, name: 'and our PUT is still on its way: the page leaves the contact alone' }],
  },
  {
    name: 'an overtaken list undoes a newer one',
    promise: 2,
    patches: [patch(PAGE, 'record.updatedAt !== null && crmUpdatedAt !== null && record.updatedAt < crmUpdatedAt;', 'false;')],
    tests: [{ file: 'test/sync/evidence.test.ts', name: 'neither undoes an edit nor brings a removed contact back' }],
  },
  {
    name: 'unknown id inserted while a create is open',
    promise: 3,
    patches: [
      patch(
        'src/sync/newcomers.ts',
        'paired.has(canonical.record.crmId) || mayBeOurs(canonical)',
        'paired.has(canonical.record.crmId) || (openCreate === null && mayBeOurs(canonical))',
      ),
    ],
    tests: [{ file: GUARDS.page, name: 'of a contact that our create may have made: no second row, not even for a moment' }],
  },
  {
    name: 'tombstone lost: a deletion that waits is undone by the next page',
    promise: 1,
    patches: [
      patch(
        'src/sync/merge-records.ts',
        'if (situation.open.deletedAt !== null && situation.deletedAt === null) {',
        'if (situation.deletedAt !== null && situation.row !== null) {',
      ),
    ],
    tests: [{ file: GUARDS.page, name: 'the row, by deleting it, before the page comes: it does not come back' }],
  },
  {
    name: 'a refused record fails its page',
    promise: 2,
    patches: [patch('src/postgres/mirror-write.ts', `new Set(['22', '23', '44', 'P0', '54'])`, `new Set(['22', '44', 'P0', '54'])`)],
    tests: [{ file: MIRROR, name: 'rolls a refused step back to its savepoint and keeps the rest' }],
  },
  {
    name: 'mark removed before its answer is stored',
    promise: 2,
    patches: [
      patch(
        'src/sync/marks.ts',
        '  const answers = await Promise.all(',
        '  await deps.mirror.transaction((tx) => tx.unmark(crmIds, BY_RETRIEVE, requestedAt));\n  const answers = await Promise.all(',
      ),
    ],
    tests: [{ file: GUARDS.pull, name: 'a mark whose answer could not be stored is there for the next round' }],
  },
  {
    name: 'mark older than the request does not matter',
    promise: 2,
    patches: [
      patch(
        'src/postgres/sql/notes.ts',
        'reason = any($2::text[]) and marked_at <= $3`',
        'reason = any($2::text[]) and $3::timestamptz is not null`',
      ),
    ],
    tests: [{ file: MIRROR, name: 'keeps a mark that was made anew after the request that answers it' }],
  },
  {
    name: 'pull passes rows that slid away while it read',
    promise: 2,
    patches: [
      patch(
        'src/sync/pull.ts',
        'const shrank = total !== null && value.total < total;',
        'const shrank = total !== null && value.total < 0;',
      ),
    ],
    tests: [{ file: GUARDS.pull, name: 'goes back a page where something was deleted while it read' }],
  },
  {
    name: 'the same page twice taken for two',
    promise: 2,
    patches: [patch('src/sync/pull.ts', 'const again = repeats(value, before);', 'const again = before.size < 0;')],
    tests: [
      {
        file: 'test/sync/answers-lists.test.ts',
        name: 'a page in the middle is wrong (%s, %s) passes nothing by: the watermark stays, and the next one brings it',
      },
    ],
  },
  {
    name: 'a clock of the CRM that was set back not noticed',
    promise: 2,
    patches: [
      patch(
        'src/sync/pull.ts',
        'const setBack = startedAt !== null && startedAt < watermark;',
        'const setBack = startedAt === null && watermark === null;',
      ),
    ],
    tests: [{ file: 'test/sync/time.test.ts', name: 'the watermark follows it once, and what is edited from then on is pulled' }],
  },
  {
    name: 'a short list taken for whole',
    promise: 2,
    patches: [
      patch(
        'src/sync/pages.ts',
        'records.length + bad.length >= Math.min(perPage, total - (page - 1) * perPage);',
        'records.length + bad.length + perPage + total + page >= 0;',
      ),
    ],
    tests: [{ file: REMOTE, name: 'cut short leaves out is brought by the next pull (%s)' }],
  },
  {
    name: 'sweep walks once only',
    promise: 2,
    patches: [
      patch(
        SWEEP,
        'seen >= walker.cursor.total || seen === before || walker.cursor.pass >= PASSES_MAX',
        'seen >= 0 || seen === before || walker.cursor.pass >= PASSES_MAX',
      ),
    ],
    tests: [
      {
        file: GUARDS.pull,
        name: 'one is trashed and another one created between two pages: the third, that slid away, is not taken for seen',
      },
    ],
  },
  {
    name: 'a sweep that is short is complete',
    promise: 5,
    patches: [
      patch(
        SWEEP,
        'report.complete = asked.proven && (short <= 0 || short <= Math.min(asked.gone.length, await goneMeanwhile(walker)));',
        'report.complete = asked.proven || short < Number(goneMeanwhile.length);',
      ),
    ],
    tests: [{ file: FAULTS, name: 'do not pass for the first full load of an account that has contacts' }],
  },
  {
    name: 'not seen is gone, without asking',
    promise: 5,
    patches: [
      patch(
        SWEEP,
        'if (answer.ok) await storeFound(walker, answer.value, requestedAt, clockOffsetMs(requestedAt, answer.meta));',
        'if (answer.ok) gone.push(crmId);',
      ),
    ],
    tests: [{ file: GUARDS.pull, name: 'a contact that no list shows stays, as long as it answers by its id' }],
  },
  {
    name: 'hidden is gone',
    promise: 5,
    patches: [
      patch(SWEEP, `answer.failure.code === 'forbidden') hidden.push(crmId);`, `answer.failure.code === 'forbidden') gone.push(crmId);`),
    ],
    tests: [{ file: REMOTE, name: 'hides a contact from the token: its row stays and is marked until it is shown again' }],
  },
  {
    name: 'resume trusts a seen table that a crash has emptied',
    promise: 10,
    patches: [patch('src/postgres/sql/runs.ts', `  and (cursor ->> 'seen')::bigint = (select count(*) from sync.sweep_seen)\n`, '')],
    tests: [{ file: MIRROR, name: 'adds up what a run did and resumes it where its cursor stands, seen ids permitting' }],
  },
  {
    name: 'deleted there removes an edited row in silence',
    promise: 1,
    patches: [
      patch(
        'src/sync/removal.ts',
        'if (!isEdited(situation, context)) return false;',
        'if (!isEdited(situation, context) || tx !== null) return false;',
      ),
    ],
    tests: [{ file: REMOTE, name: 'without a trash to restore it from it is created again, under the same row' }],
  },
  {
    name: 'removals without brake',
    promise: 9,
    patches: [patch('src/sync/removal.ts', 'const now = mayGo ? removable : [];', 'const now = removable;')],
    tests: [{ file: REMOTE, name: 'many at once: the brake holds them, and approval proves each again' }],
  },
  {
    name: 'rows locked so that people cannot link',
    promise: 7,
    patches: [
      patch(
        'src/postgres/sql/lock.ts',
        'where id = any($1::bigint[]) order by id for no key update`',
        'where id = any($1::bigint[]) order by id for update`',
      ),
    ],
    tests: [{ file: GUARDS.page, name: 'a link while the page removes another one: only that one goes' }],
  },
  {
    name: 'the daemon waits for people as long as it takes',
    promise: 7,
    patches: [patch('src/postgres/mirror-transaction.ts', 'const LOCK_TIMEOUT_MS = 100;', 'const LOCK_TIMEOUT_MS = 5000;')],
    tests: [
      {
        file: 'test/postgres/lock-timeout.test.ts',
        name: 'every transaction of the mirror gives a lock up before the server looks for deadlocks',
      },
    ],
  },
];

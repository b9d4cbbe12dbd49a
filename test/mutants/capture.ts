/** Capture, the daemon's own writes, and what Postgres refuses by itself. */
import { patch, type Mutant } from './mutant.ts';

const CAPTURE = 'drizzle/0003_capture.sql';
const TESTS = 'test/postgres/capture.test.ts';
const MIRROR = 'test/postgres/mirror.test.ts';

export const CAPTURE_MUTANTS: readonly Mutant[] = [
  {
    name: 'links that go with their row are logged',
    promise: 5,
    patches: [
      patch(
        CAPTURE,
        `from old_rows o
    cross join lateral (select crm_id from crm.contacts where id = o.contact_id offset 0) c;`,
        `from old_rows o
    left join lateral (select crm_id from crm.contacts where id = o.contact_id offset 0) c on true;`,
      ),
    ],
    tests: [{ file: TESTS, name: 'a delete logs all values and the crm_id, and not the links that go with the row' }],
  },
  {
    name: 'capture not ENABLE ALWAYS',
    promise: 1,
    patches: [
      patch(
        CAPTURE,
        `enable always trigger relate_mirror_capture_insert, enable always trigger`,
        `enable trigger relate_mirror_capture_insert, enable always trigger`,
      ),
    ],
    tests: [{ file: TESTS, name: 'is not escaped by session_replication_role' }],
  },
  {
    name: 'a write that somebody marks as the daemon’s passes for it',
    promise: 1,
    patches: [
      patch(
        'drizzle/0016_writer_and_locks.sql',
        'relate_mirror_writer after insert or update or delete on crm.%I for each statement',
        'relate_mirror_writer after truncate on crm.%I for each statement',
      ),
    ],
    tests: [{ file: 'test/postgres/roles.test.ts', name: 'cannot pass its writes off as the daemon’s' }],
  },
  {
    name: 'the mark judged before capture reads it',
    promise: 1,
    patches: [
      patch(
        'drizzle/0016_writer_and_locks.sql',
        'relate_mirror_writer after insert or update or delete on crm.%I for each statement execute',
        `relate_mirror_writer after insert or update or delete on crm.%I for each statement
      when (current_setting(''relate_mirror.writer'', true) = pg_current_xact_id_if_assigned()::text) execute`,
      ),
    ],
    tests: [{ file: 'test/postgres/roles.test.ts', name: 'cannot pass its writes off as the daemon’s' }],
  },
  {
    name: 'workers take turns by what anybody may take',
    promise: 6,
    patches: [patch('src/postgres/sql/brake.ts', `sync.take_lock('holds')`, 'pg_advisory_xact_lock(7210, 4)')],
    tests: [
      {
        file: 'test/postgres/roles.test.ts',
        name: 'no login but the owner’s and the daemon’s takes a lock that the sync works under',
      },
    ],
  },
  {
    name: 'a row written within a statement told in the wrong order',
    promise: 1,
    patches: [
      patch(
        'drizzle/0017_history_gaps.sql',
        'from old_rows o cross join lateral (select * from crm.contacts c where c.id = o.id offset 0) n',
        'from old_rows o join new_rows n on n.id = o.id',
      ),
    ],
    tests: [{ file: 'test/postgres/history.test.ts', name: 'where a trigger of the user’s edits the row that %s has written' }],
  },
  {
    name: 'crm_id writable by anybody',
    promise: 3,
    patches: [patch('drizzle/0002_guards.sql', `    when new.crm_id is distinct from old.crm_id then 'crm_id'\n`, '')],
    tests: [{ file: 'test/postgres/capture-refusals.test.ts' }],
  },
  {
    name: 'our own writes captured',
    promise: 4,
    patches: [patch('src/postgres/mirror-session.ts', `      await query(ANNOUNCE, [origin]);\n`, '')],
    tests: [{ file: MIRROR, name: 'logs nothing of its own writing' }],
  },
  {
    name: 'announcement not renewed after a rollback to a savepoint',
    promise: 4,
    patches: [patch('src/postgres/mirror-session.ts', `        announced = before;\n`, '')],
    tests: [
      { file: MIRROR, name: 'answers null for a savepoint without refusal, announces writes anew after one, and passes other errors on' },
    ],
  },
  {
    name: 'a version for what changes nothing',
    promise: 4,
    patches: [
      patch('drizzle/0017_history_gaps.sql', `    where (o.crm_id, o.first_name,`, `    where n.id > 0 or (o.crm_id, o.first_name,`),
    ],
    tests: [
      {
        file: 'test/postgres/history.test.ts',
        name: 'for what the daemon takes over, and none where only crm_updated_at moved or nothing changed',
      },
    ],
  },
  {
    name: 'an old version that is still true pruned',
    promise: 8,
    patches: [patch('drizzle/0018_history_upkeep.sql', `v.valid_from < %L and %s', cutoff`, `v.valid_from < %L and (true or %s)', cutoff`)],
    tests: [{ file: 'test/postgres/history.test.ts', name: 'older than HISTORY_DAYS go, but for what was still true when it begins' }],
  },
  {
    name: "what a user's trigger makes of our write not logged",
    promise: 1,
    patches: [patch('src/postgres/sql/columns.ts', 'and diff.new_values is not null`;', 'and false`;')],
    tests: [{ file: MIRROR, name: "logs what a person's trigger made of our write as that person's edit" }],
  },
  {
    name: 'suppressed write taken for done',
    promise: 2,
    patches: [patch('src/postgres/mirror-write.ts', 'if (answer !== undefined && answer.suppressed > 0)', 'if (answer === undefined)')],
    tests: [{ file: 'test/sync/user-triggers.test.ts', name: 'leaves an edit of the CRM parked, not overwritten by the next edit here' }],
  },
  {
    name: 'rows rewritten that do not change',
    promise: 4,
    patches: [
      patch(
        'src/postgres/sql/save-contacts.ts',
        `  where c.id = t.id and (\${fieldsOf('c')}, c.extra, c.crm_created_at, c.crm_updated_at)
    is distinct from (\${fieldsOf('t')}, t.extra, t.crm_created_at, t.crm_updated_at)\n`,
        '  where c.id = t.id\n',
      ),
    ],
    tests: [{ file: MIRROR, name: 'writes no row version where nothing differs' }],
  },
  {
    name: 'an update that changes nothing is logged',
    promise: 4,
    patches: [patch(CAPTURE, `and jsonb_strip_nulls(o.custom_fields) is distinct from jsonb_strip_nulls(n.custom_fields));`, `);`)],
    tests: [{ file: TESTS, name: 'that changes nothing logs nothing, an added null key included' }],
  },
  {
    name: 'NOTIFY from every transaction',
    promise: 8,
    patches: [patch(CAPTURE, 'and pg_try_advisory_xact_lock(7210, 1) then', 'then')],
    tests: [{ file: TESTS, name: 'does not come while another transaction that will notify is open' }],
  },
  {
    name: 'TRUNCATE lets everything go unlogged',
    promise: 1,
    patches: [
      patch(
        'drizzle/0002_guards.sql',
        `'contact_companies', 'contact_deals', 'contact_activities'] loop
    execute format(
      'create trigger zz_relate_mirror_guard_truncate`,
        `'contact_companies', 'contact_deals', 'contact_activities'] loop
    continue;
    execute format(
      'create trigger zz_relate_mirror_guard_truncate`,
      ),
    ],
    tests: [{ file: 'test/postgres/capture-refusals.test.ts', name: 'TRUNCATE of %s is refused' }],
  },
];

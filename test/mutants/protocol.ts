/** The list of protocol: what was shown, on paper or on a real PostgreSQL, to lose, double or delete something once it is left out. */
import { patch, type Mutant } from './mutant.ts';

const PAGE = 'src/sync/page.ts';
const MIRROR = 'test/postgres/mirror.test.ts';
const GUARDS = { page: 'test/sync/guards-page.test.ts', pull: 'test/sync/guards-pull.test.ts', push: 'test/sync/guards-push.test.ts' };
const CAPTURE = 'test/postgres/capture.test.ts';

export const PROTOCOL: readonly Mutant[] = [
  {
    name: 'state lock only',
    promise: 1,
    patches: [patch(PAGE, `const rows = await tx.lockContacts(ids, 'skip');`, 'const rows: ReadonlySet<number> = new Set(ids);')],
    tests: [{ file: GUARDS.page, name: 'of the same field between the reading of the row and its writing: it waits, and is not lost' }],
  },
  {
    name: 'lock and read in one statement',
    promise: 1,
    patches: [
      patch(
        PAGE,
        `const rows = await tx.lockContacts(ids, 'skip');`,
        `const situations = await tx.read(ids);\n  const rows = await tx.lockContacts(ids, 'skip');`,
      ),
      patch(PAGE, '  const situations = await tx.read(ids);\n\n', '\n'),
    ],
    tests: [{ file: GUARDS.page, name: 'of the same field just before the row is locked: it is seen, and not lost' }],
  },
  {
    // Either guard alone makes up for the other.
    name: 'claim read before it takes, and no last look for what is left',
    promise: 1,
    patches: [
      patch('src/sync/claim.ts', 'const situations = await tx.read(due);', 'const situations = before;'),
      patch('src/sync/settle.ts', `if (queues) await tx.queue([contactId], 'update');`, ''),
    ],
    tests: [
      { file: GUARDS.push, name: 'another field of a contact that is just being claimed: the edit goes along, or gets its own turn' },
    ],
  },
  {
    name: 'settle by contact',
    promise: 1,
    patches: [
      patch(
        'src/postgres/sql/claim.ts',
        `and l.attempt = $2 and l.settled_at is null and l.state in ('sending', 'unknown') and`,
        'and $2::bigint is not null and l.settled_at is null and',
      ),
    ],
    tests: [{ file: MIRROR, name: 'settles only log rows of the attempt: a later edit stays pending' }],
  },
  {
    name: 'answer as base',
    promise: 2,
    patches: [
      patch(
        'src/sync/answer.ts',
        'agreedBase(situation, next.fields, sent, canonical.fields, ignored, customFields) : undefined;',
        'canonical.fields : undefined;',
      ),
    ],
    tests: [
      { file: GUARDS.push, name: 'another field while our PUT is on its way: the answer brings it, and the next push does not undo it' },
    ],
  },
  {
    name: 'page without request time',
    promise: 1,
    patches: [
      patch(
        PAGE,
        '[contact.settledAt, contact.deletedAt].some((at) => at !== null && at >= page.requestedAt)',
        'page.requestedAt === null',
      ),
    ],
    tests: [
      { file: GUARDS.page, name: 'and it is pushed and settled before the page is stored: what is older than the settle does not undo it' },
    ],
  },
  {
    name: 'PUT repeated unread',
    promise: 2,
    patches: [patch('src/sync/push.ts', 'hasRead: false, mustRead: job.readFirst, spent', 'hasRead: false, mustRead: false, spent')],
    tests: [{ file: 'test/sync/faults.test.ts', name: 'is not sent again before the contact was read, even if reading fails at first' }],
  },
  {
    name: 'links replaced',
    promise: 1,
    patches: [
      patch(
        'src/postgres/sql/save-contacts.ts',
        'where l.contact_id = pairs.contact_id and l.${column} = pairs.target',
        'where l.contact_id = pairs.contact_id',
      ),
      patch('src/domain/merge.ts', 'add: eachKind((kind) => without(to[kind], from[kind])),', 'add: to,'),
    ],
    tests: [{ file: GUARDS.page, name: 'a link while the page removes another one: only that one goes' }],
  },
  {
    name: 'ids looked up by crm.contacts alone',
    promise: 5,
    patches: [
      patch('src/postgres/sql/peek.ts', 'where s.crm_id = any($1::bigint[])', 'where s.crm_id = any($1::bigint[]) and c.id is not null'),
    ],
    tests: [{ file: MIRROR, name: 'still knows a contact whose row was deleted and whose delete is not pushed' }],
  },
  {
    name: 'watermark per page',
    promise: 2,
    patches: [patch('src/sync/pull.ts', 'const isThrough = last && whole', 'const isThrough = whole')],
    tests: [{ file: GUARDS.pull, name: 'that ends in the middle leaves the watermark where it was' }],
  },
  {
    name: 'seen = total',
    promise: 2,
    patches: [
      patch(
        'src/sync/sweep.ts',
        'const seen = await deps.mirror.countSeen(walker.cursor.maxId);',
        'const seen = await deps.mirror.countSeen(Number.MAX_SAFE_INTEGER);',
      ),
      patch(
        'src/sync/sweep.ts',
        'const seen = await walker.deps.mirror.countSeen(walker.cursor.maxId);',
        'const seen = await walker.deps.mirror.countSeen(Number.MAX_SAFE_INTEGER);',
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
    name: 'ON CONFLICT DO UPDATE',
    promise: 1,
    patches: [
      patch(
        'src/postgres/sql/insert-contacts.ts',
        'crm_created_at, crm_updated_at from incoming order by id\n',
        'crm_created_at, crm_updated_at from incoming order by id\n  on conflict (crm_id) do update set city = excluded.city\n',
      ),
    ],
    tests: [{ file: MIRROR, name: 'reports a second row of one CRM id as a refusal instead of overwriting the first' }],
  },
  {
    name: 'lease without limiter wait',
    promise: 10,
    patches: [
      patch('src/crm/pacing.ts', `      if (maySend?.() === false) return { ran: false, reason: 'not_leader' };\n`, ''),
      patch(
        'src/crm/pacing.ts',
        `if (signal?.aborted === true)`,
        `if (maySend?.() === false) return { ran: false, reason: 'not_leader' };\n    if (signal?.aborted === true)`,
      ),
    ],
    tests: [{ file: 'test/crm/pacing.test.ts', name: 'is asked at its turn, not before, whether it may still go; a no counts nothing' }],
  },
  {
    name: 'lease not asked on the open connection',
    promise: 10,
    patches: [patch('src/crm/client.ts', 'if (call.maySend?.() === false) {', 'if (call.maySend === undefined) {')],
    tests: [{ file: 'test/crm/client.test.ts', name: 'asks who leads again once the connection is ready, after which the bytes go' }],
  },
  {
    name: 'GUC without xid',
    promise: 1,
    patches: [
      patch(
        'drizzle/0002_guards.sql',
        `current_setting('relate_mirror.writer', true) = pg_current_xact_id_if_assigned()::text, false)`,
        `current_setting('relate_mirror.writer', true) <> '', false)`,
      ),
    ],
    tests: [{ file: CAPTURE, name: 'silence nothing in a later transaction of the same session' }],
  },
  {
    name: 'GUC without depth',
    promise: 1,
    patches: [patch('drizzle/0002_guards.sql', 'return coalesce(pg_trigger_depth() = 1 and', 'return coalesce(')],
    tests: [{ file: CAPTURE, name: "do not silence a user's trigger that edits in their transaction" }],
  },
  {
    name: 'no overlap',
    promise: 2,
    patches: [
      patch('src/sync/pull.ts', '(options.since ?? watermark).getTime() - options.overlapMs', '(options.since ?? watermark).getTime()'),
    ],
    tests: [{ file: GUARDS.pull, name: 'reads what was committed late, under a time before the watermark (%s)' }],
  },
  {
    name: '404 without control',
    promise: 5,
    patches: [
      patch('src/sync/removal.ts', 'return answer.ok ? { proven: true }', 'return answer.ok || answer.failure.proven ? { proven: true }'),
    ],
    tests: [{ file: 'test/sync/faults.test.ts', name: 'together with a 404 for everybody prove nothing about anybody' }],
  },
  {
    name: 'brake per batch',
    promise: 9,
    patches: [patch('src/domain/brake.ts', 'return Math.max(0, ceiling - lastHour);', 'return ceiling;')],
    tests: [{ file: 'test/domain/brake.test.ts', name: 'counts what went through in the last hour, singly or together' }],
  },
  {
    name: 'pairing without lock',
    promise: 3,
    patches: [patch('src/postgres/sql/lock.ts', "sync.take_lock('pairing')", '1')],
    tests: [
      {
        file: GUARDS.page,
        name: 'of a contact whose create is being settled just now: the settle waits for the page, and nothing is refused',
      },
    ],
  },
];

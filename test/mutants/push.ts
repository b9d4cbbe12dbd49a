/** Claim, push, create, delete, settle. */
import { patch, type Mutant } from './mutant.ts';

const CLAIM = 'src/sync/claim.ts';
const CLAIM_SQL = 'src/postgres/sql/claim.ts';
const CREATE = 'src/sync/create.ts';
const FIND = 'src/sync/find-created.ts';
const PUSH = 'src/sync/push.ts';
const MIRROR = 'test/postgres/mirror.test.ts';
const RACES = 'test/sync/races.test.ts';
const EVIDENCE = 'test/sync/evidence.test.ts';
const GUARDS = 'test/sync/guards-push.test.ts';

export const PUSH_MUTANTS: readonly Mutant[] = [
  {
    name: 'intent not stored before the POST',
    promise: 3,
    patches: [
      patch(
        CREATE,
        'return await tx.saveIntent(situation.contactId, { fields, links });',
        'return await Promise.resolve({ key: String(situation.contactId) });',
      ),
    ],
    tests: [{ file: EVIDENCE, name: 'is found beside an older contact with the same phone' }],
  },
  {
    name: 'create sent again without asking',
    promise: 3,
    patches: [patch(CREATE, `if (asked !== 'not there') return asked;`, `if (asked !== 'not there' && 'never' in asked) return asked;`)],
    tests: [{ file: EVIDENCE, name: 'is found beside an older contact with the same phone' }],
  },
  {
    name: 'CREATE_RECHECK_MS ignored',
    promise: 3,
    patches: [patch(CREATE, `if (waited >= createRecheckMs) return 'not there';`, `if (waited >= 0) return 'not there';`)],
    tests: [{ file: GUARDS, name: 'is asked about again until CREATE_RECHECK_MS are over: a POST that arrives late is not doubled' }],
  },
  {
    name: 'what was decided about look-alikes is forgotten over the wait',
    promise: 3,
    patches: [patch(CREATE, 'if (taken.length > 0 && !job.doubtful) {', 'if (taken.length < 0 && !job.doubtful) {')],
    tests: [{ file: 'test/sync/odd-moments.test.ts', name: 'while the CRM is still waited for' }],
  },
  {
    name: 'a phone in the CRM’s own form has not arrived',
    promise: 3,
    patches: [
      patch('src/domain/phones.ts', '  const [ours, theirs] =', '  if (sent.type === stored.type) return false;\n  const [ours, theirs] ='),
    ],
    tests: [{ file: 'test/sync/faults.test.ts', name: 'is found where the CRM has stored its phone in another form' }],
  },
  {
    name: 'a contact that has a row is adopted by a second one',
    promise: 3,
    patches: [patch(FIND, 'const free = await unpaired(deps, job, matches);', 'const free = matches;')],
    tests: [{ file: GUARDS, name: 'does not take a contact away from another row' }],
  },
  {
    name: 'an unreadable answer is "not there"',
    promise: 3,
    patches: [
      patch(
        FIND,
        `not to be mistaken for "not there".
  if (answer.value.bad.length > 0)`,
        `not to be mistaken for "not there".
  if (answer.value.bad.length < 0)`,
      ),
      patch(FIND, 'if (value.bad.length > 0) return', 'if (value.bad.length < 0) return'),
    ],
    tests: [{ file: GUARDS, name: 'is not sent again: the contact that nobody can read may be it' }],
  },
  {
    name: 'creates before the first complete sweep',
    promise: 3,
    patches: [patch(CLAIM, 'creates: firstSweepAt !== null &&', 'creates: firstSweepAt !== undefined &&')],
    tests: [{ file: GUARDS, name: 'waits for the first complete sweep: what is here already may be there already' }],
  },
  {
    name: 'epoch not checked in a transaction',
    promise: 10,
    patches: [
      patch(
        'src/postgres/mirror-transaction.ts',
        'if (results[2]?.rows[0]?.epoch !== String(epoch))',
        'if (results[2]?.rows[0]?.epoch === undefined && epoch > 0)',
      ),
    ],
    tests: [{ file: MIRROR, name: 'runs no step when %s' }],
  },
  {
    name: 'no grace for the create of a lost leader',
    promise: 3,
    patches: [
      patch(
        CLAIM_SQL,
        `coalesce(attempt_at, intent_at) + $2 * interval '1 millisecond')`,
        `coalesce(attempt_at, intent_at) + $2 * interval '0')`,
      ),
    ],
    tests: [{ file: MIRROR, name: 'asks about the create of an earlier leader only when its POST cannot be under way any more' }],
  },
  {
    name: "a lost leader's attempts stay in flight for ever",
    promise: 10,
    patches: [patch(CLAIM_SQL, 'and attempt_epoch is distinct from $1\n', 'and attempt_epoch is distinct from $1 and false\n')],
    tests: [{ file: MIRROR, name: 'makes the attempts of an earlier leader unknown and due, with and without open log rows' }],
  },
  {
    name: 'phone list written unread',
    promise: 2,
    patches: [patch('src/sync/plan.ts', `if (fields.includes('phones') && !progress.hasRead) return { call: 'read' };`, '')],
    tests: [{ file: GUARDS, name: 'another phone shortly before our push of the list: it is read, and survives' }],
  },
  {
    name: 'base not fresh before a push',
    promise: 2,
    patches: [
      patch(
        PUSH,
        'if (kinds === null || (await deps.mirror.nextDueMs(kinds)) !== 0) return null;',
        'if (kinds === null || freshMs >= 0) return null;',
      ),
    ],
    tests: [{ file: GUARDS, name: 'the same field shortly before our push: it is looked at, and decided by the policy' }],
  },
  {
    name: 'a deferred record pushed over',
    promise: 2,
    patches: [patch(CLAIM, 'deferred.has(job.situation.crmId ?? 0) ?', 'deferred.has(-1) ?')],
    tests: [{ file: RACES, name: 'which ends between the page and the push: the CRM’s newer edit of that very field is not overwritten' }],
  },
  {
    name: 'a sync call with only unknown ids',
    promise: 2,
    patches: [patch('src/sync/plan.ts', 'if (adds && removes && safe && !spent', 'if (adds && removes && (safe || !safe) && !spent')],
    tests: [{ file: GUARDS, name: 'are never replaced by a set of which the CRM knows nobody: that would wipe them all' }],
  },
  {
    name: 'a set replaced unread',
    promise: 2,
    patches: [
      patch(
        'src/sync/plan.ts',
        `return hasRead ? { call: 'sync', ids: ids.sync } : { call: 'read' };`,
        `return { call: hasRead ? 'sync' : 'sync', ids: ids.sync };`,
      ),
    ],
    tests: [{ file: GUARDS, name: 'another link shortly before our push of the set: it is read, and survives' }],
  },
  {
    name: 'custom field cleared treated as absent',
    promise: 1,
    patches: [
      patch(
        'src/sync/plan.ts',
        'else custom[name] = fields.custom_fields[name] ?? null;',
        'else if (fields.custom_fields[name] !== undefined) custom[name] = fields.custom_fields[name] ?? null;',
      ),
    ],
    tests: [{ file: 'test/sync/push.test.ts', name: 'custom fields of every type, set and cleared' }],
  },
  {
    name: 'all fields sent',
    promise: 2,
    patches: [
      patch(
        'src/sync/plan.ts',
        'body: toBody(canonicalFields(situation.row.fields, customFields), fields) };',
        `body: toBody(canonicalFields(situation.row.fields, customFields), [...new Set([...fields, 'street' as const])]) };`,
      ),
    ],
    tests: [{ file: 'test/sync/push.test.ts', name: 'one field is one PUT with that field only' }],
  },
  {
    name: 'held edits claimed',
    promise: 9,
    patches: [
      patch(
        CLAIM_SQL,
        `and l.state in ('pending', 'retry', 'parked', 'unknown')`,
        `and l.state in ('pending', 'retry', 'parked', 'unknown', 'held')`,
      ),
    ],
    tests: [{ file: MIRROR, name: 'leaves held edits to the person who decides when a new edit of the same contact is claimed' }],
  },
  {
    name: 'contact of unknown outcome pushed before it was looked into',
    promise: 3,
    patches: [
      patch(
        CLAIM_SQL,
        `      and (s.attempt_state is distinct from 'unknown' or l.state = 'unknown')
      and ($2`,
        `      and ($2`,
      ),
    ],
    tests: [{ file: MIRROR, name: 'keeps a contact of unknown outcome busy: a new edit does not make it due before the question is' }],
  },
  {
    name: 'claimed by two',
    promise: 3,
    patches: [
      patch(CLAIM_SQL, `where s.attempt_state is distinct from 'sending'\norder by`, 'order by'),
      patch(CLAIM_SQL, `      and s.attempt_state is distinct from 'sending'\n      and`, '      and'),
    ],
    tests: [{ file: MIRROR, name: 'claims under one new number, which makes the contact busy and not due' }],
  },
  {
    name: 'deletion since the claim taken for settled',
    promise: 1,
    patches: [
      patch(
        CLAIM_SQL,
        `\n    and not exists (select from sync.change_log where contact_id = $1 and op = 'delete' and settled_at is null) as buried`,
        ' as buried',
      ),
    ],
    tests: [{ file: MIRROR, name: 'makes no tombstone of a deletion that was logged since the claim: it still has to be pushed' }],
  },
  {
    name: 'fold without moving the log',
    promise: 1,
    patches: [
      patch(
        'src/postgres/sql/pair.ts',
        'update sync.change_log set contact_id = $1,\n  state',
        'update sync.change_log set contact_id = contact_id,\n  state',
      ),
    ],
    tests: [{ file: MIRROR, name: 'folds the row that a page made for the same id: links, log and edits go to the older one' }],
  },
  {
    name: 'delete sent again unread',
    promise: 5,
    patches: [patch('src/sync/delete.ts', '  if (job.readFirst) {\n', '  if (job.readFirst && job.attempt < 0) {\n')],
    tests: [{ file: RACES, name: 'and its answer is lost, nothing is deleted a second time that somebody restored' }],
  },
  {
    name: 'push without brake',
    promise: 9,
    patches: [patch('src/sync/brake.ts', 'if (Math.max(1, waiting) <=', 'if (waiting >= 0 || Math.max(1, waiting) <=')],
    tests: [{ file: 'test/sync/push.test.ts', name: 'stop at the brake, all of them, as a plan; a single one goes through' }],
  },
  {
    name: 'a doubt forgotten by the next failure',
    promise: 2,
    patches: [
      patch(
        'src/sync/settle.ts',
        `const doubt = failure.class === 'unknown' || (job.doubtful && failure.class !== 'park');`,
        `const doubt = failure.class === 'unknown';`,
      ),
    ],
    tests: [{ file: 'test/sync/faults.test.ts', name: 'is not sent again before the contact was read, even if reading fails at first' }],
  },
  {
    name: 'a value that the CRM rewrote pushed again for ever',
    promise: 4,
    patches: [
      patch(
        'src/sync/answer.ts',
        'values.set(field, fieldValue(unmoved ? sent : answer, field));',
        'values.set(field, fieldValue(answer, field));\n    if (now === null && unmoved) values.delete(field);',
      ),
    ],
    tests: [
      {
        file: GUARDS,
        name: 'nothing, but answers with another form of what was sent: a value that the CRM rewrites is taken over, and sent once',
      },
    ],
  },
  {
    name: 'the key of a create not looked for',
    promise: 3,
    patches: [patch(FIND, 'if (keyed.length > 0) return', 'if (keyed.length < 0) return')],
    tests: [
      {
        file: 'test/sync/creates.test.ts',
        name: 'a contact that was renamed before its lost answer could be asked about is recognised all the same',
      },
    ],
  },
  {
    name: 'what is sent not noted before it goes',
    promise: 1,
    patches: [patch(CLAIM, '  await tx.saveSent(jobs.flatMap(', '  await Promise.resolve(jobs.flatMap(')],
    tests: [{ file: RACES, name: '%s: the edit survives, and there is no conflict' }],
  },
];

/** The client, the budget, the lease, the loops; and the merge. */
import { patch, type Mutant } from './mutant.ts';

const MERGE = 'src/domain/merge.ts';
const CLIENT = { source: 'src/crm/client.ts', test: 'test/crm/client.test.ts' };

export const OUTSIDE_MUTANTS: readonly Mutant[] = [
  {
    name: '404 without the JSON of the CRM',
    promise: 5,
    patches: [
      patch(
        'src/crm/errors.ts',
        `return said.proven ? failure('refetch', 'not_found', parts)`,
        `return status === 404 ? failure('refetch', 'not_found', { ...parts, proven: true })`,
      ),
    ],
    tests: [{ file: 'test/crm/errors.test.ts' }],
  },
  {
    name: 'a write without answer is simply tried again',
    promise: 3,
    patches: [patch('src/crm/errors.ts', `(write ? 'unknown' : 'retry')`, `(write ? 'retry' : 'retry')`)],
    tests: [{ file: 'test/crm/errors.test.ts' }],
  },
  {
    name: 'a delete answered by any 2xx is done',
    promise: 1,
    patches: [patch('src/crm/contacts.ts', 'if (meta.status !== 204)', 'if (meta.status >= 300)')],
    tests: [{ file: 'test/crm/contacts.test.ts', name: 'delete is done with 204 only' }],
  },
  {
    name: 'another contact than the one asked for',
    promise: 2,
    patches: [
      patch('src/crm/contacts.ts', 'crmId !== null && parsed.contact.crmId !== crmId', 'crmId !== null && parsed.contact.crmId < 0'),
    ],
    tests: [{ file: 'test/crm/contacts.test.ts', name: 'a contact other than the one asked for, as a cache in between may send it' }],
  },
  {
    name: 'redirect followed',
    promise: 11,
    patches: [patch(CLIENT.source, 'followRedirect: false', 'followRedirect: true')],
    tests: [{ file: CLIENT.test, name: 'is redirected: refused, and the other address never sees the token' }],
  },
  {
    name: 'no limit on an answer',
    promise: 8,
    patches: [
      patch(CLIENT.source, 'if (transferred > reading.answerBytesMax || reading.bytes > reading.allBytesMax)', 'if (transferred < 0)'),
    ],
    tests: [{ file: CLIENT.test, name: 'stops reading an answer that is %s' }],
    hangs: true,
  },
  {
    name: 'token in an error',
    promise: 11,
    patches: [patch(CLIENT.source, `text.replaceAll(token, '[token]')`, 'text')],
    tests: [{ file: CLIENT.test, name: 'leaves neither token nor body in the failure after %s' }],
  },
  {
    name: 'CRM message in a log line',
    promise: 11,
    patches: [
      patch(
        CLIENT.source,
        'const describe = (failed: CrmFailure): string => ERROR_CODES[failed.code];',
        'const describe = (failed: CrmFailure): string => failed.message || ERROR_CODES[failed.code];',
      ),
    ],
    tests: [{ file: CLIENT.test, name: 'logs method, path, status and code of each attempt, the version once, and no value' }],
  },
  {
    name: 'message of an exception in a log line',
    promise: 11,
    patches: [
      patch('src/domain/error-fields.ts', '(start < 0 ? stack : stack.slice(start + message.length))', '(start < 0 ? stack : stack)'),
    ],
    tests: [{ file: 'test/domain/error-fields.test.ts' }],
  },
  {
    name: 'retry without a limit',
    promise: 8,
    patches: [
      patch(
        'src/domain/backoff.ts',
        'Math.min(limits.maxMs, limits.minMs * 2 ** (Math.max(attempts, 1) - 1))',
        'limits.minMs * 2 ** (Math.max(attempts, 1) - 1)',
      ),
    ],
    tests: [
      { file: 'test/domain/backoff.test.ts', name: 'waits twice as long after each attempt, up to the limit, and half of it at least' },
    ],
  },
  {
    name: 'Retry-After is no floor',
    promise: 8,
    patches: [patch('src/domain/backoff.ts', 'return Math.max(floorMs, Math.round', 'return Math.max(0 * floorMs, Math.round')],
    tests: [{ file: 'test/domain/backoff.test.ts', name: 'what the CRM asked for is a floor, even above the limit' }],
  },
  {
    name: 'sweep uses the last fifth of the budget',
    promise: 8,
    patches: [patch('src/crm/budget.ts', 'const RESERVE_SHARE = 0.2;', 'const RESERVE_SHARE = 0;')],
    tests: [{ file: 'test/crm/pacing.test.ts', name: 'so that an edit never waits behind a sweep' }],
  },
  {
    name: 'calls counted from their send only',
    promise: 8,
    patches: [
      patch(
        'src/crm/budget.ts',
        'return this.#inFlight + this.#answered.length - this.#head;',
        'return this.#answered.length - this.#head;',
      ),
    ],
    tests: [{ file: 'test/crm/pacing.test.ts' }],
    hangs: true,
  },
  {
    name: 'a 429 pauses nobody',
    promise: 8,
    patches: [
      patch(
        'src/crm/budget.ts',
        'this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + signs.pauseMs);',
        'this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs);',
      ),
    ],
    tests: [{ file: 'test/crm/pacing.test.ts', name: 'pauses every lane for as long as it says, and what is in flight ends' }],
  },
  {
    name: 'a lease renewed under another epoch',
    promise: 10,
    patches: [
      patch(
        'src/postgres/lock.ts',
        'where epoch = $1\nreturning epoch`;\nconst RELEASE',
        'where $1::bigint is not null\nreturning epoch`;\nconst RELEASE',
      ),
    ],
    tests: [{ file: 'test/postgres/lock.test.ts', name: 'a renewal that finds another epoch is the end of leading' }],
  },
  {
    name: 'NOTIFY only, without the poll',
    promise: 1,
    patches: [
      patch(
        'src/runtime/daemon.ts',
        'Math.min(options.pushPollMs, due ?? options.pushPollMs)',
        'Math.min(86_400_000, due ?? 86_400_000) + (due ?? 1) * 86_400_000',
      ),
    ],
    tests: [{ file: 'test/sync/guards-poll.test.ts', name: 'an edit that nobody was told of is found by looking' }],
  },
  {
    name: 'no busy look-out after a wake',
    promise: 1,
    patches: [patch('src/runtime/daemon.ts', 'if (now - state.wokenMs < BUSY_FOR_MS)', 'if (now - state.wokenMs < 0)')],
    tests: [{ file: 'test/sync/guards-poll.test.ts', name: 'an edit that commits just after the one that notified is found at once' }],
  },
  {
    name: 'tie rule of newest reversed',
    promise: 2,
    patches: [patch(MERGE, 'localAt.getTime() - remoteAt.getTime() > TIE_MS', 'localAt.getTime() - remoteAt.getTime() >= -TIE_MS')],
    tests: [{ file: 'test/domain/arbitrate.test.ts' }],
  },
  {
    name: 'links not known treated as empty',
    promise: 2,
    patches: [
      patch(
        MERGE,
        `    const theirs = remote[kind];
    if (theirs === null) continue;`,
        `    const theirs = remote[kind] ?? [];`,
      ),
    ],
    tests: [{ file: 'test/domain/merge-links.test.ts' }],
  },
  {
    name: 'first meeting deletes what one side lacks',
    promise: 2,
    patches: [
      patch(
        MERGE,
        'canonicalIds([...local, ...without(remote, detached)]);',
        'canonicalIds([...local.filter((id) => remote.includes(id)), ...without(remote, detached)]);',
      ),
    ],
    tests: [{ file: 'test/domain/merge-links.test.ts' }],
  },
  {
    name: 'loser of a conflict not kept',
    promise: 2,
    patches: [
      patch(
        MERGE,
        'conflicts.push({ field, base: before, local: ours, remote: theirs, ...verdict });',
        `if (verdict.outcome === 'open') conflicts.push({ field, base: before, local: ours, remote: theirs, ...verdict });`,
      ),
    ],
    tests: [{ file: 'test/domain/merge-fields.test.ts' }],
  },
  {
    name: 'a field that waits for a person is pushed',
    promise: 6,
    patches: [
      patch(
        'src/sync/plan.ts',
        'return diffFields(local, base).filter((field) => !situation.heldFields.has(field));',
        'return diffFields(local, base);',
      ),
    ],
    tests: [{ file: 'test/sync/remote.test.ts', name: 'manual: each side keeps its own, everything else flows, until a person says %s' }],
  },
];

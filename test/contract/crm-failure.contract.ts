/** Every fault in every call becomes one outcome class, and a write whose fate is not known is never called failed. */
import { describe, expect, it } from 'vitest';
import type { CrmFailure } from '../../src/domain/errors.ts';
import type { FaultKind } from '../../src/sandbox/crm/faults.ts';
import { BY_ID, CALLS, EDIT, EVERY_CALL, failureIn, isWrite, valueOf, withCrm, type OpenCrm } from './crm-harness.ts';

type Expected = Pick<CrmFailure, 'code' | 'status' | 'proven'> & {
  readonly read: CrmFailure['class'];
  readonly write: CrmFailure['class'];
  /** What the CRM did all the same. */
  readonly processed: boolean;
};

const unsure = { read: 'retry', write: 'unknown', status: null, proven: false } as const;
const FAULTS: { readonly [K in Exclude<FaultKind, 'empty-list' | 'short-list'>]: Expected } = {
  'reset-before': { ...unsure, code: 'connection_reset', processed: false },
  'reset-after': { ...unsure, code: 'connection_reset', processed: true },
  truncated: { ...unsure, code: 'connection_reset', processed: true },
  'hang-before': { ...unsure, code: 'timeout', processed: false },
  'hang-after': { ...unsure, code: 'timeout', processed: true },
  '500-before': { ...unsure, code: 'server_error', status: 500, proven: true, processed: false },
  '500-after': { ...unsure, code: 'server_error', status: 500, proven: true, processed: true },
  'html-200': { ...unsure, code: 'bad_answer', status: 200, processed: false },
  '404-html': { ...unsure, code: 'no_such_route', status: 404, processed: false },
  '503-before': { read: 'retry', write: 'retry', code: 'unavailable', status: 503, proven: true, processed: false },
  '429': { read: 'later', write: 'later', code: 'rate_limited', status: 429, proven: true, processed: false },
  '401': { read: 'fatal', write: 'fatal', code: 'unauthorized', status: 401, proven: true, processed: false },
  '403-revoked': { read: 'fatal', write: 'fatal', code: 'access_revoked', status: 403, proven: false, processed: false },
  redirect: { read: 'fatal', write: 'fatal', code: 'redirected', status: 302, proven: false, processed: false },
  '403-record': { read: 'park', write: 'park', code: 'forbidden', status: 403, proven: true, processed: false },
  '422': { read: 'park', write: 'park', code: 'invalid', status: 422, proven: true, processed: false },
};

/** Long enough for an answer on a busy machine, short enough to be waited for. */
const HANG_TIMEOUT_MS = 600;

export const describeFailures = (open: OpenCrm): void => {
  describe.each(Object.keys(FAULTS) as readonly (keyof typeof FAULTS)[])('the fault %s', (kind) => {
    const { processed, read, write, ...expected } = FAULTS[kind];
    const timeout = kind.startsWith('hang') ? { timeoutMs: HANG_TIMEOUT_MS } : {};

    it(`is ${read} for a read, ${write} for a write, whatever the call`, () =>
      withCrm(open, { contacts: 3, ...timeout }, async ({ crm, account, fault }) => {
        account.delete(3);
        const script = fault({ call: 'any', kind, times: CALLS.length, retryAfterSeconds: 0 });
        const results = await Promise.all(CALLS.map(async (call) => [call, await EVERY_CALL[call](crm, EDIT)] as const));
        for (const [call, result] of results) {
          const failure = failureIn(result);
          expect([call, failure]).toMatchObject([call, { ...expected, class: isWrite(call) ? write : read }]);
          expect(failure.message).not.toBe('');
          expect(result.meta?.status ?? null).toBe(expected.status);
        }
        expect(script.fired).toBe(CALLS.length);
      }));

    const title = processed ? 'loses the answer of a write that happened' : 'keeps a write from happening';
    it(`${title} (${kind})`, () =>
      withCrm(open, { contacts: 1, ...timeout }, async ({ crm, account, fault }) => {
        fault({ call: 'create', kind, retryAfterSeconds: 0 });
        failureIn(await crm.create({ first_name: 'Ada' }, EDIT));
        expect(account.contacts()).toHaveLength(processed ? 2 : 1);
        // It is over: the next one goes through.
        expect(valueOf(await crm.create({ first_name: 'Bo' }, EDIT)).crmId).toBeGreaterThan(1);
      }));
  });

  it('a 429 says how long to wait, and a 422 which fields', () =>
    withCrm(open, { contacts: 1 }, async ({ crm, fault }) => {
      fault({ call: 'update', kind: '422' });
      expect(Object.keys(failureIn(await crm.update(1, { city: 'Oslo' }, EDIT)).fields)).toEqual(['first_name']);
      fault({ call: 'list', kind: '429', retryAfterSeconds: 7 });
      expect(failureIn(await crm.list({}, EDIT)).retryAfterMs).toBe(7000);
    }));

  it('a list that lies about its rows is an answer like any other: only who reads it can doubt it', () =>
    withCrm(open, { contacts: 6 }, async ({ crm, fault }) => {
      fault({ call: 'list', kind: 'empty-list' });
      expect(valueOf(await crm.list({ order: BY_ID }, EDIT))).toMatchObject({ records: [], total: 0, lastPage: 1 });
      fault({ call: 'list', kind: 'short-list' });
      const short = valueOf(await crm.list({ order: BY_ID }, EDIT));
      expect([short.records.length, short.total]).toEqual([3, 6]);
    }));
};

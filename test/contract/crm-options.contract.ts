/** What the caller may ask of a call: not to be sent any more, to be given up, to be sent only by a leader. And our own mistakes. */
import { describe, expect, it } from 'vitest';
import type { Crm } from '../../src/ports/crm.ts';
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import { CALLS, EDIT, EVERY_CALL, failureIn, isWrite, withCrm, type OpenCrm } from './crm-harness.ts';

const arrival = (account: SandboxAccount): Promise<void> => new Promise((resolve) => void account.calls.onCall(() => resolve()));

export const describeOptions = (open: OpenCrm): void => {
  describe('a call', () => {
    it('is not sent once its signal fired', () =>
      withCrm(open, { contacts: 3 }, async ({ crm, account }) => {
        account.delete(3);
        const options = { ...EDIT, signal: AbortSignal.abort() };
        for (const call of CALLS)
          expect(failureIn(await EVERY_CALL[call](crm, options))).toMatchObject({ class: 'retry', code: 'aborted', status: null });
        expect(account.calls.count()).toBe(0);
      }));

    it('is not sent by a process that does not lead any more, and asks at the last moment', () =>
      withCrm(open, { contacts: 3 }, async ({ crm, account }) => {
        account.delete(3);
        for (const call of CALLS) {
          let leads = true;
          const result = EVERY_CALL[call](crm, { ...EDIT, maySend: () => leads });
          leads = false;
          expect(failureIn(await result)).toMatchObject({ class: 'retry', code: 'not_leader', status: null });
        }
        expect(account.calls.count()).toBe(0);
      }));

    it.each(['signal', 'giveUp'] as const)('that is under way is given up by %s: a read may be repeated, a write is unknown', (name) =>
      withCrm(open, { contacts: 3 }, async ({ crm, account, fault }) => {
        account.delete(3);
        for (const call of CALLS) {
          const script = fault({ call: 'any', kind: 'hang-before' });
          const giving = new AbortController();
          const arrived = arrival(account);
          const result = EVERY_CALL[call](crm, { ...EDIT, [name]: giving.signal });
          await arrived;
          giving.abort();
          expect([call, failureIn(await result)]).toMatchObject([
            call,
            { class: isWrite(call) ? 'unknown' : 'retry', code: 'connection_reset' },
          ]);
          expect(script.fired).toBe(1);
        }
      }),
    );

    it('that is under way goes on where its signal fires but another one decides about giving up', () =>
      withCrm(open, { contacts: 1 }, async ({ crm, account }) => {
        const stopping = new AbortController();
        account.calls.onCall(() => stopping.abort());
        const options = { ...EDIT, signal: stopping.signal, giveUp: new AbortController().signal };
        expect(await crm.update(1, { city: 'Oslo' }, options)).toMatchObject({ ok: true });
        expect(stopping.signal.aborted).toBe(true);
      }));
  });

  it.each<[string, (crm: Crm) => Promise<unknown>]>([
    ['an id of 0', (crm) => crm.retrieve(0, EDIT)],
    ['an id beyond 2^53', (crm) => crm.update(2 ** 53, {}, EDIT)],
    ['an id that is no integer', (crm) => crm.delete(1.5, EDIT)],
    ['a page of 0', (crm) => crm.list({ page: 0 }, EDIT)],
    ['101 a page', (crm) => crm.listTrashed({ perPage: 101 }, EDIT)],
    ['a take of 0', (crm) => crm.search({ q: 'x', take: 0 }, EDIT)],
    ['no kind of link', (crm) => crm.attach(7, {}, EDIT)],
    ['a link id that is no number', (crm) => crm.sync(7, { companies: ['Acme' as unknown as number] }, EDIT)],
  ])('%s is our own mistake: it throws before anything is sent', (_name, call) =>
    withCrm(open, {}, async ({ crm, account }) => {
      await expect(call(crm)).rejects.toThrow(RangeError);
      expect(account.calls.count()).toBe(0);
    }),
  );
};

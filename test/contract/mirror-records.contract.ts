import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DOCUMENTED_ONLY } from '../../src/ports/crm.ts';
import { MARK_RETRY, type RunCursor } from '../../src/ports/mirror.ts';
import { laterNow, newContact, pairedContacts, type MakeMirror, type MirrorHarness } from './mirror-harness.ts';

const cursor: RunCursor = { page: 3, pass: 1, maxId: 50, total: 40, seen: 2, startedAt: '2026-01-01T00:00:00.000Z' };

export const describeRecords = (makeMirror: MakeMirror): void => {
  describe('what is written down beside the contacts', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    it('keeps one open conflict a field, its values up to date, and every decided one', async () => {
      const { mirror } = harness;
      const open = {
        contactId: 1,
        field: 'city',
        base: null,
        local: 'a',
        remote: 'b',
        outcome: 'open',
        policy: 'manual',
        compared: null,
      } as const;
      const decided = { ...open, outcome: 'crm', policy: 'crm' } as const;
      await mirror.transaction((tx) => tx.recordConflicts([open, decided]));
      // Told once more, and told anew: the former is known already.
      await mirror.transaction((tx) => tx.recordConflicts([{ ...open, remote: 'c' }, decided]));
      expect(await harness.decidedConflicts()).toBe(1);
      await mirror.transaction((tx) => tx.recordConflicts([{ ...decided, local: 'later' }]));
      expect(await harness.openConflicts()).toEqual([{ field: 'city', remote: 'c' }]);
      expect(await harness.decidedConflicts()).toBe(2);
      const before = await harness.versions();
      await mirror.transaction((tx) => tx.recordConflicts([{ ...open, remote: 'c' }]));
      expect(await harness.versions()).toBe(before);
    });

    it('prunes log rows that were settled longer ago than asked, and neither open ones nor young tombstones', async () => {
      const { mirror } = harness;
      const [settled = 0, open = 0] = await pairedContacts(mirror, newContact(11), newContact(12));
      await mirror.transaction((tx) => tx.queue([settled, open], 'update'));
      const attempt = await mirror.transaction((tx) => tx.claim([settled]));
      const outcomes = [{ ops: ['update'], state: 'done', code: null, error: null, delayMs: 0 }] as const;
      await mirror.transaction((tx) => tx.settle({ contactId: settled, attempt, outcomes, ends: 'release' }));
      await mirror.transaction((tx) => tx.remove([settled]));
      await laterNow(mirror);
      expect(await mirror.prune(1)).toBe(0);
      expect(await mirror.prune(0)).toBe(1);
      const left = await mirror.transaction((tx) => tx.read([settled, open]));
      expect(left.get(settled)?.deletedAt).not.toBeNull();
      expect(left.get(open)?.open.states).toEqual(new Set(['pending']));
    });

    it('hands marks out oldest first, as far as they were made before a moment', async () => {
      const { mirror } = harness;
      await mirror.transaction((tx) => tx.mark([{ crmId: 8, reason: 'links' }]));
      await laterNow(mirror);
      await mirror.transaction((tx) =>
        tx.mark([
          { crmId: 7, reason: 'deferred' },
          { crmId: 7, reason: 'links' },
        ]),
      );
      const before = await mirror.now();
      await laterNow(mirror);
      await mirror.transaction((tx) => tx.mark([{ crmId: 9, reason: 'links' }]));
      expect(await mirror.marks(['links', 'deferred'], 1, before)).toEqual([{ crmId: 8, reason: 'links' }]);
      expect((await mirror.marks(['links'], 9, before)).map((mark) => mark.crmId)).toEqual([8, 7]);
      expect(await mirror.countMarks(['links'])).toBe(3);
    });

    it('lets a mark that could not be settled wait, longer each time, and still knows of it', async () => {
      const { mirror } = harness;
      const mark = { crmId: 7, reason: 'deferred' } as const;
      await mirror.transaction((tx) => tx.mark([mark, { crmId: 8, reason: 'twin' }]));
      const due = async (afterMs: number) => {
        const at = new Date((await mirror.now()).getTime() + afterMs);
        return (await mirror.marks(['deferred', 'twin'], 9, at)).map(({ crmId }) => crmId).toSorted((a, b) => a - b);
      };
      expect(await due(1)).toEqual([7, 8]);
      await mirror.transaction((tx) => tx.putOff([mark]));
      expect(await due(MARK_RETRY.minMs / 2)).toEqual([8]);
      expect(await due(MARK_RETRY.minMs + 1)).toEqual([7, 8]);
      await mirror.transaction((tx) => tx.putOff([mark]));
      expect(await due(MARK_RETRY.minMs * 1.5)).toEqual([8]);
      for (let time = 0; time < 20; time += 1) await mirror.transaction((tx) => tx.putOff([mark]));
      expect(await due(MARK_RETRY.maxMs + 1)).toEqual([7, 8]);
      expect(await due(MARK_RETRY.maxMs / 2)).toEqual([8]);
      expect(await mirror.transaction((tx) => tx.deferred([7, 8, 9]))).toEqual(new Set([7]));
      // A page that meets it again has something new to tell.
      await mirror.transaction((tx) => tx.mark([mark]));
      expect(await due(1)).toEqual([7, 8]);
    });

    it('tells while a twin waits', async () => {
      const { mirror } = harness;
      expect((await mirror.account()).twins).toBe(false);
      await mirror.transaction((tx) => tx.mark([{ crmId: 8, reason: 'twin' }]));
      expect((await mirror.account()).twins).toBe(true);
    });

    it('keeps a mark that was made anew after the request that answers it', async () => {
      const { mirror } = harness;
      const mark = { crmId: 7, reason: 'deferred' } as const;
      await mirror.transaction((tx) => tx.mark([mark, { crmId: 8, reason: 'deferred' }]));
      const requestedAt = await laterNow(mirror);
      await laterNow(mirror);
      await mirror.transaction((tx) => tx.mark([mark]));
      await mirror.transaction((tx) => tx.unmark([7, 8], ['deferred', 'links'], requestedAt));
      expect(await mirror.marks(['deferred'], 9, await laterNow(mirror))).toEqual([mark]);
      await mirror.transaction(async (tx) => tx.unmark([7], ['deferred'], await laterNow(mirror)));
      expect(await mirror.countMarks(['deferred'])).toBe(0);
    });

    it('marks every paired contact', async () => {
      const { mirror } = harness;
      await pairedContacts(mirror, newContact(7), newContact(8));
      expect(await mirror.markAll(['links', 'activities'])).toBe(4);
      expect(await mirror.countMarks(['links'])).toBe(2);
    });

    it('writes refused records, names, field definitions and watermarks only where they differ', async () => {
      const { mirror } = harness;
      const def = {
        name: 'cf_a',
        type: 'option',
        label: 'A',
        options: [{ id: 1, label: 'one' }],
        origin: 'crm',
        crmType: 'Select',
        listed: true,
        gone: false,
      } as const;
      const at = new Date('2026-01-01T00:00:00Z');
      const write = () =>
        mirror.transaction(async (tx) => {
          await tx.refuse(7, 'bad_answer', 'no id');
          await tx.saveNames([
            { kind: 'companies', id: 1, name: 'old' },
            { kind: 'companies', id: 1, name: 'Acme' },
            { kind: 'users', id: 1, name: 'Eve' },
          ]);
          await tx.saveCustomFields([def]);
          await tx.saveWatermark('changes', at);
          await tx.saveWatermark('trash', at);
        });
      await write();
      const before = await harness.versions();
      await write();
      expect(await harness.versions()).toBe(before);
      expect(await harness.refused()).toEqual([{ crmId: 7, code: 'bad_answer' }]);
      expect(await harness.names()).toEqual(['companies 1 Acme', 'users 1 Eve']);
      expect(await mirror.customFields()).toEqual(new Map([['cf_a', def]]));
      expect(await mirror.account()).toMatchObject({ changesWatermark: at, trashWatermark: at, paused: false });
      await mirror.transaction(async (tx) => {
        await tx.saveNames([{ kind: 'companies', id: 1, name: 'Acme Inc' }]);
        await tx.clearRefused([7]);
        await tx.saveCustomFields([{ ...def, label: 'B' }]);
      });
      expect(await harness.names()).toEqual(['companies 1 Acme Inc', 'users 1 Eve']);
      expect(await harness.refused()).toEqual([]);
      expect((await mirror.customFields()).get('cf_a')?.label).toBe('B');
    });

    it('a list of custom fields says which are listed; wanted again once, until it was read', async () => {
      const { mirror } = harness;
      const def = (name: string, origin: 'crm' | 'inferred' = 'crm') =>
        ({ name, type: 'text', label: null, options: [], origin, crmType: null, listed: true, gone: false }) as const;
      const listed = async () =>
        [...(await mirror.customFields()).values()].map((field) => `${field.name} ${field.origin} ${field.listed}`).toSorted();
      expect(await mirror.customFieldList()).toEqual({ readAt: null, wantedAt: null });
      await mirror.transaction(async (tx) => {
        await tx.saveCustomFields([def('cf_seen', 'inferred'), def('cf_told', 'inferred')]);
        await tx.declareCustomFields([def('cf_a'), def('cf_b'), def('cf_told')]);
      });
      expect(await listed()).toEqual(['cf_a crm true', 'cf_b crm true', 'cf_seen inferred true', 'cf_told crm true']);
      const { readAt } = await mirror.customFieldList();
      expect(readAt).not.toBeNull();
      await mirror.transaction((tx) => tx.wantCustomFields());
      const { wantedAt } = await mirror.customFieldList();
      expect(wantedAt?.getTime()).toBeGreaterThanOrEqual(readAt?.getTime() ?? Infinity);
      const before = await harness.versions();
      await mirror.transaction(async (tx) => {
        await tx.wantCustomFields();
        await tx.reviveCustomFields(['cf_a', 'cf_none']);
      });
      expect(await harness.versions()).toBe(before);
      await mirror.transaction((tx) => tx.declareCustomFields([def('cf_b')]));
      expect(await listed()).toEqual(['cf_a crm false', 'cf_b crm true', 'cf_seen inferred true', 'cf_told crm false']);
      await mirror.transaction((tx) => tx.declareCustomFields([def('cf_a')]));
      expect(await listed()).toEqual(['cf_a crm true', 'cf_b crm false', 'cf_seen inferred true', 'cf_told crm false']);
    });

    it('keeps what the CRM can do and when that was found out; policies as people set them', async () => {
      const { mirror } = harness;
      expect(await mirror.capabilities()).toBeNull();
      const found = { ...DOCUMENTED_ONLY, perPage: 50, trash: true };
      await mirror.saveCapabilities(found);
      const first = await mirror.capabilities();
      expect(first?.found).toEqual(found);
      await laterNow(mirror);
      await mirror.saveCapabilities({ ...found, trash: false });
      const second = await mirror.capabilities();
      expect(second?.found.trash).toBe(false);
      expect(second?.checkedAt.getTime()).toBeGreaterThan(first?.checkedAt.getTime() ?? Infinity);
      await harness.setPolicy('city', 'manual');
      expect(await mirror.fieldPolicies()).toEqual(new Map([['city', 'manual']]));
    });

    it('adds up what a run did and resumes it where its cursor stands, seen ids permitting', async () => {
      const { mirror } = harness;
      const run = await mirror.startRun('sweep', true);
      expect(run).toMatchObject({ kind: 'sweep', state: 'running', withLinks: true, cursor: null, startedAt: expect.any(Date) });
      const fresh = await mirror.transaction(async (tx) => {
        const seen = [await tx.saveSeen([7, 8, 7]), await tx.saveSeen([8])];
        await tx.saveRun(run.id, { cursor, pages: 1, rowsSeen: 2 });
        await tx.saveRun(run.id, { pages: 1, rowsSeen: 1 });
        return seen;
      });
      expect(fresh).toEqual([2, 0]);
      expect(await harness.runCounts(run.id)).toMatchObject({ pages: 2, rowsSeen: 3 });
      await harness.setLeaderEpoch(2);
      harness.setLeaseEpoch(2);
      expect(await mirror.resumableRun('resync')).toBeNull();
      expect(await mirror.resumableRun('sweep')).toMatchObject({ id: run.id, cursor });
      await harness.loseSeen();
      await harness.setLeaderEpoch(3);
      harness.setLeaseEpoch(3);
      expect(await mirror.resumableRun('sweep')).toBeNull();
      expect(await harness.runCounts(run.id)).toMatchObject({ state: 'failed', error: 'interrupted' });
    });

    it('leaves a run of the living leader alone that has no cursor yet', async () => {
      const { mirror } = harness;
      const run = await mirror.startRun('resync', false);
      expect(await mirror.resumableRun('resync')).toBeNull();
      expect(await harness.runCounts(run.id)).toMatchObject({ state: 'running' });
    });

    it('takes requests oldest first, each once', async () => {
      const { mirror } = harness;
      const first = await harness.requestRun('resync', true);
      const second = await harness.requestRun('sync', false);
      expect(await mirror.takeRequest()).toMatchObject({ id: first, kind: 'resync', withLinks: true, state: 'running' });
      expect(await mirror.takeRequest()).toMatchObject({ id: second });
      expect(await mirror.takeRequest()).toBeNull();
    });

    it('takes a request again that an earlier leader took and did not end, unless it can be resumed', async () => {
      const { mirror } = harness;
      const sync = await harness.requestRun('sync', false);
      const resync = await harness.requestRun('resync', false);
      await mirror.takeRequest();
      await mirror.takeRequest();
      await mirror.transaction((tx) => tx.saveRun(resync, { cursor }));
      expect(await mirror.takeRequest()).toBeNull();
      await harness.setLeaderEpoch(2);
      harness.setLeaseEpoch(2);
      expect(await mirror.takeRequest()).toMatchObject({ id: sync, kind: 'sync' });
      expect(await mirror.takeRequest()).toBeNull();
    });

    it('remembers the first and the last complete sweep, and no other run', async () => {
      const { mirror } = harness;
      const end = async (kind: 'sweep' | 'changes', complete: boolean) => {
        const run = await mirror.startRun(kind, false);
        await mirror.finishRun(run.id, { state: complete ? 'done' : 'partial', complete, error: null });
        return await mirror.account();
      };
      expect(await end('changes', true)).toMatchObject({ firstSweepAt: null });
      expect(await end('sweep', false)).toMatchObject({ firstSweepAt: null, lastCompleteSweepAt: null });
      const first = await end('sweep', true);
      expect(first.firstSweepAt).toBeInstanceOf(Date);
      await laterNow(mirror);
      const second = await end('sweep', true);
      expect(second.firstSweepAt).toEqual(first.firstSweepAt);
      expect(second.lastCompleteSweepAt?.getTime()).toBeGreaterThan(first.lastCompleteSweepAt?.getTime() ?? Infinity);
    });

    it('tells seen from unseen, contacts already marked gone or hidden aside', async () => {
      const { mirror } = harness;
      const ids = await pairedContacts(mirror, ...[3, 5, 6, 7, 9].map((crmId) => newContact(crmId)));
      await mirror.transaction(async (tx) => {
        await tx.saveSeen([5, 50]);
        await tx.markVisibility([ids[2] ?? 0], 'hidden');
        await tx.markVisibility([ids[3] ?? 0], 'gone');
      });
      expect(await mirror.countSeen(10)).toBe(1);
      expect(await mirror.countSeen(50)).toBe(2);
      expect(await mirror.unseen(0, 9)).toEqual([3, 9]);
      expect(await mirror.unseen(3, 9)).toEqual([9]);
      expect(await mirror.unseen(0, 1)).toEqual([3]);
      expect(await mirror.oneSeen()).toBe(5);
      await mirror.clearSeen();
      expect(await mirror.oneSeen()).toBeNull();
      expect(await mirror.countSeen(50)).toBe(0);
    });
  });
};

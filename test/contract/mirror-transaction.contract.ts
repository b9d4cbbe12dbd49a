import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LOCK_NOT_AVAILABLE } from '../../src/ports/mirror.ts';
import { LostLeadership, MirrorBusy } from '../../src/ports/mirror-errors.ts';
import {
  edit,
  fieldsWith,
  holdOpen,
  NO_WRITE,
  newContact,
  pairedContacts,
  situation,
  type MakeMirror,
  type MirrorHarness,
} from './mirror-harness.ts';

export const describeTransactions = (makeMirror: MakeMirror): void => {
  describe('transactions and locks', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    it('shows nothing before the commit', async () => {
      const { mirror } = harness;
      const end = await holdOpen(mirror, async (tx) => void (await tx.insert([newContact(7)])));
      expect(await mirror.contactCount()).toBe(0);
      await end();
      expect(await mirror.contactCount()).toBe(1);
    });

    it('leaves nothing behind when the steps throw, and says so unchanged', async () => {
      const { mirror } = harness;
      const before = await harness.versions();
      const failing = mirror.transaction(async (tx) => {
        await tx.insert([newContact(7)]);
        throw new RangeError('no');
      });
      await expect(failing).rejects.toBeInstanceOf(RangeError);
      expect(await harness.versions()).toBe(before);
      await pairedContacts(mirror, newContact(7));
    });

    it.each([
      ['the database knows a later epoch', 2, 1],
      ['the lease is lost', 1, null],
    ] as const)('runs no step when %s', async (_why, leader, lease) => {
      const { mirror } = harness;
      await harness.setLeaderEpoch(leader);
      harness.setLeaseEpoch(lease);
      let ran = false;
      const steps = mirror.transaction(async () => {
        ran = true;
      });
      await expect(steps).rejects.toBeInstanceOf(LostLeadership);
      await expect(mirror.startRun('sweep', false)).rejects.toBeInstanceOf(LostLeadership);
      await expect(mirror.recoverAttempts(0)).rejects.toBeInstanceOf(LostLeadership);
      expect(ran).toBe(false);
    });

    it('skips a row that a person edits, and only that one', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      const user = await harness.begin();
      await user.update(a, { city: 'Rome' });
      expect(await mirror.transaction((tx) => tx.lockContacts([a, b], 'skip'))).toEqual(new Set([b]));
      await user.rollback();
      expect(await mirror.transaction((tx) => tx.lockContacts([b, a], 'skip'))).toEqual(new Set([a, b]));
    });

    it('skips a state that another transaction holds', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      const end = await holdOpen(mirror, async (tx) => void (await tx.lockStates([a], 'wait')));
      expect(await mirror.transaction((tx) => tx.lockStates([a, b], 'skip'))).toEqual(new Set([b]));
      await end();
    });

    it('locks only what exists', async () => {
      expect(await harness.mirror.transaction((tx) => tx.lockContacts([99], 'wait'))).toEqual(new Set());
      expect(await harness.mirror.transaction((tx) => tx.lockStates([99], 'skip'))).toEqual(new Set());
    });

    it('waits for a row, running the steps again until it is free', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const user = await harness.begin();
      await user.update(a, { city: 'Rome' });
      const firstTry = Promise.withResolvers<void>();
      let tries = 0;
      const waiting = mirror.transaction(async (tx) => {
        tries += 1;
        if (tries === 2) firstTry.resolve();
        await tx.lockContacts([a], 'wait');
        return (await tx.read([a])).get(a)?.row?.fields.city;
      });
      await firstTry.promise;
      await user.commit();
      expect(await waiting).toBe('Rome');
      expect(tries).toBeGreaterThan(1);
    });

    it('gives up with MirrorBusy when a row never comes free', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const user = await harness.begin();
      await user.update(a, { city: 'Rome' });
      await expect(mirror.transaction((tx) => tx.lockContacts([a], 'wait'))).rejects.toBeInstanceOf(MirrorBusy);
      await user.rollback();
    });

    it('lets a person link and unlink a contact whose row is locked', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const end = await holdOpen(mirror, async (tx) => void (await tx.lockContacts([a], 'wait')));
      await edit(harness, (user) => user.attach(a, 'companies', 3));
      await end();
      expect((await situation(mirror, a)).row?.links.companies).toEqual([3]);
    });

    it('locks the pairing for one transaction at a time', async () => {
      const { mirror } = harness;
      const end = await holdOpen(mirror, (tx) => tx.lockPairing());
      const second = Promise.withResolvers<void>();
      let tries = 0;
      const waiting = mirror.transaction(async (tx) => {
        tries += 1;
        if (tries === 2) second.resolve();
        await tx.lockPairing();
      });
      await second.promise;
      await end();
      await waiting;
      expect(tries).toBeGreaterThan(1);
    });

    it('reads after the lock what was committed while it waited', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await edit(harness, (user) => user.update(a, { city: 'Oslo' }));
      const seen = await mirror.transaction(async (tx) => {
        await tx.peek([7]);
        await edit(harness, (user) => user.update(a, { city: 'Rome' }));
        await tx.lockContacts([a], 'skip');
        return (await tx.read([a])).get(a);
      });
      expect(seen?.row?.fields.city).toBe('Rome');
      expect(seen?.open.editedAt.has('city')).toBe(true);
    });

    it('rolls a refused step back to its savepoint and keeps the rest', async () => {
      const { mirror } = harness;
      await harness.forbidFirstName('Mallory');
      const refusal = await mirror.transaction(async (tx) => {
        await tx.insert([newContact(7)]);
        const first = await tx.savepoint(async () => {
          await tx.insert([newContact(8)]);
          await tx.insert([newContact(9, { first_name: 'Mallory' })]);
        });
        // Written after the rollback: still our own write, and no edit of anybody's.
        await tx.insert([newContact(10)]);
        return first;
      });
      expect(refusal?.sqlState).toBe('23514');
      expect([...(await mirror.transaction((tx) => tx.peek([7, 8, 9, 10]))).keys()].sort((a, b) => a - b)).toEqual([7, 10]);
      expect(await harness.log()).toEqual([]);
    });

    it('answers null for a savepoint without refusal, announces writes anew after one, and passes other errors on', async () => {
      const { mirror } = harness;
      await harness.forbidFirstName('Mallory');
      await mirror.transaction(async (tx) => {
        expect(await tx.savepoint(async () => void (await tx.insert([newContact(9, { first_name: 'Mallory' })])))).not.toBeNull();
        expect(await tx.savepoint(async () => void (await tx.insert([newContact(7)])))).toBeNull();
      });
      expect(await harness.log()).toEqual([]);
      const broken = mirror.transaction((tx) => tx.savepoint(() => Promise.reject(new TypeError('a bug'))));
      await expect(broken).rejects.toBeInstanceOf(TypeError);
    });

    it('answers a lock that lasts as a refusal of its own kind, and keeps the rest', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const user = await harness.begin();
      await user.update(a, { city: 'Rome' });
      const refusal = await mirror.transaction(async (tx) => {
        await tx.insert([newContact(8)]);
        return await tx.savepoint(async () => void (await tx.lockContacts([a], 'wait')));
      });
      await user.commit();
      expect(refusal?.sqlState).toBe(LOCK_NOT_AVAILABLE);
      expect(await mirror.contactCount()).toBe(2);
    });

    it('reports a second row of one CRM id as a refusal instead of overwriting the first', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const refusal = await mirror.transaction((tx) => tx.savepoint(async () => void (await tx.insert([newContact(7, { city: 'Rome' })]))));
      expect(refusal?.sqlState).toBe('23505');
      expect((await situation(mirror, a)).row?.fields).toEqual(fieldsWith({}));
      await mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: a }]));
    });
  });
};

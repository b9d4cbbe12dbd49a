import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimDue, edit, laterNow, newContact, pairedContacts, situation, type MakeMirror, type MirrorHarness } from './mirror-harness.ts';

const URL = 'https://crm.example.test/api';
const OTHER = 'https://other.example.test/api';

export const describeIdentity = (makeMirror: MakeMirror): void => {
  describe('the identity of database and account', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());
    const check = (url = URL) => harness.mirror.checkIdentity(url);
    const held = async () => (await harness.mirror.account()).identityHold;
    const sweep = async (): Promise<void> => {
      const run = await harness.mirror.startRun('sweep', false);
      await harness.mirror.finishRun(run.id, { state: 'done', complete: true, error: null });
    };

    it('is stored at the first check, and then costs no write', async () => {
      expect(await check()).toEqual({ verdict: 'own', holdId: null, reason: null, isNew: false });
      const before = await harness.versions();
      expect(await check()).toMatchObject({ verdict: 'own' });
      await harness.mirror.planIdentity();
      expect(await harness.versions()).toBe(before);
      expect(await held()).toBeNull();
    });

    it('changed, is one hold, however often it is checked, with the open deletions in it', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(1), newContact(2));
      await check();
      await edit(harness, async (user) => {
        await user.delete(a);
        await user.update(b, { city: 'Rome' });
      });
      await harness.moveDatabase();
      const first = await check();
      expect(first).toMatchObject({ verdict: 'changed', isNew: true });
      expect(await check()).toEqual({ ...first, isNew: false });
      expect(await held()).toEqual({ holdId: first.holdId, swept: false });
      expect((await harness.log()).map(({ op, state }) => [op, state])).toEqual([
        ['delete', 'held'],
        ['update', 'pending'],
      ]);
      expect((await harness.openHolds())[0]?.plan).toEqual([
        { contact_id: a, crm_id: 1, op: 'delete' },
        { contact_id: b, crm_id: 2, op: 'update' },
      ]);
    });

    it('is approved only after a complete sweep that began later; then nothing is held any more', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(1));
      await check();
      await sweep();
      await edit(harness, (user) => user.delete(a));
      await harness.moveDatabase();
      const { holdId } = await check();
      await expect(harness.approve(holdId ?? 0)).rejects.toThrow('no complete sweep');
      await laterNow(mirror);
      expect((await situation(mirror, a)).open.states).toEqual(new Set(['held']));
      await sweep();
      expect(await held()).toEqual({ holdId, swept: true });
      await harness.approve(holdId ?? 0);
      expect(await held()).toBeNull();
      expect(await check()).toMatchObject({ verdict: 'own' });
      expect((await claimDue(mirror)).ids).toEqual([a]);
      expect((await situation(mirror, a)).open.approved).toBe(true);
    });

    it('keeps its plan up to date, and writes nothing where it is', async () => {
      const [a = 0] = await pairedContacts(harness.mirror, newContact(1));
      await check();
      await harness.moveDatabase();
      await check();
      await edit(harness, (user) => user.update(a, { city: 'Rome' }));
      await harness.mirror.planIdentity();
      expect((await harness.openHolds())[0]?.plan).toEqual([{ contact_id: a, crm_id: 1, op: 'update' }]);
      const before = await harness.versions();
      await harness.mirror.planIdentity();
      expect(await harness.versions()).toBe(before);
    });

    it('leaves alone what a leader is sending', async () => {
      const [a = 0] = await pairedContacts(harness.mirror, newContact(1));
      await check();
      await edit(harness, (user) => user.delete(a));
      await claimDue(harness.mirror);
      await harness.moveDatabase();
      await check();
      expect((await harness.log()).map(({ state }) => state)).toEqual(['sending']);
    });

    it('of another account is told as such, once, and is over when the address is the old one again', async () => {
      await check();
      const first = await check(OTHER);
      expect(first).toMatchObject({ verdict: 'other_account', isNew: true });
      expect(first.reason).toContain(OTHER);
      expect(await check(OTHER)).toEqual({ ...first, isNew: false });
      expect(await held()).toBeNull();
      expect(await check()).toMatchObject({ verdict: 'own' });
    });

    it('of another address is the new one once a person says that the account is the same', async () => {
      await check();
      const { holdId } = await check(OTHER);
      await harness.approve(holdId ?? 0);
      expect(await check(OTHER)).toMatchObject({ verdict: 'own' });
      expect(await check()).toMatchObject({ verdict: 'other_account' });
    });
  });
};

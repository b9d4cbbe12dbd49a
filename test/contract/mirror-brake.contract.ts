/** The brake's steps: what counts, what waits, what is held and let go. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_DESTRUCTION } from '../../src/domain/brake.ts';
import { NO_LINKS } from '../../src/domain/contact.ts';
import { claimDue, edit, newContact, pairedContacts, situation, type MakeMirror, type MirrorHarness } from './mirror-harness.ts';

export const describeBrake = (makeMirror: MakeMirror): void => {
  describe('brake', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    const load = (direction: 'push' | 'pull') => harness.mirror.transaction((tx) => tx.brakeLoad(direction));
    const states = async () => (await harness.log()).map((row) => row.state);
    const plans = async () => (await harness.openHolds()).map(({ plan }) => plan);
    const contacts = () =>
      pairedContacts(
        harness.mirror,
        newContact(7, { city: 'Rome', job_title: 'Cook' }, { companies: [1, 2], deals: [], activities: [] }),
        newContact(8, { city: 'Bonn' }, { companies: [], deals: [], activities: [] }),
        newContact(9, {}, { companies: [], deals: [], activities: [] }),
      );

    it('counts damage as contacts, in its own direction, whatever was done to each and how often', async () => {
      const [a = 0, b = 0] = await contacts();
      await harness.mirror.transaction(async (tx) => {
        await tx.countDamage('push', [
          { contactId: a, op: 'empty' },
          { contactId: a, op: 'empty' },
          { contactId: a, op: 'detach' },
          { contactId: b, op: 'audit' },
        ]);
        await tx.countDamage('pull', []);
      });
      expect(await load('push')).toEqual({ lastHour: 2, waiting: 0, mirrorRows: 3 });
      expect(await load('pull')).toEqual({ lastHour: 0, waiting: 0, mirrorRows: 3 });
    });

    it('counts as waiting what was deleted, emptied or unlinked, and not what was changed or added', async () => {
      const [a = 0, b = 0, c = 0] = await contacts();
      await edit(harness, (user) => user.update(a, { city: 'Oslo' }));
      await edit(harness, (user) => user.attach(b, 'deals', 3));
      await edit(harness, (user) => user.update(c, { city: 'Paris' }));
      expect(await load('push')).toMatchObject({ waiting: 0 });
      await edit(harness, (user) => user.update(a, { city: ' ' }));
      await edit(harness, (user) => user.detach(a, 'companies', 1));
      expect(await load('push')).toMatchObject({ waiting: 1 });
      await edit(harness, (user) => user.detach(b, 'deals', 3));
      await edit(harness, (user) => user.delete(c));
      expect(await load('push')).toMatchObject({ waiting: 3, mirrorRows: 3 });
    });

    it('holds a burst at once: fields and links by name, what is harmless by now or taken by another attempt left out', async () => {
      const [a = 0, b = 0, c = 0] = await contacts();
      await edit(harness, (user) => user.update(c, { city: 'x' }));
      const { attempt } = await claimDue(harness.mirror);
      await harness.mirror.transaction((tx) =>
        tx.settle({
          contactId: c,
          attempt,
          outcomes: [{ ops: ['update'], state: 'merged', code: null, error: null, delayMs: 0 }],
          ends: 'release',
        }),
      );
      await edit(harness, (user) => user.delete(c));
      await claimDue(harness.mirror);
      await edit(harness, (user) => user.update(a, { city: null }));
      await edit(harness, (user) => user.detach(a, 'companies', 2));
      await edit(harness, (user) => user.update(b, { city: null }));
      await edit(harness, (user) => user.update(b, { city: 'Bonn' }));
      const hold = await harness.mirror.transaction((tx) => tx.holdWaiting('too many', c));
      expect(await harness.openHolds()).toEqual([
        {
          id: hold,
          reason: 'too many',
          plan: [
            { contact_id: a, crm_id: 7, op: 'detach', fields: ['city'], links: { companies: [2] } },
            { contact_id: c, crm_id: 9, op: 'delete' },
          ],
        },
      ]);
      expect(await states()).toEqual(['merged', 'held', 'held', 'held', 'pending', 'pending']);
      expect((await situation(harness.mirror, c)).attempt).toBeNull();
    });

    it('tells what exactly a person approved', async () => {
      const [a = 0] = await contacts();
      await edit(harness, (user) => user.update(a, { city: null }));
      await edit(harness, (user) => user.detach(a, 'companies', 2));
      const hold = await harness.mirror.transaction((tx) => tx.holdWaiting('too many', a));
      await harness.approve(hold);
      await edit(harness, (user) => user.update(a, { job_title: null }));
      await edit(harness, (user) => user.detach(a, 'companies', 1));
      expect((await situation(harness.mirror, a)).open).toMatchObject({
        approved: true,
        approvals: { all: false, deletes: false, fields: ['city'], links: { ...NO_LINKS, companies: [2] } },
      });
      expect(await load('push')).toMatchObject({ waiting: 1 });
    });

    it('releases what is harmless by now, and a hold with its last line', async () => {
      const [a = 0, b = 0] = await contacts();
      await edit(harness, (user) => user.update(a, { city: null }));
      await edit(harness, (user) => user.delete(b));
      await harness.mirror.transaction((tx) => tx.holdWaiting('too many', b));
      expect(await harness.mirror.transaction((tx) => tx.releaseHarmless())).toBe(0);
      await edit(harness, (user) => user.update(a, { city: 'Rome' }));
      expect(await harness.mirror.transaction((tx) => tx.releaseHarmless())).toBe(1);
      expect(await states()).toEqual(['pending', 'held', 'pending']);
      expect(await plans()).toEqual([
        [
          { contact_id: a, crm_id: 7, op: 'update', fields: ['city'], released: true },
          { contact_id: b, crm_id: 8, op: 'delete' },
        ],
      ]);
      await harness.mirror.transaction((tx) => tx.release('push', [b]));
      expect(await harness.openHolds()).toEqual([]);
    });

    it('holds what a record would take, keeps of a line what the record is silent about, and releases only what it tells', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await contacts();
      const unlinks = { ...NO_DESTRUCTION, links: { ...NO_LINKS, companies: [1] } };
      const empties = { ...NO_DESTRUCTION, fields: ['city' as const] };
      await mirror.transaction((tx) =>
        tx.holdIncoming('too many', [
          { contactId: a, destruction: unlinks, silent: [] },
          { contactId: b, destruction: empties, silent: ['companies', 'deals', 'activities'] },
        ]),
      );
      expect((await situation(mirror, a)).holdId).not.toBeNull();
      expect((await mirror.transaction((tx) => tx.peek([7]))).get(7)?.holdId).not.toBeNull();
      expect(await load('pull')).toMatchObject({ waiting: 2, lastHour: 0 });
      await mirror.transaction((tx) => tx.holdIncoming('again', [{ contactId: a, destruction: empties, silent: ['companies'] }]));
      expect(await plans()).toEqual([
        [
          { contact_id: a, crm_id: 7, op: 'detach', fields: ['city'], links: { companies: [1] } },
          { contact_id: b, crm_id: 8, op: 'update', fields: ['city'] },
        ],
      ]);
      await mirror.transaction((tx) => tx.release('pull', [a, b], new Map([[a, ['companies'] as const]])));
      expect((await situation(mirror, a)).holdId).not.toBeNull();
      expect((await situation(mirror, b)).holdId).toBeNull();
      expect(await load('pull')).toMatchObject({ waiting: 1 });
      await mirror.transaction((tx) => tx.release('pull', [a], new Map()));
      expect(await harness.openHolds()).toEqual([]);
    });

    it('writes nothing where a record is held already as it is, and leaves an approved one to its read', async () => {
      const { mirror } = harness;
      const [a = 0] = await contacts();
      const incoming = [{ contactId: a, destruction: { ...NO_DESTRUCTION, fields: ['city' as const] }, silent: [] }];
      await mirror.transaction((tx) => tx.holdIncoming('too many', incoming));
      const before = await harness.versions();
      await mirror.transaction((tx) => tx.holdIncoming('too many', incoming));
      expect(await harness.versions()).toBe(before);
      await harness.approve((await harness.openHolds())[0]?.id ?? 0);
      expect((await situation(mirror, a)).holdId).toBeNull();
      await mirror.transaction((tx) => tx.holdIncoming('too many', incoming));
      expect((await situation(mirror, a)).holdId).toBeNull();
    });
  });
};

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_LINKS } from '../../src/domain/contact.ts';
import {
  claimDue,
  edit,
  fieldsWith,
  links,
  newContact,
  pairedContacts,
  situation,
  UPDATED_AT,
  type MakeMirror,
  type MirrorHarness,
} from './mirror-harness.ts';

export const describeReads = (makeMirror: MakeMirror): void => {
  describe('peek and read', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    it('peeks what a page needs to tell that a record is known', async () => {
      const { mirror } = harness;
      const contact = newContact(7, { city: 'Rome' }, { companies: [1, 2], deals: [] });
      const [a = 0] = await pairedContacts(mirror, contact);
      const peeks = await mirror.transaction((tx) => tx.peek([7, 8]));
      expect([...peeks.keys()]).toEqual([7]);
      expect(peeks.get(7)).toEqual({
        contactId: a,
        crmId: 7,
        baseHash: contact.baseHash,
        extraHash: contact.extraHash,
        links: { companies: [1, 2], deals: [], activities: null },
        crmUpdatedAt: UPDATED_AT,
        hasRow: true,
        settledAt: null,
        busy: false,
        deletedAt: null,
        goneAt: null,
        hiddenAt: null,
        holdId: null,
      });
    });

    it('still knows a contact whose row was deleted and whose delete is not pushed', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await edit(harness, (user) => user.delete(a));
      const peek = (await mirror.transaction((tx) => tx.peek([7]))).get(7);
      expect(peek).toMatchObject({ contactId: a, hasRow: false, crmUpdatedAt: null, deletedAt: null });
      const { row, base, open } = await situation(mirror, a);
      expect(row).toBeNull();
      expect(base).not.toBeNull();
      expect(open.ops).toEqual(new Set(['delete']));
      expect(open.deletedAt).toBeInstanceOf(Date);
    });

    it('reads row, links and base as they were inserted', async () => {
      const { mirror } = harness;
      const fields = {
        email: 'ada@example.com',
        phones: [{ number: '+1 555', type: 'work' as const }],
        user_id: 5,
        custom_fields: { cf_a: [1, 2], cf_b: 'x' },
      };
      const [a = 0] = await pairedContacts(mirror, newContact(7, fields, { companies: [3], deals: [4, 5], activities: [] }));
      const found = await situation(mirror, a);
      expect(found.row).toEqual({ fields: fieldsWith(fields), links: { companies: [3], deals: [4, 5], activities: [] } });
      expect(found.base).toEqual({ fields: fieldsWith(fields), links: { companies: [3], deals: [4, 5], activities: [] } });
      expect(found).toMatchObject({
        contactId: a,
        crmId: 7,
        crmUpdatedAt: UPDATED_AT,
        attempt: null,
        intent: null,
        sent: null,
        settledAt: null,
        deletedAt: null,
      });
      expect(found.open).toEqual({
        ops: new Set(),
        editedAt: new Map(),
        deletedAt: null,
        attached: NO_LINKS,
        detached: NO_LINKS,
        attempts: 0,
        states: new Set(),
        approved: false,
        waitedMs: null,
        approvals: { all: false, deletes: false, fields: [], links: NO_LINKS },
      });
    });

    it('reads a new row that has no state yet, and nothing of an id that does not exist', async () => {
      const { mirror } = harness;
      const a = await edit(harness, (user) => user.insert({ first_name: 'Bo' }));
      const found = await mirror.transaction((tx) => tx.read([a, a + 100]));
      expect([...found.keys()]).toEqual([a]);
      expect(found.get(a)).toMatchObject({ crmId: null, base: null, settledAt: null, attempt: null });
      expect(found.get(a)?.open.ops).toEqual(new Set(['insert']));
    });

    it('reads a phone without a type as a mobile one', async () => {
      const { mirror } = harness;
      // What SQL allows and the type does not: the column is free JSON.
      const phones = [{ number: '1' }] as unknown as [];
      const a = await edit(harness, (user) => user.insert({ first_name: 'Bo', phones }));
      const found = await situation(mirror, a);
      expect(found.row?.fields.phones.map((phone) => phone.type ?? 'mobile')).toEqual(['mobile']);
    });

    it('sums up the open edits: the newest time of each field, custom fields one by one', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7, { custom_fields: { cf_a: 1, cf_b: 2 } }));
      const t0 = await mirror.now();
      await edit(harness, (user) => user.update(a, { city: 'Rome', custom_fields: { cf_b: 3 } }));
      await edit(harness, (user) => user.update(a, { city: 'Oslo' }));
      const { open } = await situation(mirror, a);
      expect([...open.editedAt.keys()].sort()).toEqual(['cf_a', 'cf_b', 'city']);
      expect(open.states).toEqual(new Set(['pending']));
      const [city, cfB] = [open.editedAt.get('city')?.getTime() ?? 0, open.editedAt.get('cf_b')?.getTime() ?? 0];
      expect(city).toBeGreaterThanOrEqual(cfB);
      expect(cfB).toBeGreaterThanOrEqual(t0.getTime());
    });

    it('remembers what a write carried until a base is stored, or the attempt ends with a known outcome', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const sent = { fields: { city: 'Oslo', cf_a: null }, attach: links({ deals: [9] }), detach: NO_LINKS };
      const claim = (): Promise<number> =>
        mirror.transaction(async (tx) => {
          const attempt = await tx.claim([a]);
          await tx.saveSent([{ contactId: a, sent }]);
          return attempt;
        });
      const settle = (attempt: number, ends: 'unknown' | 'release') =>
        mirror.transaction((tx) => tx.settle({ contactId: a, attempt, outcomes: [], ends }));
      const stored = async () => (await situation(mirror, a)).sent;

      const attempt = await claim();
      expect(await stored()).toEqual(sent);
      await settle(attempt, 'unknown');
      expect(await stored()).toEqual(sent);
      await settle(await claim(), 'release');
      expect(await stored()).toBeNull();

      await claim();
      const { base } = newContact(7);
      const write = { contactId: a, fields: null, addLinks: NO_LINKS, removeLinks: NO_LINKS, extra: null, crmTimes: null };
      await mirror.transaction((tx) => tx.save([{ ...write, base: null, crmTimes: { createdAt: null, updatedAt: null } }]));
      expect(await stored()).toEqual(sent);
      await mirror.transaction((tx) => tx.save([{ ...write, base: { ...base, hash: 'any' } }]));
      expect(await stored()).toBeNull();
    });

    it('keeps the last edit of each link', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7, {}, { companies: [1, 2], deals: [], activities: [] }));
      await edit(harness, (user) => user.detach(a, 'companies', 1));
      await edit(harness, (user) => user.attach(a, 'companies', 1));
      await edit(harness, (user) => user.detach(a, 'companies', 2));
      await edit(harness, (user) => user.attach(a, 'deals', 9));
      await edit(harness, (user) => user.attach(a, 'activities', 5));
      await edit(harness, (user) => user.detach(a, 'activities', 5));
      const { open, row } = await situation(mirror, a);
      expect(open.attached).toEqual(links({ companies: [1], deals: [9] }));
      expect(open.detached).toEqual(links({ companies: [2], activities: [5] }));
      expect(row?.links).toEqual({ companies: [1], deals: [9], activities: [] });
    });

    it('leaves settled edits out of the sum', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await edit(harness, (user) => user.update(a, { city: 'Rome' }));
      const { attempt } = await claimDue(mirror);
      const outcome = { ops: ['update'], state: 'done', code: null, error: null, delayMs: 0 } as const;
      await mirror.transaction((tx) => tx.settle({ contactId: a, attempt, outcomes: [outcome], ends: 'release' }));
      await edit(harness, (user) => user.update(a, { street: 'Main' }));
      const { open } = await situation(mirror, a);
      expect([...open.editedAt.keys()]).toEqual(['street']);
      expect(open.attempts).toBe(0);
    });

    it('names the fields under an open manual conflict', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      const conflict = { contactId: a, base: null, local: 'x', remote: 'y', compared: null };
      await mirror.transaction((tx) =>
        tx.recordConflicts([
          { ...conflict, field: 'city', outcome: 'open', policy: 'manual' },
          { ...conflict, field: 'street', outcome: 'open', policy: 'newest' },
          { ...conflict, field: 'email', outcome: 'crm', policy: 'manual' },
        ]),
      );
      expect((await situation(mirror, a)).heldFields).toEqual(new Set(['city']));
    });

    it('answers nothing for nothing', async () => {
      await harness.mirror.transaction(async (tx) => {
        expect((await tx.peek([])).size).toBe(0);
        expect((await tx.read([])).size).toBe(0);
        expect((await tx.lockContacts([], 'wait')).size).toBe(0);
        expect((await tx.insert([])).size).toBe(0);
        expect((await tx.matchUnpaired([], { byContent: true })).paired.size).toBe(0);
      });
    });
  });
};

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_FIELDS } from '../../src/domain/contact.ts';
import {
  claimDue,
  edit,
  fieldsWith,
  links,
  newContact,
  NO_WRITE,
  pairedContacts,
  situation,
  UPDATED_AT,
  type MakeMirror,
  type MirrorHarness,
} from './mirror-harness.ts';

export const describeWrites = (makeMirror: MakeMirror): void => {
  describe('writing contacts', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    it('logs nothing of its own writing', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7, {}, { companies: [1], deals: [], activities: [] }));
      await mirror.transaction((tx) =>
        tx.save([
          {
            ...NO_WRITE,
            contactId: a,
            fields: fieldsWith({ city: 'Rome' }),
            addLinks: links({ deals: [2] }),
            removeLinks: links({ companies: [1] }),
          },
        ]),
      );
      await mirror.transaction((tx) => tx.remove([a]));
      expect(await harness.log()).toEqual([]);
    });

    it('saves each part alone and leaves the others', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(
        mirror,
        newContact(7, { city: 'Oslo' }, { companies: [1], deals: null, activities: null }),
        newContact(8, { city: 'Oslo' }),
      );
      const base = { fields: fieldsWith({ city: 'Bern' }), hash: 'h2', links: { companies: [1], deals: [5], activities: null } };
      await mirror.transaction((tx) =>
        tx.save([
          { ...NO_WRITE, contactId: a, fields: fieldsWith({ city: 'Rome' }) },
          { ...NO_WRITE, contactId: b, base, crmTimes: { createdAt: null, updatedAt: new Date('2026-02-02T00:00:00Z') } },
        ]),
      );
      const [one, two] = [await situation(mirror, a), await situation(mirror, b)];
      expect(one.row?.fields.city).toBe('Rome');
      expect(one.base?.fields.city).toBe('Oslo');
      expect(one.crmUpdatedAt).toEqual(UPDATED_AT);
      expect(two.row?.fields.city).toBe('Oslo');
      expect(two.base).toEqual({ fields: base.fields, links: base.links });
      expect(two.crmUpdatedAt).toEqual(new Date('2026-02-02T00:00:00Z'));
      expect(two.extraHash).toBe(newContact(8).extraHash);
      await mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: a, extra: { value: { x: 1 }, hash: 'e2' } }]));
      const after = await situation(mirror, a);
      expect(after).toMatchObject({ extraHash: 'e2', crmId: 7 });
      expect(after.base?.links.companies).toEqual([1]);
      expect(after.row?.fields.city).toBe('Rome');
    });

    it('changes links by element, and only those named', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7, {}, { companies: [1, 2], deals: [], activities: [] }));
      await edit(harness, (user) => user.attach(a, 'companies', 9));
      await mirror.transaction((tx) =>
        tx.save([{ ...NO_WRITE, contactId: a, addLinks: links({ companies: [2, 3] }), removeLinks: links({ companies: [1, 77] }) }]),
      );
      expect((await situation(mirror, a)).row?.links.companies).toEqual([2, 3, 9]);
    });

    it('writes no row version where nothing differs', async () => {
      const { mirror } = harness;
      const contact = newContact(
        7,
        { city: 'Oslo', phones: [{ number: '1', type: 'work' }], custom_fields: { cf_a: null, cf_b: [1] } },
        { companies: [1], deals: [], activities: null },
      );
      const [a = 0] = await pairedContacts(mirror, contact);
      const before = await harness.versions();
      const { extra, createdAt, updatedAt } = contact.record;
      await mirror.transaction(async (tx) => {
        await tx.save([
          {
            contactId: a,
            fields: contact.fields,
            addLinks: links({ companies: [1] }),
            removeLinks: links({ deals: [8] }),
            base: { fields: contact.base.fields, hash: contact.baseHash, links: contact.base.links },
            extra: { value: extra, hash: contact.extraHash },
            crmTimes: { createdAt, updatedAt },
          },
          { ...NO_WRITE, contactId: a + 1 },
        ]);
        await tx.touch([{ contactId: a, crmUpdatedAt: UPDATED_AT }]);
        await tx.markVisibility([a], 'visible');
        await tx.clearRefused([7]);
        await tx.unmark([7], ['links'], new Date());
        await tx.clearIntent(a);
        await tx.pair(a, 7);
      });
      expect(await harness.versions()).toBe(before);
    });

    it('makes the state of a row that has none', async () => {
      const { mirror } = harness;
      const a = await edit(harness, (user) => user.insert({ first_name: 'Bo' }));
      const base = { fields: fieldsWith({}), hash: 'h', links: { companies: [], deals: null, activities: null } };
      await mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: a, base }]));
      expect((await situation(mirror, a)).base).toEqual({ fields: base.fields, links: base.links });
    });

    it("logs what a person's trigger made of our write as that person's edit", async () => {
      const { mirror } = harness;
      await harness.rewriteJobTitle('CEO', 'Chief');
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7, { job_title: 'CEO' }), newContact(8));
      await mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: b, fields: fieldsWith({ job_title: 'CEO', city: 'Rome' }) }]));
      const log = await harness.log();
      expect(log.map(({ contactId, op, oldValues, newValues, state }) => ({ contactId, op, oldValues, newValues, state }))).toEqual(
        [a, b].map((contactId) => ({
          contactId,
          op: 'update',
          oldValues: { job_title: 'CEO' },
          newValues: { job_title: 'Chief' },
          state: 'pending',
        })),
      );
      expect((await situation(mirror, a)).base?.fields.job_title).toBe('CEO');
    });

    it('touches the time alone, and leaves a row that a person holds', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      const crmUpdatedAt = new Date('2026-03-03T00:00:00Z');
      const user = await harness.begin();
      await user.update(a, { city: 'Rome' });
      await mirror.transaction((tx) => tx.touch([a, b].map((contactId) => ({ contactId, crmUpdatedAt }))));
      await user.commit();
      expect((await situation(mirror, a)).crmUpdatedAt).toEqual(UPDATED_AT);
      expect((await situation(mirror, b)).crmUpdatedAt).toEqual(crmUpdatedAt);
    });

    it('removes a row, settles what was to be pushed, and lets it come back under its old id', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7, {}, { companies: [1], deals: [], activities: [] }));
      await edit(harness, (user) => user.update(a, { city: 'Rome' }));
      await mirror.transaction((tx) => tx.remove([a]));
      expect(await mirror.contactCount()).toBe(0);
      expect((await harness.log()).map(({ state, hasNextAttempt, isSettled }) => ({ state, hasNextAttempt, isSettled }))).toEqual([
        { state: 'merged', hasNextAttempt: false, isSettled: true },
      ]);
      const tomb = await situation(mirror, a);
      expect(tomb).toMatchObject({ crmId: 7, row: null, base: null, extraHash: null });
      expect(tomb.deletedAt).toBeInstanceOf(Date);
      const peek = (await mirror.transaction((tx) => tx.peek([7]))).get(7);
      expect(peek).toMatchObject({
        contactId: a,
        hasRow: false,
        baseHash: null,
        links: { companies: null, deals: null, activities: null },
      });
      await pairedContacts(mirror, { ...newContact(7, { city: 'Bern' }), contactId: a });
      const back = await situation(mirror, a);
      expect(back.row?.fields.city).toBe('Bern');
      expect(back.deletedAt).toBeNull();
      expect(await mirror.transaction((tx) => tx.brakeLoad('pull'))).toMatchObject({ lastHour: 0 });
    });

    it('counts a removal once, however often it is proven', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      await mirror.transaction((tx) => tx.remove([a]));
      const before = await harness.versions();
      await mirror.transaction((tx) => tx.remove([a]));
      expect(await harness.versions()).toBe(before);
      expect(await mirror.transaction((tx) => tx.brakeLoad('pull'))).toEqual({ lastHour: 1, waiting: 0, mirrorRows: 1 });
    });

    it('gives new ids to new contacts after an old id came back', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await mirror.transaction((tx) => tx.remove([a]));
      const ids = await pairedContacts(mirror, { ...newContact(7), contactId: a }, newContact(8), newContact(9));
      expect(ids[0]).toBe(a);
      expect(new Set(ids).size).toBe(3);
      expect(await edit(harness, (user) => user.insert({ ...EMPTY_FIELDS, first_name: 'Bo' }))).toBeGreaterThan(Math.max(...ids));
    });

    it('marks gone, hidden and visible again, and keeps the first time', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await mirror.transaction((tx) => tx.markVisibility([a], 'gone'));
      const gone = await situation(mirror, a);
      expect(gone.goneAt).toBeInstanceOf(Date);
      const before = await harness.versions();
      await mirror.transaction((tx) => tx.markVisibility([a], 'gone'));
      expect(await harness.versions()).toBe(before);
      await mirror.transaction((tx) => tx.markVisibility([a], 'hidden'));
      expect(await situation(mirror, a)).toMatchObject({ goneAt: null, hiddenAt: expect.any(Date) });
      await mirror.transaction((tx) => tx.markVisibility([a], 'visible'));
      expect(await situation(mirror, a)).toMatchObject({ goneAt: null, hiddenAt: null });
    });

    it('gives each settle a time that is not older than the clock it was done at', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await edit(harness, (user) => user.update(a, { city: 'Rome' }));
      const { attempt } = await claimDue(mirror);
      const requestedAt = await mirror.now();
      await mirror.transaction((tx) => tx.settle({ contactId: a, attempt, outcomes: [], ends: 'release' }));
      const { settledAt } = await situation(mirror, a);
      expect(settledAt?.getTime()).toBeGreaterThanOrEqual(requestedAt.getTime());
      expect((await mirror.transaction((tx) => tx.peek([7]))).get(7)?.settledAt).toEqual(settledAt);
    });
  });
};

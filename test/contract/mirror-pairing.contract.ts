import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  edit,
  fieldsWith,
  links,
  newContact,
  pairedContacts,
  recordOf,
  situation,
  claimDue,
  type MakeMirror,
  type MirrorHarness,
} from './mirror-harness.ts';

const phone = (number: string) => [{ number, type: 'mobile' as const }];

export const describePairing = (makeMirror: MakeMirror): void => {
  describe('pairing', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    const insert = (fields: Parameters<typeof fieldsWith>[0]) => edit(harness, (user) => user.insert(fieldsWith(fields)));
    type Records = readonly ReturnType<typeof recordOf>[];
    const find = (records: Records, byContent = true) => harness.mirror.transaction((tx) => tx.matchUnpaired(records, { byContent }));
    const match = async (...records: Records) => (await find(records)).paired;

    it('matches by e-mail without case, else by phone and name', async () => {
      const byEmail = await insert({ email: 'Ada@Example.com' });
      const byPhone = await insert({ first_name: 'Bo', last_name: 'Li', phones: phone('+1 5') });
      await insert({ first_name: 'Cy', phones: phone('+1 6') });
      const matches = await match(
        recordOf(7, { email: 'ada@example.com ' }),
        recordOf(8, { first_name: 'bo', last_name: 'LI', phones: phone(' +1 5') }),
        recordOf(9, { first_name: 'Other', phones: phone('+1 6') }),
        recordOf(10),
      );
      expect(matches).toEqual(
        new Map([
          [7, byEmail],
          [8, byPhone],
        ]),
      );
    });

    it('matches one to one only, and nobody by phone who has a candidate by e-mail', async () => {
      await insert({ email: 'twin@example.com' });
      await insert({ email: 'twin@example.com' });
      const shared = { first_name: 'Bo', last_name: 'Li', phones: phone('5') };
      await insert({ ...shared, email: 'bo@example.com' });
      const matches = await match(
        recordOf(7, { email: 'twin@example.com', ...shared }),
        recordOf(8, shared),
        recordOf(9, shared),
        recordOf(10, { email: 'bo@example.com' }),
      );
      expect([...matches.keys()]).toEqual([10]);
    });

    it('leaves out rows that are paired, whose create is on its way, or that somebody holds', async () => {
      const { mirror } = harness;
      const [paired = 0] = await pairedContacts(mirror, newContact(1, { email: 'a@example.com' }));
      const creating = await insert({ email: 'b@example.com' });
      await claimDue(mirror);
      const busy = await insert({ email: 'c@example.com' });
      const user = await harness.begin();
      await user.update(busy, { city: 'Rome' });
      const records = [
        recordOf(7, { email: 'a@example.com' }),
        recordOf(8, { email: 'b@example.com' }),
        recordOf(9, { email: 'c@example.com' }),
      ];
      expect(await find(records)).toEqual({ paired: new Map(), locked: new Set([9]), creating: new Set() });
      await user.commit();
      expect(await match(...records)).toEqual(new Map([[9, busy]]));
      expect(paired).not.toBe(creating);
    });

    it('matches nobody by content outside of a first run', async () => {
      const a = await insert({ email: 'a@example.com' });
      expect((await find([recordOf(7, { email: 'a@example.com' })], false)).paired).toEqual(new Map());
      expect((await find([recordOf(7, { email: 'a@example.com' })], true)).paired).toEqual(new Map([[7, a]]));
    });

    it('gives a contact that is restored there the row that had its id, unless that is being created anew', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7, { city: 'Rome' }), newContact(8));
      await edit(harness, (user) => user.update(a, { city: 'Oslo' }));
      await mirror.transaction((tx) => tx.unpair(a));
      await mirror.transaction((tx) => tx.unpair(b));
      expect(await find([recordOf(7), recordOf(8), recordOf(9)], false)).toEqual({
        paired: new Map([
          [7, a],
          [8, b],
        ]),
        locked: new Set(),
        creating: new Set(),
      });
      const user = await harness.begin();
      await user.update(b, { city: 'Bern' });
      expect((await find([recordOf(8)], false)).locked).toEqual(new Set([8]));
      await user.commit();
      // Base is kept, so that what changed meanwhile on either side can be told.
      await mirror.transaction((tx) => tx.pair(b, 8));
      expect(await situation(mirror, b)).toMatchObject({ crmId: 8, base: { fields: fieldsWith({}) } });
      await claimDue(mirror);
      expect(await find([recordOf(7)], false)).toEqual({ paired: new Map(), locked: new Set(), creating: new Set([7]) });
    });

    it('pairs a new row, and unpairs it to be created anew', async () => {
      const { mirror } = harness;
      const a = await insert({});
      await mirror.transaction((tx) => tx.pair(a, 7));
      expect(await situation(mirror, a)).toMatchObject({ crmId: 7, base: null });
      expect((await mirror.transaction((tx) => tx.peek([7]))).get(7)?.contactId).toBe(a);
      const [b = 0] = await pairedContacts(mirror, newContact(8, {}, { companies: [1], deals: [], activities: [] }));
      await mirror.transaction((tx) => tx.markVisibility([b], 'gone'));
      await mirror.transaction((tx) => tx.unpair(b));
      const found = await situation(mirror, b);
      expect(found).toMatchObject({ crmId: null, base: { links: { companies: [1] } }, sent: null, goneAt: null });
      expect(found.row?.links.companies).toEqual([1]);
      expect((await mirror.transaction((tx) => tx.peek([8]))).size).toBe(0);
      expect((await harness.log()).map((row) => row.op)).toEqual(['insert']);
    });

    it('folds the row that a page made for the same id: links, log and edits go to the older one', async () => {
      const { mirror } = harness;
      const older = await insert({ city: 'Oslo', street: 'Old' });
      await edit(harness, (user) => user.attach(older, 'deals', 4));
      const [younger = 0] = await pairedContacts(mirror, newContact(7, { city: 'Bern' }, { companies: [1], deals: [4], activities: [] }));
      await edit(harness, (user) => user.update(younger, { job_title: 'CEO' }));
      await edit(harness, (user) => user.attach(younger, 'companies', 2));
      await mirror.transaction((tx) => tx.pair(older, 7));
      const found = await situation(mirror, older);
      expect(found.crmId).toBe(7);
      expect(found.row?.fields).toEqual(fieldsWith({ city: 'Oslo', street: 'Old', job_title: 'CEO' }));
      expect(found.row?.links).toEqual(links({ companies: [1, 2], deals: [4] }));
      expect((await harness.log()).map(({ contactId, op, state }) => [contactId, op, state])).toEqual([
        [older, 'insert', 'pending'],
        [older, 'attach', 'pending'],
        [older, 'update', 'pending'],
        [older, 'attach', 'pending'],
      ]);
      expect(await mirror.contactCount()).toBe(1);
      expect((await mirror.transaction((tx) => tx.read([younger]))).size).toBe(0);
    });

    it('keeps the later of two edits of one field when it folds', async () => {
      const { mirror } = harness;
      const older = await insert({});
      const [younger = 0] = await pairedContacts(mirror, newContact(7));
      await edit(harness, (user) => user.update(younger, { city: 'first' }));
      await mirror.now();
      await edit(harness, (user) => user.update(older, { city: 'second' }));
      await mirror.transaction((tx) => tx.pair(older, 7));
      expect((await situation(mirror, older)).row?.fields.city).toBe('second');
    });

    it("pairs a tombstone: the page's row of the same id goes, nothing comes back", async () => {
      const { mirror } = harness;
      const a = await insert({});
      await claimDue(mirror);
      await edit(harness, (user) => user.delete(a));
      await pairedContacts(mirror, newContact(7));
      await mirror.transaction((tx) => tx.pair(a, 7));
      expect(await mirror.contactCount()).toBe(0);
      expect(await situation(mirror, a)).toMatchObject({ crmId: 7, row: null });
      expect((await mirror.transaction((tx) => tx.peek([7]))).get(7)).toMatchObject({ contactId: a, hasRow: false, busy: true });
    });
  });
};

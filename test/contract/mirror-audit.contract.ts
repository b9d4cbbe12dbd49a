import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AUDITOR, type FoundEdit } from '../../src/ports/mirror.ts';
import {
  claimDue,
  edit,
  fieldsWith,
  links,
  newContact,
  NO_WRITE,
  pairedContacts,
  situation,
  type MakeMirror,
  type MirrorHarness,
} from './mirror-harness.ts';

const KNOWN = { companies: [], deals: [], activities: [] };

export const describeAudit = (makeMirror: MakeMirror): void => {
  describe('the audit', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());
    const suspects = async () => (await harness.mirror.auditBatch(0, 100)).suspects;
    const gone = async () => await harness.mirror.vanished(0, 100);
    const log = (found: readonly FoundEdit[]) => harness.mirror.transaction((tx) => tx.logFound(found));

    it('reads rows in batches by id, and neither writes nor suspects where rows and bases are equal', async () => {
      const { mirror } = harness;
      const phones = [{ number: '+1', type: 'work' }] as const;
      const full = { city: 'Bern', user_id: 7, phones, custom_fields: { cf_a: 1, cf_b: 'x' } };
      const ids = await pairedContacts(mirror, newContact(1, full, { companies: [3, 9] }), newContact(2), newContact(3));
      const before = await harness.versions();
      const first = await mirror.auditBatch(0, 2);
      expect(first).toEqual({ lastId: ids[1], rows: 2, suspects: [] });
      expect(await mirror.auditBatch(first.lastId ?? 0, 2)).toEqual({ lastId: ids[2], rows: 1, suspects: [] });
      expect(await mirror.auditBatch(ids[2] ?? 0, 2)).toEqual({ lastId: null, rows: 0, suspects: [] });
      expect(await gone()).toEqual([]);
      expect(await harness.versions()).toBe(before);
    });

    it.each([
      ['a text', fieldsWith({ city: 'Bern' })],
      ['an id', fieldsWith({ user_id: 5 })],
      ['a phone', fieldsWith({ phones: [{ number: '+1', type: 'work' }] })],
      ['a custom field', fieldsWith({ custom_fields: { cf_a: 'x' } })],
    ])('suspects a row of which nobody logged %s', async (_what, fields) => {
      const [a = 0] = await pairedContacts(harness.mirror, newContact(1), newContact(2));
      await harness.mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: a, fields }]));
      expect(await suspects()).toEqual([a]);
    });

    it('suspects links that nobody logged, of known kinds only', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0, c = 0] = await pairedContacts(
        mirror,
        newContact(1, {}, KNOWN),
        newContact(2, {}, { ...KNOWN, deals: [4] }),
        newContact(3),
      );
      await mirror.transaction((tx) =>
        tx.save([
          { ...NO_WRITE, contactId: a, addLinks: links({ companies: [8] }) },
          { ...NO_WRITE, contactId: b, removeLinks: links({ deals: [4] }) },
          { ...NO_WRITE, contactId: c, addLinks: links({ activities: [8] }) },
        ]),
      );
      expect(await suspects()).toEqual([a, b]);
    });

    it('suspects a row that was never sent, and a row that is gone, once the log has lost them', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(1), newContact(2));
      const made = await edit(harness, (user) => user.insert({ first_name: 'New' }));
      await edit(harness, (user) => user.delete(a));
      expect([await suspects(), await gone()]).toEqual([[], []]);
      await harness.loseLog();
      expect([await suspects(), await gone()]).toEqual([[made], [a]]);
    });

    it('leaves alone what is open, in flight, gone, hidden, or marked to be read again after its deletion was rejected', async () => {
      const { mirror } = harness;
      const contacts = [1, 2, 3, 4, 5, 6].map((crmId) => newContact(crmId));
      const [open = 0, sending = 0, isGone = 0, hidden = 0, marked = 0, buried = 0] = await pairedContacts(mirror, ...contacts);
      await edit(harness, (user) => user.update(sending, { city: 'Rome' }));
      await claimDue(mirror);
      await edit(harness, (user) => user.delete(marked));
      await harness.loseLog();
      await edit(harness, (user) => user.update(open, { city: 'Rome' }));
      const ids = [isGone, hidden];
      await mirror.transaction(async (tx) => {
        await tx.save(ids.map((contactId) => ({ ...NO_WRITE, contactId, fields: fieldsWith({ city: 'Rome' }) })));
        await tx.markVisibility([isGone], 'gone');
        await tx.markVisibility([hidden], 'hidden');
        await tx.mark([{ crmId: 5, reason: 'deferred' }]);
        await tx.remove([buried]);
      });
      expect([await suspects(), await gone()]).toEqual([[], []]);
      expect([...(await log([{ contactId: marked, op: 'delete', oldValues: {}, newValues: null }]))]).toEqual([]);
    });

    it('logs what was found as its own, due at once, and says nothing of when it was edited', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(1, {}, KNOWN));
      const oldValues = { city: null, cf_a: 1 };
      const newValues = { city: 'Bern', cf_a: null };
      const logged = await log([
        { contactId: a, op: 'update', oldValues, newValues },
        { contactId: a, op: 'attach', kind: 'companies', id: 8 },
        { contactId: a, op: 'detach', kind: 'deals', id: 9 },
      ]);
      expect([...logged]).toEqual([a]);
      const rows = await harness.log();
      expect(rows.map(({ op, state, changedBy, hasNextAttempt }) => ({ op, state, changedBy, hasNextAttempt }))).toEqual(
        ['update', 'attach', 'detach'].map((op) => ({ op, state: 'pending', changedBy: AUDITOR, hasNextAttempt: true })),
      );
      expect(rows[0]).toMatchObject({ oldValues, newValues });
      const { open } = await situation(mirror, a);
      expect(open.editedAt).toEqual(new Map());
      expect(open).toMatchObject({ attached: links({ companies: [8] }), detached: links({ deals: [9] }) });
      expect(await suspects()).toEqual([]);
    });

    it('makes the state of a row that has none', async () => {
      const { mirror } = harness;
      const made = await edit(harness, (user) => user.insert({ first_name: 'New' }));
      await harness.loseLog();
      await log([{ contactId: made, op: 'insert', oldValues: null, newValues: { first_name: 'New' } }]);
      expect([...(await mirror.transaction((tx) => tx.lockStates([made], 'skip')))]).toEqual([made]);
      expect((await claimDue(mirror)).ids).toEqual([made]);
    });
  });
};

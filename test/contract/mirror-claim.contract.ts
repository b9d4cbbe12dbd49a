import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_LINKS } from '../../src/domain/contact.ts';
import type { ChangeOp, ChangeState } from '../../src/domain/change.ts';
import type { Outcome } from '../../src/ports/mirror.ts';
import {
  claimDue,
  edit,
  fieldsWith,
  holdOpen,
  newContact,
  pairedContacts,
  situation,
  type MakeMirror,
  type MirrorHarness,
} from './mirror-harness.ts';

const HOUR_MS = 3_600_000;

const outcome = (ops: readonly ChangeOp[], state: ChangeState, delayMs = 0): Outcome => ({ ops, state, code: null, error: null, delayMs });

export const describeClaims = (makeMirror: MakeMirror): void => {
  describe('claim, settle and brake', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    const insert = () => edit(harness, (user) => user.insert(fieldsWith({})));
    const update = (contactId: number, city: string) => edit(harness, (user) => user.update(contactId, { city }));
    const lockDue = (limit: number, creates = true) => harness.mirror.transaction((tx) => tx.lockDue(limit, { creates }));
    const settle = (contactId: number, attempt: number, outcomes: readonly Outcome[], ends: 'release' | 'unknown' = 'release') =>
      harness.mirror.transaction((tx) => tx.settle({ contactId, attempt, outcomes, ends }));
    const states = async () => (await harness.log()).map((row) => row.state);

    it('finds due contacts once each, oldest edit first, up to the limit', async () => {
      const [a = 0, b = 0, c = 0] = await pairedContacts(harness.mirror, newContact(7), newContact(8), newContact(9));
      await update(b, '1');
      await update(a, '2');
      await update(b, '3');
      await update(c, '4');
      expect(await lockDue(2)).toEqual([b, a]);
      expect(await lockDue(9)).toEqual([b, a, c]);
    });

    it('tells how long an edit waited for its first attempt, and nothing of what is tried again or of our own making', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      await update(a, 'Rome');
      expect((await situation(mirror, a)).open.waitedMs).toBeNull();
      await mirror.transaction((tx) => tx.queue([b], 'update'));
      const { attempt } = await claimDue(mirror);
      expect((await situation(mirror, a)).open.waitedMs).toBeGreaterThanOrEqual(0);
      expect((await situation(mirror, b)).open.waitedMs).toBeNull();
      await settle(a, attempt, [outcome(['update'], 'retry')]);
      await claimDue(mirror);
      expect((await situation(mirror, a)).open.waitedMs).toBeNull();
    });

    it('answers how many log rows a settle ended, by how', async () => {
      const [a = 0] = await pairedContacts(harness.mirror, newContact(7));
      await update(a, 'Rome');
      await update(a, 'Oslo');
      const { attempt } = await claimDue(harness.mirror);
      await update(a, 'Bonn');
      const ends = [outcome(['update'], 'done'), outcome(['attach'], 'parked')];
      expect(await settle(a, attempt, ends)).toEqual([{ state: 'done', rows: 2 }]);
      expect(await settle(a, attempt, ends)).toEqual([]);
    });

    it('leaves creates out until they may be sent', async () => {
      const [a = 0] = await pairedContacts(harness.mirror, newContact(7));
      const b = await insert();
      expect(await lockDue(9, false)).toEqual([]);
      expect(await harness.mirror.nextDueMs({ creates: false })).toBeNull();
      await update(a, 'Rome');
      expect(await lockDue(9, false)).toEqual([a]);
      expect(await lockDue(9)).toEqual([b, a]);
      expect(await harness.mirror.nextDueMs({ creates: true })).toBe(0);
    });

    it('makes no tombstone of a deletion that was logged since the claim: it still has to be pushed', async () => {
      const [a = 0] = await pairedContacts(harness.mirror, newContact(7));
      await update(a, 'Rome');
      const { attempt } = await claimDue(harness.mirror);
      await edit(harness, (user) => user.delete(a));
      await settle(a, attempt, [outcome(['insert', 'update', 'delete', 'attach', 'detach'], 'merged')]);
      expect((await situation(harness.mirror, a)).deletedAt).toBeNull();
      expect(await lockDue(9)).toEqual([a]);
      const again = await claimDue(harness.mirror);
      await settle(a, again.attempt, [outcome(['delete'], 'done')]);
      expect((await situation(harness.mirror, a)).deletedAt).toBeInstanceOf(Date);
    });

    it('skips what another worker holds and takes the next instead', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      await update(a, '1');
      await update(b, '2');
      const end = await holdOpen(mirror, async (tx) => void (await tx.lockDue(1, { creates: true })));
      expect(await lockDue(1)).toEqual([b]);
      await end();
    });

    it('claims under one new number, which makes the contact busy and not due', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      await update(a, '1');
      await update(b, '2');
      const { ids, attempt } = await claimDue(mirror);
      expect(ids).toEqual([a, b]);
      expect((await harness.log()).map((row) => [row.state, row.attempt, row.attempts, row.hasNextAttempt])).toEqual([
        ['sending', attempt, 1, false],
        ['sending', attempt, 1, false],
      ]);
      expect((await situation(mirror, a)).attempt).toEqual({ number: attempt, state: 'sending' });
      expect((await mirror.transaction((tx) => tx.peek([7]))).get(7)?.busy).toBe(true);
      await update(a, '3');
      expect(await lockDue(9)).toEqual([]);
      expect(await mirror.nextDueMs({ creates: true })).toBeNull();
      await settle(a, attempt, [outcome(['update'], 'done')]);
      expect((await claimDue(mirror)).attempt).toBeGreaterThan(attempt);
    });

    it('settles only log rows of the attempt: a later edit stays pending', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await update(a, '1');
      const { attempt } = await claimDue(mirror);
      await update(a, '2');
      await settle(a, attempt, [outcome(['update'], 'done')]);
      expect(await states()).toEqual(['done', 'pending']);
      expect(await situation(mirror, a)).toMatchObject({ attempt: null, settledAt: expect.any(Date) });
      expect(await lockDue(9)).toEqual([a]);
    });

    it('leaves everything to a later attempt when an earlier one settles late', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await update(a, '1');
      const first = await claimDue(mirror);
      await settle(a, first.attempt, [outcome(['update'], 'retry')]);
      const second = await claimDue(mirror);
      await settle(a, first.attempt, [outcome(['update'], 'parked')]);
      expect(await states()).toEqual(['sending']);
      expect((await situation(mirror, a)).attempt).toEqual({ number: second.attempt, state: 'sending' });
    });

    it('settles each kind of change by its own outcome', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await update(a, '1');
      await edit(harness, (user) => user.attach(a, 'deals', 3));
      const { attempt } = await claimDue(mirror);
      const parked: Outcome = { ops: ['attach', 'detach'], state: 'parked', code: 'invalid', error: 'no such deal', delayMs: 0 };
      await settle(a, attempt, [outcome(['update'], 'done'), parked]);
      expect(
        (await harness.log()).map(({ state, code, error, isSettled, hasNextAttempt }) => ({
          state,
          code,
          error,
          isSettled,
          hasNextAttempt,
        })),
      ).toEqual([
        { state: 'done', code: null, error: null, isSettled: true, hasNextAttempt: false },
        { state: 'parked', code: 'invalid', error: 'no such deal', isSettled: false, hasNextAttempt: false },
      ]);
      expect(await lockDue(9)).toEqual([]);
    });

    it('takes parked edits along with a new one', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await update(a, '1');
      const { attempt } = await claimDue(mirror);
      await settle(a, attempt, [outcome(['update'], 'parked')]);
      await update(a, '2');
      await claimDue(mirror);
      expect(await states()).toEqual(['sending', 'sending']);
    });

    it('waits for a retry as long as it was told, and says how long', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await update(a, '1');
      const { attempt } = await claimDue(mirror);
      await settle(a, attempt, [outcome(['update'], 'retry', HOUR_MS)]);
      expect(await lockDue(9)).toEqual([]);
      const ms = (await mirror.nextDueMs({ creates: true })) ?? 0;
      expect(ms).toBeGreaterThan(HOUR_MS - 60_000);
      expect(ms).toBeLessThanOrEqual(HOUR_MS);
    });

    it('keeps a contact of unknown outcome busy: a new edit does not make it due before the question is', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      await update(a, '1');
      await update(b, '1');
      const { attempt } = await claimDue(mirror);
      await settle(a, attempt, [outcome(['update'], 'unknown', HOUR_MS)], 'unknown');
      await settle(b, attempt, [outcome(['update'], 'unknown')], 'unknown');
      await update(a, '2');
      expect(await lockDue(9)).toEqual([b]);
      expect((await situation(mirror, a)).attempt).toEqual({ number: attempt, state: 'unknown' });
      expect((await mirror.transaction((tx) => tx.peek([7]))).get(7)?.busy).toBe(true);
    });

    it('makes a tombstone when the delete of a row is settled', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await edit(harness, (user) => user.delete(a));
      const { attempt } = await claimDue(mirror);
      expect((await situation(mirror, a)).deletedAt).toBeNull();
      await settle(a, attempt, [outcome(['delete'], 'done')]);
      expect((await situation(mirror, a)).deletedAt).toBeInstanceOf(Date);
      expect(await mirror.transaction((tx) => tx.brakeLoad('push'))).toEqual({ lastHour: 1, waiting: 0, mirrorRows: 0 });
    });

    it('keeps the intent of a create until it is cleared, and knows the oldest in flight', async () => {
      const { mirror } = harness;
      const a = await insert();
      const { attempt } = await claimDue(mirror);
      const intent = { fields: fieldsWith({}), links: NO_LINKS };
      expect(await mirror.transaction((tx) => tx.oldestOpenCreate())).toBeNull();
      await mirror.transaction((tx) => tx.saveIntent(a, intent));
      const found = (await situation(mirror, a)).intent;
      expect(found).toEqual({ at: expect.any(Date), key: expect.any(String), unknownAt: null, ...intent });
      await mirror.transaction((tx) => tx.doubtIntent(a));
      const doubted = (await situation(mirror, a)).intent;
      expect(doubted).toEqual({ ...found, unknownAt: expect.any(Date) });
      // The first doubt stands: asking does not begin it anew.
      await mirror.transaction((tx) => tx.doubtIntent(a));
      expect((await situation(mirror, a)).intent).toEqual(doubted);
      expect(await mirror.transaction((tx) => tx.oldestOpenCreate())).toEqual(found?.at);
      await settle(a, attempt, [outcome(['insert'], 'parked')]);
      expect(await mirror.transaction((tx) => tx.oldestOpenCreate())).toBeNull();
      await mirror.transaction((tx) => tx.clearIntent(a));
      expect((await situation(mirror, a)).intent).toBeNull();
    });

    it('counts a parked create as open again once its row is deleted, until that is parked as well', async () => {
      const { mirror } = harness;
      const oldest = async () => await mirror.transaction((tx) => tx.oldestOpenCreate());
      const a = await insert();
      const first = await claimDue(mirror);
      await mirror.transaction((tx) => tx.saveIntent(a, { fields: fieldsWith({}), links: NO_LINKS }));
      await settle(a, first.attempt, [outcome(['insert'], 'parked')]);
      expect(await oldest()).toBeNull();
      await edit(harness, (user) => user.delete(a));
      const intent = (await situation(mirror, a)).intent;
      expect(await oldest()).toEqual(intent?.at);
      const second = await claimDue(mirror);
      await settle(a, second.attempt, [outcome(['insert', 'delete'], 'retry')]);
      expect(await oldest()).toEqual(intent?.at);
      const third = await claimDue(mirror);
      await settle(a, third.attempt, [outcome(['insert', 'delete'], 'parked')]);
      expect(await oldest()).toBeNull();
    });

    it('queues work of its own once, as long as nobody has taken it', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await mirror.transaction((tx) => tx.queue([a, a], 'update'));
      await mirror.transaction((tx) => tx.queue([a], 'update'));
      expect((await harness.log()).map(({ contactId, op, changedBy }) => ({ contactId, op, changedBy }))).toEqual([
        { contactId: a, op: 'update', changedBy: 'relate-mirror' },
      ]);
      await claimDue(mirror);
      await mirror.transaction((tx) => tx.queue([a], 'update'));
      expect(await states()).toEqual(['sending', 'pending']);
    });

    it('makes the attempts of an earlier leader unknown and due, with and without open log rows', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      await update(a, '1');
      const { attempt } = await claimDue(mirror);
      await mirror.transaction((tx) => tx.claim([b]));
      expect(await mirror.recoverAttempts(HOUR_MS)).toBe(0);
      await harness.setLeaderEpoch(2);
      harness.setLeaseEpoch(2);
      expect(await mirror.recoverAttempts(HOUR_MS)).toBe(2);
      expect((await situation(mirror, a)).attempt).toEqual({ number: attempt, state: 'unknown' });
      expect(await states()).toEqual(['unknown', 'unknown']);
      expect(await lockDue(9)).toEqual([a, b]);
      expect(await mirror.recoverAttempts(HOUR_MS)).toBe(0);
    });

    it('asks about the create of an earlier leader only when its POST cannot be under way any more', async () => {
      const { mirror } = harness;
      const a = await insert();
      await claimDue(mirror);
      await mirror.transaction((tx) => tx.saveIntent(a, { fields: fieldsWith({}), links: NO_LINKS }));
      await harness.setLeaderEpoch(2);
      harness.setLeaseEpoch(2);
      expect(await mirror.recoverAttempts(HOUR_MS)).toBe(1);
      expect(await states()).toEqual(['unknown']);
      expect(await lockDue(9)).toEqual([]);
      expect((await mirror.nextDueMs({ creates: true })) ?? 0).toBeGreaterThan(HOUR_MS - 60_000);
    });

    it('holds a push as one plan, which grows; held edits are not claimed until approved', async () => {
      const { mirror } = harness;
      const [a = 0, b = 0] = await pairedContacts(mirror, newContact(7), newContact(8));
      await edit(harness, (user) => user.delete(a));
      await edit(harness, (user) => user.delete(b));
      expect(await mirror.transaction((tx) => tx.brakeLoad('push'))).toEqual({ lastHour: 0, waiting: 2, mirrorRows: 2 });
      await claimDue(mirror);
      const first = await mirror.transaction((tx) => tx.hold('push', 'too many', [a]));
      expect(await mirror.transaction((tx) => tx.hold('push', 'again', [a, b]))).toBe(first);
      expect(await harness.openHolds()).toEqual([
        {
          id: first,
          reason: 'too many',
          plan: [
            { contact_id: a, crm_id: 7, op: 'delete' },
            { contact_id: b, crm_id: 8, op: 'delete' },
          ],
        },
      ]);
      expect(await states()).toEqual(['held', 'held']);
      expect(await situation(mirror, a)).toMatchObject({ attempt: null, open: { approved: false } });
      expect(await lockDue(9)).toEqual([]);
      await harness.approve(first);
      expect((await situation(mirror, a)).open.approved).toBe(true);
      expect(await mirror.transaction((tx) => tx.brakeLoad('push'))).toMatchObject({ waiting: 0 });
      expect(await lockDue(9)).toEqual([a, b]);
    });

    it('leaves held edits to the person who decides when a new edit of the same contact is claimed', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await update(a, '1');
      await mirror.transaction((tx) => tx.hold('push', 'too many', [a]));
      await update(a, '2');
      expect((await claimDue(mirror)).ids).toEqual([a]);
      expect(await states()).toEqual(['held', 'sending']);
    });

    it('holds a pull by marking the contacts gone; visible again they leave it', async () => {
      const { mirror } = harness;
      const [a = 0] = await pairedContacts(mirror, newContact(7));
      await mirror.transaction((tx) => tx.hold('pull', 'too many gone', [a]));
      expect((await harness.openHolds()).map((hold) => hold.plan)).toEqual([[{ contact_id: a, crm_id: 7, op: 'delete' }]]);
      expect((await situation(mirror, a)).goneAt).toBeInstanceOf(Date);
      await mirror.transaction((tx) => tx.markVisibility([a], 'visible'));
      expect((await situation(mirror, a)).goneAt).toBeNull();
    });

    it('counts no delete of what the CRM never had as waiting damage', async () => {
      const a = await insert();
      await edit(harness, (user) => user.delete(a));
      expect(await harness.mirror.transaction((tx) => tx.brakeLoad('push'))).toMatchObject({ waiting: 0 });
      expect(await lockDue(9)).toEqual([a]);
    });
  });
};

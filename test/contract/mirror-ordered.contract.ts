import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChangeOp, ChangeState } from '../../src/domain/change.ts';
import type { StepEdit } from '../../src/ports/mirror.ts';
import {
  edit,
  fieldsWith,
  newContact,
  NO_WRITE,
  pairedContacts,
  situation,
  type MakeMirror,
  type MirrorHarness,
} from './mirror-harness.ts';

const OPS: readonly ChangeOp[] = ['insert', 'update', 'delete', 'attach', 'detach'];

export const describeSteps = (makeMirror: MakeMirror): void => {
  describe('claiming step by step', () => {
    let harness: MirrorHarness;
    beforeEach(async () => {
      harness = await makeMirror();
    });
    afterEach(() => harness.close());

    const paired = async (): Promise<number> => (await pairedContacts(harness.mirror, newContact(7)))[0] ?? 0;
    const update = (contactId: number, city: string) => edit(harness, (user) => user.update(contactId, { city }));
    const lockDue = () => harness.mirror.transaction((tx) => tx.lockDue(9, { creates: true, ordered: true }));
    const nextDueMs = () => harness.mirror.nextDueMs({ creates: true, ordered: true });
    /** Claims what is due and reads it, as the push does. */
    const claim = (): Promise<{ readonly ids: readonly number[]; readonly attempt: number; readonly edits: readonly StepEdit[] }> =>
      harness.mirror.transaction(async (tx) => {
        const ids = await tx.lockDue(9, { creates: true, ordered: true });
        const attempt = await tx.claimSteps(ids);
        const steps = await tx.readSteps(attempt, ids);
        return { ids, attempt, edits: ids.flatMap((id) => steps.get(id)?.edits ?? []) };
      });
    const settle = (contactId: number, attempt: number, state: ChangeState, delayMs = 0, ends: 'release' | 'unknown' = 'release') =>
      harness.mirror.transaction((tx) =>
        tx.settle({ contactId, attempt, outcomes: [{ ops: OPS, state, code: null, error: null, delayMs }], ends }),
      );
    const states = async () => (await harness.log()).map((row) => row.state);
    const cityOf = ({ after }: StepEdit): unknown => after?.['city'];

    it('takes the first edit of each contact and leaves the others where they are', async () => {
      const [a = 0, b = 0] = await pairedContacts(harness.mirror, newContact(7), newContact(8));
      await update(a, '1');
      await update(b, '2');
      await update(a, '3');
      const { ids, attempt, edits } = await claim();
      expect(ids).toEqual([a, b]);
      expect(edits).toEqual([
        { op: 'update', before: { city: null }, after: { city: '1' }, link: null },
        { op: 'update', before: { city: null }, after: { city: '2' }, link: null },
      ]);
      expect((await harness.log()).map((row) => [row.state, row.attempt, row.attempts, row.hasNextAttempt])).toEqual([
        ['sending', attempt, 1, false],
        ['sending', attempt, 1, false],
        ['pending', null, 0, true],
      ]);
      expect((await situation(harness.mirror, a)).attempt).toEqual({ number: attempt, state: 'sending' });
      expect(await lockDue()).toEqual([]);
      await settle(a, attempt, 'done');
      expect(await states()).toEqual(['done', 'sending', 'pending']);
      expect((await claim()).edits.map(cityOf)).toEqual(['3']);
    });

    it('takes two edits of one transaction one by one', async () => {
      const a = await paired();
      await edit(harness, async (user) => {
        await user.update(a, { city: '1' });
        await user.update(a, { city: '2' });
      });
      expect((await claim()).edits.map(cityOf)).toEqual(['1']);
    });

    it('keeps later edits back while the first waits for its time, and nobody else', async () => {
      const [a = 0, b = 0] = await pairedContacts(harness.mirror, newContact(7), newContact(8));
      await update(a, '1');
      const { attempt } = await claim();
      await settle(a, attempt, 'retry', 3_600_000);
      await update(a, '2');
      await update(b, '3');
      expect(await nextDueMs()).toBe(0);
      expect(await lockDue()).toEqual([b]);
      await settle(b, (await claim()).attempt, 'done');
      expect(await nextDueMs()).toBeGreaterThan(3_000_000);
      expect(await lockDue()).toEqual([]);
      // In the other mode the later edit is a reason to look.
      expect(await harness.mirror.nextDueMs({ creates: true })).toBe(0);
    });

    it('keeps edits back behind a held one', async () => {
      const a = await paired();
      await update(a, '1');
      const hold = await harness.mirror.transaction((tx) => tx.hold('push', 'too much', [a]));
      await update(a, '2');
      expect(await lockDue()).toEqual([]);
      expect(await nextDueMs()).toBeNull();
      await harness.approve(hold);
      expect((await claim()).edits.map(cityOf)).toEqual(['1']);
    });

    it('takes a parked edit along with the next one, and does not wake it by itself', async () => {
      const a = await paired();
      await update(a, '1');
      await settle(a, (await claim()).attempt, 'parked');
      expect(await nextDueMs()).toBeNull();
      await update(a, '2');
      await update(a, '3');
      expect((await claim()).edits.map(cityOf)).toEqual(['1', '2']);
      expect(await states()).toEqual(['sending', 'sending', 'pending']);
    });

    it('takes together again what was under way together', async () => {
      const a = await paired();
      await update(a, '1');
      await settle(a, (await claim()).attempt, 'parked');
      await update(a, '2');
      await settle(a, (await claim()).attempt, 'retry');
      await update(a, '3');
      expect((await claim()).edits.map(cityOf)).toEqual(['1', '2']);
    });

    it('clears up a doubt before anything else', async () => {
      const a = await paired();
      const early = await harness.begin();
      await early.attach(a, 'companies', 5);
      await update(a, '1');
      await settle(a, (await claim()).attempt, 'unknown', 0, 'unknown');
      // Its id is the lower one.
      await early.commit();
      expect(await nextDueMs()).toBe(0);
      const { attempt, edits } = await claim();
      expect(edits.map(cityOf)).toEqual(['1']);
      await settle(a, attempt, 'done');
      expect((await claim()).edits).toEqual([{ op: 'attach', before: null, after: null, link: { kind: 'companies', id: 5 } }]);
    });

    it('takes links that one transaction made in a row together, but not over another edit, nor with those of another transaction', async () => {
      const a = await paired();
      await edit(harness, async (user) => {
        await user.attach(a, 'companies', 1);
        await user.attach(a, 'deals', 2);
        await user.update(a, { city: '1' });
        await user.attach(a, 'companies', 3);
      });
      await edit(harness, (user) => user.attach(a, 'companies', 4));
      await edit(harness, (user) => user.detach(a, 'companies', 4));
      const taken: unknown[] = [];
      for (let step = 0; step < 5; step += 1) {
        const { attempt, edits } = await claim();
        taken.push(edits.map(({ op, link }) => (link === null ? op : `${op} ${link.kind} ${link.id}`)));
        await settle(a, attempt, 'done');
      }
      expect(taken).toEqual([
        ['attach companies 1', 'attach deals 2'],
        ['update'],
        ['attach companies 3'],
        ['attach companies 4'],
        ['detach companies 4'],
      ]);
      expect(await lockDue()).toEqual([]);
    });

    it('takes an edit of our own making last, and parked ones along with it', async () => {
      const a = await paired();
      await update(a, '1');
      await settle(a, (await claim()).attempt, 'parked');
      await harness.mirror.transaction((tx) => tx.queue([a], 'update'));
      await update(a, '2');
      const step = await claim();
      expect(step.edits.map(cityOf)).toEqual(['1', '2']);
      await settle(a, step.attempt, 'parked');
      const last = await claim();
      expect(last.edits.map(({ after }) => after)).toEqual([{ city: '1' }, null, { city: '2' }]);
    });

    it('takes everything of a contact that the CRM has not, unless it is being inserted', async () => {
      const a = await paired();
      await harness.mirror.transaction((tx) => tx.unpair(a));
      const b = await edit(harness, (user) => user.insert(fieldsWith({})));
      for (const id of [a, b]) {
        await update(id, '1');
        await update(id, '2');
      }
      const { ids, attempt } = await claim();
      expect(ids.toSorted((x, y) => x - y)).toEqual([a, b]);
      const steps = await harness.mirror.transaction((tx) => tx.readSteps(attempt, [a, b]));
      expect(steps.get(a)?.edits.map(cityOf)).toEqual(['1', '2']);
      expect(steps.get(b)?.edits.map(({ op }) => op)).toEqual(['insert']);
    });

    it('tells of each field what the newest edit set and what the row holds, and nothing where the row is gone', async () => {
      const { mirror } = harness;
      const a = await paired();
      await edit(harness, (user) => user.update(a, { city: '1', custom_fields: { cf_note: 'x' } }));
      await update(a, '2');
      const { attempt } = await claim();
      const read = async () => (await mirror.transaction((tx) => tx.readSteps(attempt, [a]))).get(a)?.newest;
      expect(await read()).toEqual(
        new Map([
          ['city', { set: '2', holds: '2' }],
          ['cf_note', { set: 'x', holds: 'x' }],
        ]),
      );
      await mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId: a, fields: fieldsWith({ city: 'theirs' }) }]));
      expect(await read()).toEqual(
        new Map<string, unknown>([
          ['city', { set: '2', holds: 'theirs' }],
          ['cf_note', { set: 'x', holds: null }],
        ]),
      );
      await edit(harness, (user) => user.delete(a));
      expect(await read()).toEqual(new Map());
      expect(await mirror.transaction((tx) => tx.readSteps(attempt + 1, [a]))).toEqual(new Map());
    });
  });
};

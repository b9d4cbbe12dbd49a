/** The three association calls, hazards included. */
import { describe, expect, it } from 'vitest';
import { EDIT, failureIn, valueOf, withCrm, type CrmHarness, type OpenCrm } from './crm-harness.ts';

/** Contact 1 with company 1; companies 1 to 3, deals 1 and 2, activities 1 and 2 exist; 99 of each does not. */
const linked = (open: OpenCrm, work: (harness: CrmHarness) => Promise<void>): Promise<void> =>
  withCrm(open, {}, async (harness) => {
    const { account } = harness;
    for (const name of ['A', 'B', 'C']) account.addRecord('companies', name);
    for (const kind of ['deals', 'activities'] as const) for (const name of ['X', 'Y']) account.addRecord(kind, name);
    account.create({ first_name: 'Ada', companies: [1] });
    await work(harness);
  });

const missing = { class: 'refetch', code: 'not_found', proven: true };

export const describeLinks = (open: OpenCrm): void => {
  describe('attach', () => {
    it('adds to what is linked, of several kinds at once, and moves updated_at', () =>
      linked(open, async ({ crm, account, clock }) => {
        await clock.advance(3000);
        const record = valueOf(await crm.attach(1, { companies: [2], deals: [1], activities: [2] }, EDIT));
        expect(record.links).toEqual({ companies: [1, 2], deals: [1], activities: null });
        expect(record.updatedAt).toEqual(clock.now());
        expect(account.contact(1)).toMatchObject({ companies: [1, 2], deals: [1], activities: [2] });
      }));

    it('is a conflict for one link that is there already, and none for several', () =>
      linked(open, async ({ crm }) => {
        const again = failureIn(await crm.attach(1, { companies: [1] }, EDIT));
        expect(again).toMatchObject({ class: 'refetch', code: 'conflict', status: 409, proven: true });
        expect(valueOf(await crm.attach(1, { companies: [1, 2] }, EDIT)).links.companies).toEqual([1, 2]);
      }));

    it('skips ids that the CRM does not know, and is refused where nothing is left', () =>
      linked(open, async ({ crm }) => {
        expect(valueOf(await crm.attach(1, { companies: [2, 99] }, EDIT)).links.companies).toEqual([1, 2]);
        expect(failureIn(await crm.attach(1, { companies: [99] }, EDIT))).toMatchObject({ class: 'park', code: 'forbidden' });
      }));
  });

  describe('detach', () => {
    it('removes what is named, and nothing else', () =>
      linked(open, async ({ crm, account }) => {
        account.attach(1, { companies: [2], deals: [1] });
        expect(valueOf(await crm.detach(1, { companies: [1, 99] }, EDIT)).links).toMatchObject({ companies: [2], deals: [1] });
        expect(valueOf(await crm.detach(1, { companies: [1] }, EDIT)).links.companies).toEqual([2]);
        expect(account.contact(1)).toMatchObject({ companies: [2], deals: [1] });
      }));
  });

  describe('sync', () => {
    it('replaces the sets of the kinds sent, and only those', () =>
      linked(open, async ({ crm, account }) => {
        account.attach(1, { deals: [1] });
        expect(valueOf(await crm.sync(1, { companies: [2, 3] }, EDIT)).links).toMatchObject({ companies: [2, 3], deals: [1] });
        expect(valueOf(await crm.sync(1, { companies: [] }, EDIT)).links.companies).toEqual([]);
        expect(account.contact(1)).toMatchObject({ companies: [], deals: [1] });
      }));

    it('wipes the set where the CRM knows none of the ids', () =>
      linked(open, async ({ crm }) => {
        expect(valueOf(await crm.sync(1, { companies: [99] }, EDIT)).links.companies).toEqual([]);
      }));
  });

  it('a linked record that may not be seen is told by its id, without a name; one in the trash is not told', () =>
    linked(open, async ({ crm, account }) => {
      account.attach(1, { companies: [2] });
      account.changeRecord('companies', 1, { hidden: true });
      const hidden = valueOf(await crm.retrieve(1, EDIT));
      expect(hidden.links.companies).toEqual([1, 2]);
      expect(hidden.names).toEqual([{ kind: 'companies', id: 2, name: 'B' }]);
      account.changeRecord('companies', 2, { trashed: true });
      expect(valueOf(await crm.retrieve(1, EDIT))).toMatchObject({ links: { companies: [1] }, linkCounts: { companies: 1 } });
    }));

  it.each(['attach', 'detach', 'sync'] as const)('%s finds a trashed contact gone and a contact that may only be read refused', (call) =>
    linked(open, async ({ crm, account }) => {
      account.lock(1);
      expect(failureIn(await crm[call](1, { companies: [2] }, EDIT))).toMatchObject({ class: 'park', code: 'forbidden', proven: true });
      account.delete(1);
      expect(failureIn(await crm[call](1, { companies: [2] }, EDIT))).toMatchObject(missing);
      expect(failureIn(await crm[call](99, { companies: [2] }, EDIT))).toMatchObject(missing);
    }),
  );
};

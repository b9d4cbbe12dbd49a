/** The calls beyond the public API: there in one kind of CRM, not there in the other. */
import { describe, expect, it } from 'vitest';
import { BY_ID, EDIT, EVERY_CALL, failureIn, valueOf, withCrm, type OpenCrm } from './crm-harness.ts';

export const describeUndocumented = (open: OpenCrm): void => {
  describe('the trash', () => {
    it('lists what was deleted, since a second too, without links', () =>
      withCrm(open, { contacts: 4 }, async ({ crm, account, clock }) => {
        account.delete(1);
        await clock.advance(2000);
        const since = clock.now();
        account.delete(2);
        const all = valueOf(await crm.listTrashed({ order: BY_ID, perPage: 1 }, EDIT));
        expect(all).toMatchObject({ page: 1, perPage: 1, lastPage: 2, total: 2, records: [{ crmId: 1, links: { companies: null } }] });
        const later = valueOf(await crm.listTrashed({ order: BY_ID, updatedSince: since }, EDIT));
        expect(later.records.map(({ crmId }) => crmId)).toEqual([2]);
      }));

    it('gives a contact back under its id with its links; one that is not in it, or purged, is not found', () =>
      withCrm(open, { contacts: 3 }, async ({ crm, account }) => {
        const before = account.contacts()[0];
        const id = before?.id ?? 0;
        account.delete(id);
        expect(valueOf(await crm.restore(id, EDIT))).toMatchObject({ crmId: id, links: { companies: before?.companies } });
        expect(account.contact(id)?.deletedAtMs).toBeNull();
        expect(failureIn(await crm.restore(id, EDIT))).toMatchObject({ class: 'refetch', code: 'not_found', proven: true });
        account.delete(id);
        account.purge(id);
        expect(failureIn(await crm.restore(id, EDIT))).toMatchObject({ class: 'refetch', code: 'not_found', proven: true });
      }));
  });

  describe('listActivities', () => {
    it('answers ids, names and the last page, hundred a page', () =>
      withCrm(open, {}, async ({ crm, account }) => {
        const ids = Array.from({ length: 101 }, (_, index) => account.addRecord('activities', `Call ${index + 1}`).id);
        account.create({ first_name: 'Ada' });
        expect(valueOf(await crm.listActivities(1, 1, EDIT))).toEqual({ ids: [], names: [], lastPage: 1 });
        account.attach(1, { activities: ids });
        const [first, second] = [valueOf(await crm.listActivities(1, 1, EDIT)), valueOf(await crm.listActivities(1, 2, EDIT))];
        expect([...first.ids, ...second.ids]).toEqual(ids);
        expect([first.lastPage, second.lastPage, second.ids.length]).toEqual([2, 2, 1]);
        expect(second.names).toEqual([{ kind: 'activities', id: 101, name: 'Call 101' }]);
      }));

    it('finds a trashed contact gone', () =>
      withCrm(open, { contacts: 1 }, async ({ crm, account }) => {
        account.delete(1);
        expect(failureIn(await crm.listActivities(1, 1, EDIT))).toMatchObject({ class: 'refetch', code: 'not_found' });
      }));
  });

  it('customFields answers name, type, label and options of each', () =>
    withCrm(open, { contacts: 1 }, async ({ crm, account }) => {
      const defs = valueOf(await crm.customFields(EDIT));
      expect(defs.map(({ name }) => name)).toEqual(account.customFields().map(({ name }) => name));
      expect(new Set(defs.map(({ type }) => type)).size).toBe(7);
      for (const def of defs) {
        const field = account.customFields().find(({ name }) => name === def.name);
        expect(def).toMatchObject({ label: field?.label, origin: 'crm', options: field?.options ?? [] });
      }
    }));

  it.each(['listTrashed', 'restore', 'listActivities', 'customFields'] as const)(
    '%s is no route of a CRM that has the public API only',
    (call) =>
      withCrm(open, { mode: 'documented', contacts: 3 }, async ({ crm, account }) => {
        account.delete(3);
        expect(failureIn(await EVERY_CALL[call](crm, EDIT))).toMatchObject({ class: 'refetch', code: 'not_found', status: 404 });
        expect(account.trashed()).toHaveLength(1);
      }),
  );
};

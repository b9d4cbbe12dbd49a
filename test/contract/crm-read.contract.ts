/** Lists, single reads and the search. */
import { describe, expect, it } from 'vitest';
import { canonicalFields, type CustomFieldDefs } from '../../src/domain/contact.ts';
import type { ListParams } from '../../src/ports/crm.ts';
import { BY_ID, EDIT, failureIn, valueOf, withCrm, type CrmHarness, type OpenCrm } from './crm-harness.ts';

const idsOf = async ({ crm }: CrmHarness, params: ListParams): Promise<readonly number[]> =>
  valueOf(await crm.list(params, EDIT)).records.map(({ crmId }) => crmId);

export const describeReads = (open: OpenCrm): void => {
  describe('list', () => {
    it('walks every contact exactly once by id, and says how many there are', () =>
      withCrm(open, { contacts: 45 }, async ({ crm, account }) => {
        const seen: number[] = [];
        for (let page = 1, last = 1; page <= last; page += 1) {
          const answer = valueOf(await crm.list({ order: BY_ID, perPage: 20, page }, EDIT));
          last = answer.lastPage;
          expect(answer).toMatchObject({ page, perPage: 20, lastPage: 3, total: 45, bad: [] });
          seen.push(...answer.records.map(({ crmId }) => crmId));
        }
        expect(seen).toEqual(account.contacts().map(({ id }) => id));
      }));

    it('answers an empty page behind the last one, with the right total', () =>
      withCrm(open, { contacts: 5 }, async ({ crm }) => {
        const beyond = valueOf(await crm.list({ order: BY_ID, perPage: 2, page: 9 }, EDIT));
        expect(beyond).toEqual({ records: [], bad: [], page: 9, perPage: 2, lastPage: 3, total: 5 });
      }));

    it('tells the page size that the CRM really used', () =>
      withCrm(open, { contacts: 12, account: { perPageMax: 10 } }, async ({ crm }) => {
        expect(valueOf(await crm.list({ order: BY_ID, perPage: 100 }, EDIT))).toMatchObject({ perPage: 10, lastPage: 2 });
      }));

    it('orders as asked, descending too, and by first name where nothing was asked', () =>
      withCrm(open, {}, async (harness) => {
        const { account, clock } = harness;
        for (const name of ['Cy', 'Ada', 'Bo']) {
          account.create({ first_name: name });
          await clock.advance(2000);
        }
        account.update(2, { city: 'Oslo' });
        expect(await idsOf(harness, { order: { field: 'id', direction: 'desc' } })).toEqual([3, 2, 1]);
        expect(await idsOf(harness, { order: { field: 'updated_at', direction: 'desc' } })).toEqual([2, 3, 1]);
        expect(await idsOf(harness, { order: { field: 'created_at' } })).toEqual([1, 2, 3]);
        expect(await idsOf(harness, {})).toEqual([2, 3, 1]);
      }));

    it('leaves hidden and trashed contacts out, and does not count them', () =>
      withCrm(open, { contacts: 4 }, async (harness) => {
        const [first = 0, second = 0, ...others] = harness.account.contacts().map(({ id }) => id);
        harness.account.hide(first);
        harness.account.delete(second);
        expect(await idsOf(harness, { order: BY_ID })).toEqual(others);
        expect(valueOf(await harness.crm.list({ order: BY_ID }, EDIT)).total).toBe(2);
      }));

    it('answers null for columns that were not selected', () =>
      withCrm(open, {}, async ({ crm, account }) => {
        account.create({ first_name: 'Ada', city: 'Oslo', email: 'ada@mail.example' });
        const [record] = valueOf(await crm.list({ order: BY_ID, select: ['id', 'first_name', 'city'] }, EDIT)).records;
        expect(record?.fields).toMatchObject({ first_name: 'Ada', city: 'Oslo', email: null });
      }));

    it('searches by field and operator, one or all of them', () =>
      withCrm(open, {}, async (harness) => {
        harness.account.create({ first_name: 'Ada', city: 'Oslo', email: 'ada@mail.example' });
        harness.account.create({ first_name: 'Adam', city: 'Rome', phones: [{ number: '+1 555 01', type: 'work' }] });
        const find = (params: ListParams) => idsOf(harness, { order: BY_ID, ...params });
        expect(await find({ q: 'ada', searchFields: [{ field: 'first_name', operator: '=' }] })).toEqual([1]);
        expect(await find({ q: 'ada', searchFields: [{ field: 'first_name', operator: 'like' }] })).toEqual([1, 2]);
        expect(await find({ q: '+1 555 01', searchFields: [{ field: 'phones.number', operator: '=' }] })).toEqual([2]);
        expect(await find({ q: '1,2', searchFields: [{ field: 'id', operator: 'in' }] })).toEqual([1, 2]);
        const both = { q: 'first_name:Ada;city:Rome', searchFields: [{ field: 'first_name' }, { field: 'city' }] } as const;
        expect(await find({ ...both, searchMatch: 'and' })).toEqual([2]);
        expect(await find({ ...both, searchMatch: 'or' })).toEqual([1, 2]);
      }));

    it('refuses search fields that it does not have, and an order by a column that it does not have', () =>
      withCrm(open, { contacts: 1 }, async ({ crm }) => {
        expect(failureIn(await crm.list({ q: 'x', searchFields: [{ field: 'nonsense' }] }, EDIT))).toMatchObject({
          class: 'park',
          code: 'forbidden',
        });
        const nonsense = await crm.list({ order: { field: 'nonsense' } }, EDIT);
        expect(failureIn(nonsense)).toMatchObject({ class: 'retry', code: 'server_error', status: 500, proven: true });
      }));

    it.each(['documented', 'upstream'] as const)('in mode %s answers links and changes since a second as far as it has them', (mode) =>
      withCrm(open, { mode, contacts: 6 }, async (harness) => {
        const { crm, account, clock } = harness;
        await clock.advance(5000);
        account.update(1, { city: 'Oslo' });
        const since = clock.now();
        await clock.advance(1000);
        account.update(2, { city: 'Rome' });
        const all = account.contacts().map(({ id }) => id);
        const asked = (updatedSince: Date) => idsOf(harness, { order: BY_ID, updatedSince });
        expect(await asked(since)).toEqual(mode === 'upstream' ? [1, 2] : all);
        expect(await asked(clock.now())).toEqual(mode === 'upstream' ? [2] : all);

        const plain = valueOf(await crm.list({ order: BY_ID }, EDIT)).records;
        expect(plain.every(({ links }) => links.companies === null && links.deals === null && links.activities === null)).toBe(true);
        expect(plain.map(({ linkCounts }) => linkCounts)).toEqual(
          account.contacts().map(({ companies, deals }) => ({ companies: companies.length, deals: deals.length })),
        );
        const rich = valueOf(await crm.list({ order: BY_ID, with: ['companies', 'deals'] }, EDIT)).records;
        const linked = account.contacts().map(({ companies, deals }) => ({ companies, deals, activities: null }));
        expect(rich.map(({ links }) => links)).toEqual(mode === 'upstream' ? linked : plain.map(({ links }) => links));
      }),
    );
  });

  describe('retrieve', () => {
    it('answers the whole contact: fields of every type, links, times, names, and nothing that depends on the viewer', () =>
      withCrm(open, { contacts: 30 }, async ({ crm, account }) => {
        const defs: CustomFieldDefs = new Map(valueOf(await crm.customFields(EDIT)).map((def) => [def.name, def]));
        for (const contact of account.contacts()) {
          const record = valueOf(await crm.retrieve(contact.id, EDIT));
          const { custom, phones, companies, deals, createdAtMs, updatedAtMs, ...columns } = contact;
          const expected = canonicalFields({ ...columns, phones, custom_fields: custom }, defs);
          expect(canonicalFields(record.fields, defs)).toEqual(expected);
          expect(record.links).toEqual({ companies, deals, activities: null });
          expect(record.linkCounts).toEqual({ companies: companies.length, deals: deals.length });
          expect([record.createdAt?.getTime(), record.updatedAt?.getTime()]).toEqual([createdAtMs, updatedAtMs]);
          expect(Object.keys(record.extra).sort()).toEqual(['owner_assigned_date', 'tags']);
          const named = record.names.filter(({ kind }) => kind === 'companies');
          expect(named).toEqual(companies.map((id) => ({ kind: 'companies', id, name: account.record('companies', id)?.name })));
          expect(record.names.some(({ kind }) => kind === 'users')).toBe(contact.user_id !== null);
        }
      }));

    it('agrees with the list in fields and extra, so that no reading looks like a change', () =>
      withCrm(open, { contacts: 10 }, async ({ crm }) => {
        for (const row of valueOf(await crm.list({ order: BY_ID }, EDIT)).records) {
          const single = valueOf(await crm.retrieve(row.crmId, EDIT));
          expect({ fields: single.fields, extra: single.extra }).toEqual({ fields: row.fields, extra: row.extra });
        }
      }));

    it('tells the CRM clock to the second, the status and the version', () =>
      withCrm(open, { contacts: 1 }, async ({ crm, clock }) => {
        await clock.advance(1700);
        const { meta } = await crm.retrieve(1, EDIT);
        expect(meta).toEqual({ date: new Date(Date.UTC(2026, 0, 1, 0, 0, 1)), status: 200, appVersion: '1.7.0' });
      }));

    it('tells a contact that is gone, or in the trash, from one that may not be seen', () =>
      withCrm(open, { contacts: 2 }, async ({ crm, account }) => {
        account.delete(1);
        account.hide(2);
        for (const id of [1, 4711]) {
          expect(failureIn(await crm.retrieve(id, EDIT))).toMatchObject({ class: 'refetch', code: 'not_found', status: 404, proven: true });
        }
        expect(failureIn(await crm.retrieve(2, EDIT))).toMatchObject({ class: 'park', code: 'forbidden', status: 403, proven: true });
      }));
  });

  describe('search', () => {
    it('answers every match at once, links included, as many as asked for and in the order asked for', () =>
      withCrm(open, { contacts: 40 }, async ({ crm, account }) => {
        const all = valueOf(await crm.search({ q: 'mail.example', searchFields: [{ field: 'email' }], order: BY_ID }, EDIT)).records;
        const expected = account.contacts().filter(({ email }) => email !== null);
        expect(all.map(({ crmId }) => crmId)).toEqual(expected.map(({ id }) => id));
        expect(all.map(({ links }) => links.companies)).toEqual(expected.map(({ companies }) => companies));
        const some = { q: 'mail.example', searchFields: [{ field: 'email' }], take: 3, order: { field: 'id', direction: 'desc' } } as const;
        expect(valueOf(await crm.search(some, EDIT)).records.map(({ crmId }) => crmId)).toEqual(
          expected
            .map(({ id }) => id)
            .toReversed()
            .slice(0, 3),
        );
      }));

    it('finds an e-mail exactly, whatever its case, and nothing without a question', () =>
      withCrm(open, {}, async ({ crm, account }) => {
        account.create({ first_name: 'Ada', email: 'ada@mail.example' });
        account.create({ first_name: 'Bo', email: 'x.ada@mail.example' });
        const exact = { q: 'ADA@mail.example', searchFields: [{ field: 'email', operator: '=' }] } as const;
        expect(valueOf(await crm.search(exact, EDIT)).records.map(({ crmId }) => crmId)).toEqual([1]);
        expect(valueOf(await crm.search({}, EDIT))).toEqual({ records: [], bad: [] });
      }));
  });
};

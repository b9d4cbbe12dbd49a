/** Creates, updates, deletes. */
import { describe, expect, it } from 'vitest';
import { canonicalFields, type CustomFieldDefs } from '../../src/domain/contact.ts';
import { BY_ID, EDIT, failureIn, valueOf, withCrm, type OpenCrm } from './crm-harness.ts';

const PHONE = { number: '+1 555 0100', type: 'work' } as const;

export const describeWrites = (open: OpenCrm): void => {
  describe('create', () => {
    it('stores what was sent and answers it as the CRM keeps it', () =>
      withCrm(open, { contacts: 3 }, async ({ crm, account }) => {
        const [company = 0] = account.records('companies').map(({ id }) => id);
        const [deal = 0] = account.records('deals').map(({ id }) => id);
        const body = { first_name: ' Ada ', last_name: '', email: 'ada@mail.example', country_id: 1, phones: [PHONE] };
        const result = await crm.create({ ...body, companies: [company], deals: [deal] }, EDIT);
        const record = valueOf(result);
        expect(result.meta?.status).toBe(201);
        expect(record.fields).toMatchObject({ ...body, first_name: 'Ada', last_name: null });
        expect(record.links).toEqual({ companies: [company], deals: [deal], activities: null });
        expect(record.createdAt).toEqual(record.updatedAt);
        expect(account.contact(record.crmId)).toMatchObject({ first_name: 'Ada', last_name: null, companies: [company], deals: [deal] });
      }));

    it("refuses bad values with the CRM's words by field, and stores nothing", () =>
      withCrm(open, {}, async ({ crm, account }) => {
        account.create({ first_name: 'Bo', email: 'taken@mail.example', phones: [PHONE] });
        account.delete(1);
        const refused = await crm.create({ first_name: null, email: 'taken@mail.example', phones: [PHONE] }, EDIT);
        const failure = failureIn(refused);
        expect(failure).toMatchObject({ class: 'park', code: 'invalid', status: 422, proven: true, retryAfterMs: null });
        expect(Object.keys(failure.fields).sort()).toEqual(['email', 'first_name', 'phones.0.number']);
        expect(failure.message).toContain(failure.fields['first_name']?.[0]);
        expect(account.contacts()).toEqual([]);
      }));

    it('writes custom fields under their own names, and lets none pass for a field of the contact', () =>
      withCrm(open, { account: { customFields: [{ name: 'cf_note', label: 'Note', type: 'Text' }] } }, async ({ crm, account }) => {
        valueOf(await crm.create({ first_name: 'Ada', custom_fields: { cf_note: 'x', city: 'Oslo', cf_unheard: 1 } }, EDIT));
        expect(account.contact(1)).toMatchObject({ city: null, custom: { cf_note: 'x' } });
      }));
  });

  describe('update', () => {
    it('writes only the keys that are there; null empties', () =>
      withCrm(open, {}, async ({ crm, account }) => {
        account.create({ first_name: 'Ada', city: 'Oslo', email: 'ada@mail.example', phones: [PHONE] });
        const record = valueOf(await crm.update(1, { city: null, job_title: 'Chief' }, EDIT));
        expect(record.fields).toMatchObject({
          first_name: 'Ada',
          city: null,
          job_title: 'Chief',
          email: 'ada@mail.example',
          phones: [PHONE],
        });
        expect(account.contact(1)).toMatchObject({ city: null, job_title: 'Chief', email: 'ada@mail.example' });
      }));

    it('moves updated_at where something changed, and only there', () =>
      withCrm(open, {}, async ({ crm, account, clock }) => {
        const before = account.create({ first_name: 'Ada' }).updatedAtMs;
        await clock.advance(5000);
        expect(valueOf(await crm.update(1, { first_name: 'Ada' }, EDIT)).updatedAt?.getTime()).toBe(before);
        expect(valueOf(await crm.update(1, {}, EDIT)).updatedAt?.getTime()).toBe(before);
        expect(valueOf(await crm.update(1, { first_name: 'Bo' }, EDIT)).updatedAt?.getTime()).toBe(before + 5000);
      }));

    it('replaces the phones as a set keyed by number, and leaves them alone where they are not sent', () =>
      withCrm(open, {}, async ({ crm, account }) => {
        account.create({ first_name: 'Ada', phones: [PHONE, { number: '2', type: 'mobile' }] });
        const [kept] = account.contact(1)?.phones ?? [];
        const wanted = [
          { ...PHONE, type: 'other' },
          { number: '3', type: 'work' },
        ] as const;
        expect(valueOf(await crm.update(1, { phones: wanted }, EDIT)).fields.phones).toEqual(wanted);
        expect(account.contact(1)?.phones[0]?.id).toBe(kept?.id);
        valueOf(await crm.update(1, { city: 'Oslo' }, EDIT));
        expect(account.contact(1)?.phones).toHaveLength(2);
        expect(valueOf(await crm.update(1, { phones: [] }, EDIT)).fields.phones).toEqual([]);
      }));

    it('replaces the sets of companies and deals that are sent', () =>
      withCrm(open, {}, async ({ crm, account }) => {
        for (const name of ['A', 'B', 'C']) account.addRecord('companies', name);
        account.addRecord('deals', 'D');
        valueOf(await crm.create({ first_name: 'Ada', companies: [1, 2], deals: [1] }, EDIT));
        expect(valueOf(await crm.update(1, { companies: [3] }, EDIT)).links).toMatchObject({ companies: [3], deals: [1] });
        expect(valueOf(await crm.update(1, { deals: [] }, EDIT)).links).toMatchObject({ companies: [3], deals: [] });
      }));

    it('takes custom values of every type in canonical form, and then changes nothing', () =>
      withCrm(open, { contacts: 20 }, async ({ crm }) => {
        const defs: CustomFieldDefs = new Map(valueOf(await crm.customFields(EDIT)).map((def) => [def.name, def]));
        for (const row of valueOf(await crm.list({ order: BY_ID, perPage: 100 }, EDIT)).records) {
          const before = canonicalFields(row.fields, defs);
          const after = valueOf(await crm.update(row.crmId, { custom_fields: before.custom_fields }, EDIT));
          expect(canonicalFields(after.fields, defs)).toEqual(before);
          expect(after.updatedAt).toEqual(row.updatedAt);
        }
      }));

    it('refuses an empty first name as a value, a hidden contact as a person would be, and tells a trashed one as gone', () =>
      withCrm(open, { contacts: 3 }, async ({ crm, account }) => {
        expect(failureIn(await crm.update(1, { first_name: '' }, EDIT))).toMatchObject({ class: 'park', code: 'invalid' });
        account.hide(1);
        account.lock(2);
        account.delete(3);
        for (const id of [1, 2])
          expect(failureIn(await crm.update(id, { city: 'Oslo' }, EDIT))).toMatchObject({ class: 'park', code: 'forbidden', proven: true });
        expect(valueOf(await crm.retrieve(2, EDIT)).crmId).toBe(2);
        expect(failureIn(await crm.update(3, { city: 'Oslo' }, EDIT))).toMatchObject({ class: 'refetch', code: 'not_found', proven: true });
      }));
  });

  describe('delete', () => {
    it('moves the contact to the trash; a second one finds it gone', () =>
      withCrm(open, { contacts: 2 }, async ({ crm, account }) => {
        const result = await crm.delete(1, EDIT);
        expect(result).toMatchObject({ ok: true, value: null, meta: { status: 204 } });
        expect(account.trashed().map(({ id }) => id)).toEqual([1]);
        expect(failureIn(await crm.delete(1, EDIT))).toMatchObject({ class: 'refetch', code: 'not_found', proven: true });
      }));

    it('is refused for a contact that may only be read', () =>
      withCrm(open, { contacts: 1 }, async ({ crm, account }) => {
        account.lock(1);
        expect(failureIn(await crm.delete(1, EDIT))).toMatchObject({ class: 'park', code: 'forbidden' });
        expect(account.trashed()).toEqual([]);
      }));
  });
};

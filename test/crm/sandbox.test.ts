/** The client against the sandbox CRM: two sides that were written apart, from the same facts, and have to understand each other. */
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalFields, type CustomFieldDefs } from '../../src/domain/contact.ts';
import { DOCUMENTED_ONLY, type CallOptions, type Crm, type CrmResult } from '../../src/ports/crm.ts';
import { probeCapabilities } from '../../src/crm/probe.ts';
import { createSandboxAccount, type SandboxAccount } from '../../src/sandbox/crm/account.ts';
import { type SandboxMode, startSandbox } from '../../src/sandbox/crm/server.ts';
import { connect, TOKEN } from './harness.ts';

const EDIT: CallOptions = { lane: 'edit' };
const opened: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close();
});

const open = async (mode: SandboxMode, contacts: number): Promise<{ crm: Crm; account: SandboxAccount }> => {
  const account = createSandboxAccount();
  account.seed({ contacts });
  const sandbox = await startSandbox({ account, token: TOKEN, mode, ratePerMinute: 6000 });
  const crm = connect(sandbox.url);
  opened.push(
    () => sandbox.close(),
    () => crm.close(),
  );
  return { crm, account };
};
const valueOf = <T>(result: CrmResult<T>): T => {
  if (!result.ok) throw new Error(`${result.failure.code}: ${result.failure.message}`);
  return result.value;
};

describe.each(['documented', 'upstream'] as const)('with a CRM that is %s', (mode) => {
  it('the probe finds what is there', async () => {
    const { crm } = await open(mode, 30);
    const all = { filters: true, withLinks: true, trash: true, activities: true, customFields: true };
    expect(valueOf(await probeCapabilities(crm, EDIT))).toEqual({ ...DOCUMENTED_ONLY, ...(mode === 'upstream' && all) });
  });

  it('a walk by id reads every contact once, none of them badly', async () => {
    const { crm, account } = await open(mode, 45);
    const seen: number[] = [];
    for (let page = 1, last = 1; page <= last; page += 1) {
      const answer = valueOf(await crm.list({ order: { field: 'id', direction: 'asc' }, perPage: 20, page }, EDIT));
      last = answer.lastPage;
      expect(answer).toMatchObject({ page, perPage: 20, total: 45, bad: [] });
      seen.push(...answer.records.map(({ crmId }) => crmId));
    }
    expect(seen).toEqual(account.contacts().map(({ id }) => id));
  });

  it('a list and a single read of one contact agree in fields and extra, so that no reading makes a change', async () => {
    const { crm } = await open(mode, 10);
    for (const row of valueOf(await crm.list({ order: { field: 'id', direction: 'asc' } }, EDIT)).records) {
      const single = valueOf(await crm.retrieve(row.crmId, EDIT));
      expect({ fields: single.fields, extra: single.extra }).toEqual({ fields: row.fields, extra: row.extra });
      expect(single.linkCounts.companies).toBe(single.links.companies?.length);
    }
  });

  it('a contact goes all the way: create, update, links, search, delete', async () => {
    const { crm, account } = await open(mode, 5);
    const [company = 0] = account.records('companies').map(({ id }) => id);
    const phones = [{ number: '+1 555 0100', type: 'work' }] as const;
    const created = valueOf(await crm.create({ first_name: 'Ada', email: 'ada@example.com', phones, companies: [company] }, EDIT));
    expect(created).toMatchObject({ fields: { first_name: 'Ada', phones }, links: { companies: [company], deals: [] } });
    const { crmId } = created;
    expect(valueOf(await crm.update(crmId, { last_name: 'Lovelace', phones: [] }, EDIT)).fields).toMatchObject({
      last_name: 'Lovelace',
      phones: [],
    });
    expect(valueOf(await crm.detach(crmId, { companies: [company] }, EDIT)).links.companies).toEqual([]);
    expect(valueOf(await crm.attach(crmId, { companies: [company] }, EDIT)).links.companies).toEqual([company]);
    expect(await crm.attach(crmId, { companies: [company] }, EDIT)).toMatchObject({
      ok: false,
      failure: { class: 'refetch', code: 'conflict' },
    });
    expect(valueOf(await crm.sync(crmId, { companies: [] }, EDIT)).links.companies).toEqual([]);
    const found = valueOf(await crm.search({ q: 'ada@example.com', searchFields: [{ field: 'email', operator: '=' }] }, EDIT));
    expect(found.records.map((record) => record.crmId)).toEqual([crmId]);
    expect(await crm.delete(crmId, EDIT)).toMatchObject({ ok: true, value: null });
    const gone = { ok: false, failure: { class: 'refetch', code: 'not_found', proven: true } };
    expect(await crm.retrieve(crmId, EDIT)).toMatchObject(gone);
    expect(await crm.delete(crmId, EDIT)).toMatchObject(gone);
  });

  it("a refused value comes back with the CRM's words by field", async () => {
    const { crm } = await open(mode, 2);
    const refused = await crm.create({ first_name: '' }, EDIT);
    expect(refused).toMatchObject({ ok: false, failure: { class: 'park', code: 'invalid', proven: true } });
    expect(!refused.ok && Object.keys(refused.failure.fields)).toEqual(['first_name']);
  });
});

describe('with a CRM that is upstream', () => {
  it('custom fields of every type, sent back in canonical form, change nothing', async () => {
    const { crm } = await open('upstream', 20);
    const defs: CustomFieldDefs = new Map(valueOf(await crm.customFields(EDIT)).map((def) => [def.name, def]));
    expect(new Set([...defs.values()].map(({ type }) => type)).size).toBe(7);
    for (const row of valueOf(await crm.list({ order: { field: 'id' } }, EDIT)).records) {
      const before = canonicalFields(row.fields, defs);
      const after = valueOf(await crm.update(row.crmId, { custom_fields: before.custom_fields }, EDIT));
      expect(canonicalFields(after.fields, defs)).toEqual(before);
    }
  });

  it('the trash lists what was deleted since, and a restore brings it back under its id', async () => {
    const { crm } = await open('upstream', 3);
    const before = new Date(Date.now() - 5000);
    valueOf(await crm.delete(2, EDIT));
    expect(
      valueOf(await crm.listTrashed({ order: { field: 'id' }, updatedSince: before }, EDIT)).records.map(({ crmId }) => crmId),
    ).toEqual([2]);
    expect(valueOf(await crm.restore(2, EDIT)).crmId).toBe(2);
    expect(valueOf(await crm.listTrashed({}, EDIT)).total).toBe(0);
  });

  it('activities are attached and read', async () => {
    const { crm, account } = await open('upstream', 2);
    const added = account.addRecord('activities', 'Call her back');
    const before = valueOf(await crm.listActivities(1, 1, EDIT));
    valueOf(await crm.attach(1, { activities: [added.id] }, EDIT));
    const after = valueOf(await crm.listActivities(1, 1, EDIT));
    expect(after.ids.filter((id) => !before.ids.includes(id))).toEqual([added.id]);
    expect(after.names).toContainEqual({ kind: 'activities', id: added.id, name: 'Call her back' });
  });
});

import { describe, expect, it } from 'vitest';
import { openSandbox } from './open-sandbox.ts';

const VERBS = { attach: 'PUT', sync: 'POST', detach: 'DELETE' } as const;
type Verb = keyof typeof VERBS;

/** Contact 1 with companies 1 and 4 (4 is hidden from the token), deal 1 and activity 1; more records of each kind exist. */
const linked = async () => {
  const opened = await openSandbox();
  const { account, clock } = opened;
  for (const kind of ['companies', 'deals', 'activities'] as const) for (const name of ['A', 'B', 'C', 'D']) account.addRecord(kind, name);
  account.create({ first_name: 'Ada', companies: [1, 4], deals: [1] });
  account.attach(1, { activities: [1] });
  account.changeRecord('companies', 4, { hidden: true });
  account.changeRecord('deals', 3, { trashed: true });
  clock.advance(10);
  const send = (verb: Verb, body: unknown, path = '/associations/contacts/1') => opened.call(VERBS[verb], path, body);
  const links = (): unknown => {
    const contact = account.contact(1);
    return { companies: contact?.companies, deals: contact?.deals, activities: contact?.activities };
  };
  const movedIds = (kind: 'companies' | 'deals' | 'activities'): readonly number[] =>
    account.records(kind).filter((record) => record.updatedAtMs === Date.parse('2026-03-01T12:00:10Z')).map((record) => record.id); // prettier-ignore
  return { ...opened, send, links, movedIds };
};

const REFUSAL = { message: expect.any(String) };
const BEFORE = { companies: [1, 4], deals: [1], activities: [1] };

describe('the association table', () => {
  it.each<[Verb, string, unknown, number, unknown]>([
    ['attach', 'new ids', { companies: [2], activities: [2] }, 200, { companies: [1, 2, 4], deals: [1], activities: [1, 2] }],
    ['sync', 'new ids', { companies: [2], activities: [2] }, 200, { companies: [2], deals: [1], activities: [2] }],
    ['detach', 'linked ids', { companies: [1], activities: ['1'] }, 200, { companies: [4], deals: [1], activities: [] }],
    ['attach', 'null', { companies: null, deals: 'x' }, 200, BEFORE],
    ['sync', 'null', { companies: null, deals: 'x' }, 200, BEFORE],
    ['detach', 'null', { companies: null, deals: 'x' }, 200, BEFORE],
    ['attach', 'an empty array', { companies: [] }, 200, BEFORE],
    ['sync', 'an empty array, which spares hidden links', { companies: [] }, 200, { ...BEFORE, companies: [4] }],
    ['detach', 'an empty array', { companies: [] }, 200, BEFORE],
    ['attach', 'one id that is attached', { companies: [1] }, 409, BEFORE],
    ['attach', 'one id that is attached, of two types', { companies: [1], deals: [1] }, 200, BEFORE],
    ['attach', 'two ids, one attached', { companies: [1, 2] }, 200, { ...BEFORE, companies: [1, 2, 4] }],
    ['attach', 'two ids, one attached and one unknown', { companies: [1, 99] }, 200, BEFORE],
    ['sync', 'what is attached', { companies: [1, 4] }, 200, { ...BEFORE, companies: [1] }],
    ['attach', 'unknown and trashed ids only', { companies: [99], deals: [3] }, 403, BEFORE],
    ['attach', 'an id that cannot be seen', { companies: [4] }, 403, BEFORE],
    ['attach', 'nothing viewable of one type of two', { companies: [99], deals: [2] }, 200, { ...BEFORE, deals: [1, 2] }],
    ['sync', 'unknown ids only, which detaches everything', { companies: [99] }, 200, { ...BEFORE, companies: [] }],
    ['sync', 'some unknown ids', { companies: [2, 99] }, 200, { ...BEFORE, companies: [2] }],
    ['detach', 'an id that cannot be seen', { companies: [4] }, 200, { ...BEFORE, companies: [1] }],
    ['attach', 'an empty body', {}, 403, BEFORE],
    ['sync', 'an empty body', {}, 200, BEFORE],
    ['detach', 'an empty body', {}, 200, BEFORE],
    ['attach', 'an unknown key', { companies: [2], products: [1] }, 409, BEFORE],
    ['sync', 'a kind that contacts do not link to', { contacts: [1] }, 409, BEFORE],
    ['detach', 'an unknown key', { nonsense: 1 }, 409, BEFORE],
  ])('%s with %s', async (verb, _what, body, status, after) => {
    const { send, links } = await linked();
    const answer = await send(verb, body);
    expect(answer.status).toBe(status);
    expect(links()).toEqual(after);
    const contact = { id: 1, first_name: 'Ada', was_recently_created: false };
    expect(answer.body).toMatchObject(status === 200 ? contact : REFUSAL);
  });

  it.each(['attach', 'sync', 'detach'] as const)(
    '%s: 403 without the right to update, 404 for a contact that is trashed or missing',
    async (verb) => {
      const { send, account, links } = await linked();
      account.lock(1);
      expect(await send(verb, { companies: [2] })).toMatchObject({ status: 403, body: { message: expect.any(String) } });
      account.delete(1);
      expect((await send(verb, { companies: [2] })).status).toBe(404);
      expect((await send(verb, { companies: [2] }, '/associations/contacts/99')).status).toBe(404);
      expect(links()).toEqual(BEFORE);
    },
  );

  it.each(['attach', 'sync', 'detach'] as const)('%s: an extra query parameter is a 409', async (verb) => {
    const { send, links } = await linked();
    expect((await send(verb, { companies: [1] }, '/associations/contacts/1?debug=1')).status).toBe(409);
    expect(links()).toEqual(BEFORE);
  });

  it('detach without a body is a silent 200', async () => {
    const { send, links } = await linked();
    expect((await send('detach', undefined)).status).toBe(200);
    expect(links()).toEqual(BEFORE);
  });

  it('moves updated_at of the contact and of the companies and deals that changed, never of activities', async () => {
    const { send, movedIds } = await linked();
    const { body } = await send('sync', { companies: [2], deals: [1], activities: [2] });
    expect(body.updated_at).toBe('2026-03-01T12:00:10.000000Z');
    expect(movedIds('companies')).toEqual([1, 2, 4]);
    expect(movedIds('deals')).toEqual([]);
    expect(movedIds('activities')).toEqual([]);
  });

  it('moves nothing where nothing changes', async () => {
    const { send, movedIds } = await linked();
    const { body } = await send('sync', { deals: [1], activities: [1] });
    expect(body.updated_at).toBe('2026-03-01T12:00:00.000000Z');
    expect((await send('detach', { companies: [3] })).body.updated_at).toBe('2026-03-01T12:00:00.000000Z');
    expect([...movedIds('companies'), ...movedIds('deals')]).toEqual([]);
  });
});

describe('reading links', () => {
  it('lists what the token may see, in pages', async () => {
    const { call } = await linked();
    const { body } = await call('GET', '/contacts/1/companies');
    expect(body.data).toMatchObject([{ id: 1, name: 'A' }]);
    expect(body.meta).toMatchObject({ total: 1, per_page: 15 });
    expect((await call('GET', '/contacts/1/deals')).body.meta.total).toBe(1);
    const { body: activities } = await call('GET', '/contacts/1/activities?per_page=1');
    expect(activities.data).toMatchObject([{ id: 1, title: 'A' }]);
    expect((await call('GET', '/contacts/9/activities')).status).toBe(404);
  });

  it('answers all kinds at once, keyed by resource', async () => {
    const { call } = await linked();
    const { body } = await call('GET', '/associations/contacts/1');
    expect(Object.keys(body)).toEqual(['companies', 'deals', 'activities']);
    for (const rows of Object.values(body)) expect(rows).toEqual([expect.objectContaining({ id: 1 })]);
  });

  it('reduces a linked record that cannot be seen to its id, inside the contact', async () => {
    const { call } = await linked();
    expect((await call('GET', '/contacts/1')).body.companies).toEqual([expect.objectContaining({ id: 1, name: 'A' }), { id: 4 }]);
  });
});

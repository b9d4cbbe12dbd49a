import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CallOptions, Crm } from '../../src/ports/crm.ts';
import { connect } from './harness.ts';
import { contactRow, empty, envelope, json, type Received, type ScriptedServer, startServer } from './scripted-server.ts';

const EDIT: CallOptions = { lane: 'edit' };
let server: ScriptedServer;
let crm: Crm & { close(): void };

beforeAll(async () => {
  server = await startServer(empty(500));
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  server.received.length = 0;
  crm?.close();
  crm = connect(server.url);
});
afterAll(() => crm.close());

const only = (): Received => {
  expect(server.received).toHaveLength(1);
  return server.received[0] as Received;
};
/** Method, address and body as they went over the wire. */
const sent = (): unknown => {
  const { method, path, query, body } = only();
  return { call: `${method} ${path}`, query: Object.fromEntries(query), body: body === '' ? null : (JSON.parse(body) as unknown) };
};

describe('the nine calls', () => {
  it('list sends every parameter as the CRM spells it', async () => {
    server.script = json(200, envelope([contactRow(1)], { current_page: 3, last_page: 9, per_page: 100, total: 801 }));
    const result = await crm.list(
      {
        order: { field: 'updated_at', direction: 'desc' },
        select: ['id', 'first_name'],
        perPage: 100,
        page: 3,
        q: 'John',
        searchFields: [{ field: 'email', operator: 'like' }, { field: 'phones.number', operator: '=' }, { field: 'id' }],
        searchMatch: 'and',
        with: ['companies', 'deals'],
      },
      EDIT,
    );
    expect(sent()).toEqual({
      call: 'GET /api/contacts',
      query: {
        order: 'updated_at|desc',
        select: 'id;first_name',
        per_page: '100',
        page: '3',
        q: 'John',
        search_fields: 'email:like;phones.number:=;id',
        search_match: 'and',
        with: 'companies;deals',
      },
      body: null,
    });
    expect(result).toMatchObject({ ok: true, value: { page: 3, perPage: 100, lastPage: 9, total: 801, records: [{ crmId: 1 }], bad: [] } });
  });

  it('list sends nothing that it was not given', async () => {
    server.script = json(200, envelope([]));
    await crm.list({ order: { field: 'id' } }, EDIT);
    expect(sent()).toEqual({ call: 'GET /api/contacts', query: { order: 'id' }, body: null });
  });

  it.each(['list', 'listTrashed'] as const)('%s asks for changes by the nested rule tree, exact second, explicit Z', async (name) => {
    server.script = json(200, envelope([]));
    await crm[name]({ updatedSince: new Date('2026-01-23T04:58:56.789Z') }, EDIT);
    expect(Object.fromEntries(only().query)).toEqual({
      'filters[condition]': 'and',
      'filters[children][0][type]': 'rule',
      'filters[children][0][query][rule]': 'updated_at',
      'filters[children][0][query][operator]': 'greater_or_equal',
      'filters[children][0][query][value]': '2026-01-23T04:58:56Z',
    });
  });

  it('retrieve reads one contact', async () => {
    server.script = json(200, contactRow(7, { companies: [{ id: 2 }, { id: 1 }], deals: [] }));
    const result = await crm.retrieve(7, EDIT);
    expect(sent()).toEqual({ call: 'GET /api/contacts/7', query: {}, body: null });
    expect(result).toMatchObject({ ok: true, value: { crmId: 7, links: { companies: [1, 2], deals: [], activities: null } } });
  });

  it('create posts the fields, custom fields beside them', async () => {
    server.script = json(201, contactRow(8));
    const phones = [{ number: '+1', type: 'work' }] as const;
    const result = await crm.create(
      { first_name: 'Ada', phones, custom_fields: { cf_a: [1, 2], cf_b: null }, companies: [1], deals: [] },
      EDIT,
    );
    expect(sent()).toEqual({
      call: 'POST /api/contacts',
      query: {},
      body: { first_name: 'Ada', phones, cf_a: [1, 2], cf_b: null, companies: [1], deals: [] },
    });
    expect(result).toMatchObject({ ok: true, value: { crmId: 8 }, meta: { status: 201 } });
  });

  it('update puts only the keys given', async () => {
    server.script = json(200, contactRow(7));
    await crm.update(7, { last_name: null }, EDIT);
    expect(sent()).toEqual({ call: 'PUT /api/contacts/7', query: {}, body: { last_name: null } });
  });

  it('lets no custom field pass for a field of the contact', async () => {
    server.script = json(200, contactRow(7));
    await crm.update(7, { custom_fields: { email: 'x@y', cf_ok: 1, user_id: 9 } }, EDIT);
    expect(sent()).toMatchObject({ body: { cf_ok: 1 } });
    expect(Object.keys(JSON.parse(only().body) as object)).toEqual(['cf_ok']);
  });

  it('delete is done with 204 only', async () => {
    server.script = empty(204);
    expect(await crm.delete(7, EDIT)).toMatchObject({ ok: true, value: null });
    expect(sent()).toEqual({ call: 'DELETE /api/contacts/7', query: {}, body: null });
    server.script = json(200, {});
    expect(await crm.delete(7, EDIT)).toMatchObject({ ok: false, failure: { class: 'unknown', code: 'bad_answer' } });
  });

  it('delete answered 404 by the application is a proven failure that the caller may take as done', async () => {
    server.script = json(404, { message: 'Not found' });
    expect(await crm.delete(7, EDIT)).toMatchObject({ ok: false, failure: { class: 'refetch', code: 'not_found', proven: true } });
  });

  it('search sends its parameters and reads a bare list', async () => {
    server.script = json(200, [contactRow(1), { id: 2 }, contactRow(3)]);
    const order = { field: 'created_at', direction: 'desc' } as const;
    const result = await crm.search(
      { q: 'a@b.c', searchFields: [{ field: 'email', operator: '=' }], take: 5, order, select: ['id'] },
      EDIT,
    );
    expect(sent()).toEqual({
      call: 'GET /api/contacts/search',
      query: { q: 'a@b.c', search_fields: 'email:=', take: '5', order: 'created_at|desc', select: 'id' },
      body: null,
    });
    expect(result).toMatchObject({ ok: true, value: { records: [{ crmId: 1 }, { crmId: 3 }], bad: [{ crmId: 2 }] } });
  });

  it.each([
    ['attach', 'PUT'],
    ['sync', 'POST'],
    ['detach', 'DELETE'],
  ] as const)('%s is %s with a JSON body and without any query', async (name, method) => {
    server.script = json(200, contactRow(7, { companies: [{ id: 1 }], deals: [] }));
    const result = await crm[name](7, { companies: [1], activities: [] }, EDIT);
    expect(sent()).toEqual({ call: `${method} /api/associations/contacts/7`, query: {}, body: { companies: [1], activities: [] } });
    expect(Number(only().headers['content-length'])).toBeGreaterThan(0);
    expect(result).toMatchObject({ ok: true, value: { links: { companies: [1], deals: [] } } });
  });
});

describe('the undocumented calls', () => {
  it('listTrashed reads the trash like a list', async () => {
    server.script = json(200, envelope([contactRow(4)]));
    expect(await crm.listTrashed({ order: { field: 'id', direction: 'asc' }, perPage: 100, page: 1 }, EDIT)).toMatchObject({ ok: true });
    expect(sent()).toEqual({ call: 'GET /api/trashed/contacts', query: { order: 'id|asc', per_page: '100', page: '1' }, body: null });
  });

  it('restore posts to the trash', async () => {
    server.script = json(200, contactRow(4));
    expect(await crm.restore(4, EDIT)).toMatchObject({ ok: true, value: { crmId: 4 } });
    expect(sent()).toEqual({ call: 'POST /api/trashed/contacts/4', query: {}, body: null });
  });

  it('listActivities gives ids, names and the last page', async () => {
    server.script = json(200, envelope([{ id: 9, title: 'Call' }, { id: 3 }], { current_page: 2, last_page: 2 }));
    expect(await crm.listActivities(4, 2, EDIT)).toMatchObject({
      ok: true,
      value: { ids: [3, 9], names: [{ kind: 'activities', id: 9, name: 'Call' }], lastPage: 2 },
    });
    expect(sent()).toEqual({ call: 'GET /api/contacts/4/activities', query: { per_page: '100', page: '2' }, body: null });
  });

  it('listActivities fails as a whole for one entry without id: it would look detached', async () => {
    server.script = json(200, envelope([{ id: 9 }, { title: 'Lost' }]));
    expect(await crm.listActivities(4, 1, EDIT)).toMatchObject({ ok: false, failure: { code: 'bad_answer' } });
  });

  it('listActivities fails as a whole where entries are missing that its own numbers promise', async () => {
    server.script = json(200, envelope([{ id: 9 }], { per_page: 100, total: 2 }));
    expect(await crm.listActivities(4, 1, EDIT)).toMatchObject({ ok: false, failure: { code: 'bad_answer', proven: true } });
  });

  it('customFields reads the form of the edit screen', async () => {
    server.script = json(200, [{ attribute: 'cf_x', label: 'X', component: 'text-field', fieldType: 'Text' }, { attribute: 'email' }]);
    expect(await crm.customFields(EDIT)).toMatchObject({ ok: true, value: [{ name: 'cf_x', type: 'text', label: 'X', origin: 'crm' }] });
    expect(sent()).toMatchObject({ call: 'GET /api/fields/contacts/update' });
  });
});

describe('an answer that cannot be right', () => {
  it.each([
    ['no meta', { data: [] }],
    ['data that is no list', { data: {}, meta: { current_page: 1, last_page: 1, per_page: 15, total: 0 } }],
    ['a missing count', { data: [], meta: { current_page: 1, last_page: 1, per_page: 15 } }],
    ['a count that is no number', envelope([], { total: 'many' })],
    ['page 0', envelope([], { per_page: 0 })],
    ['another page than the one asked for', envelope([], { current_page: 2, last_page: 2 })],
    ['a bare list', []],
    ['null', null],
  ])('list with %s', async (_name, body) => {
    server.script = json(200, body);
    expect(await crm.list({}, EDIT)).toMatchObject({ ok: false, failure: { class: 'retry', code: 'bad_answer', status: 200 } });
  });

  it('a contact other than the one asked for, as a cache in between may send it', async () => {
    server.script = json(200, contactRow(8));
    expect(await crm.retrieve(7, EDIT)).toMatchObject({ ok: false, failure: { class: 'retry', code: 'bad_answer' } });
    expect(await crm.update(7, {}, EDIT)).toMatchObject({ ok: false, failure: { class: 'unknown', code: 'bad_answer' } });
  });

  it('search with an envelope', async () => {
    server.script = json(200, envelope([]));
    expect(await crm.search({ q: 'x' }, EDIT)).toMatchObject({ ok: false, failure: { code: 'bad_answer' } });
  });

  it('accepts counts as digits, as some drivers send them, and a page beyond the last', async () => {
    server.script = json(200, envelope([], { current_page: '9', last_page: '2', per_page: '15', total: '30' }));
    expect(await crm.list({ page: 9 }, EDIT)).toMatchObject({ ok: true, value: { page: 9, perPage: 15, lastPage: 2, total: 30 } });
  });
});

describe('our own mistakes', () => {
  it.each<[string, (crm: Crm) => Promise<unknown>]>([
    ['an id of 0', (it) => it.retrieve(0, EDIT)],
    ['an id beyond 2^53', (it) => it.update(2 ** 53, {}, EDIT)],
    ['a page of 0', (it) => it.list({ page: 0 }, EDIT)],
    ['101 a page', (it) => it.list({ perPage: 101 }, EDIT)],
    ['no kind of link', (it) => it.attach(7, {}, EDIT)],
    ['a link id that is no number', (it) => it.sync(7, { companies: ['Acme' as unknown as number] }, EDIT)],
  ])('%s throws before anything is sent', async (_name, call) => {
    await expect(call(crm)).rejects.toThrow(RangeError);
    expect(server.received).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { openSandbox } from './open-sandbox.ts';

const oneTrashed = async () => {
  const opened = await openSandbox();
  opened.account.addRecord('companies', 'Alder');
  opened.account.create({ first_name: 'Ada', email: 'ada@mail.example', companies: [1] });
  opened.account.create({ first_name: 'Bo' });
  opened.clock.advance(5);
  const deleted = await opened.call('DELETE', '/contacts/1');
  return { ...opened, deleted };
};

describe('delete', () => {
  it('answers 204 without a body; afterwards every call by id is a 404 in JSON', async () => {
    const { call, deleted } = await oneTrashed();
    expect(deleted).toMatchObject({ status: 204, text: '' });
    for (const [method, path] of [
      ['GET', '/contacts/1'],
      ['PUT', '/contacts/1'],
      ['DELETE', '/contacts/1'],
      ['GET', '/contacts/abc'],
    ] as const) {
      // prettier-ignore
      const { status, body } = await call(method, path, method === 'PUT' ? {} : undefined);
      expect(status).toBe(404);
      expect(body.message).toEqual(expect.any(String));
    }
  });

  it('tells a contact that is not for the token (403) from one that is not there (404)', async () => {
    const { call, account } = await oneTrashed();
    account.hide(2);
    for (const method of ['GET', 'PUT', 'DELETE']) expect((await call(method, '/contacts/2')).status).toBe(403);
    account.lock(2);
    expect((await call('GET', '/contacts/2')).body.authorizations).toMatchObject({ update: false, view: true });
    expect((await call('PUT', '/contacts/2', { city: 'X' })).status).toBe(403);
  });
});

describe('the trash', () => {
  it('lists, shows and finds what was deleted, with the delete as its updated_at', async () => {
    const { call } = await oneTrashed();
    const { body } = await call('GET', '/trashed/contacts?order=updated_at|desc');
    expect(body.data).toMatchObject([{ id: 1, updated_at: '2026-03-01T12:00:05.000000Z' }]);
    expect(body.data[0]).not.toHaveProperty('companies');
    expect(body.meta.total).toBe(1);
    expect((await call('GET', '/trashed/contacts/1')).body).toMatchObject({ id: 1, companies: [{ id: 1 }] });
    expect((await call('GET', '/trashed/contacts/2')).status).toBe(404);
    const search = '/trashed/contacts/search?q=ada@mail.example&search_fields=email:=';
    expect((await call('GET', search)).rows.map((row) => row.id)).toEqual([1]);
  });

  it('restores under the same id and with the same links, moving updated_at', async () => {
    const { call, clock } = await oneTrashed();
    clock.advance(1);
    const { status, body } = await call('POST', '/trashed/contacts/1');
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: 1, companies: [{ id: 1 }], updated_at: '2026-03-01T12:00:06.000000Z' });
    expect((await call('GET', '/contacts/1')).status).toBe(200);
    expect((await call('POST', '/trashed/contacts/1')).status).toBe(404);
  });

  it('purges for good, and only then frees the e-mail', async () => {
    const { call, account } = await oneTrashed();
    expect((await call('POST', '/contacts', { first_name: 'C', email: 'ada@mail.example' })).status).toBe(422);
    expect((await call('DELETE', '/trashed/contacts/1')).status).toBe(204);
    expect((await call('GET', '/trashed/contacts/1')).status).toBe(404);
    expect(account.contact(1)).toBeNull();
    expect((await call('POST', '/contacts', { first_name: 'C', email: 'ada@mail.example' })).status).toBe(201);
  });

  it('is emptied up to a limit', async () => {
    const { call, account } = await oneTrashed();
    account.delete(2);
    expect((await call('DELETE', '/trashed/contacts?limit=1')).body).toEqual({ deleted: 1 });
    expect(account.trashed().map(({ id }) => id)).toEqual([2]);
  });

  it('hides what the token may not see', async () => {
    const { call, account } = await oneTrashed();
    account.hide(1);
    expect((await call('GET', '/trashed/contacts')).body.meta.total).toBe(0);
    expect((await call('GET', '/trashed/contacts/1')).status).toBe(403);
  });
});

describe('the documented mode', () => {
  it.each([
    ['GET', '/trashed/contacts'],
    ['POST', '/trashed/contacts/1'],
    ['GET', '/contacts/2/activities'],
    ['GET', '/contacts/2/companies'],
    ['GET', '/associations/contacts/2'],
    ['GET', '/fields/contacts/update'],
    ['GET', '/contacts/rules'],
    ['GET', '/nonsense'],
  ])('does not know %s %s', async (method, path) => {
    const { call, sandbox } = await oneTrashed();
    sandbox.setMode('documented');
    const { status, body } = await call(method, path);
    expect(status).toBe(404);
    expect(body.message).toEqual(expect.any(String));
  });

  it('ignores filters, with and nested orders', async () => {
    const { call, sandbox, account } = await oneTrashed();
    account.create({ first_name: 'Al' });
    sandbox.setMode('documented');
    const rule = 'filters[children][0][type]=rule&filters[children][0][query][rule]=updated_at';
    const future = `${rule}&filters[children][0][query][operator]=greater_or_equal&filters[children][0][query][value]=2099-01-01T00:00:00Z`;
    const { body } = await call('GET', `/contacts?with=companies&order[0][field]=id&${future}`);
    expect(body.data.map((row) => row.first_name)).toEqual(['Al', 'Bo']);
    expect(body.data[0]).not.toHaveProperty('companies');
  });

  it('still attaches activities, which nothing can then read', async () => {
    const { call, sandbox, account } = await oneTrashed();
    sandbox.setMode('documented');
    account.addRecord('activities', 'Call');
    const { status, body } = await call('PUT', '/associations/contacts/2', { activities: [1] });
    expect(status).toBe(200);
    expect(body).not.toHaveProperty('activities');
    expect(account.contact(2)?.activities).toEqual([1]);
  });
});

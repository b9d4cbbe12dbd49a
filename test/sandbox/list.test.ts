import { describe, expect, it } from 'vitest';
import { openSandbox } from './open-sandbox.ts';
import type { JsonAnswer, Opened } from './open-sandbox.ts';

const withNames = async (names: readonly string[], options: Parameters<typeof openSandbox>[0] = {}): Promise<Opened> => {
  const opened = await openSandbox(options);
  for (const first_name of names) {
    opened.account.create({ first_name });
    opened.clock.advance(1);
  }
  return opened;
};

const names = (body: JsonAnswer): readonly string[] => body.data.map((row) => row.first_name);

describe('the list of contacts', () => {
  it('is an envelope of 15 rows by first name, with absolute links that lose the query', async () => {
    const { call, sandbox } = await withNames(['mia', 'Ada', 'Émile', ...Array.from({ length: 14 }, (_, index) => `x${index}`)]);
    const { status, body } = await call('GET', '/contacts?q=a&per_page=0');
    expect(status).toBe(200);
    expect(body.meta.per_page).toBe(15);
    const { body: all } = await call('GET', '/contacts');
    expect(names(all).slice(0, 4)).toEqual(['Ada', 'Émile', 'mia', 'x0']);
    expect(all.data).toHaveLength(15);
    expect(all.meta).toMatchObject({
      current_page: 1,
      from: 1,
      to: 15,
      last_page: 2,
      per_page: 15,
      total: 17,
      path: `${sandbox.url}/contacts`,
    });
    expect(all.links).toEqual({
      first: `${sandbox.url}/contacts?page=1`,
      last: `${sandbox.url}/contacts?page=2`,
      prev: null,
      next: `${sandbox.url}/contacts?page=2`,
    });
    expect(all.meta.links.map((link) => link.label)).toEqual(['&laquo; Previous', '1', '2', 'Next &raquo;']);
  });

  it('answers a page past the last with no rows, and still tells the total', async () => {
    const { call } = await withNames(['a', 'b', 'c']);
    const { status, body } = await call('GET', '/contacts?per_page=2&page=9');
    expect(status).toBe(200);
    expect(body.data).toEqual([]);
    expect(body.meta).toMatchObject({ current_page: 9, from: null, to: null, last_page: 2, total: 3 });
  });

  it('does not clamp per_page, unless the account is set up to', async () => {
    const { call } = await withNames(['a']);
    expect((await call('GET', '/contacts?per_page=500')).body.meta.per_page).toBe(500);
    const clamped = await withNames(['a'], { account: { perPageMax: 50 } });
    expect((await clamped.call('GET', '/contacts?per_page=100')).body.meta.per_page).toBe(50);
  });

  it.each([
    ['id', ['b', 'a', 'c']],
    ['id|desc', ['c', 'a', 'b']],
    ['updated_at|desc', ['c', 'a', 'b']],
    ['first_name|desc', ['c', 'b', 'a']],
    ['companies_count|desc', ['b', 'a', 'c']],
  ])('orders by %s', async (order, expected) => {
    const { call } = await withNames(['b', 'a', 'c']);
    expect(names((await call('GET', `/contacts?order=${encodeURIComponent(order)}`)).body)).toEqual(expected);
  });

  it('reads several orders in nested form, and drops a plain list together with the default order', async () => {
    const { call, account } = await withNames(['b', 'a', 'a']);
    account.update(3, { last_name: 'Z' });
    account.update(2, { last_name: 'A' });
    const nested = 'order[0][field]=first_name&order[1][field]=last_name&order[1][direction]=desc';
    expect((await call('GET', `/contacts?${nested}`)).body.data.map((row) => row.id)).toEqual([3, 2, 1]);
    expect(names((await call('GET', '/contacts?order[]=first_name|asc')).body)).toEqual(['b', 'a', 'a']);
  });

  it.each(['order=nonsense', 'order=id|sideways', 'select=id;nonsense', 'filters={"condition":"and"}'])(
    'breaks with 500 on ?%s',
    async (query) => {
      const { call } = await withNames(['a']);
      const { status, body } = await call('GET', `/contacts?${query}`);
      expect(status).toBe(500);
      expect(body).toEqual({ message: 'Server Error' });
    },
  );

  it('prints unselected columns as null instead of leaving them out', async () => {
    const { call, account } = await openSandbox();
    account.create({
      first_name: 'Ada',
      last_name: 'King',
      email: 'ada@mail.example',
      user_id: 1,
      phones: [{ number: '+1', type: 'work' }],
    });
    const [row] = (await call('GET', '/contacts?select=first_name;id')).body.data;
    expect(row).toMatchObject({
      id: 1,
      first_name: 'Ada',
      display_name: 'Ada',
      last_name: null,
      email: null,
      user_id: null,
      user: null,
      updated_at: null,
    });
    const [full] = (await call('GET', '/contacts')).body.data;
    expect(Object.keys(row ?? {}).sort()).toEqual(Object.keys(full ?? {}).sort());
  });

  it('leaves linked records out of its rows but carries their counts, and prints them when asked with `with`', async () => {
    const { call, account } = await openSandbox();
    const company = account.addRecord('companies', 'Alder Labs');
    account.create({ first_name: 'Ada', companies: [company.id] });
    const [row] = (await call('GET', '/contacts')).body.data;
    expect(row).toMatchObject({ companies_count: 1, deals_count: 0 });
    for (const key of ['companies', 'deals', 'actions', 'media', 'associations_count']) expect(row).not.toHaveProperty(key);
    const [withLinks] = (await call('GET', '/contacts?with=companies;deals')).body.data;
    expect(withLinks?.companies).toMatchObject([{ id: company.id, name: 'Alder Labs' }]);
    expect(withLinks?.deals).toEqual([]);
  });

  it('counts and shows only what the token may see', async () => {
    const { call, account } = await withNames(['a', 'b']);
    account.hide(1);
    const { body } = await call('GET', '/contacts');
    expect(names(body)).toEqual(['b']);
    expect(body.meta.total).toBe(1);
    account.show(1);
    expect((await call('GET', '/contacts')).body.meta.total).toBe(2);
  });

  it('follows edits, creates and deletes between two reads of the same order', async () => {
    const { call, account, clock } = await withNames(['a', 'b', 'c', 'd']);
    const ids = async () => (await call('GET', '/contacts?order=updated_at|desc')).body.data.map((row) => row.id);
    expect(await ids()).toEqual([4, 3, 2, 1]);
    account.update(2, { city: 'Lyon' });
    clock.advance(1);
    account.create({ first_name: 'e' });
    account.delete(3);
    expect(await ids()).toEqual([5, 2, 4, 1]);
    account.hide(5);
    account.restore(3);
    expect(await ids()).toEqual([3, 2, 4, 1]);
  });
});

describe('the filters of the list', () => {
  const rule = (operator: string, value: string | readonly string[], name = 'updated_at'): string => {
    const at = 'filters[children][0]';
    const values =
      typeof value === 'string' ? [`[value]=${encodeURIComponent(value)}`] : value.map((item, index) => `[value][${index}]=${item}`);
    const parts = [`[rule]=${name}`, `[operator]=${operator}`, ...values].map((part) => `${at}[query]${part}`);
    return ['filters[condition]=and', `${at}[type]=rule`, ...parts].join('&');
  };

  // Created at 12:00:00, 12:00:01 and a day later at 12:00:02.
  const threeContacts = async () => {
    const opened = await withNames(['a', 'b']);
    opened.clock.advance(86_400);
    opened.account.create({ first_name: 'c' });
    return opened;
  };

  it.each([
    ['greater_or_equal', '2026-03-01T12:00:01Z', ['b', 'c']],
    ['less', '2026-03-01T12:00:01Z', ['a']],
    ['greater', '2026-03-01T12:00:00Z', ['c']],
    ['greater', '2026-02-28T12:00:01Z', ['b', 'c']],
    ['less_or_equal', '2026-03-01T12:00:00Z', ['a', 'b']],
    ['equal', '2026-03-01T12:00:01Z', ['b']],
    ['between', ['2026-03-01T12:00:00Z', '2026-03-01T12:00:01Z'], ['a', 'b']],
    ['is', 'today', ['c']],
    ['is', 'yesterday', ['a', 'b']],
    ['is', 'last_7_days', ['a', 'b', 'c']],
    // Without an offset, in the token user's time zone: two hours east.
    ['greater_or_equal', '2026-03-01 14:00:01', ['b', 'c']],
    ['greater_or_equal', '2099-01-01T00:00:00Z', []],
  ])('reads %s %s', async (operator, value, expected) => {
    const { call } = await threeContacts();
    const { body } = await call('GET', `/contacts?${rule(operator, value)}`);
    expect(names(body)).toEqual(expected);
    expect(body.meta.total).toBe(expected.length);
  });

  it('ignores an unknown rule: the whole list comes back', async () => {
    const { call } = await threeContacts();
    expect((await call('GET', `/contacts?${rule('greater_or_equal', '2099-01-01T00:00:00Z', 'modified_at')}`)).body.meta.total).toBe(3);
  });

  it.each(['filters[children][0]=x', 'filters[children][0][type]=rule', rule('between', ['2026-03-01']), rule('equal', 'gibberish')])(
    'breaks with 500 on %s',
    async (query) => {
      const { call } = await threeContacts();
      expect((await call('GET', `/contacts?${query}`)).status).toBe(500);
    },
  );
});

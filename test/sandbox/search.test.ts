import { describe, expect, it } from 'vitest';
import { openSandbox } from './open-sandbox.ts';

const people = async (appVersion: '1.6.0' | '1.7.0' = '1.7.0') => {
  const opened = await openSandbox({ account: { appVersion } });
  const { account } = opened;
  account.create({ first_name: 'Ada', last_name: 'King', email: 'Ada@mail.example', user_id: 1, phones: [{ number: '+1 555' }] });
  account.create({ first_name: 'Bo', last_name: 'Kingsley', email: 'bo@mail.example', phones: [{ number: '+1555' }] });
  account.create({ first_name: 'Cy', last_name: 'Adams', job_title: 'King of ads' });
  const found = async (query: string): Promise<unknown> =>
    (await opened.call('GET', `/contacts/search?${query}`)).rows.map((row) => row.first_name);
  return { ...opened, found };
};

describe('search', () => {
  it('answers a bare array that carries the linked records', async () => {
    const { call } = await people();
    const { status, body } = await call('GET', '/contacts/search?q=bo');
    expect(status).toBe(200);
    expect(body).toMatchObject([{ first_name: 'Bo', companies: [], deals: [] }]);
  });

  it.each(['/contacts/search', '/contacts/search?q=', '/contacts/search?q=%20'])('answers %s with an empty array', async (path) => {
    const { call } = await people();
    expect(await call('GET', path)).toMatchObject({ status: 200, body: [] });
  });

  it.each([
    ['q=king', ['Ada', 'Bo', 'Cy']],
    ['q=king&take=2', ['Ada', 'Bo']],
    ['q=king&order=id|desc', ['Cy', 'Bo', 'Ada']],
    ['q=king&search_fields=last_name', ['Ada', 'Bo']],
    ['q=king&search_fields=last_name:=', ['Ada']],
    ['q=ada%40MAIL.example&search_fields=email:=', ['Ada']],
    ['q=%2B1555&search_fields=phones.number:=', ['Bo']],
    ['q=ada king&search_fields=full_name', ['Ada']],
    ['q=robin&search_fields=user.name', ['Ada']],
    ['q=king&search_fields=last_name;job_title&search_match=and', []],
    ['q=1,3&search_fields=id:in', ['Ada', 'Cy']],
    ['q=a_a&search_fields=first_name', ['Ada']],
    ['q=first_name:bo;last_name:kings&search_fields=first_name;last_name&search_match=and', ['Bo']],
    ['q=first_name:bo;last_name:adams&search_fields=first_name;last_name', ['Bo', 'Cy']],
    // What follows the second colon is lost.
    ['q=first_name:bo:zzz&search_fields=first_name:=', ['Bo']],
    ['q=https://x.example', []],
  ])('?%s finds the right people', async (query, expected) => {
    const { found } = await people();
    expect(await found(query)).toEqual(expected);
  });

  it('refuses with 403 and the list of names where no search field is left', async () => {
    const { call } = await people();
    const { status, body } = await call('GET', '/contacts/search?q=x&search_fields=created_at;tags;nonsense');
    expect(status).toBe(403);
    expect(body.message).toContain('phones.number');
    expect(body.message).not.toContain('created_at');
  });

  it('breaks with 500 on plain text with a colon', async () => {
    const { call } = await people();
    expect(await call('GET', '/contacts/search?q=note: call')).toMatchObject({ status: 500, body: { message: 'Invalid search fields' } });
  });

  it('reads operators as its version does', async () => {
    const old = await people('1.6.0');
    expect(await old.found('q=king&search_fields=last_name:between')).toEqual(['Ada', 'Bo']);
    expect((await old.call('GET', '/contacts/search?q=1,2&search_fields=id:in')).status).toBe(500);
    const now = await people('1.7.0');
    expect((await now.call('GET', '/contacts/search?q=king&search_fields=last_name:between')).status).toBe(403);
  });

  it('searches inside the list as well, page by page', async () => {
    const { call } = await people();
    const { body } = await call('GET', '/contacts?q=king&search_fields=last_name&per_page=1');
    expect(body.meta).toMatchObject({ total: 2, last_page: 2 });
  });

  it('sees neither trashed nor hidden contacts', async () => {
    const { found, account } = await people();
    account.delete(1);
    account.hide(2);
    expect(await found('q=king')).toEqual(['Cy']);
  });
});

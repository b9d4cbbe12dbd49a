import { describe, expect, it } from 'vitest';
import { openSandbox, TOKEN } from './open-sandbox.ts';

describe('who gets in', () => {
  it.each([[undefined], ['Bearer wrong'], [TOKEN]])('answers 401 to authorization %s', async (authorization) => {
    const { call } = await openSandbox();
    const { status, body } = await call('GET', '/contacts', undefined, { authorization });
    expect(status).toBe(401);
    expect(body).toEqual({ message: 'Unauthenticated.' });
  });

  it('sends a guest who does not ask for JSON to the login page', async () => {
    const { call } = await openSandbox();
    const { status, headers, text } = await call('GET', '/contacts', undefined, { authorization: undefined, accept: 'text/html' });
    expect(status).toBe(302);
    expect(headers.get('location')).toBe('/login');
    expect(text).toContain('<html>');
  });

  it('gives pages instead of errors to a known user who does not ask for JSON', async () => {
    const { call } = await openSandbox();
    const missing = await call('GET', '/contacts/9', undefined, { accept: '*/*' });
    expect(missing.status).toBe(404);
    expect(missing.headers.get('content-type')).toContain('text/html');
    expect((await call('POST', '/contacts', {}, { accept: '*/*' })).status).toBe(302);
    expect((await call('GET', '/contacts', undefined, { accept: '*/*' })).body.data).toEqual([]);
  });

  it.each(['referer', 'origin'])('takes a request with %s for a browser session: 419', async (name) => {
    const { call } = await openSandbox();
    const { status, body } = await call('GET', '/contacts', undefined, { [name]: 'http://127.0.0.1/' });
    expect(status).toBe(419);
    expect(body).toEqual({ message: 'CSRF token mismatch.' });
  });

  it('answers {error} to every call once API access is revoked, and a new token replaces the old', async () => {
    const { call, sandbox } = await openSandbox();
    sandbox.setApiAccess(false);
    for (const path of ['/contacts', '/contacts/1', '/fields/contacts/update']) {
      const { status, body } = await call('GET', path);
      expect(status).toBe(403);
      expect(body).toEqual({ error: expect.any(String) });
    }
    sandbox.setApiAccess(true);
    sandbox.setToken('next');
    expect((await call('GET', '/contacts')).status).toBe(401);
    expect((await call('GET', '/contacts', undefined, { authorization: 'Bearer next' })).status).toBe(200);
  });
});

describe('headers', () => {
  it("tell the version, and the time on the account's clock", async () => {
    const { call, clock } = await openSandbox({ account: { appVersion: '1.6.0' } });
    clock.advance(61);
    const { headers } = await call('GET', '/contacts');
    expect(headers.get('x-app-version')).toBe('1.6.0');
    expect(headers.get('date')).toBe('Sun, 01 Mar 2026 12:01:01 GMT');
    expect(headers.get('x-ratelimit-limit')).toBeNull();
  });

  it('give the lean shape to a client that calls itself Zapier', async () => {
    const { call, account } = await openSandbox();
    account.create({ first_name: 'Ada' });
    const { body } = await call('GET', '/contacts/1', undefined, { 'user-agent': 'Zapier' });
    for (const key of ['authorizations', 'was_recently_created', 'actions', 'companies', 'deals']) expect(body).not.toHaveProperty(key);
    expect(body.first_name).toBe('Ada');
  });
});

describe('the rate', () => {
  it('is a fixed minute from the first call; more is a 429 that says how long to wait', async () => {
    const { call, clock } = await openSandbox({ ratePerMinute: 3 });
    const remaining: (string | null)[] = [];
    for (let index = 0; index < 3; index += 1) {
      remaining.push((await call('GET', '/contacts')).headers.get('x-ratelimit-remaining'));
      clock.advance(10);
    }
    expect(remaining).toEqual(['2', '1', '0']);
    const refused = await call('POST', '/contacts', { first_name: 'Ada' });
    expect(refused.status).toBe(429);
    expect(refused.body).toEqual({ message: 'Too Many Attempts.' });
    expect(refused.headers.get('retry-after')).toBe('30');
    expect(refused.headers.get('x-ratelimit-limit')).toBe('3');
    expect(Number(refused.headers.get('x-ratelimit-reset'))).toBe(Math.ceil(Date.parse('2026-03-01T12:01:00.400Z') / 1000));
    clock.advance(29);
    expect((await call('GET', '/contacts')).status).toBe(429);
    clock.advance(1);
    expect((await call('GET', '/contacts')).headers.get('x-ratelimit-remaining')).toBe('2');
  });

  it('is shared with what else the user does, and can change while it runs', async () => {
    const { call, sandbox, account } = await openSandbox({ ratePerMinute: 10 });
    sandbox.spendRate(9);
    expect((await call('GET', '/contacts')).headers.get('x-ratelimit-remaining')).toBe('0');
    expect((await call('POST', '/contacts', { first_name: 'A' })).status).toBe(429);
    expect(account.contacts()).toEqual([]);
    sandbox.setRate(0);
    expect((await call('GET', '/contacts')).headers.get('x-ratelimit-remaining')).toBeNull();
  });

  it('does not count guests', async () => {
    const { call } = await openSandbox({ ratePerMinute: 2 });
    for (let index = 0; index < 5; index += 1) await call('GET', '/contacts', undefined, { authorization: undefined });
    expect((await call('GET', '/contacts')).headers.get('x-ratelimit-remaining')).toBe('1');
  });
});

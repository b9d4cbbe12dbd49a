import { describe, expect, it } from 'vitest';
import type { CallRecord } from '../../src/sandbox/crm/call-log.ts';
import type { FaultKind } from '../../src/sandbox/crm/faults.ts';
import { openSandbox, TOKEN } from './open-sandbox.ts';

/** What the client sees of a POST that meets the fault, and whether the contact is there afterwards. */
const WRITES: readonly (readonly [FaultKind, number | 'broken', boolean])[] = [
  ['reset-before', 'broken', false],
  ['reset-after', 'broken', true],
  ['truncated', 'broken', true],
  ['500-before', 500, false],
  ['500-after', 500, true],
  ['503-before', 503, false],
  ['429', 429, false],
  ['html-200', 200, false],
  ['404-html', 404, false],
  ['401', 401, false],
  ['403-revoked', 403, false],
  ['403-record', 403, false],
  ['redirect', 302, false],
  ['422', 422, false],
  // Lists only: a write passes as if nothing were scripted.
  ['empty-list', 201, true],
  ['short-list', 201, true],
];

describe('a scripted fault', () => {
  it.each(WRITES)('%s of a create: the client sees %s, processed: %s', async (kind, seen, processed) => {
    const { call, sandbox, account } = await openSandbox();
    const fault = sandbox.fault({ call: 'create', kind });
    const outcome = await call('POST', '/contacts', { first_name: 'Ada' }).then(
      (reply) => reply.status,
      () => 'broken',
    );
    expect(outcome).toBe(seen);
    expect(account.contacts()).toHaveLength(processed ? 1 : 0);
    expect(fault.fired).toBe(1);
    expect(account.calls.calls).toMatchObject([{ call: 'create', fault: kind, status: seen === 'broken' ? null : seen }]);
    // It is over: the next one goes through.
    expect((await call('POST', '/contacts', { first_name: 'Bo' })).status).toBe(201);
  });

  it.each([
    ['hang-before', 0],
    ['hang-after', 1],
  ] as const)('%s: no answer until the client gives up', async (kind, contacts) => {
    // prettier-ignore
    const { sandbox, account } = await openSandbox();
    sandbox.fault({ call: 'create', kind });
    const giveUp = new AbortController();
    const arrived = new Promise<CallRecord>((resolve) => account.calls.onCall(resolve));
    const headers = { accept: 'application/json', 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` };
    const init = { method: 'POST', body: '{"first_name":"Ada"}', headers, signal: giveUp.signal };
    const answer = fetch(`${sandbox.url}/contacts`, init);
    expect(await arrived).toMatchObject({ status: null, fault: kind });
    giveUp.abort();
    await expect(answer).rejects.toThrow('aborted');
    expect(account.contacts()).toHaveLength(contacts);
  });

  it('that hangs ends when the server closes', async () => {
    const { call, sandbox, account } = await openSandbox();
    sandbox.fault({ call: 'list', kind: 'hang-before' });
    const arrived = new Promise((resolve) => account.calls.onCall(resolve));
    const outcome = call('GET', '/contacts').then(
      () => 'answered',
      () => 'broken',
    );
    await arrived;
    await sandbox.close();
    expect(await outcome).toBe('broken');
  });

  it('truncated announces the whole length and then breaks off', async () => {
    const { sandbox, account } = await openSandbox();
    account.seed({ contacts: 30 });
    sandbox.fault({ call: 'list', kind: 'truncated' });
    const answer = await fetch(`${sandbox.url}/contacts`, { headers: { accept: 'application/json', authorization: `Bearer ${TOKEN}` } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(1000);
    await expect(answer.text()).rejects.toThrow('terminated');
  });

  it('makes a list empty or short, and says so or lies', async () => {
    const { call, sandbox, account } = await openSandbox();
    account.seed({ contacts: 20, links: false, customFields: false });
    sandbox.fault({ call: 'list', kind: 'empty-list' });
    expect((await call('GET', '/contacts')).body).toMatchObject({ data: [], meta: { total: 0, last_page: 1, from: null } });
    sandbox.fault({ call: 'list', kind: 'short-list' });
    const short = (await call('GET', '/contacts?per_page=10')).body;
    expect(short.data).toHaveLength(5);
    expect(short.meta).toMatchObject({ total: 20, last_page: 2, to: 10 });
    sandbox.fault({ call: 'search', kind: 'empty-list' });
    expect((await call('GET', '/contacts/search?q=example')).body).toEqual([]);
  });

  it('tells the two kinds of 403 apart as the CRM does, and a 429 says how long', async () => {
    const { call, sandbox } = await openSandbox({ ratePerMinute: 100 });
    sandbox.fault({ call: 'list', kind: '403-revoked' });
    sandbox.fault({ call: 'list', kind: '403-record' });
    sandbox.fault({ call: 'list', kind: '429', retryAfterSeconds: 7 });
    expect((await call('GET', '/contacts')).body).toHaveProperty('error');
    expect((await call('GET', '/contacts')).body).toHaveProperty('message');
    const { headers } = await call('GET', '/contacts');
    expect([headers.get('retry-after'), headers.get('x-ratelimit-remaining'), headers.get('x-ratelimit-limit')]).toEqual(['7', '0', '100']);
  });

  it('strikes as often as told, only its own call, and only what it matches', async () => {
    const { call, sandbox } = await openSandbox();
    const fault = sandbox.fault({ call: 'retrieve', kind: '503-before', times: 2, match: (request) => request.id === '7' });
    const status = async (path: string) => (await call('GET', path)).status;
    expect([await status('/contacts/8'), await status('/contacts/7'), await status('/contacts')]).toEqual([404, 503, 200]);
    expect([await status('/contacts/7'), await status('/contacts/7')]).toEqual([503, 404]);
    expect(fault.fired).toBe(2);
    const any = sandbox.fault({ call: 'any', kind: '500-before', times: Number.POSITIVE_INFINITY });
    expect([await status('/contacts'), await status('/contacts/7')]).toEqual([500, 500]);
    any.cancel();
    expect(await status('/contacts')).toBe(200);
    sandbox.fault({ call: 'list', kind: '500-before' });
    sandbox.clearFaults();
    expect(await status('/contacts')).toBe(200);
  });
});

describe('a scripted fault that looks like success, or hides one,', () => {
  const ADA = { first_name: 'Ada', city: 'Lyon', street: 'Here', job_title: 'Analyst' };

  it('drops keys, or stores other values than were sent', async () => {
    const { call, sandbox } = await openSandbox();
    sandbox.fault({ call: 'create', kind: 'dropped-keys', keys: ['city', 'job_title'] });
    const dropped = await call('POST', '/contacts', ADA);
    expect([dropped.status, dropped.body]).toMatchObject([201, { first_name: 'Ada', city: null, street: 'Here', job_title: null }]);
    sandbox.fault({ call: 'update', kind: 'rewritten', rewrite: (body) => ({ ...body, city: 'LYON' }) });
    expect((await call('PUT', '/contacts/1', { city: 'Lyon' })).body).toMatchObject({ city: 'LYON', street: 'Here' });
    expect((await call('PUT', '/contacts/1', { city: 'Lyon' })).body).toMatchObject({ city: 'Lyon' });
  });

  it('stores the first keys and answers 500', async () => {
    const { call, sandbox, account } = await openSandbox();
    sandbox.fault({ call: 'create', kind: '500-half', applied: 2 });
    expect((await call('POST', '/contacts', ADA)).status).toBe(500);
    expect(account.contacts()).toMatchObject([{ first_name: 'Ada', city: 'Lyon', street: null }]);
    sandbox.fault({ call: 'update', kind: '500-half', applied: 1 });
    expect((await call('PUT', '/contacts/1', { street: 'There', city: 'Leeds' })).status).toBe(500);
    expect(account.contacts()).toMatchObject([{ city: 'Lyon', street: 'There' }]);
  });

  it('sends half a document as if it were whole', async () => {
    const { sandbox, account } = await openSandbox();
    sandbox.fault({ call: 'create', kind: 'half-json' });
    const headers = { accept: 'application/json', 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` };
    const answer = await fetch(`${sandbox.url}/contacts`, { method: 'POST', headers, body: JSON.stringify(ADA) });
    const text = await answer.text();
    expect([answer.status, Number(answer.headers.get('content-length'))]).toEqual([201, text.length]);
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
    expect(account.contacts()).toHaveLength(1);
  });

  it('leaves a list without rows, repeats the page before, or tells another total', async () => {
    const { call, sandbox, account } = await openSandbox();
    account.seed({ contacts: 20, links: false, customFields: false });
    const page = async (number: number) => (await call('GET', `/contacts?per_page=5&order=id&page=${number}`)).body;
    const ids = ({ data }: { readonly data: readonly { readonly id: number }[] }) => data.map(({ id }) => id);
    sandbox.fault({ call: 'list', kind: 'no-rows' });
    expect(await page(2)).toMatchObject({ data: [], meta: { current_page: 2, total: 20, last_page: 4 } });
    sandbox.fault({ call: 'list', kind: 'page-before' });
    const again = await page(2);
    expect([ids(again), again.meta]).toMatchObject([[1, 2, 3, 4, 5], { current_page: 2, total: 20 }]);
    sandbox.fault({ call: 'list', kind: 'other-total', total: (total) => total / 2 });
    const lies = await page(2);
    expect([ids(lies), lies.meta]).toMatchObject([[6, 7, 8, 9, 10], { current_page: 2, total: 10, last_page: 2 }]);
    expect(ids(await page(2))).toEqual([6, 7, 8, 9, 10]);
  });
});

describe('what tests can watch and time', () => {
  it('logs every call with its name, its contact, its body and its answer', async () => {
    const { call, account } = await openSandbox();
    const heard: string[] = [];
    const stop = account.calls.onCall((record) => heard.push(record.call));
    await call('POST', '/contacts', { first_name: 'Ada' });
    await call('PUT', '/contacts/1', { city: 'Lyon' });
    await call('GET', '/contacts?per_page=1');
    await call('GET', '/nonsense');
    stop();
    await call('GET', '/contacts', undefined, { authorization: undefined });
    expect(heard).toEqual(['create', 'update', 'list', 'unknown']);
    expect(account.calls.calls[1]).toEqual({
      call: 'update',
      method: 'PUT',
      path: '/api/contacts/1',
      id: 1,
      body: { city: 'Lyon' },
      status: 200,
      fault: null,
      at: new Date('2026-03-01T12:00:00.400Z'),
    });
    expect(account.calls.calls.at(-1)).toMatchObject({ call: 'list', status: 401 });
    expect([account.calls.count(), account.calls.count('list'), account.calls.count('create', 'update')]).toEqual([5, 2, 2]);
    account.calls.clear();
    expect([account.calls.count(), account.calls.calls.length]).toEqual([0, 0]);
  });

  it('waits for a hook before it processes a call, so that an edit can race with it', async () => {
    const { call, sandbox, account } = await openSandbox();
    account.create({ first_name: 'Ada', city: 'Lyon' });
    const stop = sandbox.onRequest(async (request) => {
      await Promise.resolve();
      if (request.call === 'update') account.update(1, { first_name: 'Theirs' });
    });
    expect((await call('PUT', '/contacts/1', { city: 'Leeds' })).body).toMatchObject({ first_name: 'Theirs', city: 'Leeds' });
    stop();
    account.update(1, { first_name: 'Ada' });
    expect((await call('PUT', '/contacts/1', {})).body.first_name).toBe('Ada');
  });

  it('takes at least its latency, and closes in the middle of it', async () => {
    const { call, sandbox, account } = await openSandbox({ latencyMs: 40 });
    const before = performance.now();
    await call('GET', '/contacts');
    expect(performance.now() - before).toBeGreaterThanOrEqual(38);
    // Processed, and then on its way back for five minutes.
    sandbox.onRequest(() => sandbox.setLatency(600_000));
    const processed = new Promise((resolve) => account.calls.onCall(resolve));
    const outcome = call('GET', '/contacts').then(
      () => 'answered',
      () => 'broken',
    );
    await processed;
    await sandbox.close();
    expect(await outcome).toBe('broken');
  });
});

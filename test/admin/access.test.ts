/** Who may see and do what: each way of listening, each way of asking. */
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ADMIN_TOKEN, openAdminWorld, type AdminWorld, type AdminWorldOptions, type Answer } from './world.ts';

let world: AdminWorld | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});
const open = async (env: AdminWorldOptions['env'] = {}): Promise<AdminWorld> => {
  world = await openAdminWorld({ withoutDaemon: true, env });
  return world;
};
const codeOf = ({ status, json }: Answer): string => `${status} ${typeof json['code'] === 'string' ? json['code'] : 'ok'}`;

/** As a program that does not speak HTTP well. */
const speak = async (url: string, words: string): Promise<string> =>
  await new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    let heard = '';
    const socket = connect(Number(port), hostname, () => socket.write(words));
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.on('error', reject).on('close', () => resolve(heard));
  });

const PAGE = ['/', '/page/x.js', '/api/session'];
const LOOKS = ['/api/status', '/api/runs', '/api/parked', '/api/holds', '/api/conflicts', '/api/calls', '/api/rows'];
const DECISIONS = [
  '/api/resync',
  '/api/pause',
  '/api/resume',
  '/api/retry',
  '/api/holds/1/approve',
  '/api/holds/1/reject',
  '/api/conflicts/1/resolve',
];
const isServed = (answer: Answer): boolean => answer.status !== 401 && answer.status !== 403;

/** What every decision would change. */
const state = async ({ sql }: AdminWorld): Promise<unknown> => ({
  account: await sql('select paused_at from sync.account'),
  runs: await sql('select * from sync.runs'),
  holds: await sql('select * from sync.holds order by id'),
  conflicts: await sql('select * from sync.conflicts order by id'),
  log: await sql('select * from sync.change_log order by id'),
});
const giveSomethingToDecide = async ({ sql }: AdminWorld): Promise<void> => {
  await sql(`insert into sync.holds (direction, reason, rows, plan) values ('push', 'many', 1, '[]')`);
  await sql(`insert into crm.contacts (first_name) values ('Ann')`);
  await sql(`update sync.change_log set state = 'parked', error_code = 'invalid', error = 'taken'`);
  await sql(`insert into sync.conflicts (contact_id, field, local, remote, outcome, state, policy)
    select id, 'city', '"Oslo"', '"Bonn"', 'open', 'open', 'manual' from crm.contacts`);
};

describe('on loopback, with a token set', () => {
  it('everything is for who holds it, looks for everybody, decisions for nobody else', async () => {
    const { get, post, app } = await open();
    for (const path of [...PAGE, ...LOOKS]) {
      expect({ path, is: isServed(await get(path)) }).toEqual({ path, is: true });
      expect({ path, is: isServed(await get(path, null)) }).toEqual({ path, is: true });
      const wrong = await get(path, 'wrong');
      expect({ path, code: codeOf(wrong) }).toEqual({ path, code: '401 unauthorized' });
    }
    const posts = app.admin?.routes().filter((route) => route.startsWith('POST ')) ?? [];
    expect(posts.map((route) => route.slice(5).replace(':id', '1')).toSorted()).toEqual(DECISIONS.toSorted());
    expect((await post('/api/pause')).status).toBe(200);
  });

  it('a decision without the token, or with a wrong one, changes nothing', async () => {
    const opened = await open();
    await giveSomethingToDecide(opened);
    const before = await state(opened);
    const wrong = [null, 'wrong', ADMIN_TOKEN.slice(0, -1), `${ADMIN_TOKEN}x`, ADMIN_TOKEN.toUpperCase(), ''];
    const bodies: Record<string, unknown> = { '/api/retry': { all: true }, '/api/conflicts/1/resolve': { choice: 'crm' } };
    for (const path of DECISIONS) {
      for (const token of wrong) {
        const answer = await opened.post(path, bodies[path], token);
        expect({ path, token, code: codeOf(answer) }).toEqual({ path, token, code: '401 unauthorized' });
        expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="relate-mirror"');
      }
      const inQuery = await opened.post(`${path}?token=${ADMIN_TOKEN}&authorization=Bearer%20${ADMIN_TOKEN}`, bodies[path], null);
      expect(inQuery.status).toBe(401);
    }
    for (const authorization of [
      `Basic ${Buffer.from(`admin:${ADMIN_TOKEN}`).toString('base64')}`,
      ADMIN_TOKEN,
      `Bearer ${ADMIN_TOKEN} x`,
    ]) {
      expect((await opened.call('/api/pause', { method: 'POST', headers: { authorization } })).status).toBe(401);
    }
    expect(await state(opened)).toEqual(before);
    const warnings = opened.lines.filter(({ level }) => level === 'warn');
    expect(warnings).toHaveLength(1);
    expect(JSON.stringify(opened.lines)).not.toContain(ADMIN_TOKEN);
  });
});

describe('on loopback, without a token set', () => {
  it('looks are for everybody on this machine, decisions for nobody', async () => {
    const opened = await open({ ADMIN_TOKEN: '' });
    await giveSomethingToDecide(opened);
    const before = await state(opened);
    for (const path of [...PAGE, ...LOOKS]) expect({ path, is: isServed(await opened.get(path, null)) }).toEqual({ path, is: true });
    for (const path of DECISIONS) {
      for (const token of [null, 'any', '']) expect(codeOf(await opened.post(path, undefined, token))).toBe('403 no_admin_token');
    }
    expect(await state(opened)).toEqual(before);
    expect((await opened.get('/api/session', null)).json).toEqual({ admin: false, admin_configured: false });
  });

  /** fetch does not let one say whom one asks. */
  const askAs = async ({ app }: AdminWorld, path: string, host: string): Promise<number> =>
    await new Promise((resolve, reject) => {
      const asked = httpRequest(`${app.admin?.url()}${path}`, { headers: { host } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      asked.on('error', reject).end();
    });

  it('a request under another name than this machine’s is refused', async () => {
    const opened = await open({ ADMIN_TOKEN: '' });
    for (const path of ['/api/status', '/api/conflicts', '/', '/metrics', '/healthz']) {
      for (const host of ['evil.example', 'evil.example:8080', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.7']) {
        expect({ path, host, status: await askAs(opened, path, host) }).toEqual({ path, host, status: 403 });
      }
    }
    expect(await speak(opened.app.admin?.url() ?? '', 'GET /api/status HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 403 /);
    for (const host of ['localhost', 'localhost:9', '127.0.0.1:8080', '[::1]:8080', 'mirror.localhost'])
      expect({ host, status: await askAs(opened, '/api/status', host) }).toEqual({ host, status: 200 });
  });

  it('with a token set, a proxy may ask under any name', async () => {
    expect(await askAs(await open(), '/api/status', 'mirror.example.com')).toBe(200);
  });
});

describe('beyond loopback', () => {
  it('without a token set only health and metrics are served', async () => {
    const { get, post } = await open({ HTTP_HOST: '0.0.0.0', ADMIN_TOKEN: '' });
    for (const path of ['/healthz', '/metrics']) expect((await get(path, null)).status).toBe(200);
    expect((await get('/readyz', null)).json['code']).toBe('not_ready');
    for (const path of [...PAGE, ...LOOKS, '/api/events']) {
      for (const token of [null, 'any'])
        expect({ path, code: codeOf(await get(path, token)) }).toEqual({ path, code: '403 no_admin_token' });
    }
    for (const path of DECISIONS) expect(codeOf(await post(path, undefined, null))).toBe('403 no_admin_token');
  });

  it('with a token set, everything but the page, health and metrics is for who holds it', async () => {
    const { get, post } = await open({ HTTP_HOST: '0.0.0.0' });
    for (const path of LOOKS) {
      expect({ path, code: codeOf(await get(path, null)) }).toEqual({ path, code: '401 unauthorized' });
      expect({ path, is: (await get(path)).status }).toEqual({ path, is: 200 });
    }
    expect(codeOf(await get('/api/events', null))).toBe('401 unauthorized');
    for (const path of PAGE) expect({ path, is: isServed(await get(path, null)) }).toEqual({ path, is: true });
    expect((await get('/api/session', null)).json).toEqual({ admin: false, admin_configured: true });
    for (const path of DECISIONS) expect(codeOf(await post(path, undefined, null))).toBe('401 unauthorized');
  });
});

describe('whatever is sent', () => {
  it('is answered by application/problem+json, with security headers and nothing of the inside', async () => {
    const { call, app } = await open();
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const json = { ...headers, 'content-type': 'application/json' };
    const asked: readonly (readonly [string, RequestInit, number])[] = [
      ['/nothing', {}, 404],
      ['/api', {}, 404],
      ['/page/../server.js', {}, 404],
      ['/page/..%2fserver.ts', {}, 404],
      ['/page/%2e%2e/server.ts', {}, 404],
      ['/page/vendor/uplot/uPlot.d.ts', {}, 404],
      ['/api/holds/%zz/approve', { method: 'POST', headers }, 400],
      ['/api/status', { method: 'DELETE' }, 405],
      ['/api/pause', {}, 405],
      ['/healthz', { method: 'POST' }, 405],
      ['/api/resync', { method: 'POST', headers, body: 'links=true' }, 415],
      ['/api/resync', { method: 'POST', headers: json, body: '{' }, 400],
      ['/api/resync', { method: 'POST', headers: json, body: '{"__proto__": {"links": true}}' }, 400],
      ['/api/resync', { method: 'POST', headers: json, body: JSON.stringify({ links: 'x'.repeat(17_000) }) }, 413],
    ];
    for (const [path, init, status] of asked) {
      const answer = await call(path, init);
      expect({ path, status: answer.status }).toEqual({ path, status });
      expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(answer.json).toMatchObject({ type: 'about:blank', status });
      expect(answer.text).not.toMatch(/\.ts|node_modules|FST_|Error:/);
      expect(answer.headers.has('allow')).toBe(status === 405);
      expect(answer.headers.get('content-security-policy')).toMatch(/default-src '(self|none)'/);
      expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
      expect(answer.headers.get('content-security-policy')).not.toContain('unsafe');
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer.headers.get('x-frame-options')).toBe('DENY');
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    }
    const notThere = await speak(app.admin?.url() ?? '', 'GET /page/../x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(notThere).toMatch(/^HTTP\/1.1 404 [^]*"code":"not_found"/);
    expect((await call('/page/%')).json).toMatchObject({ status: 400, code: 'bad_address' });
    for (const body of [undefined, JSON.stringify({ ids: ['1'] }), JSON.stringify({})]) {
      const { json: refused } = await call('/api/retry', {
        method: 'POST',
        headers: body === undefined ? headers : json,
        ...(body && { body }),
      });
      expect(refused).toMatchObject({ status: 400, code: 'invalid_request', detail: expect.stringContaining('{"ids": [1, 2]}') });
    }
    expect(await speak(app.admin?.url() ?? '', 'GARBAGE\r\n\r\n')).toMatch(
      /^HTTP\/1.1 400 Bad Request\r\ncontent-type: application\/problem\+json/,
    );
    expect(await speak(app.admin?.url() ?? '', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /);
  });
});

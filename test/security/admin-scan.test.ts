/** Everything that listens, tried by somebody who does not hold the admin token: nothing changes, and no answer is more than it may be. */
import { globSync, readFileSync } from 'node:fs';
import { request as send, type OutgoingHttpHeaders } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_TOKEN, openAdminWorld, type AdminWorld } from '../admin/world.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const LOOKS = [
  '/healthz',
  '/readyz',
  '/metrics',
  '/',
  '/api/session',
  '/api/status',
  '/api/events',
  '/api/runs',
  '/api/parked',
  '/api/holds',
  '/api/conflicts',
  '/api/calls',
  '/api/rows',
];
const ACTIONS: readonly (readonly [string, unknown])[] = [
  ['/api/resync', {}],
  ['/api/pause', {}],
  ['/api/resume', {}],
  ['/api/retry', { all: true }],
  ['/api/holds/1/approve', {}],
  ['/api/holds/1/reject', {}],
  ['/api/conflicts/1/resolve', { choice: 'crm' }],
];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const JSON_TYPE = { 'content-type': 'application/json' };

/** Ways to come without the token; `query` is put behind the address. */
const WITHOUT: readonly { readonly name: string; readonly query?: string; readonly headers?: OutgoingHttpHeaders }[] = [
  { name: 'no token' },
  { name: 'a wrong token', headers: { authorization: 'Bearer wrong' } },
  { name: 'a part of the token', headers: { authorization: `Bearer ${ADMIN_TOKEN.slice(0, -1)}` } },
  { name: 'more than the token', headers: { authorization: `Bearer ${ADMIN_TOKEN}x` } },
  { name: 'an empty token', headers: { authorization: 'Bearer ' } },
  { name: 'the token without a scheme', headers: { authorization: ADMIN_TOKEN } },
  { name: 'the token as a password', headers: { authorization: `Basic ${Buffer.from(`admin:${ADMIN_TOKEN}`).toString('base64')}` } },
  { name: 'the token as a digest', headers: { authorization: `Digest ${ADMIN_TOKEN}` } },
  { name: 'the token in the address', query: `?token=${ADMIN_TOKEN}&access_token=${ADMIN_TOKEN}&authorization=Bearer%20${ADMIN_TOKEN}` },
  { name: 'the token in a cookie', headers: { cookie: `token=${ADMIN_TOKEN}; authorization=Bearer ${ADMIN_TOKEN}` } },
  {
    name: 'the token in other headers',
    headers: { 'x-api-key': ADMIN_TOKEN, 'proxy-authorization': `Bearer ${ADMIN_TOKEN}`, 'x-forwarded-for': '127.0.0.1' },
  },
  { name: 'a token of 8,000 letters', headers: { authorization: `Bearer ${'x'.repeat(8000)}` } },
  { name: 'another method in a header', headers: { 'x-http-method-override': 'POST', authorization: 'Bearer wrong' } },
  { name: 'a foreign page', headers: { origin: 'https://evil.example', referer: 'https://evil.example/', 'sec-fetch-site': 'cross-site' } },
  { name: 'a name that points here', headers: { host: 'evil.example' } },
];

interface Answer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
  readonly text: string;
}

const ask = async (url: string, method: string, headers: OutgoingHttpHeaders, body?: string): Promise<Answer> =>
  await new Promise((resolve, reject) => {
    const outgoing = send(url, { method, headers, agent: false });
    outgoing.on('error', reject);
    outgoing.on('response', (answer) => {
      const head = { status: answer.statusCode ?? 0, headers: answer.headers };
      // Events never end: what is said at once is enough.
      if (answer.headers['content-type'] === 'text/event-stream') {
        answer.destroy();
        return resolve({ ...head, text: '' });
      }
      const chunks: Buffer[] = [];
      answer
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('end', () => resolve({ ...head, text: Buffer.concat(chunks).toString() }))
        .on('error', reject);
    });
    outgoing.end(body);
  });

const snapshot = async ({ sql }: AdminWorld): Promise<string> => {
  const tables = await sql(`select format('%I.%I', nspname, relname) as name from pg_class c join pg_namespace n on n.oid = relnamespace
    where nspname in ('crm', 'sync') and relkind in ('r', 'p') order by 1`);
  const texts = await Promise.all(
    tables.map(async ({ name }) => JSON.stringify([name, await sql(`select t::text, xmin::text from ${String(name)} t order by 1`)])),
  );
  return texts.join('\n');
};

it('knows every address that the server has', () => {
  const told = globSync('src/admin/*.ts', { cwd: ROOT }).flatMap((file) =>
    [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(/\.(?:get|post|put|patch|delete|route)\(\s*[`']([^`']+)[`']/g)].map(
      ([, route = '']) => route,
    ),
  );
  const known = [...LOOKS, ...ACTIONS.map(([route]) => route)];
  const isKnown = (route: string): boolean => {
    const pattern = new RegExp(`^${route.replaceAll(/\$\{\w+\}|:\w+/g, '[^/]+')}$`);
    return known.some((each) => pattern.test(each));
  };
  expect(told.length).toBeGreaterThan(10);
  expect(told.filter((route) => !isKnown(route))).toEqual([]);
});

describe.each([
  ['with ADMIN_TOKEN, on loopback', {}, { without: 200, hostMatters: false }],
  ['without ADMIN_TOKEN, on loopback', { ADMIN_TOKEN: '' }, { without: 200, hostMatters: true }],
  ['with ADMIN_TOKEN, beyond loopback', { HTTP_HOST: '0.0.0.0' }, { without: 401, hostMatters: false }],
  ['without ADMIN_TOKEN, beyond loopback', { HTTP_HOST: '0.0.0.0', ADMIN_TOKEN: '' }, { without: 403, hostMatters: false }],
] as const)('%s', (_name, env, may) => {
  let world: AdminWorld;
  let url: string;
  let before: string;

  beforeAll(async () => {
    world = await openAdminWorld({ env: { ...env }, withoutDaemon: true });
    url = (world.app.admin?.url() ?? '').replace('0.0.0.0', '127.0.0.1');
    await world.sql(`insert into sync.holds (direction, reason, rows, plan) values ('push', 'the test', 0, '[]')`);
    before = await snapshot(world);
  });
  afterAll(async () => await world.close());

  it.each(WITHOUT)('$name: changes nothing', async ({ name, query = '', headers = {} }) => {
    const wrong: string[] = [];
    for (const method of METHODS) {
      for (const [route, body] of [...LOOKS.map((look) => [look, {}] as const), ...ACTIONS]) {
        const hasBody = ['POST', 'PUT', 'PATCH'].includes(method);
        const text = hasBody ? JSON.stringify(body) : undefined;
        const answer = await ask(`${url}${route}${query}`, method, { ...headers, ...(hasBody ? JSON_TYPE : {}) }, text);
        const isLook = (method === 'GET' || method === 'HEAD') && LOOKS.includes(route);
        const refused = [401, 403, 405].includes(answer.status);
        const fits = isLook ? answer.status === 200 || (answer.status >= 400 && answer.status < 500) || route === '/readyz' : refused;
        // No page of somebody else's may read an answer, and no answer repeats what came.
        const tells =
          'access-control-allow-origin' in answer.headers || 'set-cookie' in answer.headers || answer.text.includes(ADMIN_TOKEN);
        if (!fits || tells) wrong.push(`${name}: ${method} ${route} answered ${answer.status}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(await snapshot(world)).toBe(before);
  });

  it('serves what may be seen without the token, and no more', async () => {
    const statusOf = async (route: string, headers: OutgoingHttpHeaders = {}) => (await ask(`${url}${route}`, 'GET', headers)).status;
    expect(await statusOf('/healthz')).toBe(200);
    expect(await statusOf('/metrics')).toBe(200);
    expect(await statusOf('/api/session')).toBe(may.without === 403 ? 403 : 200);
    // Where it is served it does not end.
    const endless = may.without === 200 ? [] : ['events'];
    for (const look of [...endless, 'status', 'runs', 'parked', 'holds', 'conflicts', 'calls', 'rows']) {
      expect(await statusOf(`/api/${look}`)).toBe(may.without);
    }
    // A foreign name for 127.0.0.1 is how somebody else's page would come.
    for (const route of may.hostMatters ? LOOKS : []) expect(await statusOf(route, { host: 'evil.example' })).toBe(403);
  });

  it('with the token: bodies that are none change nothing', async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    for (const [route] of ACTIONS) {
      const asked: readonly (readonly [OutgoingHttpHeaders, string, readonly number[]])[] = [
        [{ 'content-type': 'text/plain' }, '{"all":true}', [415]],
        [{ 'content-type': 'application/x-www-form-urlencoded' }, 'all=true', [415]],
        [JSON_TYPE, '{"all":tru', [400]],
        [JSON_TYPE, '{"__proto__":{"all":true}}', [400]],
        [JSON_TYPE, '{"surprise":1}', [400]],
        [JSON_TYPE, JSON.stringify({ all: 'x'.repeat(20_000) }), [413]],
      ];
      for (const [more, body, expected] of asked) {
        const { status } = await ask(`${url}${route}`, 'POST', { ...headers, ...more }, body);
        expect([...expected, ...('ADMIN_TOKEN' in env ? [401, 403] : [])]).toContain(status);
      }
    }
    expect(await snapshot(world)).toBe(before);
  });
});

it('with the token the same requests do change something: the scan can fail', async () => {
  const world = await openAdminWorld({ withoutDaemon: true });
  try {
    const before = await snapshot(world);
    expect((await world.post('/api/pause', {})).status).toBe(200);
    expect(await snapshot(world)).not.toBe(before);
  } finally {
    await world.close();
  }
});

import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { CallOptions, Crm, CrmResult } from '../../src/ports/crm.ts';
import { connect, TOKEN } from './harness.ts';
import {
  contactRow,
  empty,
  endless,
  envelope,
  gzipBomb,
  halfJson,
  hang,
  html,
  json,
  resetAfterReading,
  type Script,
  startServer,
  startTcp,
  truncated,
} from './scripted-server.ts';

const EDIT: CallOptions = { lane: 'edit' };
const BODY = { first_name: 'Ada', email: 'ada@private.example' };

/** Every call of the port, with the status of its success; reads first. */
const READS: readonly [name: string, call: (crm: Crm, options: CallOptions) => Promise<CrmResult<unknown>>][] = [
  ['list', (crm, options) => crm.list({ page: 1 }, options)],
  ['retrieve', (crm, options) => crm.retrieve(7, options)],
  ['search', (crm, options) => crm.search({ q: 'Ada' }, options)],
  ['listTrashed', (crm, options) => crm.listTrashed({}, options)],
  ['listActivities', (crm, options) => crm.listActivities(7, 1, options)],
  ['customFields', (crm, options) => crm.customFields(options)],
];
const WRITES: typeof READS = [
  ['create', (crm, options) => crm.create(BODY, options)],
  ['update', (crm, options) => crm.update(7, BODY, options)],
  ['delete', (crm, options) => crm.delete(7, options)],
  ['attach', (crm, options) => crm.attach(7, { companies: [1] }, options)],
  ['detach', (crm, options) => crm.detach(7, { companies: [1] }, options)],
  ['sync', (crm, options) => crm.sync(7, { companies: [1] }, options)],
  ['restore', (crm, options) => crm.restore(7, options)],
];
const CALLS = [
  ...READS.map(([name, call]) => ({ name, call, unsure: 'retry' })),
  ...WRITES.map(([name, call]) => ({ name, call, unsure: 'unknown' })),
];

const run = async (script: Script, call: (crm: Crm) => Promise<CrmResult<unknown>>, more: Parameters<typeof connect>[1] = {}) => {
  await using server = await startServer(script);
  using crm = connect(server.url, more);
  const result = await call(crm);
  return { result, received: server.received };
};
const failureOf = (result: CrmResult<unknown>) => (result.ok ? 'no failure' : result.failure);

describe.each(CALLS)('$name', ({ call, unsure }) => {
  it.each<[string, Script, string]>([
    ['is reset after the request was read', resetAfterReading, 'connection_reset'],
    ['gets a truncated body', truncated({ ...contactRow(7), filler: 'x'.repeat(5000) }), 'connection_reset'],
    ['gets HTML with 200', html(200), 'bad_answer'],
    ['gets half a JSON document', halfJson(contactRow(7)), 'bad_answer'],
    ['gets an empty body with 200', empty(200), 'bad_answer'],
    ['gets JSON of another shape', json(200, { status: 'fine' }), 'bad_answer'],
    ['gets corrupt gzip', (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip'), 'bad_answer'],
    ['gets 502 from a proxy', html(502), 'server_error'],
    ['gets 404 from a proxy', html(404), 'no_such_route'],
  ])(`%s: ${unsure}`, async (_name, script, code) => {
    const { result, received } = await run(script, (crm) => call(crm, EDIT));
    expect(failureOf(result)).toMatchObject({ class: unsure, code });
    expect(received).toHaveLength(1);
  });

  it('gets no answer in time', async () => {
    const { result } = await run(hang, (crm) => call(crm, EDIT), { timeoutMs: 60 });
    expect(failureOf(result)).toMatchObject({ class: unsure, code: 'timeout', status: null });
  });

  it('meets a server that resets the connection before reading', async () => {
    await using server = await startTcp((socket) => socket.resetAndDestroy());
    using crm = connect(`http://127.0.0.1:${server.port}/api`);
    const result = await call(crm, EDIT);
    expect(failureOf(result)).toMatchObject({ class: expect.stringMatching(`^(${unsure}|retry)$`) as string, status: null });
  });

  it('finds nobody listening: nothing was sent, so even a write is simply tried again', async () => {
    const server = await startServer(hang);
    await server[Symbol.asyncDispose]();
    using crm = connect(server.url);
    const result = await call(crm, EDIT);
    expect(failureOf(result)).toMatchObject({
      class: 'retry',
      code: 'connection_refused',
      message: expect.stringContaining('ECONNREFUSED') as string,
    });
  });

  it('is redirected: refused, and the other address never sees the token', async () => {
    await using elsewhere = await startServer(json(200, contactRow(7)));
    const { result } = await run(html(302, { location: `${elsewhere.url}/login` }), (crm) => call(crm, EDIT));
    expect(failureOf(result)).toMatchObject({ class: 'fatal', code: 'redirected', status: 302 });
    expect(elsewhere.received).toEqual([]);
  });

  it('is given up before its turn', async () => {
    const { result, received } = await run(hang, (crm) => call(crm, { lane: 'edit', signal: AbortSignal.abort() }));
    expect(failureOf(result)).toMatchObject({ class: 'retry', code: 'aborted' });
    expect(received).toEqual([]);
  });

  it('is given up after it was sent: as a broken connection', async () => {
    const leaving = new AbortController();
    const { result } = await run(
      () => leaving.abort(),
      (crm) => call(crm, { lane: 'edit', signal: leaving.signal }),
    );
    expect(failureOf(result)).toMatchObject({ class: unsure, code: 'connection_reset' });
  });

  it('is not sent once another daemon leads', async () => {
    const { result, received } = await run(hang, (crm) => call(crm, { lane: 'edit', maySend: () => false }));
    expect(failureOf(result)).toMatchObject({ class: 'retry', code: 'not_leader' });
    expect(received).toEqual([]);
  });
});

describe('what is sent', () => {
  it.each(CALLS)('$name carries the four headers and nothing that looks like a browser', async ({ call }) => {
    const { received } = await run(json(404, { message: 'x' }), (crm) => call(crm, EDIT), { userAgent: 'relate-mirror/0.1.0' });
    const [request] = received;
    const expected = ['accept', 'authorization', 'content-type', 'user-agent'];
    const transport = ['accept-encoding', 'connection', 'content-length', 'host'];
    expect(
      Object.keys(request?.headers ?? {})
        .filter((name) => !transport.includes(name))
        .sort(),
    ).toEqual(expected);
    expect(request?.headers).toMatchObject({
      accept: 'application/json',
      'content-type': 'application/json',
      authorization: `Bearer ${TOKEN}`,
      'user-agent': 'relate-mirror/0.1.0',
    });
  });

  it('refuses the one User-Agent for which the CRM leaves fields out', () => {
    expect(() => connect('http://127.0.0.1:1/api', { userAgent: 'Zapier' })).toThrow(RangeError);
  });

  it.each(['', '/'])('takes a base address with "%s" at its end', async (end) => {
    await using server = await startServer(json(200, contactRow(7)));
    using crm = connect(`${server.url}${end}`);
    await crm.retrieve(7, EDIT);
    expect(server.received[0]?.path).toBe('/api/contacts/7');
  });

  it('keeps one connection over many calls', async () => {
    await using server = await startServer(json(200, contactRow(7)));
    using crm = connect(server.url);
    for (let index = 0; index < 5; index += 1) expect((await crm.retrieve(7, EDIT)).ok).toBe(true);
    expect(server.connections()).toBe(1);
  });

  it('asks who leads again once the connection is ready, after which the bytes go', async () => {
    await using server = await startServer(json(200, contactRow(7)));
    using crm = connect(server.url);
    const asked: number[] = [];
    const maySend = (): boolean => asked.push(server.connections()) < 2;
    expect(failureOf(await crm.update(7, BODY, { lane: 'edit', maySend }))).toMatchObject({ class: 'retry', code: 'not_leader' });
    expect(asked).toHaveLength(2);
    expect(server.received).toEqual([]);
  });

  it('has sent nothing while TLS is being agreed on', async () => {
    await using server = await startTcp(() => undefined);
    using crm = connect(`https://127.0.0.1:${server.port}/api`, { timeoutMs: 80 });
    expect(failureOf(await crm.create(BODY, EDIT))).toMatchObject({ class: 'retry', code: 'connection_refused' });
  });

  it('closes for good: what is in flight breaks, what comes later is not sent', async () => {
    await using server = await startServer(hang);
    using crm = connect(server.url);
    server.script = () => crm.close();
    expect(failureOf(await crm.update(7, BODY, EDIT))).toMatchObject({ class: 'unknown', code: 'connection_reset' });
    crm.close();
    expect(failureOf(await crm.update(7, BODY, EDIT))).toMatchObject({ class: 'retry', code: 'aborted' });
    expect(server.received).toHaveLength(1);
  });
});

describe('what comes back', () => {
  it('reads the clock, the status and the version of the CRM, on failures too', async () => {
    const headers = { date: 'Fri, 23 Jan 2026 05:00:30 GMT', 'x-app-version': '1.6.0' };
    const meta = { date: new Date('2026-01-23T05:00:30Z'), appVersion: '1.6.0' };
    const done = await run(json(200, contactRow(7), headers), (crm) => crm.retrieve(7, EDIT));
    expect(done.result.meta).toEqual({ ...meta, status: 200 });
    const failed = await run(json(404, { message: 'No' }, headers), (crm) => crm.retrieve(7, EDIT));
    expect(failed.result.meta).toEqual({ ...meta, status: 404 });
  });

  it.each([
    ['endless', endless],
    ['a gzip bomb', gzipBomb(30_000_000)],
  ])('stops reading an answer that is %s', async (_name, script) => {
    const maxAnswerBytes = 1_000_000;
    const read = await run(script, (crm) => crm.list({}, EDIT), { maxAnswerBytes });
    expect(failureOf(read.result)).toMatchObject({ class: 'retry', code: 'answer_too_large' });
    const write = await run(script, (crm) => crm.update(7, BODY, EDIT), { maxAnswerBytes });
    expect(failureOf(write.result)).toMatchObject({ class: 'unknown', code: 'answer_too_large' });
  });

  it('stops reading where all answers together are too much, and reads on once they are done', async () => {
    const waiting: (() => void)[] = [];
    await using server = await startServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(' '.repeat(600_000), () => waiting.push(() => response.end('{}')));
    });
    using crm = connect(server.url, { maxAnswerBytes: 1_000_000 });
    const three = [1, 2, 3].map(() => crm.list({}, EDIT));
    expect(failureOf(await Promise.race(three))).toMatchObject({ class: 'retry', code: 'answer_too_large' });
    for (const end of waiting) end();
    const codes = (await Promise.all(three)).map((result) => (result.ok ? 'ok' : result.failure.code));
    expect(codes.toSorted()).toEqual(['answer_too_large', 'bad_answer', 'bad_answer']);
    server.script = json(200, contactRow(7));
    expect((await crm.retrieve(7, EDIT)).ok).toBe(true);
  });

  it('reads a compressed answer below the limit', async () => {
    const { gzipSync } = await import('node:zlib');
    const script: Script = (_request, response) =>
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        .end(gzipSync(JSON.stringify(contactRow(7))));
    expect((await run(script, (crm) => crm.retrieve(7, EDIT))).result.ok).toBe(true);
  });

  it('never follows a link of an answer', async () => {
    await using elsewhere = await startServer(json(200, envelope([])));
    await using server = await startServer(
      json(200, { ...(envelope([contactRow(1)], { last_page: 2 }) as object), links: { next: `${elsewhere.url}/contacts?page=2` } }),
    );
    using crm = connect(server.url);
    await crm.list({ page: 1 }, EDIT);
    server.script = json(200, envelope([], { current_page: 2, last_page: 2 }));
    expect((await crm.list({ page: 2 }, EDIT)).ok).toBe(true);
    expect(server.received.map(({ query }) => query.get('page'))).toEqual(['1', '2']);
    expect(elsewhere.received).toEqual([]);
  });
});

describe('secrets', () => {
  const show = (value: unknown): string => `${JSON.stringify(value)}${inspect(value, { depth: 20, showHidden: true, getters: true })}`;

  it.each<[string, Script]>([
    ['a reset', resetAfterReading],
    ['a truncated body', truncated(contactRow(7))],
    ['an HTML page', html(200)],
    ['a 422', json(422, { message: 'No' })],
    ['a 500', json(500, { message: 'No' })],
    ['a redirect', html(302, { location: '/login' })],
    ['an error that quotes our headers', json(400, { message: `Bad header Bearer ${TOKEN}`, errors: { [TOKEN]: [`Bearer ${TOKEN}`] } })],
  ])('leaves neither token nor body in the failure after %s', async (_name, script) => {
    const { result } = await run(script, (crm) => crm.update(7, BODY, EDIT));
    expect(result.ok).toBe(false);
    expect(show(result)).not.toContain(TOKEN);
    expect(show(result)).not.toContain('ada@private.example');
  });

  it('logs method, path, status and code of each attempt, the version once, and no value', async () => {
    const lines: string[] = [];
    const write = (fields: object, message: string): void => void lines.push(`${JSON.stringify(fields)} ${message}`);
    const log = { debug: write, info: write, warn: write, error: write };
    await using server = await startServer(json(422, { message: 'ada@private.example is taken' }, { 'x-app-version': '1.6.0' }));
    using crm = connect(server.url, { log });
    await crm.update(7, BODY, EDIT);
    await crm.search({ q: 'ada@private.example' }, EDIT);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toContain('"path":"contacts/7"');
    expect(lines[0]).toContain('"code":"invalid"');
    expect(lines[1]).toContain('1.6.0');
    expect(lines.join('\n')).not.toMatch(/ada@private|secret-token/);
  });
});

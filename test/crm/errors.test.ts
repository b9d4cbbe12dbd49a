import { describe, expect, it } from 'vitest';
import { type Answer, classifyStatus } from '../../src/crm/errors.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const answer = (status: number, body: unknown, more: Partial<Answer> = {}): Answer => ({
  status,
  contentType: JSON_TYPE,
  retryAfter: undefined,
  date: null,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  ...more,
});
const page = (status: number): Answer => answer(status, '<!doctype html><title>Oops</title>', { contentType: 'text/html' });

const MESSAGE = { message: 'As the CRM says' };
/** Status, body (null: an HTML page), what a read becomes, what a write becomes, code, proven. */
const TABLE = [
  [301, null, 'fatal', 'fatal', 'redirected', false],
  [302, null, 'fatal', 'fatal', 'redirected', false],
  [308, MESSAGE, 'fatal', 'fatal', 'redirected', false],
  [400, MESSAGE, 'park', 'park', 'bad_request', true],
  [400, null, 'park', 'park', 'bad_request', false],
  [401, MESSAGE, 'fatal', 'fatal', 'unauthorized', true],
  [401, null, 'fatal', 'fatal', 'unauthorized', false],
  [403, MESSAGE, 'park', 'park', 'forbidden', true],
  [403, { error: 'API access is not allowed' }, 'fatal', 'fatal', 'access_revoked', false],
  [403, null, 'retry', 'unknown', 'forbidden', false],
  [404, MESSAGE, 'refetch', 'refetch', 'not_found', true],
  [404, { message: '' }, 'refetch', 'refetch', 'not_found', true],
  [404, null, 'retry', 'unknown', 'no_such_route', false],
  [404, { oops: true }, 'retry', 'unknown', 'no_such_route', false],
  [404, { message: { not: 'text' } }, 'retry', 'unknown', 'no_such_route', false],
  [404, '[]', 'retry', 'unknown', 'no_such_route', false],
  [404, '{"message": "cut', 'retry', 'unknown', 'no_such_route', false],
  [405, MESSAGE, 'park', 'park', 'bad_request', true],
  [408, null, 'retry', 'unknown', 'timeout', false],
  [409, MESSAGE, 'refetch', 'refetch', 'conflict', true],
  [413, null, 'park', 'park', 'bad_request', false],
  [419, MESSAGE, 'fatal', 'fatal', 'session_mismatch', true],
  [422, MESSAGE, 'park', 'park', 'invalid', true],
  [429, MESSAGE, 'later', 'later', 'rate_limited', true],
  [429, null, 'later', 'later', 'rate_limited', false],
  [500, MESSAGE, 'retry', 'unknown', 'server_error', true],
  [502, null, 'retry', 'unknown', 'server_error', false],
  [503, MESSAGE, 'retry', 'retry', 'unavailable', true],
  [503, null, 'retry', 'unknown', 'unavailable', false],
  [504, null, 'retry', 'unknown', 'server_error', false],
] as const;

describe('classifyStatus', () => {
  it.each(TABLE)('%i with body %j: a read becomes %s, a write %s (%s, proven %s)', (status, body, read, write, code, proven) => {
    const given = body === null ? page(status) : answer(status, body);
    expect(classifyStatus(given, false)).toMatchObject({ class: read, code, status, proven });
    expect(classifyStatus(given, true)).toMatchObject({ class: write, code, status, proven });
  });

  it('proves nothing by JSON under another content type, as a proxy in front may send it', () => {
    expect(classifyStatus(answer(404, MESSAGE, { contentType: 'text/plain' }), false)).toMatchObject({
      code: 'no_such_route',
      proven: false,
    });
    expect(classifyStatus(answer(404, MESSAGE, { contentType: 'application/problem+json' }), false)).toMatchObject({ proven: true });
  });

  it("keeps the CRM's message and errors by field", () => {
    const body = { message: 'Invalid', errors: { email: ['Taken', 'Odd'], 'phones.0.number': 'Too long', odd: 7 } };
    expect(classifyStatus(answer(422, body), true)).toMatchObject({
      message: 'Invalid',
      fields: { email: ['Taken', 'Odd'], 'phones.0.number': ['Too long'], odd: [] },
    });
  });

  it('speaks for itself where the CRM said nothing', () => {
    expect(classifyStatus(page(502), false).message).toBe('The CRM answered 5xx.');
    expect(classifyStatus(answer(404, { message: '' }), false).message).toBe('The CRM answered 404 for this id.');
  });

  it('bounds messages and fields, and takes NUL characters and prototype keys out', () => {
    const errors = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`f${index}`, Array.from({ length: 50 }, () => 'x')]));
    const failed = classifyStatus(answer(422, { message: `\u0000${'m'.repeat(9000)}`, errors }), true);
    expect(failed.message).toHaveLength(1999);
    expect(Object.keys(failed.fields)).toHaveLength(200);
    expect(failed.fields['f0']).toHaveLength(20);
    const hostile = classifyStatus(answer(422, '{"message":"m","errors":{"__proto__":["x"],"constructor":["y"],"email":["z"]}}'), true);
    expect(Object.keys(hostile.fields)).toEqual(['email']);
  });

  it.each([
    ['7', null, 7000],
    ['0', null, 1000],
    [undefined, null, 60_000],
    ['soon', null, 60_000],
    ['-5', null, 60_000],
    ['99999999999999999999', null, 900_000],
    ['Fri, 23 Jan 2026 05:00:30 GMT', '2026-01-23T05:00:00Z', 30_000],
    ['Fri, 23 Jan 2026 04:00:00 GMT', '2026-01-23T05:00:00Z', 1000],
    ['Fri, 23 Jan 1926 04:00:00 GMT', '2026-01-23T05:00:00Z', 1000],
    ['Fri, 23 Jan 9926 04:00:00 GMT', '2026-01-23T05:00:00Z', 900_000],
    ['9'.repeat(400), null, 900_000],
    ['1e9', null, 60_000],
    ['NaN', null, 60_000],
    ['Fri, 23 Jan 2026 05:00:30 GMT', null, 60_000],
  ])('429 with Retry-After %j at %j waits %i ms', (retryAfter, date, retryAfterMs) => {
    const at = date === null ? null : new Date(date);
    expect(classifyStatus(answer(429, MESSAGE, { retryAfter, date: at }), true)).toMatchObject({ retryAfterMs });
  });

  it('tells how long a maintenance lasts where the CRM does, and null where not', () => {
    expect(classifyStatus(answer(503, MESSAGE, { retryAfter: '120' }), true).retryAfterMs).toBe(120_000);
    expect(classifyStatus(answer(503, MESSAGE), true).retryAfterMs).toBeNull();
  });
});

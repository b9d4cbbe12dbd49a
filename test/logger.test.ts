import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import got from 'got';
import { expect, test } from 'vitest';
import { createLogger } from '../src/logger.ts';
import type { LogFields } from '../src/ports/ambient.ts';

const collect = (format: 'json' | 'pretty', level: 'debug' | 'info' | 'silent' = 'info') => {
  const lines: string[] = [];
  return { lines, log: createLogger({ level, format, destination: { write: (line) => void lines.push(line) } }) };
};

test('a line is one JSON object with level, time, fields and message', () => {
  const { lines, log } = collect('json');
  log.warn({ crm_id: 7, ms: 12.5, lane: 'edit', complete: false, error_code: null }, 'pushed');
  expect(lines).toHaveLength(1);
  const line: unknown = JSON.parse(lines[0] ?? '');
  expect(line).toMatchObject({ level: 'warn', crm_id: 7, ms: 12.5, lane: 'edit', complete: false, error_code: null, msg: 'pushed' });
  expect(line).toHaveProperty('time', expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.+Z$/));
});

test('lines below the level are not written, and silent writes none', () => {
  const { lines, log } = collect('json');
  log.debug({}, 'no');
  log.info({}, 'yes');
  expect(lines).toHaveLength(1);
  const silent = collect('json', 'silent');
  silent.log.error({}, 'no');
  expect(silent.lines).toEqual([]);
});

test('the pretty format is one line that people can read', () => {
  const { lines, log } = collect('pretty');
  log.info({ contacts: 3 }, 'mirror is complete');
  expect(lines.join('')).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: mirror is complete \{"contacts":3\}\n$/);
});

test.each(['json', 'pretty'] as const)(
  'the error of a failed call shows neither its token nor its body, wherever it is put (%s)',
  async (format) => {
    const server = createServer((_, response) => void response.writeHead(500).end('{"email":"ada@example.com"}')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const call = got.put(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api`, {
        headers: { authorization: 'Bearer very-secret' },
        json: { email: 'ada@example.com' },
        retry: { limit: 0 },
      });
      const error: unknown = await call.then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(Error);
      const { lines, log } = collect(format);
      log.error({ err: error, error, failure: { cause: error }, list: [error] } as unknown as LogFields, 'call failed');
      log.error(error as LogFields, 'call failed');
      log.error({ nested: new Error('outer', { cause: error }) } as unknown as LogFields, 'call failed');
      const text = lines.join('');
      expect(text.match(/call failed/g)).toHaveLength(3);
      expect(text).toContain('HTTPError');
      expect(text).not.toMatch(/very-secret|ada@example\.com/);
    } finally {
      server.close();
    }
  },
);

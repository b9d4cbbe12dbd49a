import { expect, it } from 'vitest';
import { isLoopback } from '../../src/domain/loopback.ts';

it.each(['localhost', 'LOCALHOST', '127.0.0.1', '127.255.0.3', '::1', '[::1]'])('%s is this machine', (host) => {
  expect(isLoopback(host)).toBe(true);
});

it.each([
  '',
  'localhost.example.com',
  'mirror.localhost',
  '127.0.0.1.example.com',
  'x127.0.0.1',
  '128.0.0.1',
  '0.0.0.0',
  '::',
  '[::1',
  'localhost:80',
])('%s is not', (host) => expect(isLoopback(host)).toBe(false));

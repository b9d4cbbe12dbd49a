/** Answers that are meant to hurt: too much, too slow, not what was promised, or leading elsewhere. */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import type { ErrorCode } from '../../src/domain/errors.ts';
import type { Attack } from './hostile-crm.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const JSON_TYPE = { 'content-type': 'application/json' };

/** Writes `chunk` for as long as somebody reads, up to so many bytes. */
const stream = (response: ServerResponse, chunk: Buffer, bytes: number): void => {
  let left = bytes;
  const pump = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= chunk.length;
      if (!response.write(chunk)) return void response.once('drain', pump);
    }
    if (!response.destroyed) response.end();
  };
  pump();
};

const huge =
  (headers: OutgoingHttpHeaders): Attack =>
  (response) => {
    response.writeHead(200, { ...JSON_TYPE, ...headers });
    stream(response, Buffer.alloc(65_536, ' '), GIB);
  };

const send =
  (body: string | Buffer, headers: OutgoingHttpHeaders = {}, status = 200): Attack =>
  (response) =>
    response.writeHead(status, { ...JSON_TYPE, ...headers }).end(body);

/** Made once: each is a gigabyte of spaces, or as much as the format gives. */
const spaces = Buffer.alloc(GIB / 4, ' ');
const bombs = {
  gzip: gzipSync(spaces),
  deflate: deflateSync(spaces),
  br: brotliCompressSync(spaces.subarray(0, 64 * MIB)),
};
const twice = gzipSync(bombs.gzip);

const list = (rows: string): string => `{"data":[${rows}],"links":{},"meta":{"current_page":1,"last_page":1,"per_page":100,"total":1}}`;

/** Writes a piece every `ms` milliseconds, for ever. */
const drip = (response: ServerResponse, write: () => void, ms = 100): void => {
  const timer = setInterval(() => (response.destroyed || response.socket?.destroyed === true ? clearInterval(timer) : write()), ms);
};

export interface Attacked {
  readonly name: string;
  readonly attack: Attack;
  /** What the log says of it. */
  readonly code: ErrorCode;
}

export const ATTACKS: readonly Attacked[] = [
  { name: 'a body of 1 GiB without a length', attack: huge({}), code: 'answer_too_large' },
  { name: 'a body of 1 GiB with its length', attack: huge({ 'content-length': GIB }), code: 'answer_too_large' },
  ...(['gzip', 'deflate', 'br'] as const).map((coding) => ({
    name: `a ${coding} bomb`,
    attack: send(bombs[coding], { 'content-encoding': coding }),
    code: 'answer_too_large' as const,
  })),
  { name: 'a bomb in a bomb', attack: send(twice, { 'content-encoding': 'gzip, gzip' }), code: 'bad_answer' },
  { name: 'three thousand codings', attack: send('x', { 'content-encoding': Array(3000).fill('br').join() }), code: 'bad_answer' },
  { name: 'a coding nobody knows', attack: send('x', { 'content-encoding': '__proto__' }), code: 'bad_answer' },
  { name: 'eight million empty lists', attack: send(`[${'[],'.repeat(5 * MIB)}[]]`), code: 'answer_too_large' },
  { name: 'eight million levels', attack: send('['.repeat(7 * MIB) + ']'.repeat(7 * MIB)), code: 'answer_too_large' },
  { name: '100,000 levels', attack: send('['.repeat(100_000) + ']'.repeat(100_000)), code: 'bad_answer' },
  { name: '100,000 records', attack: send(list(Array(100_000).fill('{}').join())), code: 'bad_answer' },
  { name: 'half a document', attack: send(list('{"id":1}').slice(0, 30)), code: 'bad_answer' },
  { name: 'another shape', attack: send('"fine"'), code: 'bad_answer' },
  {
    name: 'prototype keys for an envelope',
    attack: send('{"__proto__":{"data":[],"meta":{}},"constructor":{"prototype":{}}}'),
    code: 'bad_answer',
  },
  { name: 'a login page', attack: send('<html>Sign in', { 'content-type': 'text/html' }), code: 'bad_answer' },
  { name: 'bytes that are no text', attack: send(Buffer.from([0xff, 0xfe, 0x00, 0x80])), code: 'bad_answer' },
  {
    name: 'a header of 64 KiB',
    attack: (response) => response.socket?.end(`HTTP/1.1 200 OK\r\nx-big: ${'x'.repeat(65_536)}\r\n\r\n`),
    code: 'bad_answer',
  },
  {
    name: 'headers without an end',
    attack: (response) => {
      response.socket?.write('HTTP/1.1 200 OK\r\n');
      drip(response, () => response.socket?.write(`x-${Math.random()}: 1\r\n`));
    },
    code: 'timeout',
  },
  {
    name: 'a byte now and then',
    attack: (response) => {
      response.writeHead(200, JSON_TYPE);
      drip(response, () => response.write(' '));
    },
    code: 'timeout',
  },
  {
    name: '"go on" without an end',
    attack: (response) => drip(response, () => response.writeContinue(), 1),
    code: 'timeout',
  },
  { name: 'no HTTP', attack: (response) => response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n'), code: 'bad_answer' },
  {
    name: 'switched protocols',
    attack: (response) => response.socket?.write('HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n'),
    code: 'timeout',
  },
];

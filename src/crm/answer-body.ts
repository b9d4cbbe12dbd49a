/**
 * From the bytes of an answer to its JSON. Each step has a limit, because whoever answers decides how much comes: what a few kilobytes
 * unpack to, and what a few megabytes of `[],[],[]` become in memory, which is thirty times as much.
 *
 * The client limits the size while it reads; here it is the unpacked size and the number of values, both before anything is made of them.
 * Depth needs no limit at this place: `JSON.parse` does not recurse, and `json.ts` refuses the single record that is nested too deeply.
 */
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type InputType, type ZlibOptions } from 'node:zlib';

/** A page of 100 contacts with 100 custom fields and 50 linked records each has half as many. */
const VALUES_MAX = 300_000;

type Unpack = (bytes: InputType, options: Pick<ZlibOptions, 'maxOutputLength'>) => Promise<Uint8Array>;

/** What is asked for is gzip; the others are understood where a proxy does not listen. Several codings on top of each other are refused. */
const UNPACK: { readonly [coding: string]: Unpack } = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
};
export const ACCEPT_ENCODING = 'gzip';

/** `too_large`: more than the limit, of bytes or of values. */
export type BodyProblem = 'too_large' | 'corrupt' | 'not_json';

export type Unpacked = { readonly bytes: Uint8Array } | { readonly problem: BodyProblem };

export const unpackBody = async (bytes: Uint8Array, contentEncoding: string | undefined, bytesMax: number): Promise<Unpacked> => {
  const coding = contentEncoding?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity' || bytes.length === 0) return { bytes };
  const unpack = Object.hasOwn(UNPACK, coding) ? UNPACK[coding] : undefined;
  if (unpack === undefined) return { problem: 'corrupt' };
  try {
    return { bytes: await unpack(bytes, { maxOutputLength: bytesMax }) };
  } catch (error) {
    return { problem: error instanceof RangeError ? 'too_large' : 'corrupt' };
  }
};

export type ParsedJson = { readonly value: unknown } | { readonly problem: BodyProblem };

/** Null for an empty body. Bytes that are no UTF-8 become U+FFFD. */
export const parseJsonBody = (bytes: Uint8Array): ParsedJson => {
  if (bytes.length === 0) return { value: null };
  if (holdsMoreThan(VALUES_MAX, bytes)) return { problem: 'too_large' };
  try {
    return { value: JSON.parse(new TextDecoder().decode(bytes)) as unknown };
  } catch {
    return { problem: 'not_json' };
  }
};

/** All of them ASCII, which no part of a longer UTF-8 character looks like. */
const [QUOTE, BACKSLASH, COMMA, BRACKET, BRACE] = [0x22, 0x5c, 0x2c, 0x5b, 0x7b];

/** More values than that, by the commas and opening brackets outside of strings: each value but the first follows one of these. */
const holdsMoreThan = (max: number, json: Uint8Array): boolean => {
  if (json.length <= max) return false;
  let values = 1;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === QUOTE) at = endOfString(json, at);
    else if (byte === COMMA || byte === BRACKET || byte === BRACE) values += 1;
    if (values > max) return true;
  }
  return false;
};

/** The place of the closing quote; the end where there is none. */
const endOfString = (json: Uint8Array, start: number): number => {
  for (let at = start + 1; at < json.length; at += 1) {
    if (json[at] === BACKSLASH) at += 1;
    else if (json[at] === QUOTE) return at;
  }
  return json.length;
};

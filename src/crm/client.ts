/**
 * The transport: one attempt of one call, through the gate, over one keep-alive agent, to a value or a classified failure.
 *
 * It never retries (a retry is a new call with its own place in the budget), never follows a redirect or a link of an answer (the token
 * would go to a host that the answer chose), reads at most `maxAnswerBytes`, and lets no error of got escape: they carry token and body.
 * TLS is verified, and no option turns that off.
 */
import got, { type Got } from 'got';
import { type CrmFailure, ERROR_CODES } from '../domain/errors.ts';
import type { Log } from '../ports/ambient.ts';
import type { AnswerMeta, CallOptions, CrmResult } from '../ports/crm.ts';
import { createReadyAgent } from './agent.ts';
import { ACCEPT_ENCODING, type BodyProblem, parseJsonBody, unpackBody } from './answer-body.ts';
import type { RateSigns } from './budget.ts';
import { badAnswer, classifyException, classifyStatus, failure, unsure } from './errors.ts';
import type { JsonObject } from './json.ts';
import type { Attempt, Pacing } from './pacing.ts';
import type { Query } from './query.ts';

const ANSWER_BYTES_MAX_DEFAULT = 8 * 1024 * 1024;
/** Of all answers that are being read, in full answers: a CRM that answers every call at once with the most that is read must not fill the memory. */
const ANSWERS_AT_ONCE = 1.5;
/** Of an error document, whose words are cut to a few thousand characters anyway: a longer one is read as no document. */
const ERROR_BYTES_MAX = 1024 * 1024;
/** A shorter token, a demo's say, is no secret, and taking it out would garble ordinary words. */
const SECRET_LENGTH_MIN = 8;
const USER_AGENT_DEFAULT = 'relate-mirror';

export interface ClientOptions {
  /** Base address ending in `/api`, with or without a slash behind it. */
  readonly url: string;
  /** Bearer token. */
  readonly token: string;
  /** One attempt, from the moment it is its turn: connecting, sending, waiting and reading together. */
  readonly timeoutMs: number;
  readonly pacing: Pacing;
  readonly log?: Log;
  /** Never `Zapier`: the CRM leaves fields out for that one. */
  readonly userAgent?: string;
  /** Size of an answer, as it comes and unpacked; 8 MiB without. */
  readonly maxAnswerBytes?: number;
}

export interface CrmRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the base address, without a leading slash. */
  readonly path: string;
  readonly query?: Query;
  readonly body?: JsonObject;
}

export interface CrmClient {
  /** The parsed JSON of a 2xx (null for an empty body), or what went wrong. `onEnd`: told how long the attempt took, where one was made. */
  call(request: CrmRequest, options: CallOptions, onEnd?: (seconds: number) => void): Promise<CrmResult<unknown>>;
  /** Ends all connections; later calls fail as `aborted`. Safe to call twice. */
  close(): void;
}

export const isWrite = (request: CrmRequest): boolean => request.method !== 'GET';

const NOT_SENT: RateSigns = { sent: false, limit: null, remaining: null, pauseMs: null };

export const createClient = (options: ClientOptions): CrmClient => {
  const base = new URL(options.url.endsWith('/') ? options.url : `${options.url}/`);
  const { agents, destroy } = createReadyAgent(base.protocol, options.timeoutMs);
  const http = got.extend({
    agent: agents,
    headers: headersOf(options),
    followRedirect: false,
    throwHttpErrors: false,
    retry: { limit: 0 },
    timeout: { request: options.timeoutMs },
    // Unpacked here, with a limit.
    decompress: false,
  });
  const answerBytesMax = options.maxAnswerBytes ?? ANSWER_BYTES_MAX_DEFAULT;
  const reading: Reading = { answerBytesMax, allBytesMax: answerBytesMax * ANSWERS_AT_ONCE, bytes: 0 };
  const report = createReporter(options.log);
  let closed = false;

  const attempt = async (
    request: CrmRequest,
    call: CallOptions,
    onEnd?: (seconds: number) => void,
  ): Promise<Attempt<CrmResult<unknown>>> => {
    const startedMs = performance.now();
    const outcome = await exchange(http, urlOf(base, request), request, call, reading);
    onEnd?.((performance.now() - startedMs) / 1000);
    const result = redacted(outcome.result, options.token);
    report(request, call, result);
    return { value: result, signs: outcome.signs };
  };

  return {
    async call(request, call, onEnd) {
      if (closed) return { ok: false, failure: failure('retry', 'aborted'), meta: null };
      const paced = await options.pacing.run(call, () => attempt(request, call, onEnd));
      return paced.ran ? paced.value : { ok: false, failure: failure('retry', paced.reason), meta: null };
    },
    close() {
      closed = true;
      destroy();
    },
  };
};

const headersOf = ({ token, userAgent = USER_AGENT_DEFAULT }: ClientOptions): Record<string, string> => {
  if (userAgent === 'Zapier') throw new RangeError('userAgent must not be Zapier: the CRM leaves fields out for it');
  // Nothing else: with a Referer or an Origin the CRM takes the call for a browser session and answers 419.
  return {
    accept: 'application/json',
    'accept-encoding': ACCEPT_ENCODING,
    'content-type': 'application/json',
    authorization: `Bearer ${token}`,
    'user-agent': userAgent,
  };
};

const urlOf = (base: URL, request: CrmRequest): URL => {
  const url = new URL(request.path, base);
  for (const [name, value] of request.query ?? []) url.searchParams.append(name, value);
  return url;
};

interface Exchange {
  readonly result: CrmResult<unknown>;
  readonly signs: RateSigns;
}

interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
  readonly body: Uint8Array;
}

/** What is being read, by all calls together. */
interface Reading {
  readonly answerBytesMax: number;
  readonly allBytesMax: number;
  bytes: number;
}

const exchange = async (http: Got, url: URL, request: CrmRequest, call: CallOptions, reading: Reading): Promise<Exchange> => {
  const write = isWrite(request);
  const { giveUp = call.signal } = call;
  const tooLarge = new AbortController();
  const state = { sent: false, refused: false, read: 0 };
  try {
    const sending = http(url, {
      method: request.method,
      responseType: 'buffer',
      signal: giveUp === undefined ? tooLarge.signal : AbortSignal.any([giveUp, tooLarge.signal]),
      ...(request.body === undefined ? {} : { json: request.body }),
    });
    void sending.on('request', (native) => {
      // The connection is ready and the next tick writes: the last moment to find out that somebody else leads by now.
      native.once('socket', () => {
        if (call.maySend?.() === false) {
          state.refused = true;
          native.destroy();
        } else {
          state.sent = true;
          call.onSending?.();
        }
      });
    });
    void sending.on('downloadProgress', ({ transferred }) => {
      reading.bytes += transferred - state.read;
      state.read = transferred;
      if (transferred > reading.answerBytesMax || reading.bytes > reading.allBytesMax) tooLarge.abort();
    });
    return await readAnswer(await sending, write, reading.answerBytesMax);
  } catch (error) {
    return { result: { ok: false, failure: explain(error), meta: null }, signs: { ...NOT_SENT, sent: state.sent } };
  } finally {
    reading.bytes -= state.read;
  }

  function explain(error: unknown): CrmFailure {
    if (state.refused) return failure('retry', 'not_leader');
    const gaveUp = giveUp?.aborted === true;
    if (tooLarge.signal.aborted && !gaveUp) return failure(unsure(write), 'answer_too_large');
    return classifyException(error, { write, sent: state.sent, gaveUp });
  }
};

const readAnswer = async (answer: HttpAnswer, write: boolean, bytesMax: number): Promise<Exchange> => {
  const header = (name: string): string | undefined => [answer.headers[name] ?? []].flat()[0];
  const status = answer.statusCode;
  const date = parseDate(header('date'));
  const meta: AnswerMeta = { status, date, appVersion: versionIn(header('x-app-version')) };
  const rate = { sent: true, limit: count(header('x-ratelimit-limit')), remaining: count(header('x-ratelimit-remaining')) };
  const body = await unpackBody(answer.body, header('content-encoding'), bytesMax);
  if (status >= 200 && status < 300) {
    const parsed = 'bytes' in body ? parseJsonBody(body.bytes) : body;
    const result: CrmResult<unknown> =
      'value' in parsed ? { ok: true, value: parsed.value, meta } : { ok: false, failure: unreadable(write, status, parsed.problem), meta };
    return { result, signs: { ...rate, pauseMs: null } };
  }
  const contentType = header('content-type') ?? '';
  // Whatever came of its body, the status stands.
  const text = 'bytes' in body ? new TextDecoder().decode(body.bytes.subarray(0, ERROR_BYTES_MAX)) : '';
  const failed = classifyStatus({ status, contentType, retryAfter: header('retry-after'), date, body: text }, write);
  const pauseMs = failed.class === 'later' ? failed.retryAfterMs : null;
  return { result: { ok: false, failure: failed, meta }, signs: { ...rate, pauseMs } };
};

const UNREADABLE = { corrupt: 'its compression cannot be undone', not_json: 'not JSON' } as const;

const unreadable = (write: boolean, status: number, problem: BodyProblem): CrmFailure =>
  problem === 'too_large' ? failure(unsure(write), 'answer_too_large', { status }) : badAnswer(write, status, UNREADABLE[problem], false);

/** It is logged: nothing but a version gets that far. */
const versionIn = (text: string | undefined): string | null =>
  /^v?\d{1,6}(\.\d{1,6}){0,3}([-+][a-z]{1,8}\.?\d{0,4})?$/i.test(text ?? '') ? (text ?? null) : null;

/** A clock outside of these years is none: watermarks are kept by it, and Postgres has to hold them. */
const [CLOCK_MIN, CLOCK_MAX] = [Date.UTC(2000, 0), Date.UTC(2100, 0)];

const parseDate = (text: string | undefined): Date | null => {
  const at = text === undefined ? Number.NaN : Date.parse(text);
  return at >= CLOCK_MIN && at < CLOCK_MAX ? new Date(at) : null;
};

const count = (text: string | undefined): number | null => {
  const value = /^\d{1,15}$/.test(text ?? '') ? Number(text) : Number.NaN;
  return Number.isNaN(value) ? null : value;
};

/** A debugging proxy that quotes our headers in its error must not carry the token into the database. */
const redacted = (result: CrmResult<unknown>, token: string): CrmResult<unknown> => {
  if (result.ok || token.length < SECRET_LENGTH_MIN) return result;
  const hide = (text: string): string => text.replaceAll(token, '[token]');
  const { failure: failed, meta } = result;
  const fields = Object.entries(failed.fields).map(([field, messages]) => [hide(field), messages.map(hide)] as const);
  return { ok: false, failure: { ...failed, message: hide(failed.message), fields: Object.fromEntries(fields) }, meta };
};

/** One debug line an attempt and one info line for each new version of the CRM; no query, body or message, which hold personal data. */
const createReporter = (log: Log | undefined): ((request: CrmRequest, call: CallOptions, result: CrmResult<unknown>) => void) => {
  let version: string | null = null;
  return ({ method, path }, { lane }, result) => {
    if (log === undefined) return;
    const outcome = result.ok ? {} : { class: result.failure.class, code: result.failure.code };
    log.debug(
      { method, path, lane, status: result.meta?.status ?? null, ...outcome },
      result.ok ? 'CRM call' : `CRM call failed: ${describe(result.failure)}`,
    );
    const seen = result.meta?.appVersion ?? null;
    if (seen === null || seen === version) return;
    version = seen;
    log.info({ appVersion: seen }, 'CRM version');
  };
};

const describe = (failed: CrmFailure): string => ERROR_CODES[failed.code];

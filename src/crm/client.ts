/**
 * The transport: one attempt of one call, through the gate, over one keep-alive agent, to a value or a classified failure.
 *
 * It never retries (a retry is a new call with its own place in the budget), never follows a redirect or a link of an answer (the token
 * would go to a host that the answer chose), reads at most `maxAnswerBytes`, and lets no error of got escape: they carry token and body.
 */
import got, { type Got } from 'got';
import { type CrmFailure, ERROR_CODES } from '../domain/errors.ts';
import type { Log } from '../ports/ambient.ts';
import type { AnswerMeta, CallOptions, CrmResult } from '../ports/crm.ts';
import { createReadyAgent } from './agent.ts';
import type { RateSigns } from './budget.ts';
import { badAnswer, classifyException, classifyStatus, failure, unsure } from './errors.ts';
import type { JsonObject } from './json.ts';
import type { Attempt, Pacing } from './pacing.ts';
import type { Query } from './query.ts';

const ANSWER_BYTES_MAX_DEFAULT = 32 * 1024 * 1024;
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
  /** Size of an answer, decompressed; 32 MiB without. */
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
    responseType: 'text',
  });
  const answerBytesMax = options.maxAnswerBytes ?? ANSWER_BYTES_MAX_DEFAULT;
  const report = createReporter(options.log);
  let closed = false;

  const attempt = async (
    request: CrmRequest,
    call: CallOptions,
    onEnd?: (seconds: number) => void,
  ): Promise<Attempt<CrmResult<unknown>>> => {
    const startedMs = performance.now();
    const outcome = await exchange(http, urlOf(base, request), request, call, answerBytesMax);
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
  return { accept: 'application/json', 'content-type': 'application/json', authorization: `Bearer ${token}`, 'user-agent': userAgent };
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
  readonly body: string;
}

const exchange = async (http: Got, url: URL, request: CrmRequest, call: CallOptions, answerBytesMax: number): Promise<Exchange> => {
  const write = isWrite(request);
  const { giveUp = call.signal } = call;
  const tooLarge = new AbortController();
  const state = { sent: false, refused: false };
  try {
    const sending = http(url, {
      method: request.method,
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
      if (transferred > answerBytesMax) tooLarge.abort();
    });
    return readAnswer(await sending, write);
  } catch (error) {
    return { result: { ok: false, failure: explain(error), meta: null }, signs: { ...NOT_SENT, sent: state.sent } };
  }

  function explain(error: unknown): CrmFailure {
    if (state.refused) return failure('retry', 'not_leader');
    const gaveUp = giveUp?.aborted === true;
    if (tooLarge.signal.aborted && !gaveUp) return failure(unsure(write), 'answer_too_large');
    return classifyException(error, { write, sent: state.sent, gaveUp });
  }
};

const readAnswer = (answer: HttpAnswer, write: boolean): Exchange => {
  const header = (name: string): string | undefined => [answer.headers[name] ?? []].flat()[0];
  const status = answer.statusCode;
  const date = parseDate(header('date'));
  const meta: AnswerMeta = { status, date, appVersion: header('x-app-version') ?? null };
  const rate = { sent: true, limit: count(header('x-ratelimit-limit')), remaining: count(header('x-ratelimit-remaining')) };
  if (status >= 200 && status < 300) {
    const parsed = parseBody(answer.body);
    const result: CrmResult<unknown> = parsed.ok
      ? { ok: true, value: parsed.value, meta }
      : { ok: false, failure: badAnswer(write, status, 'not JSON', false), meta };
    return { result, signs: { ...rate, pauseMs: null } };
  }
  const contentType = header('content-type') ?? '';
  const failed = classifyStatus({ status, contentType, retryAfter: header('retry-after'), date, body: answer.body }, write);
  const pauseMs = failed.class === 'later' ? failed.retryAfterMs : null;
  return { result: { ok: false, failure: failed, meta }, signs: { ...rate, pauseMs } };
};

const parseBody = (body: string): { readonly ok: true; readonly value: unknown } | { readonly ok: false } => {
  if (body === '') return { ok: true, value: null };
  try {
    return { ok: true, value: JSON.parse(body) as unknown };
  } catch {
    return { ok: false };
  }
};

const parseDate = (text: string | undefined): Date | null => {
  const at = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(at) ? null : new Date(at);
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
    log.info({ appVersion: seen.slice(0, 40) }, 'CRM version');
  };
};

const describe = (failed: CrmFailure): string => ERROR_CODES[failed.code];

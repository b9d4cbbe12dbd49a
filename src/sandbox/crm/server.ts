/** The sandbox CRM over HTTP: a sandbox account behind the product's routes, headers, limits, and whatever faults are scripted. */
import { setTimeout as delay } from 'node:timers/promises';
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { SandboxAccount } from './account.ts';
import type { CallContext } from './api.ts';
import { toId } from './links.ts';
import { createFaultScript, decide, json } from './faults.ts';
import type { FaultHandle, FaultScript, FaultSpec, SandboxRequest } from './faults.ts';
import { decidePartial, isPartial } from './partial-faults.ts';
import type { PartialFaultSpec, PartialOutcome as Outcome, Process } from './partial-faults.ts';
import { passGate, wantsJson } from './gate.ts';
import type { GateState } from './gate.ts';
import { parsePhpQuery } from './php-query.ts';
import type { QueryTree } from './php-query.ts';
import { createRateLimit } from './rate-limit.ts';
import { ROUTES } from './routes.ts';
import type { Route } from './routes.ts';
import { sendOutcome } from './wire.ts';

/** `documented`: the nine public calls and their parameters, nothing else. `upstream`: also what the product behind them has. */
export type SandboxMode = 'documented' | 'upstream';

export interface SandboxOptions {
  readonly account: SandboxAccount;
  /** The bearer token that is accepted. */
  readonly token: string;
  /** Default `upstream`. */
  readonly mode?: SandboxMode;
  /** Calls a minute for all clients together. 0 or left out: no limit, and no rate headers. */
  readonly ratePerMinute?: number;
  /** Added to every answer, half of it before the call is processed and half after. */
  readonly latencyMs?: number;
  /** Default 127.0.0.1, and a port of the system's choice. */
  readonly host?: string;
  readonly port?: number;
}

type AnyFault = FaultSpec | PartialFaultSpec;
type RequestHook = (request: SandboxRequest) => void | Promise<void>;

export interface SandboxServer {
  /** `http://127.0.0.1:PORT/api` */
  readonly url: string;
  readonly account: SandboxAccount;
  /** Faults strike in the order they were scripted, after the gate (session, token, rate) let the request pass. */
  fault(spec: AnyFault): FaultHandle;
  clearFaults(): void;
  /** Awaited after a request arrived and before it is processed: the place for an edit that races with it. Returns how to stop. */
  onRequest(hook: RequestHook): () => void;
  setMode(mode: SandboxMode): void;
  setRate(ratePerMinute: number): void;
  setLatency(latencyMs: number): void;
  /** Uses up calls of the current minute, as other clients of the same user do. */
  spendRate(calls: number): void;
  /** From now on only this token is accepted. */
  setToken(token: string): void;
  /** The user's API permission; without it every call is a 403 `{error}`. */
  setApiAccess(granted: boolean): void;
  /** Breaks what is still open, hanging calls included. Idempotent. */
  close(): Promise<void>;
}

interface RouteTypes {
  Querystring: QueryTree;
  Params: { id?: string };
  Body: unknown;
}
type Request = FastifyRequest<RouteTypes>;

interface Running {
  readonly account: SandboxAccount;
  readonly gate: GateState;
  readonly rateLimit: ReturnType<typeof createRateLimit>;
  readonly faults: FaultScript<AnyFault>;
  readonly hooks: Set<RequestHook>;
  readonly closing: AbortController;
  mode: SandboxMode;
  latencyMs: number;
}

interface Answered {
  readonly outcome: Outcome;
  readonly headers: { readonly [name: string]: string };
}

const BODY_BYTES_MAX = 8 * 1024 * 1024;

/** A body that is not declared as JSON, or is none, is no input at all. */
const parseBody = (contentType: string | undefined, text: string): unknown => {
  if (!/[/+]json/.test(contentType ?? '')) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

const toSandboxRequest = (request: Request, call: Route['call']): SandboxRequest => ({
  call,
  method: request.method,
  path: request.url,
  id: request.params.id ?? null,
  query: request.query,
  body: request.body,
});

const statusOf = (outcome: Outcome): number | null =>
  outcome.wire === 'json' || outcome.wire === 'half-json' ? outcome.answer.status : outcome.wire === 'html' ? outcome.status : null;

const log = ({ account }: Running, request: SandboxRequest, outcome: Outcome, fault: AnyFault | null, at: Date): void => {
  const { call, method, path, body } = request;
  account.calls.add({ call, method, path, id: toId(request.id), body, status: statusOf(outcome), fault: fault?.kind ?? null, at });
};

/** Half of the latency; over at once when the server closes. */
const pause = async ({ latencyMs, closing }: Running): Promise<void> => {
  if (latencyMs > 0) await delay(latencyMs / 2, undefined, { signal: closing.signal }).catch(() => undefined);
};

const noSuchRoute = (request: { readonly url: string }): Outcome =>
  json({ status: 404, body: { message: `The route ${request.url.split('?')[0]?.slice(1) ?? ''} could not be found.` } });

const commonHeaders = ({ account }: Running): { readonly [name: string]: string } => ({
  date: account.now().toUTCString(),
  'x-app-version': account.settings.appVersion,
  'cache-control': 'no-cache, private',
});

const baseUrlOf = (request: FastifyRequest): string => `http://${request.headers.host ?? 'localhost'}/api`;

/** Decides what becomes of a request and logs it; a server that closes leaves what it has not begun. */
const answerCall = async (running: Running, route: Route, request: Request): Promise<Answered> => {
  const at = running.account.now();
  const served = route.documented || running.mode === 'upstream';
  const call = toSandboxRequest(request, served ? route.call : 'unknown');
  const context: CallContext = {
    baseUrl: baseUrlOf(request),
    undocumented: running.mode === 'upstream',
    lean: request.headers['user-agent'] === 'Zapier',
  };
  // A route that does not exist is a 404 for guests too.
  const passage = served ? passGate(request.headers, running.gate, running.rateLimit) : { refusal: noSuchRoute(request), headers: {} };
  await pause(running);
  for (const hook of running.hooks) await hook(call);
  if (running.closing.signal.aborted) return { outcome: { wire: 'reset' }, headers: {} };
  const fault = passage.refusal === null ? running.faults.take(call) : null;
  const carryOut: Process = (changed) => route.run(running.account.api, { ...call, ...changed }, context);
  const outcome =
    passage.refusal ?? (fault !== null && isPartial(fault) ? decidePartial(fault, call, carryOut) : decide(fault, () => carryOut()));
  log(running, call, outcome, fault, at);
  await pause(running);
  return running.closing.signal.aborted ? { outcome: { wire: 'reset' }, headers: {} } : { outcome, headers: passage.headers };
};

const handle = async (running: Running, route: Route, request: Request, reply: FastifyReply): Promise<void> => {
  const { outcome, headers } = await answerCall(running, route, request);
  await sendOutcome(reply.headers({ ...commonHeaders(running), ...headers }), outcome, wantsJson(request.headers));
};

const createApp = (running: Running): FastifyInstance => {
  const app = fastify({
    routerOptions: { querystringParser: parsePhpQuery, ignoreTrailingSlash: true },
    bodyLimit: BODY_BYTES_MAX,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    done(null, parseBody(request.headers['content-type'], String(body)));
  });
  for (const route of ROUTES) {
    app.route<RouteTypes>({
      method: route.method,
      url: `/api${route.url}`,
      handler: (request, reply) => handle(running, route, request, reply),
    });
  }
  app.setNotFoundHandler<RouteTypes>(async (request, reply) => {
    const outcome = noSuchRoute(request);
    log(running, toSandboxRequest(request, 'unknown'), outcome, null, running.account.now());
    await sendOutcome(reply.headers(commonHeaders(running)), outcome, wantsJson(request.headers));
  });
  return app;
};

/** Starts listening. Rejects when the port is taken. */
export const startSandbox = async (options: SandboxOptions): Promise<SandboxServer> => {
  const { account, token, mode = 'upstream', ratePerMinute = 0, latencyMs = 0, host = '127.0.0.1', port = 0 } = options;
  const running: Running = {
    account,
    gate: { token, apiAccess: true },
    rateLimit: createRateLimit(account, ratePerMinute),
    faults: createFaultScript<AnyFault>(),
    hooks: new Set(),
    closing: new AbortController(),
    mode,
    latencyMs,
  };
  const app = createApp(running);
  const address = await app.listen({ host, port });
  return {
    url: `${address}/api`,
    account,
    fault: (spec) => running.faults.add(spec),
    clearFaults: () => running.faults.clear(),
    onRequest: (hook) => {
      running.hooks.add(hook);
      return () => running.hooks.delete(hook);
    },
    setMode: (next) => void (running.mode = next),
    setRate: (rate) => running.rateLimit.setLimit(rate),
    setLatency: (ms) => void (running.latencyMs = ms),
    spendRate: (calls) => running.rateLimit.spend(calls),
    setToken: (next) => void (running.gate.token = next),
    setApiAccess: (granted) => void (running.gate.apiAccess = granted),
    close: async () => {
      running.closing.abort();
      await app.close();
    },
  };
};

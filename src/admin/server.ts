/**
 * The HTTP server: health, metrics, the page and the admin API. It looks and asks through ports; the sync does not know of it, and goes on
 * without it. Limits on everything, since whoever reaches the port may send anything.
 */
import { STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import helmet from '@fastify/helmet';
import fastify, { type FastifyInstance } from 'fastify';
import { errorFields } from '../domain/error-fields.ts';
import type { Clock, Log } from '../ports/ambient.ts';
import type { Operations } from '../ports/operations.ts';
import type { Service } from '../ports/service.ts';
import type { CrmHealth } from '../runtime/crm-health.ts';
import { createAccess, type AccessRules } from './access.ts';
import { addApi } from './api.ts';
import { addAssets } from './assets.ts';
import { createEvents, type Events } from './events.ts';
import type { BudgetUse, Metrics } from './metrics.ts';
import { internalProblem, Problem, PROBLEM_TYPE, problemBody, problemOf, sendProblem, toProblem } from './problem.ts';
import type { RecentRows } from './recent-rows.ts';
import { unreadyReasons, type Role } from './readiness.ts';
import { createWatch, type Watch } from './watch.ts';

export interface AdminOptions {
  /** HTTP_HOST and HTTP_PORT; 0 picks a port. */
  readonly host: string;
  readonly port: number;
  readonly adminToken: string | null;
  readonly operations: Operations;
  readonly metrics: Metrics;
  readonly crmHealth: Pick<CrmHealth, 'last'>;
  readonly rows: Pick<RecentRows, 'list'>;
  readonly role: () => Role;
  readonly budget: () => BudgetUse;
  readonly clock: Clock;
  readonly log: Log;
}

/** The address cannot be listened at. The message says so for people. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

const LISTEN_FAILURES: { readonly [code: string]: string } = {
  EADDRINUSE: 'something listens there already (another daemon?). Choose another HTTP_PORT; 0 picks one and logs it.',
  EADDRNOTAVAIL: 'HTTP_HOST is no address of this machine.',
  ENOTFOUND: 'the name HTTP_HOST is not known.',
  EACCES: 'this user may not listen there: choose an HTTP_PORT over 1023.',
};

/** `start` rejects with ListenError. */
export interface Admin extends Service {
  /** `http://127.0.0.1:8080`; null while it does not listen. */
  url(): string | null;
  /** What may be asked of it, as `GET /api/status`; empty while it does not listen. */
  routes(): readonly string[];
}

const BODY_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 256;
/** Of one client's, so that it cannot have them all; behind a proxy everybody is one client, who still has half. */
const CONNECTIONS_MAX_EACH = 128;
/** Node asks this often whether a request takes too long. */
const LOOK_EVERY_MS = 1_000;
/** For a refusal to be read. */
const REFUSAL_MS_MAX = 1_000;
/** For a request to arrive; nothing that is asked here is long. */
const REQUEST_MS_MAX = 10_000;
/** They come at once, or from somebody who means harm. */
const HEADERS_MS_MAX = 5_000;
/** A connection on which nothing moves; events send something every 15 s. */
const SILENCE_MS_MAX = 60_000;
/** Of a stop: what is being answered may end until then. */
const STOP_GRACE_MS = 1_500;

const SECURITY_HEADERS: Parameters<FastifyInstance['register']>[1] & object = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      baseUri: ["'none'"],
      objectSrc: ["'none'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
    },
  },
  frameguard: { action: 'deny' },
  referrerPolicy: { policy: 'no-referrer' },
  // Whether there is TLS in front is not known here.
  strictTransportSecurity: false,
};

/** Where no route is found to be right or wrong, no plugin has had its turn either. */
const BARE_HEADERS = {
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

interface Parts extends AdminOptions {
  readonly access: AccessRules;
  readonly watch: Watch;
  readonly events: Events;
}

interface Server {
  readonly app: FastifyInstance;
  readonly routes: readonly string[];
}

const createServer = async (parts: Parts): Promise<Server> => {
  const { log, clock } = parts;
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    http: { connectionsCheckingInterval: LOOK_EVERY_MS, headersTimeout: HEADERS_MS_MAX },
    connectionTimeout: SILENCE_MS_MAX,
    keepAliveTimeout: 5_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: (error, _request, reply) => void sendProblem(reply.headers(BARE_HEADERS), toProblem(error) ?? internalProblem()),
    clientErrorHandler: (error, socket) => {
      if (!socket.writable) return void socket.destroy();
      const problem = unreadable(errorFields(error)['error_code'] ?? '');
      const body = JSON.stringify(problemBody(problem));
      const head = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\ncontent-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
      log.debug(errorFields(error), 'a request could not be read');
      socket.end(`${head}\r\n\r\n${body}`);
      // Who neither reads nor leaves would keep the connection.
      socket.setTimeout(REFUSAL_MS_MAX, () => socket.destroy());
    },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  limitEach(app);
  acceptJsonOnly(app);
  await app.register(helmet, SECURITY_HEADERS);

  app.setErrorHandler((error, request, reply) => {
    const problem = toProblem(error);
    if (problem === null) log.error({ route: request.routeOptions.url, ...errorFields(error) }, 'a request failed');
    return sendProblem(reply, problem ?? internalProblem());
  });
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, new Problem(404, 'not_found', 'There is nothing at this address.')));
  app.addHook('onResponse', async (request, reply) => {
    const ms = Math.round(reply.elapsedTime * 10) / 10;
    log.debug({ method: request.method, route: request.routeOptions.url ?? null, status: reply.statusCode, ms }, 'HTTP request');
  });
  return { app, routes: await addRoutes(app, parts, clock) };
};

const limitEach = (app: FastifyInstance): void => {
  const open = new Map<string, number>();
  app.server.on('connection', (socket) => {
    const from = socket.remoteAddress ?? '';
    const before = open.get(from) ?? 0;
    if (before >= CONNECTIONS_MAX_EACH) return void socket.destroy();
    open.set(from, before + 1);
    socket.once('close', () => {
      const left = (open.get(from) ?? 1) - 1;
      if (left > 0) open.set(from, left);
      else open.delete(from);
    });
  });
};

/** Before there is a request that a route could answer. */
const unreadable = (code: string): Problem => {
  const tooSlow = code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const tooLarge = code === 'HPE_HEADER_OVERFLOW';
  return problemOf(tooSlow ? 408 : tooLarge ? 431 : 400);
};

/** No body counts as none, whatever its type says; a prototype's keys are refused. */
const acceptJsonOnly = (app: FastifyInstance): void => {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined);
    else void parseJson(request, String(body), done);
  });
};

const addRoutes = async (app: FastifyInstance, parts: Parts, clock: Clock): Promise<Server['routes']> => {
  const { access, operations } = parts;
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set<string>();
    for (const each of [method].flat()) known.add(each);
    methods.set(url, known);
  });
  await app.register(async (scope) => {
    scope.addHook('onRequest', async ({ headers: { authorization, host } }) => void access.admit('open', { authorization, host }));
    addHealth(scope, parts, clock);
  });
  await app.register(async (scope) => {
    scope.addHook('onRequest', async ({ headers: { authorization, host } }) => void access.admit('page', { authorization, host }));
    await addAssets(scope);
  });
  addApi(app, { ...parts, operations });
  const routes = [...methods].flatMap(([url, known]) => [...known].flatMap((method) => (method === 'HEAD' ? [] : [`${method} ${url}`])));
  for (const [url, known] of methods) {
    if (url.includes('*')) continue;
    const others = (['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const).filter((method) => !known.has(method));
    const allowed = [...known].join(', ');
    const refuse = async (): Promise<never> => {
      throw new Problem(405, 'method_not_allowed', `Allowed here: ${allowed}.`, { headers: { allow: allowed } });
    };
    // Refused before anybody asks who it is or reads a body: what may be done here is no secret.
    app.route({ url, method: others, onRequest: refuse, handler: refuse });
  }
  return routes;
};

const addHealth = (app: FastifyInstance, { watch, metrics, role, crmHealth, budget, operations }: Parts, clock: Clock): void => {
  const startedMs = clock.monotonicMs();
  app.addHook('onRequest', async (_request, reply) => void reply.header('cache-control', 'no-store'));
  // That this is answered at all is what it says: the event loop turns.
  app.get('/healthz', async () => ({ status: 'alive', uptime_seconds: Math.floor((clock.monotonicMs() - startedMs) / 1000) }));
  app.get('/readyz', async () => {
    const reasons = unreadyReasons(await watch.look(), role(), crmHealth.last());
    if (reasons.length > 0) {
      const detail = reasons.map((reason) => reason.detail).join(' ');
      throw new Problem(503, 'not_ready', detail, { more: { role: role(), reasons } });
    }
    return { status: 'ready', role: role() };
  });
  app.get('/metrics', async (_request, reply) => {
    const sight = await watch.look();
    const facts = { sight, role: role(), budget: budget(), pool: operations.pool(), crm: crmHealth.last() };
    return await reply.type(metrics.contentType).send(await metrics.render(facts));
  });
};

const listen = async (app: FastifyInstance, host: string, port: number): Promise<void> => {
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const { error_code: code = 'unknown' } = errorFields(error);
    const why = LISTEN_FAILURES[code] ?? `the system says ${code}.`;
    throw new ListenError(`HTTP_HOST=${host} HTTP_PORT=${port} cannot be listened at: ${why}`, { cause: error });
  }
};

export const createAdmin = (options: AdminOptions): Admin => {
  const { host, port, clock, log, operations } = options;
  let running: (Server & { readonly events: Events; readonly url: string }) | null = null;
  return {
    url: () => running?.url ?? null,
    routes: () => running?.routes ?? [],
    start: async () => {
      if (running !== null) return;
      const watch = createWatch(operations, clock);
      const events = createEvents({ watch, operations, clock, log });
      const { app, routes } = await createServer({ ...options, watch, events, access: createAccess(options) });
      await listen(app, host, port);
      const { port: chosen } = app.server.address() as AddressInfo;
      const url = `http://${host.includes(':') ? `[${host}]` : host}:${chosen}`;
      running = { app, routes, events, url };
      log.info({ url }, 'listening for health checks, metrics, the page and the admin API');
    },
    stop: async () => {
      const ending = running;
      running = null;
      if (ending === null) return;
      await ending.events.stop();
      const over = new AbortController();
      void clock.sleep(STOP_GRACE_MS, over.signal).then(() => ending.app.server.closeAllConnections());
      await ending.app.close();
      over.abort();
    },
  };
};

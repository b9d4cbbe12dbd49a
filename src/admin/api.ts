/** The admin API: what is seen, and what people decide. Every decision is the SQL function that anybody with the right may call. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ListQuery, Operations } from '../ports/operations.ts';
import type { Access, AccessRules } from './access.ts';
import type { Events } from './events.ts';
import { maskItem, type Listed } from './privacy.ts';
import { Problem } from './problem.ts';
import { MINUTES_KEPT, type RecentRows } from './recent-rows.ts';
import type { Watch } from './watch.ts';

export interface ApiOptions {
  readonly operations: Operations;
  readonly watch: Watch;
  readonly access: AccessRules;
  readonly events: Events;
  readonly rows: Pick<RecentRows, 'list'>;
}

const ITEMS_MAX = 100;
const MINUTES_MAX = MINUTES_KEPT;
const IDS_MAX = 1000;

const id = z.int().positive();
const whole = (max: number) => {
  const error = `a whole number from 1 to ${max}`;
  return z
    .string({ error })
    .regex(/^[1-9]\d{0,14}$/, { error })
    .transform(Number)
    .refine((value) => value <= max, { error });
};
const ListParams = z.strictObject({
  limit: whole(ITEMS_MAX).optional(),
  state: z
    .string()
    .regex(/^[a-z]{1,20}$/)
    .optional(),
});
const MinutesParams = z.strictObject({ minutes: whole(MINUTES_MAX).optional() });
const IdParams = z.object({ id: whole(Number.MAX_SAFE_INTEGER) });
const Nothing = z.strictObject({}).nullish();
const Resync = z.strictObject({ links: z.boolean().optional() }).nullish();
const Retry = z.union([z.strictObject({ ids: z.array(id).min(1).max(IDS_MAX) }), z.strictObject({ all: z.literal(true) })], {
  error: `A body is {"ids": [1, 2]} with 1 to ${IDS_MAX} ids of edits, as numbers, or {"all": true}.`,
});
const Resolve = z.strictObject({ choice: z.json() });

/** @throws Problem 400 that names what is wrong; the value that was sent is not repeated */
const parse = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`));
  throw new Problem(400, 'invalid_request', faults.join('; '));
};

/** A string is meant as in SQL: crm, mirror, or a value as JSON. Anything else that JSON can say is the value itself. */
const toChoice = (choice: z.infer<typeof Resolve>['choice']): string => (typeof choice === 'string' ? choice : JSON.stringify(choice));

const overviewOf = async (watch: Watch): Promise<object> => {
  const { overview } = await watch.look();
  if (overview === null)
    throw new Problem(503, 'database_unreachable', 'The database does not answer.', { headers: { 'retry-after': '2' } });
  return overview.status;
};

/** Whether the asker holds the admin token, as `guard` found out. */
const admins = new WeakSet<FastifyRequest>();

const guard = (access: AccessRules, level: Access) => async (request: FastifyRequest, reply: FastifyReply) => {
  void reply.header('cache-control', 'no-store');
  const { authorization, host } = request.headers;
  if (access.admit(level, { authorization, host })) admins.add(request);
};

const addLists = (app: FastifyInstance, { operations, access, rows }: ApiOptions): void => {
  const onRequest = guard(access, 'look');
  const lists: { readonly [L in Listed]: (query: ListQuery) => ReturnType<Operations['runs']> } = {
    runs: (query) => operations.runs(query),
    parked: (query) => operations.parked(query),
    holds: (query) => operations.holds(query),
    conflicts: (query) => operations.conflicts(query),
  };
  for (const [list, read] of Object.entries(lists) as [Listed, (typeof lists)[Listed]][]) {
    app.get(`/api/${list}`, { onRequest }, async (request) => {
      const { limit = ITEMS_MAX, state = null } = parse(ListParams, request.query);
      const items = await read({ limit, state });
      return { items: admins.has(request) ? items : items.map((item) => maskItem(list, item)) };
    });
  }
  app.get('/api/calls', { onRequest }, async (request) => ({
    items: await operations.calls(parse(MinutesParams, request.query).minutes ?? 60),
  }));
  app.get('/api/rows', { onRequest }, async (request) => ({
    items: rows.list(parse(MinutesParams, request.query).minutes ?? 60),
  }));
};

const addLooks = (app: FastifyInstance, { watch, access, events }: ApiOptions): void => {
  const onRequest = guard(access, 'look');
  app.get('/api/session', { onRequest: guard(access, 'page') }, async (request) => ({
    admin: admins.has(request),
    admin_configured: access.isTokenSet,
  }));
  app.get('/api/status', { onRequest }, async () => await overviewOf(watch));
  app.get('/api/events', { onRequest, exposeHeadRoute: false }, async (_request, reply) => {
    if (!events.hasRoom())
      throw new Problem(503, 'too_many_watchers', 'As many clients as may be watch already.', { headers: { 'retry-after': '10' } });
    void reply.header('content-type', 'text/event-stream').header('x-accel-buffering', 'no');
    void reply.hijack();
    reply.raw.writeHead(200, reply.getHeaders() as { [name: string]: string });
    events.add(reply.raw);
    return reply;
  });
};

const addDecisions = (app: FastifyInstance, { operations, access }: ApiOptions): void => {
  const options = { onRequest: guard(access, 'act') };
  app.post('/api/resync', options, async (request, reply) => {
    const runId = await operations.requestResync(parse(Resync, request.body)?.links ?? false);
    return await reply.code(202).send({ run_id: runId });
  });
  app.post('/api/pause', options, async (request) => {
    parse(Nothing, request.body);
    await operations.pause();
    return { paused: true };
  });
  app.post('/api/resume', options, async (request) => {
    parse(Nothing, request.body);
    await operations.resume();
    return { paused: false };
  });
  app.post('/api/retry', options, async (request) => {
    const asked = parse(Retry, request.body);
    return { retried: 'ids' in asked ? await operations.retry(asked.ids) : await operations.retryAll() };
  });
  for (const [how, state] of [
    ['approve', 'approved'],
    ['reject', 'rejected'],
  ] as const) {
    app.post(`/api/holds/:id/${how}`, options, async (request) => {
      const { id: holdId } = parse(IdParams, request.params);
      parse(Nothing, request.body);
      await operations.decideHold(holdId, how);
      return { id: holdId, state };
    });
  }
  app.post('/api/conflicts/:id/resolve', options, async (request) => {
    const { id: conflictId } = parse(IdParams, request.params);
    await operations.resolveConflict(conflictId, toChoice(parse(Resolve, request.body).choice));
    return { id: conflictId, state: 'decided' };
  });
};

export const addApi = (app: FastifyInstance, options: ApiOptions): void => {
  addLooks(app, options);
  addLists(app, options);
  addDecisions(app, options);
};

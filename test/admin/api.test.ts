/** What is seen and decided over HTTP, against a running daemon: each decision is carried out, and each wrong one is refused with a word. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ADMIN_TOKEN, openAdminWorld, until, type AdminWorld, type Answer } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

const CONTACTS = 40;
let world: AdminWorld;
beforeAll(async () => {
  world = await openAdminWorld({ seed: { contacts: CONTACTS }, env: { CONFLICT_POLICY: 'manual', BRAKE_ROWS: '2', BRAKE_SHARE: '0' } });
  await world.firstLoad();
});
afterAll(async () => await world.close());

const itemsOf = async (path: string, token: string | null = ADMIN_TOKEN): Promise<readonly Record<string, unknown>[]> =>
  (await world.get(path, token)).json['items'] as Record<string, unknown>[];
const problem = ({ status, headers, json }: Answer) => {
  expect(headers.get('content-type')).toContain('application/problem+json');
  expect(json['status']).toBe(status);
  return [status, json['code']];
};
const untilItem = async (path: string, is: (item: Record<string, unknown>) => boolean) =>
  await until(path, async () => (await itemsOf(path)).find(is));

describe('what is seen', () => {
  it('/api/status has the columns of sync.status', async () => {
    const { status, json, headers } = await world.get('/api/status', null);
    const [row] = await world.sql('select * from sync.status');
    expect(status).toBe(200);
    expect(Object.keys(json).toSorted()).toEqual(Object.keys(row ?? {}).toSorted());
    expect(json).toMatchObject({ contacts: CONTACTS, paused: false, queue_depth: 0 });
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('/api/session says whether the asker holds the token', async () => {
    expect((await world.get('/api/session', null)).json).toEqual({ admin: false, admin_configured: true });
    expect((await world.get('/api/session')).json).toEqual({ admin: true, admin_configured: true });
  });

  it('/api/rows: what was carried over, by the minute', async () => {
    const rows = await itemsOf('/api/rows?minutes=60', null);
    expect(rows.filter(({ direction }) => direction === 'pull').reduce((sum, { rows: each }) => sum + Number(each), 0)).toBe(40);
    expect((await world.get('/api/rows?minutes=2000')).status).toBe(400);
  });

  it('/api/runs: newest first, as many as are asked for', async () => {
    await world.sql(`insert into sync.runs (kind, state, finished_at) select 'changes', 'done', now() from generate_series(1, 120)`);
    const all = await itemsOf('/api/runs');
    expect(all).toHaveLength(100);
    const ids = all.map((run) => Number(run['id']));
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect(await itemsOf('/api/runs?limit=2')).toEqual(all.slice(0, 2));
    expect((await itemsOf('/api/runs?state=done')).every((run) => run['state'] === 'done')).toBe(true);
    expect(await itemsOf('/api/runs?state=failed')).toEqual([]);
  });

  it('/api/calls: the minutes that are asked for, oldest first', async () => {
    await world.sql(`insert into sync.calls values
      (date_trunc('minute', now()) - interval '90 minutes', 'list', 'ok', 3, 0.5), (date_trunc('minute', now()), 'search', 'invalid', 1, 0.25)`);
    const found = (await itemsOf('/api/calls')).filter(({ endpoint }) => endpoint === 'search');
    expect(found).toMatchObject([{ outcome: 'invalid', calls: 1, seconds: 0.25 }]);
    expect((await itemsOf('/api/calls?minutes=120'))[0]).toMatchObject({ endpoint: 'list', calls: 3, seconds: 0.5 });
    expect((await itemsOf('/api/calls')).some(({ calls, seconds }) => calls === 3 && seconds === 0.5)).toBe(false);
  });

  it.each([
    '/api/runs?limit=0',
    '/api/runs?limit=101',
    '/api/runs?limit=x',
    '/api/runs?limit=1&limit=2',
    '/api/holds?state=O%27',
    '/api/runs?a=b',
    '/api/calls?minutes=1441',
  ])('%s is a bad request that says what is allowed', async (path) => {
    const answer = await world.get(path);
    expect(problem(answer)).toEqual([400, 'invalid_request']);
    expect(String(answer.json['detail'])).not.toBe('');
  });
});

describe('what is decided', () => {
  it('pause and resume', async () => {
    expect(await world.post('/api/pause')).toMatchObject({ status: 200, json: { paused: true } });
    expect(await world.sql('select paused from sync.status')).toEqual([{ paused: true }]);
    expect(await world.post('/api/resume', {})).toMatchObject({ status: 200, json: { paused: false } });
    expect(await world.sql('select paused from sync.status')).toEqual([{ paused: false }]);
  });

  it('a resync is asked for, and done', async () => {
    const asked = await world.post('/api/resync', { links: true });
    expect(asked.status).toBe(202);
    const run = await untilItem('/api/runs?limit=5', ({ id, state }) => id === asked.json['run_id'] && state === 'done');
    expect(run).toMatchObject({ kind: 'resync', with_links: true, complete: true, rows_seen: CONTACTS });
  });

  it('a parked edit is shown with the CRM’s words, and tried again', async () => {
    const [taken, other] = world.account.contacts();
    await world.sql('update crm.contacts set email = $1 where crm_id = $2', [taken?.email, other?.id]);
    const parked = await untilItem('/api/parked', ({ crm_id }) => crm_id === other?.id);
    expect(parked).toMatchObject({ error_code: 'invalid', error: expect.stringContaining('has already been taken'), fields: ['email'] });
    expect(problem(await world.post('/api/retry', { ids: [parked['change_id'], 999_999_999] }))).toEqual([404, 'not_found']);
    expect(await itemsOf('/api/parked')).toHaveLength(1);
    world.account.update(taken?.id ?? 0, { email: 'somebody.else@mail.example' });
    expect(await world.post('/api/retry', { ids: [parked['change_id']] })).toMatchObject({ status: 200, json: { retried: 1 } });
    await until('the edit in the CRM', () => world.account.contact(other?.id ?? 0)?.email === taken?.email);
    expect(await world.post('/api/retry', { all: true })).toMatchObject({ status: 200, json: { retried: expect.any(Number) } });
  });

  it.each([
    { choice: 'crm', city: 'There crm' },
    { choice: 'mirror', city: 'Here mirror' },
    { choice: '"Bern"', city: 'Bern' },
    { choice: null, city: null },
  ])('a conflict is decided: $choice', async ({ choice, city }) => {
    const [contact] = world.account.contacts();
    const [here, there] = [`Here ${choice}`, `There ${choice}`];
    // As text: a Date has no microseconds, and the mark of the case before would be younger than itself.
    const [before] = await world.sql('select coalesce(max(marked_at), now())::text as at from sync.marks');
    // The CRM's edit comes while the row is locked: so it is read before ours is sent.
    await world.meanwhile(`update crm.contacts set city = '${here}' where crm_id = ${contact?.id}`, async () => {
      world.account.update(contact?.id ?? 0, { city: there });
      const marked = `select from sync.marks where reason = 'deferred' and crm_id = $1 and marked_at > $2`;
      await until('the mark', async () => (await world.sql(marked, [contact?.id, before?.['at']])).length > 0);
    });
    const conflict = await untilItem('/api/conflicts?state=open', ({ local }) => local === here);
    expect(conflict).toMatchObject({ field: 'city', local: here, remote: there, crm_id: contact?.id });
    const path = `/api/conflicts/${String(conflict['id'])}/resolve`;
    expect(problem(await world.post(path, {}))).toEqual([400, 'invalid_request']);
    expect(problem(await world.post(path, { choice: 'Bern' }))).toEqual([422, 'invalid_choice']);
    expect(await world.post(path, { choice })).toMatchObject({ status: 200, json: { id: conflict['id'], state: 'decided' } });
    expect(problem(await world.post(path, { choice }))).toEqual([409, 'decided_already']);
    await until('the CRM', () => world.account.contact(contact?.id ?? 0)?.city === city);
  });

  it('a hold is rejected, and another approved', async () => {
    const emptied = `update crm.contacts set city = null where city is not null`;
    for (const contact of world.account.contacts()) world.account.update(contact.id, { city: 'Full' });
    const inStep = async () => (await world.sql(`select from crm.contacts where city is distinct from 'Full'`)).length === 0;
    await until('the cities', inStep);
    await world.sql(emptied);
    const hold = await untilItem('/api/holds?state=open', ({ rows }) => rows === CONTACTS);
    expect(hold).toMatchObject({ direction: 'push', cause: 'brake', plan_lines: CONTACTS });
    expect(hold['plan']).toHaveLength(CONTACTS);
    expect(await world.post(`/api/holds/${String(hold['id'])}/reject`)).toMatchObject({
      status: 200,
      json: { id: hold['id'], state: 'rejected' },
    });
    await until('what was there', inStep);
    expect(problem(await world.post(`/api/holds/${String(hold['id'])}/approve`))).toEqual([409, 'decided_already']);

    await world.sql(emptied);
    const again = await untilItem('/api/holds?state=open', ({ rows }) => rows === CONTACTS);
    expect(await world.post(`/api/holds/${String(again['id'])}/approve`, {})).toMatchObject({ status: 200, json: { state: 'approved' } });
    await until('the CRM', () => world.account.contacts().every(({ city }) => city === null));
  });

  it('a large plan: all of it is counted, its first lines are told, and what was let go of is no part of it', async () => {
    const [row] = await world.sql(
      `insert into sync.holds (direction, reason, rows, plan, state)
       select 'pull', 'large', 130, jsonb_agg(jsonb_build_object('crm_id', n, 'op', case when n > 240 then 'update' else 'delete' end)
         || case when n <= 120 then '{"released": true}'::jsonb else '{}' end order by n), 'rejected'
       from generate_series(1, 250) n returning id`,
    );
    for (const token of [ADMIN_TOKEN, null]) {
      const hold = (await itemsOf('/api/holds?state=rejected', token)).find(({ id }) => id === row?.['id']);
      expect(hold).toMatchObject({ counts: { delete: 120, update: 10 }, plan_lines: 130 });
      const plan = hold?.['plan'] as readonly Record<string, unknown>[];
      expect([plan.length, plan[0], plan.at(-1)]).toEqual([100, { crm_id: 121, op: 'delete' }, { crm_id: 220, op: 'delete' }]);
    }
  });

  it('a decision waits a moment for a row that somebody holds, and says so where that lasts', async () => {
    const [hold] = await world.sql(`insert into sync.holds (direction, reason, rows, plan) values ('pull', 'old', 0, '[]') returning id`);
    const lock = `select from sync.holds where id = ${String(hold?.['id'])} for update`;
    await world.meanwhile(lock, async () => {
      const answer = await world.post(`/api/holds/${String(hold?.['id'])}/reject`);
      expect(problem(answer)).toEqual([503, 'database_busy']);
      expect(answer.headers.get('retry-after')).toBe('2');
    });
    let decided: Promise<Answer> | undefined;
    await world.meanwhile(lock, async () => {
      decided = world.post(`/api/holds/${String(hold?.['id'])}/reject`);
      const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
      await until('somebody waits', async () => (await world.sql(waits)).length > 0);
    });
    expect((await decided)?.status).toBe(200);
  });

  it('ids that are not there or are none, and bodies that say something else, are refused', async () => {
    expect(problem(await world.post('/api/holds/77777/approve'))).toEqual([404, 'not_found']);
    expect(problem(await world.post('/api/conflicts/77777/resolve', { choice: 'crm' }))).toEqual([404, 'not_found']);
    for (const [path, body] of [
      ['/api/holds/x/approve', undefined],
      ['/api/holds/-1/reject', undefined],
      ['/api/holds/99999999999999999999/reject', undefined],
      ['/api/conflicts/0/resolve', { choice: 'crm' }],
      ['/api/resync', { links: 'yes' }],
      ['/api/resync', { link: true }],
      ['/api/resync', []],
      ['/api/pause', { for: 3 }],
      ['/api/retry', undefined],
      ['/api/retry', { ids: [] }],
      ['/api/retry', { ids: ['1'] }],
      ['/api/retry', { ids: [1.5] }],
      ['/api/retry', { all: false }],
      ['/api/retry', { ids: [1], all: true }],
      ['/api/retry', { ids: Array.from({ length: 1001 }, (_, at) => at + 1) }],
    ] as const) {
      const answer = await world.post(path, body);
      expect({ path, body, problem: problem(answer) }).toEqual({ path, body, problem: [400, 'invalid_request'] });
    }
  });
});

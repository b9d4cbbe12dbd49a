/** Every metric moves when what it tells of happens, and /metrics answers in time whatever becomes of the database. */
import { openWay } from './silent-way.ts';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ERROR_CODES } from '../../src/domain/errors.ts';
import { openAdminWorld, until, type AdminWorld, type AdminWorldOptions } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});
const open = async (options: AdminWorldOptions = {}): Promise<AdminWorld> => {
  const world = await openAdminWorld({ seed: { contacts: 12 }, ...options });
  closing.push(() => world.close());
  return world;
};
/** Waits until a metric is so. */
const untilMetric = async ({ metrics }: AdminWorld, name: string, is: (value: number | undefined) => boolean): Promise<void> => {
  let seen: number | undefined;
  await until(`relate_mirror_${name}`, async () => is((seen = (await metrics()).get(`relate_mirror_${name}`)))).catch((error: unknown) => {
    throw new Error(`${String(error)}; it is ${seen}`);
  });
};

/** Ids of the CRM, oldest first. */
const idsOf = ({ account }: AdminWorld): readonly number[] => account.contacts().map(({ id }) => id);

describe('counters and histograms', () => {
  it('tell of calls by name and outcome, of edits until their call, and of rows both ways', async () => {
    const world = await open();
    await world.firstLoad();
    const loaded = await world.metrics();
    expect(loaded.get('relate_mirror_crm_calls_total{endpoint="list",outcome="ok"}')).toBeGreaterThan(0);
    expect(loaded.get('relate_mirror_rows_total{direction="pull",outcome="created"}')).toBe(12);
    // Links that are saved behind a contact's row are part of its creation.
    expect(loaded.get('relate_mirror_rows_total{direction="pull",outcome="updated"}') ?? 0).toBe(0);
    expect(loaded.get('relate_mirror_commit_to_call_seconds_count')).toBe(0);

    const [edited, changed, gone, deleted] = idsOf(world) as [number, number, number, number];
    await world.sql(`update crm.contacts set city = 'Rome' where crm_id = ${edited}`);
    await untilMetric(world, 'rows_total{direction="push",outcome="done"}', (rows) => rows === 1);
    const pushed = await world.metrics();
    expect(pushed.get('relate_mirror_crm_calls_total{endpoint="update",outcome="ok"}')).toBe(1);
    expect(pushed.get('relate_mirror_commit_to_call_seconds_count')).toBe(1);
    const waited = pushed.get('relate_mirror_commit_to_call_seconds_sum') ?? 0;
    expect(waited).toBeGreaterThan(0);
    expect(waited).toBeLessThan(10);
    expect(pushed.get('relate_mirror_crm_call_duration_seconds_count{endpoint="update"}')).toBe(1);

    world.account.update(changed, { city: 'Oslo' });
    await untilMetric(world, 'rows_total{direction="pull",outcome="updated"}', (rows) => (rows ?? 0) >= 1);
    world.account.delete(gone);
    await untilMetric(world, 'rows_total{direction="pull",outcome="removed"}', (rows) => rows === 1);
    await world.sql(`delete from crm.contacts where crm_id = ${deleted}`);
    await untilMetric(world, 'crm_calls_total{endpoint="delete",outcome="ok"}', (calls) => calls === 1);
    await world.sql(`insert into crm.contacts (first_name) values ('Ann')`);
    await untilMetric(world, 'crm_calls_total{endpoint="create",outcome="ok"}', (calls) => calls === 1);
    // An update, a delete and an insert: each once, by its first write.
    expect((await world.metrics()).get('relate_mirror_commit_to_call_seconds_count')).toBe(3);
  });

  it('tell of a 429, of a refusal that is parked, and of a try that has to be repeated', async () => {
    const world = await open();
    await world.firstLoad();
    world.sandbox.fault({ call: 'update', kind: '429' });
    await world.sql(`update crm.contacts set city = 'Rome' where crm_id = ${idsOf(world)[0]}`);
    await untilMetric(world, 'rate_limited_total', (calls) => calls === 1);
    const limited = await world.metrics();
    expect(limited.get('relate_mirror_crm_calls_total{endpoint="update",outcome="rate_limited"}')).toBe(1);
    await untilMetric(world, 'rows_total{direction="push",outcome="retry"}', (rows) => rows === 1);
    // Answered, if only by a no.
    expect(limited.get('relate_mirror_crm_up')).toBe(1);
  });

  it('labels are names of calls, outcomes and states', async () => {
    const world = await open();
    await world.firstLoad();
    world.account.create({ first_name: 'Ann', email: 'Marked-Value@example.com' });
    await world.sql(`update crm.contacts set email = 'Marked-Value@example.com' where crm_id = ${idsOf(world)[0]}`);
    await untilMetric(world, 'parked', (edits) => edits === 1);
    const { text } = await world.get('/metrics', null);
    expect(text).not.toMatch(/Marked-Value|contacts\/|admin-token|crm-token/);
    const allowed: { readonly [label: string]: RegExp } = {
      endpoint: /^(list|get|create|update|delete|search|attach|detach|sync|trash|restore|activities|fields)$/,
      outcome: new RegExp(`^(ok|created|updated|removed|deferred|parked|done|merged|retry|unknown|${Object.keys(ERROR_CODES).join('|')})$`),
      direction: /^(pull|push)$/,
      state: /^(total|idle|waiting)$/,
    };
    for (const [, name = '', value = ''] of text.matchAll(/[{,](endpoint|outcome|direction|state)="([^"]*)"/g)) {
      expect({ name, value, is: allowed[name]?.test(value) }).toEqual({ name, value, is: true });
    }
  });
});

describe('gauges', () => {
  it('tell what waits, what needs a person, and who leads', async () => {
    const world = await open({ env: { BRAKE_ROWS: '1', BRAKE_SHARE: '0' } });
    await world.firstLoad();
    const value = async (name: string) => (await world.metrics()).get(`relate_mirror_${name}`);
    await untilMetric(world, 'contacts', (contacts) => contacts === 12);
    expect([await value('leader'), await value('has_leader'), await value('database_up'), await value('crm_up')]).toEqual([1, 1, 1, 1]);
    expect(await value('last_complete_sweep_age_seconds')).toBeLessThan(60);
    await untilMetric(world, 'pull_lag_seconds', (seconds) => seconds !== undefined && seconds < 60);
    expect(await value('budget_limit_calls')).toBe(1_000_000);
    expect(await value('budget_used_calls')).toBeGreaterThan(0);
    expect(((await value('budget_remaining_calls')) ?? 0) + ((await value('budget_used_calls')) ?? 0)).toBeCloseTo(1_000_000, -2);
    expect(await value('pool_connections{state="total"}')).toBeGreaterThan(0);
    expect(await value(`build_info{version="1.2.3",node="${process.versions.node}"}`)).toBe(1);
    expect(await value('nodejs_eventloop_lag_seconds')).toBeGreaterThanOrEqual(0);
    expect(await value('process_resident_memory_bytes')).toBeGreaterThan(1_000_000);

    await world.post('/api/pause');
    await untilMetric(world, 'paused', (paused) => paused === 1);
    await world.sql(`update crm.contacts set city = 'Rome' where crm_id = ${idsOf(world)[0]}`);
    await untilMetric(world, 'queue_depth', (edits) => edits === 1);
    await untilMetric(world, 'push_lag_seconds', (seconds) => (seconds ?? 0) > 0);
    await untilMetric(world, 'oldest_pending_age_seconds', (seconds) => (seconds ?? 0) > 0);
    await world.post('/api/resume');
    await untilMetric(world, 'paused', (paused) => paused === 0);
    await untilMetric(world, 'oldest_pending_age_seconds', (seconds) => seconds === 0);

    await world.sql(`delete from crm.contacts where crm_id in (${idsOf(world).slice(1, 4).join(', ')})`);
    await untilMetric(world, 'held', (edits) => edits === 3);
    expect(await value('holds_open')).toBe(1);

    await world.sql(`insert into sync.conflicts (contact_id, field, outcome, state, policy) values (1, 'city', 'open', 'open', 'manual')`);
    await untilMetric(world, 'open_conflicts', (conflicts) => conflicts === 1);
    await world.sql('select sync.mark_restored()');
    await untilMetric(world, 'identity_stopped', (stopped) => stopped === 1);
  });

  it('tell of a CRM that does not answer, and of one that refuses the token', async () => {
    const world = await open();
    await world.firstLoad();
    world.sandbox.fault({ call: 'list', kind: '500-before', times: Number.POSITIVE_INFINITY });
    await untilMetric(world, 'crm_up', (up) => up === 0);
    expect((await world.metrics()).get('relate_mirror_crm_refused')).toBe(0);
    world.sandbox.clearFaults();
    await untilMetric(world, 'crm_up', (up) => up === 1);
    world.sandbox.setToken('another');
    await untilMetric(world, 'crm_refused', (refused) => refused === 1);
    const ready = await world.get('/readyz', null);
    expect(ready.json).toMatchObject({ reasons: [{ part: 'crm', code: 'unauthorized' }] });
  });

  it('a standby tells the same of the mirror, and that it does not lead', async () => {
    const world = await open();
    await world.firstLoad();
    const standby = await openAdminWorld({ databaseUrl: () => world.databaseUrl, env: { CRM_URL: world.sandbox.url } });
    closing.push(() => standby.close());
    await untilMetric(standby, 'contacts', (contacts) => contacts === 12);
    // The leader's word comes with a renewal of its lease.
    await untilMetric(standby, 'budget_limit_calls', (limit) => limit === 1_000_000);
    const metrics = await standby.metrics();
    expect([metrics.get('relate_mirror_leader'), metrics.get('relate_mirror_has_leader')]).toEqual([0, 1]);
    expect(metrics.has('relate_mirror_crm_up')).toBe(false);
    await until('ready', async () => (await standby.get('/readyz', null)).json['role'] === 'standby');
  });
});

describe('a database that is away', () => {
  it.each(['silent', 'gone'] as const)(
    '%s: a scrape takes less than a second, says so, and tells what is known without it',
    async (how) => {
      let way: Awaited<ReturnType<typeof openWay>> | undefined;
      const world = await open({ way: async (url) => (way = await openWay(url, closing)).url });
      await world.firstLoad();
      await untilMetric(world, 'database_up', (up) => up === 1);
      if (how === 'silent') way?.silence();
      else await way?.cut();
      await untilMetric(world, 'database_up', (up) => up === 0);
      const times: number[] = [];
      for (let scrape = 0; scrape < 5; scrape += 1) {
        const startedMs = performance.now();
        const metrics = await world.metrics();
        times.push(performance.now() - startedMs);
        expect(metrics.get('relate_mirror_database_up')).toBe(0);
        expect(metrics.has('relate_mirror_queue_depth')).toBe(false);
        expect(metrics.get('relate_mirror_crm_calls_total{endpoint="list",outcome="ok"}')).toBeGreaterThan(0);
        // Two looks, not one and its memory.
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      expect(Math.max(...times)).toBeLessThan(1000);
      const ready = await world.get('/readyz', null);
      expect(ready.json['reasons']).toEqual(expect.arrayContaining([expect.objectContaining({ code: 'database_unreachable' })]));
      expect((await world.get('/healthz', null)).status).toBe(200);
      expect((await world.get('/api/status')).json['code']).toBe('database_unreachable');
      if (how === 'silent') {
        way?.speak();
        await untilMetric(world, 'database_up', (up) => up === 1);
        // What was asked during the silence is never answered: a stop would wait for it.
        await way?.cut();
      }
    },
  );
});

/** What tells machines how it is: alive, ready, and the reasons where it is not. */
import { afterEach, describe, expect, it } from 'vitest';
import { describeStatus, needsAttention } from '../../src/commands/status.ts';
import { openAdminWorld, until, type AdminWorld } from './world.ts';

let world: AdminWorld | undefined;
afterEach(async () => {
  await world?.close();
  world = undefined;
});

describe('/healthz and /readyz', () => {
  it('the leader of a whole mirror is alive and ready', async () => {
    world = await openAdminWorld({ seed: { contacts: 3 } });
    const { get, firstLoad } = world;
    await firstLoad();
    const alive = await get('/healthz', null);
    expect([alive.status, alive.json['status']]).toEqual([200, 'alive']);
    const ready = await get('/readyz', null);
    expect([ready.status, ready.json]).toEqual([200, { status: 'ready', role: 'leading' }]);
    expect(ready.headers.get('cache-control')).toBe('no-store');
  });

  it('a process whose daemon has not started is alive and not ready', async () => {
    world = await openAdminWorld({ withoutDaemon: true });
    const ready = await world.get('/readyz', null);
    expect(ready.status).toBe(503);
    expect(ready.headers.get('content-type')).toContain('application/problem+json');
    expect(ready.json).toMatchObject({ status: 503, code: 'not_ready', reasons: [{ part: 'lease', code: 'starting' }] });
    expect((await world.get('/healthz', null)).status).toBe(200);
  });

  it('a leader whose CRM does not answer is not ready, says so, and is again once it answers', async () => {
    world = await openAdminWorld({ seed: { contacts: 3 } });
    const { get, firstLoad, sandbox } = world;
    await firstLoad();
    const fault = sandbox.fault({ call: 'any', kind: '503-before', times: Number.POSITIVE_INFINITY });
    const refused = await until('not ready', async () => {
      const answer = await get('/readyz', null);
      return answer.status === 503 ? answer : null;
    });
    expect(refused.json).toMatchObject({ code: 'not_ready', role: 'leading', reasons: [{ part: 'crm', code: 'unavailable' }] });
    fault.cancel();
    await until('ready again', async () => (await get('/readyz', null)).status === 200);
  });

  it('what the leader hears of the CRM, everybody does: the commands, and a standby that is ready itself', async () => {
    world = await openAdminWorld({ seed: { contacts: 3 } });
    const { app, firstLoad, sandbox, databaseUrl, sql } = world;
    await firstLoad();
    const standby = await openAdminWorld({ databaseUrl: () => databaseUrl, env: { CRM_URL: sandbox.url } });
    try {
      await until('the standby', async () => (await standby.get('/readyz')).json['role'] === 'standby');
      const inStep = async () => describeStatus(await app.operator.status())[0];
      await until('a pull', async () => (await sql('select from sync.leader where pull_due_at is null')).length > 0);
      expect(await inStep()).toMatch(/^in step +yes$/);
      expect(needsAttention(await app.operator.status())).toBe(false);

      const fault = sandbox.fault({ call: 'any', kind: '503-before', times: Number.POSITIVE_INFINITY });
      const word = async () => (await standby.get('/api/status')).json['crm_error_code'];
      await until('the word', async () => (await word()) === 'unavailable');
      expect((await standby.get('/readyz')).status).toBe(200);
      expect(await inStep()).toMatch(/^in step +no: the CRM does not answer as it should/);
      expect(describeStatus(await app.operator.status()).at(-1)).toBe(
        'the CRM does not answer as it should: unavailable  relate-mirror doctor',
      );
      expect(needsAttention(await app.operator.status())).toBe(true);
      await until('a pull that is due', async () => (await sql('select from sync.leader where pull_due_at is not null')).length > 0);
      fault.cancel();
      await until('the word that all is well', async () => (await word()) === null);
      await until('the pull', async () => (await sql('select from sync.leader where pull_due_at is null')).length > 0);
    } finally {
      await standby.close();
    }
  });

  it('says of a pull that has been due for minutes, and of nothing that a person has paused', async () => {
    world = await openAdminWorld({ withoutDaemon: true });
    const calm = { ...(await world.app.operator.status()), first_sweep_done: true, leader: 'somewhere 1' };
    expect(describeStatus(calm)[0]).toMatch(/^in step +yes$/);
    const late = describeStatus({ ...calm, pull_late: true });
    expect(late[0]).toMatch(/^in step +no: changes of the CRM arrive late/);
    expect(late.at(-1)).toMatch(/^a pull of changes has been due for over five minutes/);
    expect(needsAttention({ ...calm, pull_late: true })).toBe(true);
    const paused = { ...calm, paused: true, pull_late: true, crm_error_code: 'timeout' };
    expect(needsAttention(paused)).toBe(false);
    expect(describeStatus(paused).join()).toMatch(/paused(?!.*(timeout|due))/);
    expect(describeStatus({ ...calm, leader: null, queue_depth: 2 })[0]).toMatch(/no: edits wait, and no daemon is running$/);
  });
});

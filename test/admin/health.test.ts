/** What tells machines how it is: alive, ready, and the reasons where it is not. */
import { afterEach, describe, expect, it } from 'vitest';
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
});

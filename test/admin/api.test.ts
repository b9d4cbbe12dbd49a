/** What is seen and decided over HTTP, against a running daemon. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_TOKEN, openAdminWorld, type AdminWorld } from './world.ts';

let world: AdminWorld;
beforeAll(async () => {
  world = await openAdminWorld({ seed: { contacts: 40 }, env: { CONFLICT_POLICY: 'manual' } });
  await world.firstLoad();
});
afterAll(async () => await world.close());

const itemsOf = async (path: string, token: string | null = ADMIN_TOKEN): Promise<readonly Record<string, unknown>[]> =>
  (await world.get(path, token)).json['items'] as Record<string, unknown>[];

describe('what is seen', () => {
  it('/api/status has the columns of sync.status', async () => {
    const { status, json, headers } = await world.get('/api/status', null);
    const [row] = await world.sql('select * from sync.status');
    expect(status).toBe(200);
    expect(Object.keys(json).toSorted()).toEqual(Object.keys(row ?? {}).toSorted());
    expect(json).toMatchObject({ contacts: 40, paused: false, queue_depth: 0 });
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('/api/session says whether the asker holds the token', async () => {
    expect((await world.get('/api/session', null)).json).toEqual({ admin: false, admin_configured: true });
    expect((await world.get('/api/session')).json).toEqual({ admin: true, admin_configured: true });
  });

  it('/api/runs: newest first, as many as are asked for', async () => {
    await world.sql(`insert into sync.runs (kind, state, finished_at) select 'changes', 'done', now() from generate_series(1, 120)`);
    const all = await itemsOf('/api/runs');
    expect(all).toHaveLength(100);
    const ids = all.map((run) => Number(run['id']));
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect(await itemsOf('/api/runs?limit=2')).toEqual(all.slice(0, 2));
    expect((await itemsOf('/api/runs?state=done')).every((run) => run['state'] === 'done')).toBe(true);
  });
});

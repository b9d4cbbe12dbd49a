/** Server-sent events: what goes on, to everybody who watches, with one look for all of them and none for nobody. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openAdminWorld, until, type AdminWorld, type AdminWorldOptions } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

let world: AdminWorld;
const leaving: AbortController[] = [];
const open = async (options: AdminWorldOptions = {}): Promise<AdminWorld> =>
  (world = await openAdminWorld({ seed: { contacts: 5 }, ...options }));
afterEach(async () => {
  for (const each of leaving.splice(0)) each.abort();
  await world.close();
});

interface Heard {
  readonly events: { readonly event: string; readonly data: Record<string, unknown> }[];
  readonly headers: Headers;
  readonly status: number;
  /** The server has ended it. */
  ended: boolean;
  leave(): void;
}
const listen = async (): Promise<Heard> => {
  const leave = new AbortController();
  leaving.push(leave);
  const response = await fetch(`${world.app.admin?.url()}/api/events`, { signal: leave.signal });
  const heard: Heard = { events: [], headers: response.headers, status: response.status, ended: false, leave: () => leave.abort() };
  const read = async (): Promise<void> => {
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      const frames = text.split('\n\n');
      text = frames.pop() ?? '';
      for (const frame of frames) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(frame) ?? [];
        if (event !== undefined && data !== undefined) heard.events.push({ event, data: JSON.parse(data) as Record<string, unknown> });
      }
    }
  };
  void read()
    .catch(() => undefined)
    .then(() => (heard.ended = true));
  return heard;
};
const statusesOf = ({ events }: Heard) => events.filter(({ event }) => event === 'status').map(({ data }) => data);
const runsOf = ({ events }: Heard) => events.filter(({ event }) => event === 'run').map(({ data }) => data);

describe('/api/events', () => {
  it('tells the status at once and when it changes, and a run from its beginning to its end', async () => {
    const { firstLoad, post } = await open();
    await firstLoad();
    await until('the runs of the first load', async () => (await world.sql(`select from sync.runs where state = 'running'`)).length === 0);
    await until('its audit', async () => (await world.sql(`select from sync.runs where kind = 'audit' and state = 'done'`)).length === 1);
    const heard = await listen();
    expect(heard.status).toBe(200);
    expect(heard.headers.get('content-type')).toBe('text/event-stream');
    expect(heard.headers.get('cache-control')).toBe('no-store');
    expect(heard.headers.get('content-security-policy')).toContain("default-src 'self'");
    await until('a status', () => statusesOf(heard).length > 0);
    expect(statusesOf(heard)[0]).toMatchObject({ contacts: 5, paused: false });
    // The first load is over: no news to who comes after it.
    expect(runsOf(heard)).toEqual([]);
    const startedMs = performance.now();
    await post('/api/pause');
    await until('paused', () => statusesOf(heard).some(({ paused }) => paused === true));
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    await post('/api/resume');
    world.sandbox.setLatency(700);
    const { json } = await post('/api/resync');
    await until('the run goes on', () => runsOf(heard).some(({ id, state }) => id === json['run_id'] && state === 'running'));
    await until('the run is done', () => runsOf(heard).some(({ id, state }) => id === json['run_id'] && state === 'done'));
  });

  it('looks once for all who watch, and not at all for nobody', async () => {
    await open();
    const looks = async (): Promise<number> => {
      const [row] = await world.sql(`select sum(xact_commit)::int as n from pg_stat_database where datname = current_database()`);
      return Number(row?.['n']);
    };
    expect(await looks()).toBeGreaterThan(0);
    const many = await Promise.all(Array.from({ length: 10 }, listen));
    await until('all have heard', () => many.every((each) => statusesOf(each).length > 0));
    const [first] = many;
    const counts = () => many.map((each) => statusesOf(each).length);
    const before = counts();
    await until('another', () => counts().every((count, at) => count > (before[at] ?? 0)));
    // The very same picture for each of them.
    expect(new Set(many.map((each) => JSON.stringify(statusesOf(each).at(0)))).size).toBe(1);
    for (const each of many) each.leave();
    expect(first?.events.length).toBeGreaterThan(0);
  });

  it('has room for 32 watchers, and for another when one has gone', async () => {
    await open();
    const many = await Promise.all(Array.from({ length: 32 }, listen));
    expect(many.every(({ status }) => status === 200)).toBe(true);
    const refused = await world.get('/api/events', null);
    expect([refused.status, refused.json['code']]).toEqual([503, 'too_many_watchers']);
    expect(refused.headers.get('retry-after')).toBe('10');
    many[0]?.leave();
    await until('room', async () => (await listen()).status === 200);
  });

  it('ends when the server stops, at once', async () => {
    await open();
    const heard = await listen();
    await until('a status', () => statusesOf(heard).length > 0);
    const startedMs = performance.now();
    await world.app.admin?.stop();
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    await until('the end', () => heard.ended);
  });

  it('says so when the database is away, and goes on when it is back', async () => {
    await open();
    const heard = await listen();
    await until('a status', () => statusesOf(heard).length > 0);
    await world.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    );
    const known = statusesOf(heard).length;
    await until('another status', () => statusesOf(heard).length > known);
    expect(JSON.stringify(heard.events)).not.toContain('first_name');
  });
});

/**
 * The built program against a CRM whose answers are well formed and untrue: rate headers that nobody could keep to, cookies, lists without end.
 * The calls go on as far as they make sense, the lead is kept, and what is endless is left.
 */
import type { OutgoingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Child } from '../e2e/child.ts';
import { openWorld, TIMEOUT, until, type World } from '../e2e/world.ts';
import { isList, startHostileCrm, type Asked, type HostileCrm, type Mangle } from './hostile-crm.ts';

const CONTACTS = 12;
const NEVER = 999_999_999;

const isActivities = ({ method, path }: Asked): boolean => method === 'GET' && /^\/api\/contacts\/\d+\/activities/.test(path);
interface Page {
  readonly data: readonly { readonly id: number }[];
  readonly meta: object;
}

describe('a CRM that lies', TIMEOUT, () => {
  let world: World;
  let crm: HostileCrm;
  let daemon: Child;
  let edits = 0;

  beforeAll(async () => {
    world = await openWorld({ seed: { contacts: CONTACTS } });
    crm = await startHostileCrm(world.sandbox.url);
    daemon = world.start(['start'], { CRM_URL: crm.url, CRM_TIMEOUT_MS: '5000' });
    await world.inStep();
  }, 60_000);
  afterAll(async () => {
    await world.close();
    await crm.close();
  });

  const leader = async (): Promise<unknown> => (await world.sql('select leader from sync.status'))[0]?.['leader'];
  /** An edit of either side arrives at the other. */
  const carries = async (): Promise<void> => {
    edits += 1;
    const [first, second] = world.account.contacts();
    await world.sql('update crm.contacts set city = $1 where crm_id = $2', [`Here ${edits}`, first?.id]);
    world.account.update(second?.id ?? 0, { city: `There ${edits}` });
    await until('the push', () => world.account.contact(first?.id ?? 0)?.city === `Here ${edits}`);
    await until('the pull', async () => (await world.sql('select from crm.contacts where city = $1', [`There ${edits}`])).length === 1);
  };
  const said = (from: number): string => daemon.output().stderr.slice(from);

  it.each<[string, OutgoingHttpHeaders]>([
    ['a limit of 0', { 'x-ratelimit-limit': '0' }],
    ['a limit below 0', { 'x-ratelimit-limit': '-1' }],
    ['a limit that is no number', { 'x-ratelimit-limit': 'NaN' }],
    ['a limit without end', { 'x-ratelimit-limit': '1e999' }],
    ['a limit that no integer holds', { 'x-ratelimit-limit': '999999999999999' }],
    ['more left than the limit', { 'x-ratelimit-limit': '1000', 'x-ratelimit-remaining': '999999999' }],
    ['less left than nothing', { 'x-ratelimit-remaining': '-5' }],
    ['a Retry-After of years with an answer that is good', { 'retry-after': '315360000' }],
    ['two limits', { 'x-ratelimit-limit': ['1000000', 'x'] }],
  ])('%s: calls go on, and the lead is kept', async (_name, headers) => {
    const before = { leader: await leader(), from: daemon.output().stderr.length };
    crm.lie(headers);
    // So many renewals that a budget which the database cannot hold would have cost the lease.
    const renewals = () => world.sql('select renewed_at::text from sync.leader').then(([row]) => String(row?.['renewed_at']));
    const seen = new Set<string>();
    await carries();
    await until('four renewals', async () => seen.add(await renewals()).size >= 4);
    await carries();
    expect(await leader()).toBe(before.leader);
    expect(said(before.from)).not.toContain('could not be seen to');
    crm.behave();
    await world.inStep();
  });

  it('cookies are not kept: none is ever sent back', async () => {
    crm.lie({ 'set-cookie': ['laravel_session=abc; Path=/', 'XSRF-TOKEN=def; Path=/'] });
    await carries();
    const from = crm.asked.length;
    await carries();
    expect(crm.asked.length).toBeGreaterThan(from);
    expect(crm.asked.filter(({ headers }) => headers.cookie !== undefined)).toEqual([]);
    crm.behave();
    await world.inStep();
  });

  const fresh = (contact: object) => ({ ...contact, updated_at: new Date().toISOString() });
  /** The first page that had somebody on it, whichever is asked for. */
  const again = (): Mangle => {
    let shown: Page['data'] = [];
    return (body) => {
      const { data, meta } = body as Page;
      if (shown.length === 0) shown = data;
      return { data: shown.map(fresh), meta: { ...meta, last_page: NEVER, total: CONTACTS } };
    };
  };
  /** Somebody new on each page. */
  const invents = (): Mangle => {
    let next = 5_000_000;
    let shown: Page['data'] = [];
    return (body) => {
      const { data, meta } = body as Page;
      if (shown.length === 0) shown = data.slice(0, 1);
      next += 1;
      const made = shown.map((contact) => ({ ...fresh(contact), id: next, email: `made${next}@example.com`, phones: [] }));
      return { data: made, meta: { ...meta, last_page: NEVER, per_page: 1, total: CONTACTS } };
    };
  };

  it('the same page again and again, and ever more to come: it is left, and edits go on', async () => {
    // So that there is somebody on a page.
    await carries();
    crm.mangle(isList, again());
    const from = daemon.output().stderr.length;
    await until('the end of a walk', () => said(from).includes('the list of changes does not end'), 30_000);
    const [first] = world.account.contacts();
    await world.sql(`update crm.contacts set street = 'Anyway' where crm_id = $1`, [first?.id]);
    await until('the push', () => world.account.contact(first?.id ?? 0)?.street === 'Anyway', 60_000);
    expect(await leader()).not.toBeNull();
    await world.sql('select sync.request_resync()');
    await until('the end of a sweep', () => said(from).includes('the list of contacts does not end'), 30_000);
    crm.behave();
    await world.inStep();
  });

  it('activities without end: nothing is taken for attached, and it is said', async () => {
    crm.mangle(isActivities, again());
    const [run] = await world.sql('select sync.request_resync(true) as id');
    await until(
      'the sweep',
      async () => (await world.sql(`select from sync.runs where id = $1 and state = 'done'`, [run?.['id']])).length === 1,
      60_000,
    );
    const asked = crm.asked.filter(isActivities).length;
    expect(asked).toBeLessThan(1000);
    await carries();
    crm.behave();
    await world.inStep(60_000);
  });

  it('contacts made up for as long as it is asked: it is left', async () => {
    await carries();
    const from = daemon.output().stderr.length;
    crm.mangle(isList, invents());
    await until('the end of a walk', () => said(from).includes('the list of changes does not end'), 90_000);
    crm.behave();
    const [made] = await world.sql('select count(*)::int as n from crm.contacts where crm_id > 5000000');
    expect(made?.['n']).toBeLessThan(2000);
    expect(world.account.contacts()).toHaveLength(CONTACTS);
  });

  it('a Retry-After of ten years is a pause of a quarter of an hour, and the log says so', async () => {
    crm.attack(isList, (response) =>
      response.writeHead(429, { 'retry-after': '315360000', 'content-type': 'application/json' }).end('{"message":"later"}'),
    );
    const line = await daemon.logged(
      'the pause',
      ({ msg, code }) => msg === 'the CRM cannot be worked with now' && code === 'rate_limited',
    );
    expect(line).toMatchObject({ level: 'warn', status: 429 });
    expect(line['pause_ms']).toBeLessThanOrEqual(900_000);
    expect(line['pause_ms']).toBeGreaterThan(600_000);
    // Nobody knocks meanwhile, and the end is in order.
    const asked = crm.asked.length;
    await world.sql(`update crm.contacts set street = 'Later' where id = (select min(id) from crm.contacts)`);
    await until(
      'two more renewals',
      async () => (await world.sql(`select from sync.leader where renewed_at > now() - interval '1 second'`)).length > 0,
    );
    daemon.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    expect(crm.asked.length - asked).toBeLessThanOrEqual(8);
  });
});

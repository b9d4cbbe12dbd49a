/** Nobody's values but for who holds the admin token, and no address with an id in the log. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_TOKEN, openAdminWorld, until, type AdminWorld } from './world.ts';

const MARK = 'Marked-Value';
let world: AdminWorld;
beforeAll(async () => {
  world = await openAdminWorld({ withoutDaemon: true });
  const { sql } = world;
  await sql(`insert into crm.contacts (first_name, email) values ('${MARK} Ann', 'marked-value@example.com')`);
  await sql(`update sync.change_log set state = 'parked', error_code = 'invalid', error = 'The email ${MARK} has already been taken.'`);
  await sql(`insert into sync.refused values (9, 'database_refused', '23514: ${MARK}', now())`);
  const plan = JSON.stringify([
    { contact_id: 1, crm_id: 7, op: 'update', fields: ['city'], links: { companies: [3] }, values: { city: MARK }, note: MARK },
  ]);
  await sql(`insert into sync.holds (direction, reason, rows, plan) values ('push', 'more than may be', 1, $1)`, [plan]);
  await sql(`insert into sync.conflicts (contact_id, field, base, local, remote, outcome, state, policy)
    select id, 'city', '"${MARK} a"', '"${MARK} b"', '"${MARK} c"', 'open', 'open', 'manual' from crm.contacts`);
  await sql(`insert into sync.conflicts (contact_id, field, base, local, remote, outcome, state, policy)
    select id, 'state', null, '"x"', '"y"', '"${MARK} chosen"', 'decided', 'manual' from crm.contacts`);
  await sql(
    `insert into sync.runs (kind, state, error, cursor) values ('sweep', 'failed', 'timeout', '{"total": 4, "secret": "${MARK}"}')`,
  );
});
afterAll(async () => await world.close());

const LISTS = ['/api/runs', '/api/parked', '/api/holds', '/api/conflicts'];

describe('lists', () => {
  it('without the token no list shows a contact’s value', async () => {
    for (const path of LISTS) {
      const { text, status } = await world.get(path, null);
      expect(status).toBe(200);
      expect(text).not.toMatch(/marked-value/i);
    }
    const [hold] = (await world.get('/api/holds', null)).json['items'] as Record<string, unknown>[];
    expect(hold?.['plan']).toEqual([{ contact_id: 1, crm_id: 7, op: 'update', fields: ['city'], links: { companies: [3] } }]);
    const [decided, conflict] = (await world.get('/api/conflicts', null)).json['items'] as Record<string, unknown>[];
    expect(conflict).toMatchObject({ field: 'city', state: 'open', outcome: 'open', contact_id: expect.any(Number) });
    expect(decided).toMatchObject({ field: 'state', state: 'decided', outcome: 'value' });
    const parked = (await world.get('/api/parked', null)).json['items'] as Record<string, unknown>[];
    expect(new Set(parked.map(({ error_code: code }) => code))).toEqual(new Set(['database_refused', 'invalid']));
  });

  it('with it they do, but for what runs keep for themselves', async () => {
    for (const path of LISTS.slice(1)) expect((await world.get(path)).text).toContain(MARK);
    expect((await world.get('/api/runs')).text).not.toContain(MARK);
  });
});

describe('the log', () => {
  it('the log of requests holds routes, never addresses with ids', async () => {
    await world.post('/api/holds/123456/approve');
    await world.post('/api/conflicts/123456/resolve', { choice: `"${MARK}"` });
    await world.get(`/api/runs?state=${MARK.toLowerCase()}`);
    await world.get(`/nothing/${MARK}`);
    const requests = await until('the lines', () => {
      const lines = world.lines.filter(({ message }) => message === 'HTTP request');
      return lines.some(({ fields }) => fields['route'] === null) ? lines : null;
    });
    expect(requests.map(({ fields }) => fields['route'])).toEqual(
      expect.arrayContaining(['/api/holds/:id/approve', '/api/conflicts/:id/resolve', '/api/runs', null]),
    );
    for (const { fields } of requests) expect(Object.keys(fields).toSorted()).toEqual(['method', 'ms', 'route', 'status']);
    const log = JSON.stringify(world.lines);
    for (const secret of ['123456', ADMIN_TOKEN]) expect(log).not.toContain(secret);
    expect(log).not.toMatch(/marked-value/i);
  });
});

import { describe, expect, it } from 'vitest';
import { probeCapabilities } from '../../src/crm/probe.ts';
import { connect } from './harness.ts';
import { contactRow, envelope, html, json, type Received, type Script, startServer } from './scripted-server.ts';

const DAYS = ['2026-01-03', '2026-01-01', '2026-01-02'];
const ROWS = DAYS.map((day, index) => contactRow(index + 1, { updated_at: `${day}T00:00:00.000000Z` }));
const NO_ROUTE = json(404, { message: 'The route could not be found.' });

interface Features {
  readonly rows: readonly { readonly [key: string]: unknown }[];
  readonly order: boolean;
  readonly filters: boolean;
  readonly links: boolean;
  readonly routes: boolean;
  readonly perPage: number;
}
const UPSTREAM: Features = { rows: ROWS, order: true, filters: true, links: true, routes: true, perPage: 100 };

/** A CRM with some of the features; `instead` answers some addresses differently. */
const crmWith =
  (features: Features, instead: (request: Received) => Script | null = () => null): Script =>
  (request, response) =>
    (instead(request) ?? answer(features, request))(request, response);

const answer = (features: Features, { path, query }: Received): Script => {
  if (path !== '/api/contacts') {
    if (!features.routes) return NO_ROUTE;
    return json(200, path === '/api/fields/contacts/update' ? [] : envelope([]));
  }
  if (query.has('filters[condition]') && features.filters) return json(200, envelope([]));
  const [field, direction] = (query.get('order') ?? '').split('|');
  const rows = [...features.rows];
  if (field === 'updated_at' && features.order) {
    rows.sort((a, b) => String(a['updated_at']).localeCompare(String(b['updated_at'])));
    if (direction === 'desc') rows.reverse();
  }
  const linked = features.links && query.has('with') ? rows.map((row) => ({ ...row, companies: [], deals: [] })) : rows;
  return json(200, envelope(linked, { per_page: Math.min(features.perPage, Number(query.get('per_page'))), total: rows.length }), {
    'x-app-version': '1.6.0',
  });
};

const probe = async (script: Script) => {
  await using server = await startServer(script);
  using crm = connect(server.url);
  return { result: await probeCapabilities(crm, { lane: 'changes' }), received: server.received };
};
const found = async (script: Script) => {
  const { result } = await probe(script);
  return result.ok ? result.value : result.failure;
};

const ALL = {
  perPage: 100,
  orderByUpdatedAt: true,
  filters: true,
  withLinks: true,
  trash: true,
  activities: true,
  customFields: true,
  firstNameRequired: false,
};
const NONE = { ...ALL, filters: false, withLinks: false, trash: false, activities: false, customFields: false };

describe('the probe', () => {
  it('finds everything that is there, by at most eight reads', async () => {
    const { result, received } = await probe(crmWith(UPSTREAM));
    expect(result).toMatchObject({ ok: true, value: ALL, meta: { appVersion: '1.6.0' } });
    expect(received).toHaveLength(8);
    expect(received.every(({ method }) => method === 'GET')).toBe(true);
  });

  it('finds nothing beyond the public API where only that is there', async () => {
    expect(await found(crmWith({ ...UPSTREAM, filters: false, links: false, routes: false }))).toEqual(NONE);
  });

  it('trusts the page size that the CRM used, not the one it was asked for', async () => {
    expect(await found(crmWith({ ...UPSTREAM, perPage: 25 }))).toEqual({ ...ALL, perPage: 25 });
  });

  it('notices an order that is not honoured', async () => {
    expect(await found(crmWith({ ...UPSTREAM, order: false }))).toEqual({ ...ALL, orderByUpdatedAt: false });
    const sortedByChance = ROWS.toSorted((a, b) => String(b['updated_at']).localeCompare(String(a['updated_at'])));
    expect(await found(crmWith({ ...UPSTREAM, rows: sortedByChance, order: false }))).toEqual({ ...ALL, orderByUpdatedAt: false });
  });

  it('claims nothing of an empty account that it could not show', async () => {
    expect(await found(crmWith({ ...UPSTREAM, rows: [] }))).toEqual({ ...ALL, filters: false, withLinks: false, activities: false });
  });

  it.each([
    ['an error for an unknown parameter', json(500, { message: 'Server Error' })],
    ['a refusal', json(403, { message: 'Forbidden' })],
    ['a 422', json(422, { message: 'Invalid' })],
    ['a page of HTML', html(200)],
    ['a 404 of HTML', html(404)],
  ])('takes %s as a no', async (_name, script) => {
    const strange = (request: Received): Script | null =>
      request.path !== '/api/contacts' || request.query.has('with') || request.query.has('filters[condition]') ? script : null;
    expect(await found(crmWith(UPSTREAM, strange))).toEqual(NONE);
  });

  it.each([
    ['401', json(401, { message: 'Unauthenticated.' }), 'unauthorized'],
    ['429', json(429, { message: 'Too Many Attempts.' }), 'rate_limited'],
    ['maintenance', json(503, { message: 'Service Unavailable' }), 'unavailable'],
  ])('ends with the failure on %s instead of forgetting capabilities for a day', async (_name, script, code) => {
    expect(await found(crmWith(UPSTREAM, ({ path }) => (path.startsWith('/api/trashed') ? script : null)))).toMatchObject({ code });
    expect(await found(crmWith(UPSTREAM, () => script))).toMatchObject({ code });
  });
});

/** What of the page decides something and draws nothing: the verdict, numbers, columns, events, pace. */
import { describe, expect, it } from 'vitest';
import { callColumns, rowColumns } from '../../../src/admin/page/chart-data.js';
import { createDaemonClock } from '../../../src/admin/page/clock.js';
import { ago, contactName, count, span } from '../../../src/admin/page/format.js';
import { createPace } from '../../../src/admin/page/pace.js';
import { REMEDIES } from '../../../src/admin/page/parked.js';
import { parseEvents } from '../../../src/admin/page/stream.js';
import type { Run, Status } from '../../../src/admin/page/types.d.ts';
import { toJson } from '../../../src/admin/page/values.js';
import { verdictOf } from '../../../src/admin/page/verdict.js';
import { ERROR_CODES } from '../../../src/domain/errors.ts';

const CALM: Status = {
  leader: 'somewhere:1',
  paused: false,
  pull_lag_seconds: 3,
  push_lag_seconds: 0,
  queue_depth: 0,
  last_complete_sweep_at: '2026-01-01T00:00:00Z',
  budget_limit: 90,
  budget_used: 1,
  parked: 0,
  held: 0,
  unknown: 0,
  open_conflicts: 0,
  retry: 0,
  contacts: 1200,
  first_sweep_done: true,
  identity_hold: null,
  crm_error_code: null,
  crm_seen_seconds: 3,
  pull_late: false,
};

describe('the verdict', () => {
  const NEEDS = { parked: 1, held: 30, open_conflicts: 1 };
  const REFUSED = { crm_error_code: 'unauthorized' };
  it.each([
    ['nothing waits', {}, 'good', 'In step'],
    ['edits wait', { queue_depth: 2 }, 'moving', 'Edits on their way'],
    ['a person is needed, plans counted once', NEEDS, 'person', '3 things need you'],
    ['one thing', { parked: 1 }, 'person', '1 thing needs you'],
    ['the first load', { first_sweep_done: false }, 'moving', 'First load under way'],
    ['nobody leads', { leader: null }, 'blocked', 'Nobody leads'],
    ['the token is refused', { ...NEEDS, ...REFUSED }, 'blocked', 'The CRM refuses the token'],
    ['the CRM is away', { crm_error_code: 'connection_refused' }, 'blocked', 'The CRM does not answer as it should'],
    ['pulls do not go through', { pull_late: true, queue_depth: 2 }, 'blocked', 'Changes of the CRM arrive late'],
    ['paused, whatever else', { ...NEEDS, ...REFUSED, paused: true, leader: null, pull_late: true }, 'paused', 'Paused'],
    ['another database, before all else', { ...NEEDS, paused: true, identity_hold: 4 }, 'person', 'Restored database: waiting for you'],
  ] as const)('when %s', (_when, more, tone, headline) => {
    expect(verdictOf({ ...CALM, ...more }, 1)).toMatchObject({ tone, headline });
  });

  it('says what waits, and how much of it', () => {
    expect(verdictOf({ ...CALM, ...NEEDS }, 1).why).toBe('30 held in 1 plan, 1 in an open conflict, 1 parked. Everything else flows.');
    expect(verdictOf({ ...CALM, queue_depth: 5, retry: 2 }, 0).why).toBe('5 edits to push: 2 waiting for another try.');
    expect(verdictOf({ ...CALM, pull_late: true, pull_lag_seconds: 420 }, 0).why).toMatch(/^They were last pulled 7 min ago,/);
  });
});

describe('the clock', () => {
  it.each([
    ['of the daemon, where the browser is hours off', '2026-01-01T02:00:00Z', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['the other way too', '2026-01-01T02:00:00Z', '2026-01-01T04:00:00Z', '2026-01-01T04:00:00Z'],
    [
      'of the browser, where they differ by less than the header tells',
      '2026-01-01T02:00:01.900Z',
      '2026-01-01T02:00:00Z',
      '2026-01-01T02:00:01.900Z',
    ],
  ])('is that %s', (_which, own, told, now) => {
    const clock = createDaemonClock(() => Date.parse(own));
    expect(clock.nowMs()).toBe(Date.parse(own));
    clock.hear(new Date(told).toUTCString());
    expect(clock.nowMs()).toBe(Date.parse(now));
    clock.hear(null);
    expect(clock.nowMs()).toBe(Date.parse(now));
  });
});

describe('numbers', () => {
  it.each([
    [0, '0 s'],
    [4.24, '4.2 s'],
    [59.4, '59 s'],
    [60, '1 min'],
    [200, '3 min 20 s'],
    [3600, '1 h'],
    [7500, '2 h 5 min'],
    [90_000, '1 d 1 h'],
    [1_000_000, '11 d'],
  ])('%d seconds are %s', (seconds, text) => expect(span(seconds)).toBe(text));

  it('a moment is told from now', () => {
    const now = Date.parse('2026-01-01T00:10:00Z');
    expect(ago('2026-01-01T00:09:59Z', now)).toBe('just now');
    expect(ago('2026-01-01T00:00:00Z', now)).toBe('10 min ago');
  });

  it('one and many', () => {
    expect([count(1, 'edit'), count(1200, 'edit'), count(2, 'try', 'tries')]).toEqual(['1 edit', '1,200 edits', '2 tries']);
    expect([contactName(3, 9), contactName(3, null), contactName(null, 9), contactName(null, null)]).toEqual([
      'Contact 3 · CRM 9',
      'Contact 3',
      'CRM contact 9',
      'A contact',
    ]);
  });
});

describe('columns', () => {
  const now = Date.parse('2026-01-01T01:00:30Z');
  it('have a place for each minute, and put each outcome into one of four', () => {
    const row = (minute: string, outcome: string, calls: number) => ({
      minute: `2026-01-01T${minute}:00.000Z`,
      endpoint: 'list',
      outcome,
      calls,
    });
    const { minutes, series } = callColumns(
      [
        row('00:59', 'ok', 2),
        row('00:59', 'ok', 3),
        row('01:00', 'rate_limited', 1),
        row('01:00', 'invalid', 6),
        row('01:00', 'timeout', 4),
        row('00:00', 'ok', 99),
      ],
      now,
      60,
    );
    expect(minutes).toHaveLength(60);
    expect(minutes.at(-1)).toBe(Date.parse('2026-01-01T01:00:00Z') / 1000);
    expect(series.map(({ name, values }) => [name, values.slice(-2)])).toEqual([
      ['answered', [5, 0]],
      ['refused', [0, 6]],
      ['rate limited', [0, 1]],
      ['failed', [0, 4]],
    ]);
    expect(series[0]?.values.slice(0, -2)).toEqual(Array.from({ length: 58 }, () => 0));
  });

  it('tell rows by their direction', () => {
    const minute = '2026-01-01T01:00:00.000Z';
    const { series } = rowColumns(
      [
        { minute, direction: 'pull', outcome: 'updated', rows: 3 },
        { minute, direction: 'push', outcome: 'done', rows: 2 },
      ],
      now,
      2,
    );
    expect(series.map(({ values }) => values)).toEqual([
      [0, 3],
      [0, 2],
    ]);
  });
});

describe('server-sent events', () => {
  it('are taken apart as they arrive, in pieces of any size', () => {
    const text = 'retry: 2000\n\nevent: status\ndata: {"a":\ndata: 1}\n\n: still here\n\nevent: run\r\ndata: {}\r\n\r\nevent: sta';
    let rest = '';
    const names: string[] = [];
    for (const letter of text) {
      const parsed = parseEvents(rest + letter);
      rest = parsed.rest;
      names.push(...parsed.events.map(({ name, data }) => `${name} ${data}`));
    }
    expect(names).toEqual(['status {"a":\n1}', 'run {}']);
    expect(rest).toBe('event: sta');
  });
});

describe('the pace of a run', () => {
  const run = (seen: number, more: Partial<Run> = {}): Run => ({
    id: 1,
    kind: 'resync',
    state: 'running',
    with_links: false,
    requested_at: null,
    started_at: new Date(0).toISOString(),
    finished_at: null,
    rows_seen: seen,
    rows_written: 0,
    calls: 0,
    expected: 1000,
    pass: 1,
    error: null,
    ...more,
  });

  it('is that of what was seen lately, and begins anew with each pass', () => {
    const pace = createPace();
    expect(pace(run(100), 10_000)).toEqual({ rate: 10, secondsLeft: 90 });
    expect(pace(run(300), 20_000)).toEqual({ rate: 20, secondsLeft: 35 });
    expect(pace(run(0, { pass: 2 }), 30_000)).toEqual({ rate: null, secondsLeft: null });
    expect(pace(run(300, { id: 2, expected: null }), 30_000)).toEqual({ rate: 10, secondsLeft: null });
  });
});

describe('a value that a person types', () => {
  it('is a text where the field holds texts, and JSON elsewhere', () => {
    expect([toJson('crm', true), toJson('', true), toJson(' 12 ', false), toJson('["a"]', false)]).toEqual([
      '"crm"',
      'null',
      '12',
      '["a"]',
    ]);
    expect(() => toJson('Bern', false)).toThrow('This is not JSON');
  });
});

it('what is told to do about an error is told of codes that there are', () => {
  expect(Object.keys(REMEDIES).filter((code) => !Object.hasOwn(ERROR_CODES, code))).toEqual([]);
});

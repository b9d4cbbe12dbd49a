/** Time zones: the schedule across both changes of the clocks, date-times in the hour that is missing or comes twice, dates at the day's edges. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { canonicalCustomValue } from '../../src/domain/contact.ts';
import type { Log } from '../../src/ports/ambient.ts';
import { createSchedule } from '../../src/runtime/schedule.ts';
import { createEditor, type Editor } from './edits.ts';
import { openHarness, type Harness } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const HOUR_MS = 3_600_000;
const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

describe('a schedule in a time zone that changes its clocks (Europe/Zurich)', () => {
  afterEach(() => vi.useRealTimers());

  /** When it starts the task, by a clock that runs ten minutes at a time. */
  const startsOf = async (cron: string, from: string, hours: number): Promise<readonly string[]> => {
    vi.useFakeTimers({ now: new Date(from) });
    const starts: string[] = [];
    const task = (): void => void starts.push(new Date().toISOString().slice(0, 16));
    const schedule = createSchedule({ name: 'test', cron, timeZone: 'Europe/Zurich', task, log: silent });
    await schedule.start();
    for (let passed = 0; passed < hours; passed += 1 / 6) await vi.advanceTimersByTimeAsync(HOUR_MS / 6);
    await schedule.stop();
    return starts;
  };

  it.each([
    ['in spring', '2026-03-28T12:00:00Z', ['2026-03-29T01:15', '2026-03-30T01:15']],
    ['in autumn', '2026-10-24T12:00:00Z', ['2026-10-25T02:15', '2026-10-26T02:15']],
  ])('sweeps once a night at 03:15 by the wall clock (%s)', async (_name, from, starts) => {
    expect(await startsOf('0 15 3 * * *', from, 48)).toEqual(starts);
  });

  it('at an hour that comes twice it starts once; at one that is missing not before the next day', async () => {
    expect(await startsOf('0 30 2 * * *', '2026-10-24T12:00:00Z', 48)).toEqual(['2026-10-25T01:30', '2026-10-26T01:30']);
    expect(await startsOf('0 30 2 * * *', '2026-03-28T12:00:00Z', 48)).toEqual(['2026-03-30T00:30']);
  });

  it('pulls through the hour that is missing', async () => {
    const starts = await startsOf('0 */10 * * * *', '2026-03-29T00:05:00Z', 2);
    expect(starts).toHaveLength(12);
  });

  it('pulls through the hour that comes twice', async () => {
    const starts = await startsOf('0 */10 * * * *', '2026-10-24T23:55:00Z', 2);
    expect(starts).toHaveLength(12);
  });
});

const DATE = 'cf_birthday';
const DATE_TIME = 'cf_last_visit';

const WRITTEN = [
  // The hour that is missing in Zurich, and the one that comes twice: without an offset it is UTC, and there is only one of it.
  [DATE_TIME, '2026-03-29 02:30:00', '2026-03-29T02:30:00Z'],
  [DATE_TIME, '2026-10-25T02:30:00+02:00', '2026-10-25T00:30:00Z'],
  [DATE_TIME, '2026-10-25T02:30:00+01:00', '2026-10-25T01:30:00Z'],
  [DATE_TIME, '2026-12-31T23:59:59-11:00', '2027-01-01T10:59:59Z'],
  [DATE, '2026-10-25', '2026-10-25'],
] as const;
/** Refused here where the account declares its fields. Elsewhere the CRM brings them to UTC and keeps the day, and the row takes it over. */
const TIMES_IN_DATES = [
  [DATE, '2026-10-25T23:59:59-05:00', '2026-10-26'],
  [DATE, '2026-10-25T23:59:59+02:00', '2026-10-25'],
  // Midnight where the token's user lives is still the day before in UTC.
  [DATE, '2026-10-25T00:00:00+02:00', '2026-10-24'],
  [DATE, '2026-10-25T00:00:00Z', '2026-10-25'],
] as const;

describe.each(['documented', 'upstream'] as const)('a date or a time in a custom field (%s)', (mode) => {
  let harness: Harness;
  let editor: Editor;
  beforeAll(async () => {
    harness = await openHarness({ mode, seed: { contacts: 40 }, settings: { conflictPolicy: 'mirror' } });
    // A reader's session may tell times in whatever zone it likes.
    await harness.sql(`do $$ begin execute format('alter database %I set timezone to %L', current_database(), 'Pacific/Apia'); end $$`);
    while ((await harness.probe()) !== null);
    await harness.settle();
    editor = createEditor(harness);
  });
  afterAll(async () => await harness.close());

  /** In canonical form. */
  const here = async (id: number, field: string): Promise<unknown> => {
    const [row] = await harness.sql('select custom_fields ->> $2 as value from crm.contacts where id = $1', [id, field]);
    return canonicalCustomValue(String(row?.['value']), field === DATE ? 'date' : 'datetime');
  };
  /** Both sides hold the value, and nobody has anything left to say about it. */
  const agreed = async (calls: number): Promise<void> => {
    const { account } = harness;
    await harness.settle();
    // Custom fields are compared here as text: the two that are written in several ways are looked at by each test.
    const differing = await harness.differences(mode === 'documented' ? ['companies', 'deals'] : undefined);
    expect(differing.filter((line) => !line.endsWith(DATE) && !line.endsWith(DATE_TIME))).toEqual([]);
    expect(account.calls.count('update')).toBe(calls);
    const tuples = await harness.tuples();
    for (let round = 0; round < 2; round += 1) await harness.sync();
    expect(account.calls.count('update')).toBe(calls);
    expect(await harness.tuples()).toEqual(tuples);
  };

  it.each(mode === 'upstream' ? WRITTEN : [...WRITTEN.slice(0, 2), ...TIMES_IN_DATES])(
    '%s = %s, written here, is %s there: one call, and no echo',
    async (field, value, stored) => {
      const { id, crmId } = await editor.take();
      await harness.sql(
        `update crm.contacts set custom_fields = custom_fields || '{"cf_birthday": "1990-01-01", "cf_last_visit": null}' where id = $1`,
        [id],
      );
      await harness.settle();
      harness.account.calls.clear();
      await harness.sql(`update crm.contacts set custom_fields = custom_fields || $2 where id = $1`, [id, { [field]: value }]);
      await harness.settle();
      expect(harness.account.contact(crmId)?.custom[field]).toBe(stored);
      await agreed(1);
      expect(await here(id, field)).toBe(stored);
    },
  );

  it.each([
    [DATE_TIME, '2026-03-29T02:30:00+01:00', '2026-03-29T01:30:00Z'],
    [DATE_TIME, '2026-10-25 02:30:00', '2026-10-25T02:30:00Z'],
    [DATE, '2026-10-25T00:00:00+02:00', '2026-10-24'],
    [DATE, '2026-12-31T23:59:59-05:00', '2027-01-01'],
  ])('%s = %s, written there, is %s here: no call', async (field, value, stored) => {
    const { id, crmId } = await editor.take();
    harness.account.calls.clear();
    harness.account.update(crmId, { [field]: value });
    await agreed(0);
    expect(await here(id, field)).toBe(stored);
  });

  it.runIf(mode === 'upstream').each(TIMES_IN_DATES)('%s = %s is refused here, by its name and form', async (field, value) => {
    const { id } = await editor.take();
    const write = harness.sql(`update crm.contacts set custom_fields = custom_fields || $2 where id = $1`, [id, { [field]: value }]);
    await expect(write).rejects.toThrow(`crm.contacts.custom_fields, ${field}: expected a date, "YYYY-MM-DD"`);
  });
});

/** The list of the custom fields is one undocumented route: however it fails, or whatever it leaves out, contacts go both ways and no column is lost. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log, LogFields } from '../../src/ports/ambient.ts';
import { createDaemon } from '../../src/runtime/daemon.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { FaultKind } from '../../src/sandbox/crm/faults.ts';
import { createFieldListMemory, readFields, readFieldsOnce } from '../../src/sync/custom-fields.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { connect } from '../postgres/editing.ts';
import { openHarness, type Harness } from './harness.ts';

const MINUTE_MS = 60_000;
const CRM_TIMEOUT_MS = 300;

let harness: Harness;
let warned: LogFields[];
/** What the clock of the deps is ahead. */
let passedMs: number;
let deps: SyncDeps;
let closers: (() => Promise<void>)[];

beforeEach(async () => {
  [warned, passedMs, closers] = [[], 0, []];
  harness = await openHarness({ seed: { contacts: 5, links: false }, timeoutMs: CRM_TIMEOUT_MS });
  await harness.probe();
  await harness.settle();
  const log: Log = { ...harness.deps.log, warn: (fields) => void warned.push(fields) };
  deps = { ...harness.deps, log, clock: { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + passedMs } };
});
afterEach(async () => {
  for (const close of closers) await close();
  await harness.close();
});

const want = async (): Promise<void> => {
  await harness.sql(`update sync.bi_refresh set fields_read_at = fields_read_at - interval '1 hour'`);
  await harness.sql('select sync.request_fields()');
};
const isWanted = async (): Promise<boolean> => {
  const { readAt, wantedAt } = await harness.mirror.customFieldList();
  return wantedAt !== null && (readAt === null || wantedAt > readAt);
};
const asked = (): number => harness.account.calls.count('customFields');
const unlisted = async (): Promise<number> =>
  (await harness.sql('select name from sync.custom_fields where unlisted_at is not null')).length;
const fail = (kind: FaultKind, times = Infinity): void => void harness.sandbox.fault({ call: 'customFields', kind, times });

const startDaemon = async (): Promise<void> => {
  const daemon = createDaemon({
    depsFor: (stopping, giveUp) => ({ ...deps, signal: stopping, giveUp }),
    checkIdentity: async () => await harness.mirror.checkIdentity(harness.sandbox.url),
    probe: async () => await harness.probe(),
    clock: systemClock,
    log: deps.log,
    pullCron: '* * * * * *',
    sweepCron: '0 0 1 1 *',
    cronTimeZone: 'UTC',
    pushPollMs: 50,
    retryMinMs: 20,
    retryMaxMs: 200,
    createGraceMs: 100,
    history: { begin: async () => {}, keepOnce: async () => true },
    bi: { keepOnce: async () => true },
    phones: { touched: () => {}, keepOnce: async () => true, close: async () => {} },
  });
  closers.push(() => daemon.stop());
  await daemon.lead();
};

describe.each(['500-before', '422', 'hang-before', '403-revoked'] as const)('a list that answers %s', (kind) => {
  it('keeps no edit waiting, and is asked for once in a while', { timeout: 60_000 }, async () => {
    const editor = await connect(harness.url);
    await editor.query('set statement_timeout = 0; set lock_timeout = 0');
    closers.push(() => editor.end());
    const both = async (work: string): Promise<void> => {
      harness.account.update(1, { job_title: work });
      await editor.query('update crm.contacts set city = $1 where crm_id = 2', [work]);
      const patience = { timeout: 20_000, interval: 30 };
      const here = async () => (await harness.sql('select job_title from crm.contacts where crm_id = 1'))[0]?.['job_title'];
      await expect.poll(here, patience).toBe(work);
      await expect.poll(() => harness.account.contact(2)?.city, patience).toBe(work);
    };
    const before = asked();
    fail(kind);
    await want();
    await startDaemon();
    await both('first');
    await both('second');
    expect(asked() - before).toBe(1);
    expect(await isWanted()).toBe(true);
    // The daily look at what the CRM can do asks as well, and is kept from nothing.
    await harness.sql(`update sync.capabilities set checked_at = checked_at - interval '2 days'`);
    await both('third');
    await expect.poll(() => asked() - before, { timeout: 20_000 }).toBe(3);
    expect(harness.store.get().customFields).toBe(true);
  });
});

it('a list that keeps failing is asked for less and less, told once, and read once it answers', async () => {
  const memory = createFieldListMemory();
  const before = asked();
  fail('500-before');
  await want();
  const timesIn = async (minutes: number): Promise<number> => {
    const since = asked();
    for (let minute = 0; minute < minutes; minute += 1) {
      await readFieldsOnce(deps, memory);
      passedMs += MINUTE_MS;
    }
    return asked() - since;
  };
  expect(await timesIn(2)).toBe(1);
  expect(await timesIn(118)).toBeLessThan(10);
  expect(await timesIn(600)).toBeLessThan(21);
  expect(asked() - before).toBeGreaterThan(10);
  expect(warned).toMatchObject([{ code: 'server_error', status: 500, failures: 1 }]);
  harness.sandbox.clearFaults();
  expect(await timesIn(61)).toBe(1);
  expect(await isWanted()).toBe(false);
  expect(memory).toMatchObject({ failures: 0, code: null });
});

describe('a list that lacks most of what is known', () => {
  it.each(['empty-list', 'short-list'] as const)('(%s) is believed only once it was told again, two minutes later', async (kind) => {
    const [memory, before] = [createFieldListMemory(), asked()];
    // As if half of them were not much.
    if (kind === 'short-list') harness.account.removeCustomField(harness.account.customFields().at(-1)?.name ?? '');
    fail(kind);
    await want();
    await readFieldsOnce(deps, memory);
    expect(await unlisted()).toBe(0);
    expect(warned).toHaveLength(1);
    expect(await isWanted()).toBe(true);
    passedMs += MINUTE_MS;
    await readFieldsOnce(deps, memory);
    // Whoever asks for other reasons meanwhile does not make it true either.
    expect(await readFields(deps, memory)).toBeNull();
    expect(await unlisted()).toBe(0);
    expect(asked() - before).toBe(2);
    passedMs += MINUTE_MS;
    await readFieldsOnce(deps, memory);
    expect(await unlisted()).toBeGreaterThan(0);
    expect(await isWanted()).toBe(false);
  });

  it('is forgotten where the next is whole', async () => {
    const memory = createFieldListMemory();
    fail('empty-list', 1);
    await want();
    await readFieldsOnce(deps, memory);
    passedMs += 2 * MINUTE_MS;
    await readFieldsOnce(deps, memory);
    expect([await unlisted(), await isWanted(), memory.doubted]).toEqual([0, false, null]);
  });

  it('a field that an administrator removed is unlisted at once', async () => {
    harness.account.removeCustomField(harness.account.customFields()[0]?.name ?? '');
    expect(await readFields(deps)).toBeNull();
    expect(await unlisted()).toBe(1);
  });
});

/** Whatever goes wrong in whichever call, both sides are equal once it has stopped: nothing doubled, nothing lost, nothing stuck. */
import { describe, expect, it } from 'vitest';
import type { LinkKind } from '../../src/domain/contact.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { FaultHandle, FaultKind } from '../../src/sandbox/crm/faults.ts';
import type { SandboxMode } from '../../src/sandbox/crm/server.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { createEditor, expectInStep } from './edits.ts';
import { openHarness, type Harness } from './harness.ts';

/** Runs against an open harness and closes it, whatever comes. */
const within = async (options: Parameters<typeof openHarness>[0], work: (harness: Harness) => Promise<void>): Promise<void> => {
  const harness = await openHarness(options);
  try {
    await work(harness);
  } finally {
    await harness.close();
  }
};

/** In `documented` no call reads a contact's activities, so they are not compared. */
const KINDS: { readonly [M in SandboxMode]: readonly LinkKind[] } = {
  documented: ['companies', 'deals'],
  upstream: ['companies', 'deals', 'activities'],
};

const BOTH = ['list', 'retrieve', 'create', 'update', 'delete', 'attach', 'detach', 'sync', 'search'] as const;
const CALLS: { readonly [M in SandboxMode]: readonly CallName[] } = {
  documented: BOTH,
  upstream: [...BOTH, 'listTrashed', 'restore', 'listActivities', 'customFields'],
};

const EVERYWHERE: readonly FaultKind[] = [
  'reset-before',
  'reset-after',
  '500-before',
  '500-after',
  '503-before',
  '429',
  'hang-before',
  'hang-after',
  'truncated',
  'html-200',
  '401',
  '403-revoked',
  '403-record',
  '404-html',
  'redirect',
  '422',
];
const OF_LISTS: readonly FaultKind[] = ['empty-list', 'short-list'];
const LISTS = new Set<CallName>(['list', 'search', 'listTrashed', 'listActivities']);

/** A daemon's hours in short: pulls and pushes until nothing is due, then a sweep that was complete. */
const settleAndSweep = async (harness: Harness): Promise<void> => {
  await harness.settle(200);
  for (let sweeps = 0; sweeps < 10; sweeps += 1) {
    const { complete } = await sweepOnce(harness.deps, 'sweep', null);
    await harness.settle(200);
    if (complete) return;
  }
  throw new Error('no sweep was complete');
};

const seeded = async (harness: Harness, rounds: number): Promise<ReturnType<typeof createEditor>> => {
  for (let plain = 1; plain <= rounds; plain += 1) harness.account.create({ first_name: `Plain ${plain}` });
  expect(await harness.probe()).toBeNull();
  await harness.settle();
  return createEditor(harness);
};

/** What the CRM refused waits for a person with the CRM's reason; the person says: again. */
const retryParked = async (harness: Harness): Promise<void> => {
  const parked = await harness.sql('select error_code, error from sync.parked');
  for (const row of parked) expect(String(row['error'])).not.toBe('');
  const stuck = await harness.sql(`select op, state from sync.change_log where settled_at is null and state <> 'parked'`);
  expect(stuck).toEqual([]);
  await harness.sql('select sync.retry_all()');
  await harness.settle(200);
};

const strike = (harness: Harness, call: CallName | 'any', kind: FaultKind, times: number): FaultHandle => {
  // Nobody searches but for a create of unknown outcome.
  if (call === 'search') harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
  return harness.sandbox.fault({ call, kind, times, retryAfterSeconds: 0 });
};

describe.each(['documented', 'upstream'] as const)('in %s mode, both sides are equal after', (mode) => {
  it.concurrent.each(CALLS[mode])('every fault of %s', async (call) => {
    const kinds = LISTS.has(call) ? [...EVERYWHERE, ...OF_LISTS] : EVERYWHERE;
    await within({ mode, seed: { contacts: 14 * kinds.length }, timeoutMs: 300, account: { perPageMax: 100 } }, async (harness) => {
      const edit = await seeded(harness, kinds.length);
      for (const [index, kind] of kinds.entries()) {
        const expected = await edit(`${mode[0]}${index}`);
        const fault = strike(harness, call, kind, 1 + (index % 3));
        if (call === 'customFields') {
          await harness.sql('delete from sync.capabilities');
          await harness.probe();
        }
        await settleAndSweep(harness);
        expect(fault.fired, `${kind} struck`).toBeGreaterThan(0);
        harness.sandbox.clearFaults();
        await retryParked(harness);
        await expectInStep(harness, expected, KINDS[mode]).catch((error: unknown) => {
          throw new Error(`after ${kind} of ${call}`, { cause: error });
        });
      }
    });
  }, 120_000);
});

/** Whatever goes wrong in whichever call, both sides are equal once it has stopped: nothing doubled, nothing lost, nothing stuck. */
import { describe, expect, it, vi } from 'vitest';
import type { LinkKind } from '../../src/domain/contact.ts';
import type { Crm } from '../../src/ports/crm.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { FaultHandle, FaultKind } from '../../src/sandbox/crm/faults.ts';
import type { SandboxMode } from '../../src/sandbox/crm/server.ts';
import { pushDue } from '../../src/sync/push.ts';
import { pullOnce, sweepOnce } from '../../src/sync/rounds.ts';
import { addPlainContacts, createEditor, EDITS, expectInStep, type Edit } from './edits.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 120_000 });

/** Runs against a harness of its own and closes it, whatever comes. */
const within = async (options: HarnessOptions, work: (harness: Harness) => Promise<void>): Promise<void> => {
  const harness = await openHarness({ timeoutMs: 600, settings: { backoff: { minMs: 5, maxMs: 40 } }, ...options });
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
const MODES = ['documented', 'upstream'] as const;

const EVERYWHERE: readonly FaultKind[] = [
  ...([
    'reset-before',
    '500-before',
    '503-before',
    'hang-before',
    '429',
    '401',
    '403-revoked',
    '404-html',
    'redirect',
    'html-200',
  ] as const),
  // From here on a write is done, or refused, at the first strike: each needs a contact of its own.
  ...(['reset-after', '500-after', 'hang-after', 'truncated', '403-record', '422'] as const),
];
const CONSUMING = 6;
const OF_LISTS: readonly FaultKind[] = ['empty-list', 'short-list'];
const LISTS = new Set<CallName>(['list', 'search', 'listTrashed', 'listActivities']);

/** Which edit makes the sync make the call. */
const DOCUMENTED: readonly (readonly [CallName, Edit])[] = [
  ['list', 'there'],
  ['retrieve', 'phone'],
  ['create', 'insert'],
  ['update', 'change'],
  ['delete', 'delete'],
  ['attach', 'attach'],
  ['detach', 'detach'],
  ['sync', 'relink'],
  ['search', 'insert'],
];
const CALLS: { readonly [M in SandboxMode]: typeof DOCUMENTED } = {
  documented: DOCUMENTED,
  upstream: [...DOCUMENTED, ['listTrashed', 'there'], ['restore', 'outlive'], ['listActivities', 'change'], ['customFields', 'change']],
};

/** A daemon's day in short: pulls and pushes until nothing is due, then a sweep that was complete. */
const settleAndSweep = async (harness: Harness): Promise<void> => {
  await harness.settle(300);
  for (let sweeps = 0; sweeps < 30; sweeps += 1) {
    const { complete } = await sweepOnce(harness.deps, 'sweep', null);
    await harness.settle(300);
    if (complete) return;
  }
  throw new Error('no sweep was complete');
};

/** What the CRM refused waits for a person with the CRM's reason; the person says: again. */
const retryParked = async (harness: Harness): Promise<void> => {
  for (const { error } of await harness.sql('select error from sync.parked')) expect(error).toEqual(expect.stringMatching(/./));
  expect(await harness.sql(`select op, state from sync.change_log where settled_at is null and state <> 'parked'`)).toEqual([]);
  await harness.sql('select sync.retry_all()');
  await harness.settle(300);
};

const seeded = async (harness: Harness): Promise<ReturnType<typeof createEditor>> => {
  addPlainContacts(harness, 2 * CONSUMING);
  // On a busy machine a call may take longer than these tests wait for one.
  while ((await harness.probe()) !== null);
  await harness.settle(300);
  return createEditor(harness);
};

/** One after the other, so that each meets a call of its own. */
const strike = async (harness: Harness, call: CallName, kinds: readonly FaultKind[]): Promise<readonly FaultHandle[]> => {
  const { sandbox, probe, sql } = harness;
  // Nobody searches but for a create of unknown outcome.
  if (call === 'search') sandbox.fault({ call: 'create', kind: 'reset-after', times: CONSUMING });
  const faults = kinds.map((kind) => sandbox.fault({ call, kind, retryAfterSeconds: 0 }));
  // Nobody asks for the fields but the daily probe.
  const days = call === 'customFields' ? kinds.length : 0;
  for (let day = 0; day < days; day += 1) {
    await sql('delete from sync.capabilities');
    await probe();
  }
  return faults;
};

describe.concurrent.each(MODES)('in %s mode, with edits of every kind under way on both sides', (mode) => {
  it.each(CALLS[mode])(
    'both sides are equal after every fault of %s',
    async (call, focus) => {
      await within({ mode, seed: { contacts: 32 } }, async (harness) => {
        const { edit } = await seeded(harness);
        const kinds = LISTS.has(call) ? [...EVERYWHERE, ...OF_LISTS] : EVERYWHERE;
        const expected = await edit([...EDITS, ...Array.from({ length: CONSUMING }, () => focus)]);
        const faults = await strike(harness, call, kinds);
        await settleAndSweep(harness);
        expect(kinds.filter((_kind, index) => faults[index]?.fired === 0)).toEqual([]);
        await retryParked(harness);
        await expectInStep(harness, expected, KINDS[mode]);
      });
    },
    60_000,
  );

  it('both sides are equal after each fault struck every call for a while', async () => {
    await within({ mode, seed: { contacts: 130 }, timeoutMs: 300 }, async (harness) => {
      const { edit } = await seeded(harness);
      let expected = await edit([]);
      const { before } = expected;
      for (const kind of [...EVERYWHERE, ...OF_LISTS]) {
        expected = await edit(['insert', 'change', 'attach', 'delete', 'there']);
        const fault = harness.sandbox.fault({ call: 'any', kind, times: Infinity, retryAfterSeconds: 0 });
        await harness.sync();
        await pushDue(harness.deps, harness.memory);
        fault.cancel();
        expect([kind, fault.fired > 0]).toEqual([kind, true]);
      }
      await settleAndSweep(harness);
      await retryParked(harness);
      await expectInStep(harness, { ...expected, before }, KINDS[mode]);
    });
  });
});

describe.concurrent.each(['reset-after', '500-after', 'hang-after', 'truncated', 'html-200'] as const)(
  'a create whose answer is lost (%s)',
  (kind) => {
    it('is adopted and not doubled, with e-mail, with phone and with neither, edited and deleted meanwhile', async () => {
      await within({ seed: { contacts: 30 } }, async (harness) => {
        const { insert } = await seeded(harness);
        const rows = new Map<string, number>();
        for (const fate of ['Kept', 'Edited', 'Deleted']) {
          for (const identity of ['mail', 'phone', 'nothing']) {
            const name = `${fate} ${identity}`;
            const email = identity === 'mail' ? `${fate}@lost.example`.toLowerCase() : null;
            rows.set(name, await insert(name, email, identity === 'phone' ? `+41 78 00${rows.size}` : null));
          }
        }
        harness.sandbox.fault({ call: 'create', kind, times: rows.size });
        for (let round = 0; round < 5 && harness.account.calls.count('create') < rows.size; round += 1)
          await pushDue(harness.deps, harness.memory);
        for (const [name, id] of rows) {
          if (name.startsWith('Edited')) {
            await harness.sql(`update crm.contacts set job_title = 'since then', email = $2, phones = '[]' where id = $1`, [
              id,
              `new${id}@lost.example`,
            ]);
          }
          if (name.startsWith('Deleted')) await harness.sql('delete from crm.contacts where id = $1', [id]);
        }
        await harness.settle(200);
        const once = [...rows.keys()].filter((name) => !name.startsWith('Deleted'));
        await expectInStep(harness, { once, mayBeGone: new Set(), before: new Set() }, KINDS.upstream);
        expect(harness.account.contacts().filter(({ first_name: name }) => name?.startsWith('Deleted'))).toEqual([]);
        // Only what the CRM never got is sent a second time.
        expect(harness.account.calls.count('create') > rows.size).toBe(kind === 'html-200');
      });
    });
  },
);

describe.concurrent('a create whose answer is lost', () => {
  it('is found where the CRM has stored its phone in another form', async () => {
    await within({ seed: { contacts: 5 }, account: { requireCallingPrefix: true } }, async (harness) => {
      const { insert } = await seeded(harness);
      const id = await insert('Rewritten', null, '079 000 00 00');
      await harness.sql('update crm.contacts set country_id = 2 where id = $1', [id]);
      harness.sandbox.fault({ call: 'create', kind: 'reset-after' });
      await harness.settle();
      await expectInStep(harness, { once: ['Rewritten'], mayBeGone: new Set(), before: new Set() }, KINDS.upstream);
      expect(harness.account.calls.count('create')).toBe(1);
    });
  });

  it('is not taken for a namesake that somebody made in the CRM at that moment', async () => {
    await within({ seed: { contacts: 5 } }, async (harness) => {
      const { insert } = await seeded(harness);
      await insert('Anna', null, null);
      const stop = harness.sandbox.onRequest(({ call }) => {
        if (call !== 'create') return;
        stop();
        harness.account.create({ first_name: 'Anna', last_name: 'Another' });
      });
      harness.sandbox.fault({ call: 'create', kind: 'reset-before' });
      await harness.settle();
      expect(await harness.differences()).toEqual([]);
      const annas = harness.account.contacts().filter(({ first_name: name }) => name === 'Anna');
      expect(new Set(annas.map(({ last_name: name }) => name))).toEqual(new Set(['Another', null]));
      expect(annas).toHaveLength(2);
    });
  });
});

describe.concurrent('an update whose answer is lost', () => {
  it('is not sent again before the contact was read, even if reading fails at first', async () => {
    // Under this policy nobody looks at the CRM before a push.
    await within({ seed: { contacts: 5 }, settings: { conflictPolicy: 'mirror', backoff: { minMs: 5, maxMs: 40 } } }, async (harness) => {
      const { take } = await seeded(harness);
      const { id, crmId } = await take();
      await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [id]);
      harness.sandbox.fault({ call: 'update', kind: 'reset-after' });
      for (const kind of ['500-before', '401', 'html-200'] as const) harness.sandbox.fault({ call: 'retrieve', kind });
      for (let round = 0; round < 5; round += 1) {
        await pushDue(harness.deps, harness.memory);
        await harness.deps.clock.sleep((await harness.mirror.nextDueMs({ creates: true })) ?? 0);
      }
      expect(harness.account.contact(crmId)?.city).toBe('here');
      expect(harness.account.calls.count('update')).toBe(1);
      await harness.settle();
      await expectInStep(harness, { once: [], mayBeGone: new Set(), before: new Set() }, KINDS.upstream);
    });
  });
});

describe.concurrent('what the CRM refuses', () => {
  it('is parked with its words and keeps nobody waiting; a new edit is the next try', async () => {
    await within({ seed: { contacts: 20 } }, async (harness) => {
      const { take } = await seeded(harness);
      const [taken, refused, ...others] = [await take(), await take(), await take(), await take(), await take()];
      const email = harness.account.contacts().find(({ id, email: theirs }) => id !== refused.crmId && theirs !== null)?.email;
      await harness.sql('update crm.contacts set email = $2 where id = $1', [refused.id, email]);
      for (const { id } of [taken, ...others]) await harness.sql(`update crm.contacts set city = 'Bern' where id = $1`, [id]);
      const { contacts, stoppedBy } = await pushDue(harness.deps, harness.memory);
      expect([contacts, stoppedBy]).toEqual([5, null]);
      expect(await harness.sql('select contact_id, error_code, error from sync.parked')).toEqual([
        {
          contact_id: refused.id,
          error_code: 'invalid',
          error: expect.stringMatching(/^The email has already been taken\. Held by the CRM's contact \d+ \(crm\.contacts\.id \d+\)\.$/),
        },
      ]);
      expect([taken, ...others].map(({ crmId }) => harness.account.contact(crmId)?.city)).toEqual(['Bern', 'Bern', 'Bern', 'Bern']);
      await harness.sql(`update crm.contacts set email = 'free@refused.example' where id = $1`, [refused.id]);
      await harness.settle();
      expect(harness.account.contact(refused.crmId)?.email).toBe('free@refused.example');
      await expectInStep(harness, { once: [], mayBeGone: new Set(), before: new Set() }, KINDS.upstream);
    });
  });

  it('of one contact’s calls is parked alone: the other calls of that contact are made', async () => {
    await within({ seed: { contacts: 20 } }, async (harness) => {
      const { take } = await seeded(harness);
      const { id, crmId } = await take();
      await harness.sql(`update crm.contacts set email = 'not an address' where id = $1`, [id]);
      const free = harness.account
        .records('activities')
        .find((record) => harness.account.contact(crmId)?.activities.includes(record.id) === false);
      await harness.sql('insert into crm.contact_activities values ($1, $2)', [id, free?.id]);
      await harness.sql('insert into crm.contact_companies values ($1, 999999)', [id]);
      await harness.settle();
      const parked = await harness.sql('select distinct op, error_code from sync.parked order by op');
      expect(parked).toEqual([
        { op: 'attach', error_code: 'link_refused' },
        { op: 'update', error_code: 'invalid' },
      ]);
      expect(harness.account.contact(crmId)?.activities).toContain(free?.id);
    });
  });

  it('because nothing will work just now stops everything; when it is repaired everything goes on', async () => {
    await within({ seed: { contacts: 40 } }, async (harness) => {
      const { edit } = await seeded(harness);
      const expected = await edit([...EDITS, ...EDITS]);
      const breakAndRepair: readonly (readonly [() => void, () => void, string])[] = [
        [() => harness.sandbox.setToken('another'), () => harness.sandbox.setToken('test-token'), 'unauthorized'],
        [() => harness.sandbox.setApiAccess(false), () => harness.sandbox.setApiAccess(true), 'access_revoked'],
      ];
      for (const [breaks, repair, code] of breakAndRepair) {
        let writes = 0;
        const stop = harness.sandbox.onRequest(({ method }) => {
          if (method !== 'GET' && (writes += 1) === 3) breaks();
        });
        expect(await harness.sync()).toMatchObject({ class: 'fatal', code });
        stop();
        const calls = harness.account.calls.count();
        expect(await harness.sync()).toMatchObject({ code });
        // It asked whether it is over, with one call, and left it at that.
        expect(harness.account.calls.count() - calls).toBe(1);
        expect(await harness.sql(`select state from sync.change_log where settled_at is null and state in ('sending', 'parked')`)).toEqual(
          [],
        );
        repair();
      }
      await harness.settle();
      await expectInStep(harness, expected, KINDS.upstream);
    });
  });

  it('a contact that the CRM fails to read for good keeps neither pull nor push waiting', async () => {
    await within({ mode: 'documented', seed: { contacts: 40 } }, async (harness) => {
      const { take } = await seeded(harness);
      const [poisoned, other] = [await take(), await take()];
      // More than are read side by side, the poisoned one among the first.
      await harness.sql(`insert into sync.marks select crm_id, 'links' from crm.contacts order by crm_id`);
      await harness.sql(`insert into sync.marks values ($1, 'deferred')`, [poisoned.crmId]);
      const fault = harness.sandbox.fault({
        call: 'retrieve',
        kind: '500-before',
        times: Infinity,
        match: ({ id }) => id === String(poisoned.crmId),
      });
      harness.account.update(other.crmId, { city: 'there' });
      await harness.sql(`update crm.contacts set street = 'here' where id = $1`, [other.id]);
      await harness.sync();
      expect(harness.account.contact(other.crmId)).toMatchObject({ street: 'here' });
      expect(await harness.sql('select distinct crm_id from sync.marks')).toEqual([{ crm_id: poisoned.crmId }]);
      expect(await harness.differences(KINDS.documented)).toEqual([]);
      fault.cancel();
      await harness.settle();
      expect(await harness.mirror.countMarks(['links', 'deferred'])).toBe(0);
    });
  });
});

describe.concurrent.each(MODES)('lists that leave contacts out, in %s mode', (mode) => {
  it.each(OF_LISTS)('delete nothing and are no reason to pass anything by: %s', async (kind) => {
    await within({ mode, seed: { contacts: 40 }, account: { perPageMax: 10 } }, async (harness) => {
      const { take } = await seeded(harness);
      const [deleted, edited] = [await take(), await take()];
      const rows = Number((await harness.sql('select count(*)::int as n from crm.contacts'))[0]?.['n']);
      for (const call of ['list', 'listTrashed'] as const) harness.sandbox.fault({ call, kind, times: Infinity });
      harness.account.delete(deleted.crmId);
      harness.account.update(edited.crmId, { city: 'there' });
      for (let round = 0; round < 2; round += 1) {
        await harness.sync();
        const { complete } = await sweepOnce(harness.deps, 'sweep', null);
        expect(complete).toBe(false);
      }
      const left = Number((await harness.sql('select count(*)::int as n from crm.contacts'))[0]?.['n']);
      // The deleted one may be gone, by a 404 for its own id.
      expect(rows - left).toBeLessThanOrEqual(1);
      harness.sandbox.clearFaults();
      await settleAndSweep(harness);
      expect(await harness.differences(KINDS[mode])).toEqual([]);
    });
  });

  it('together with a 404 for everybody prove nothing about anybody', async () => {
    await within({ mode, seed: { contacts: 40 } }, async (harness) => {
      const { take } = await seeded(harness);
      await harness.sql(`insert into sync.marks values ($1, 'deferred')`, [(await take()).crmId]);
      harness.sandbox.fault({ call: 'list', kind: 'short-list', times: 2 });
      // The CRM's own 404, as after a restore of some other account's backup.
      const retrieve: Crm['retrieve'] = async (crmId, options) => await harness.crm.retrieve(crmId + 1_000_000, options);
      const deps = { ...harness.deps, crm: { ...harness.crm, retrieve } };
      const rows = await harness.sql('select id from crm.contacts');
      expect(await sweepOnce(deps, 'sweep', null)).toMatchObject({ removed: 0, held: 0 });
      await pullOnce(deps, harness.memory);
      expect(await harness.sql('select id from crm.contacts')).toHaveLength(rows.length);
    });
  });

  it('do not pass for the first full load of an account that has contacts', async () => {
    await within({ mode, seed: { contacts: 40 } }, async (harness) => {
      expect(await harness.probe()).toBeNull();
      harness.sandbox.fault({ call: 'list', kind: 'short-list', times: Infinity });
      const { complete } = await sweepOnce(harness.deps, 'sweep', null);
      expect(complete).toBe(false);
      expect((await harness.mirror.account()).firstSweepAt).toBeNull();
      harness.sandbox.clearFaults();
      await harness.settle();
      expect(await harness.differences(KINDS[mode])).toEqual([]);
    });
  });
});

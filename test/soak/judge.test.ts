/** The soak's judges see each kind of damage: a judge that finds nothing proves nothing. */
import { describe, expect, it } from 'vitest';
import type { MirroredContact } from '../../src/postgres/snapshot.ts';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { CallName, CallRecord } from '../../src/sandbox/crm/call-log.ts';
import type { AccountContact } from '../../src/sandbox/crm/records.ts';
import { judgeBudget, judgeLeading, type BudgetOptions, type LeadingOptions } from './judge-processes.ts';
import { judge, type Ending } from './judge.ts';
import { Souls, type Soul } from './souls.ts';

const ROW_OF = 1_000;

const mirrorOf = (contact: AccountContact): MirroredContact => {
  const { id, phones, custom, companies, deals, activities, ...columns } = contact;
  const fields = { ...columns, phones: phones.map(({ number, type }) => ({ number, type })), custom_fields: custom };
  return { contactId: ROW_OF + id, crmId: id, fields, links: { companies, deals, activities } };
};

/** A seed contact and one that somebody made here, both in step; what people did to them is the test's. */
const scene = () => {
  const account = createSandboxAccount();
  account.seed({ contacts: 1 });
  const souls = new Souls();
  const [seed] = account.contacts();
  if (seed === undefined) throw new Error('no contact');
  const made = account.create({ first_name: 'New', last_name: 'L0.' });
  const seedSoul = souls.add({ tag: null, origin: 'seed', doomed: false, crmId: seed.id, rowId: ROW_OF + seed.id });
  const madeSoul = souls.add({ tag: 'L0.', origin: 'local', doomed: false, crmId: made.id, rowId: ROW_OF + made.id });
  const sent = new Map<string, number>();
  const calls: { readonly id: number; readonly call: CallName; readonly atMs: number }[] = [];
  const ending = (changes: Partial<Ending> = {}): Ending => ({
    souls: souls.all,
    rows: account.contacts().map(mirrorOf),
    contacts: account.contacts(),
    trashed: account.trashed(),
    conflicts: [],
    replaced: new Map(),
    sentAtMs: (value) => sent.get(value) ?? null,
    callsMs: (crmId, names) => calls.flatMap(({ id, call, atMs }) => (id === crmId && names.includes(call) ? [atMs] : [])),
    ...changes,
  });
  const found = (changes?: Partial<Ending>): readonly string[] => judge(ending(changes)).violations.map((line) => line.split(':')[0] ?? '');
  const idOf = ({ crmId }: Soul): number => crmId ?? 0;
  return { account, souls, seedSoul, madeSoul, sent, calls, ending, found, idOf };
};

describe('the judge of what people did', () => {
  it('finds nothing where everything is as it was left', () => {
    const { account, souls, seedSoul, found, idOf } = scene();
    account.update(idOf(seedSoul), { city: 'L1.', job_title: 'R2.' });
    souls.write(seedSoul, 'local', 'city', 'L1.');
    souls.write(seedSoul, 'remote', 'job_title', 'R2.');
    expect(found()).toEqual([]);
  });

  it('sees a side that differs', () => {
    const { account, ending, found } = scene();
    expect(found({ rows: ending().rows.slice(1) })).toContain('not equal');
    expect(found({ contacts: account.contacts().slice(1) })).toContain('not equal');
  });

  it('sees an edit that both sides have lost, and an older one that came back', () => {
    const { account, souls, seedSoul, found, idOf } = scene();
    souls.write(seedSoul, 'local', 'city', 'L2.');
    expect(found()).toEqual(['lost edit']);
    account.update(idOf(seedSoul), { city: 'L1.' });
    expect(found()).toEqual(['lost edit']);
    account.update(idOf(seedSoul), { city: 'L2.' });
    expect(found()).toEqual([]);
  });

  it('wants the loser of a conflict sent, seen or recorded', () => {
    const { account, souls, seedSoul, sent, found, idOf } = scene();
    account.update(idOf(seedSoul), { state: 'R2.' });
    souls.write(seedSoul, 'local', 'state', 'L1.');
    souls.write(seedSoul, 'remote', 'state', 'R2.');
    expect(found()).toEqual(['lost edit']);
    expect(found({ conflicts: [{ contactId: seedSoul.rowId ?? 0, field: 'state', text: '"L1." "R2."' }] })).toEqual([]);
    sent.set('L1.', 1);
    expect(found()).toEqual([]);
  });

  it('counts an edit in the CRM that our write met in the same moment, and only that', () => {
    const { account, souls, seedSoul, calls, ending, found, idOf } = scene();
    account.update(idOf(seedSoul), { state: 'L1.' });
    souls.write(seedSoul, 'local', 'state', 'L1.');
    souls.write(seedSoul, 'remote', 'state', 'R2.');
    calls.push({ id: idOf(seedSoul), call: 'update', atMs: performance.now() + 10_000 });
    expect(found()).toEqual(['lost edit']);
    calls.push({ id: idOf(seedSoul), call: 'update', atMs: performance.now() + 100 });
    expect(judge(ending())).toMatchObject({ violations: [], races: 1 });
    expect(found({ replaced: new Map([[seedSoul.rowId ?? 0, '{"state": "R2."}']]), callsMs: () => [] })).toEqual([]);
  });

  it('sees a lost link and a lost phone of either side', () => {
    for (const side of ['local', 'remote'] as const) {
      const { souls, seedSoul, found } = scene();
      souls.put(seedSoul, side, 'phones', '+41 1', true);
      souls.put(seedSoul, side, 'companies', 99, true);
      expect(found()).toEqual(['lost edit', 'lost edit']);
    }
  });

  it('sees a duplicate in the CRM, the trash included, and one in the mirror', () => {
    const { account, madeSoul, ending, found } = scene();
    const twin = account.create({ first_name: 'New', last_name: 'L0.' });
    expect(found()).toContain('duplicate');
    account.delete(twin.id);
    expect(found()).toEqual(['duplicate']);
    account.purge(twin.id);
    const { rows } = ending();
    const again = rows.filter(({ crmId }) => crmId === madeSoul.crmId).map((row) => ({ ...row, contactId: 1, crmId: null }));
    expect(found({ rows: [...rows, ...again] })).toContain('duplicate');
  });

  it('sees a contact that nobody made', () => {
    const { account, found } = scene();
    account.create({ first_name: 'Who', last_name: 'is this' });
    expect(found()).toEqual(['stranger', 'stranger']);
  });

  it('sees a contact that nobody deleted gone from both sides', () => {
    const { account, madeSoul, found, idOf } = scene();
    account.delete(idOf(madeSoul));
    expect(found()).toEqual(['false delete or lost create']);
  });

  it('sees a row that came back under another id', () => {
    const { ending, found } = scene();
    expect(found({ rows: ending().rows.map((row) => ({ ...row, contactId: row.contactId + 1 })) })).toContain(
      'false delete or lost create',
    );
  });

  it('wants a delete done, or a conflict that says why not', () => {
    const { account, souls, madeSoul, found, idOf } = scene();
    madeSoul.deletedBy = 'local';
    expect(found()).toEqual(['undone delete']);
    expect(found({ conflicts: [{ contactId: madeSoul.rowId ?? 0, field: 'contact', text: '' }] })).toEqual([]);
    account.delete(idOf(madeSoul));
    expect(found()).toEqual([]);
    souls.write(madeSoul, 'remote', 'job_title', 'R1.');
    expect(found()).toEqual(['lost edit']);
  });
});

describe('the judge of the processes', () => {
  const reign = (epoch: number, pid: number, seenMs: number) => ({ epoch, pid, notBeforeMs: seenMs - 50, seenMs });
  const leading = (changes: Partial<LeadingOptions> = {}) =>
    judgeLeading({ reigns: [reign(1, 10, 0), reign(2, 20, 10_000)], writes: [], blows: null, ...changes }).violations;
  const loss = { what: 'kill', atMs: 4_000, epoch: 1, standbyReady: true } as const;

  it('sees a write of a daemon that no longer leads, and lets the one that is about to lead write', () => {
    const write = (pid: number, atMs: number, late = false) => ({ pid, atMs, what: 'PUT /api/contacts/1', late });
    expect(leading({ writes: [write(10, 9_000), write(20, 9_990), write(20, 11_000)] })).toEqual([]);
    expect(leading({ writes: [write(10, 10_100)] })).toHaveLength(1);
    expect(leading({ writes: [write(10, 10_100, true)] })).toEqual([]);
  });

  it('sees a slow takeover, unless something else was in its way', () => {
    expect(leading({ blows: { losses: [loss], disturbedMs: [] } })).toHaveLength(1);
    expect(leading({ blows: { losses: [{ ...loss, atMs: 5_500 }], disturbedMs: [] } })).toEqual([]);
    expect(leading({ blows: { losses: [loss], disturbedMs: [{ fromMs: 3_000, toMs: 4_500 }] } })).toEqual([]);
    expect(leading({ blows: { losses: [{ ...loss, standbyReady: false }], disturbedMs: [] } })).toEqual([]);
  });

  const call = (atMs: number, status = 200, fault: string | null = null): CallRecord => ({
    call: 'list',
    method: 'GET',
    path: '',
    id: null,
    body: undefined,
    status,
    fault,
    at: new Date(atMs),
  });
  const budget = (calls: readonly CallRecord[], changes: Partial<BudgetOptions> = {}) =>
    judgeBudget({ calls, ratePerMinute: 100, share: 0.9, startsMs: [], ...changes }).violations;

  it('sees a 429 of our own making, scripted ones and those of a leader that is learning aside', () => {
    expect(budget([call(5_000, 429)])).toHaveLength(1);
    expect(budget([call(5_000, 429, '429')])).toEqual([]);
    expect(budget([call(5_000, 429)], { startsMs: [4_500] })).toEqual([]);
  });

  it('sees more calls in a minute of the CRM than our share', () => {
    const minute = (n: number): readonly CallRecord[] => Array.from({ length: n }, (_, at) => call(1_000 + at * 100));
    expect(budget(minute(90))).toEqual([]);
    expect(budget(minute(91))).toHaveLength(1);
    expect(budget([...minute(90), call(61_000)])).toEqual([]);
  });
});

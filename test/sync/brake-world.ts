/** An account in which everybody is in one city and at one company, with a brake that lets a few through: for the tests of the brake. */
import { expect } from 'vitest';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

export const CONTACTS = 40;
/** Of 40 contacts 5 may be damaged in an hour. */
const BRAKE = { rows: 5, share: 0.1, max: 1000 };

export interface Hold {
  readonly id: number;
  readonly direction: string;
  readonly state: string;
  readonly rows: number;
  readonly plan: readonly { readonly [key: string]: unknown }[];
}

export interface BrakeWorld extends Harness {
  readonly company: number;
  holds(): Promise<readonly Hold[]>;
  onlyHold(): Promise<Hold>;
  decide(how: 'approve' | 'reject'): Promise<void>;
  count(what: string): Promise<number>;
  /** Calls that wrote to the CRM. */
  writes(): number;
  inStep(): Promise<void>;
  /** Nothing is left to do but what these many contacts wait for. */
  waiting(held: number): Promise<void>;
}

export const openBrakeWorld = async (mode: 'documented' | 'upstream' = 'upstream', options: HarnessOptions = {}): Promise<BrakeWorld> => {
  const harness = await openHarness({ mode, ...options, settings: { brake: BRAKE, ...options.settings } });
  const { account, sql } = harness;
  account.seed({ contacts: CONTACTS });
  const company = account.records('companies')[0]?.id ?? 0;
  for (const { id } of account.contacts()) {
    account.update(id, { city: 'Basel', job_title: `secret ${id}` });
    account.sync(id, { companies: [company] });
  }
  const holds = async (): Promise<readonly Hold[]> =>
    (await sql('select id::int, direction, state, rows, plan from sync.holds order by id')) as unknown as Hold[];
  const count = async (what: string): Promise<number> => Number((await sql(`select count(*)::int as n from ${what}`))[0]?.['n']);
  const inStep = async (): Promise<void> => {
    await harness.settle();
    expect(await harness.differences(['companies', 'deals'])).toEqual([]);
    expect(await count('sync.queue')).toBe(0);
  };
  await harness.probe();
  await inStep();
  return {
    ...harness,
    company,
    holds,
    onlyHold: async () => {
      const all = await holds();
      expect(all).toHaveLength(1);
      return all[0] as Hold;
    },
    decide: async (how) => void (await sql(`select sync.${how}(id) from sync.holds where state = 'open'`)),
    count,
    writes: () => account.calls.count('update', 'delete', 'attach', 'detach', 'sync'),
    inStep,
    waiting: async (held) => {
      await harness.settle();
      expect(await sql('select held::int, queue_depth::int from sync.status')).toEqual([{ held, queue_depth: 0 }]);
    },
  };
};

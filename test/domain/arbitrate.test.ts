/** Who wins a conflict. */
import { expect, test } from 'vitest';
import { arbitrate, POLICIES, type Arbiter, type ConflictOutcome } from '../../src/domain/merge.ts';
import { after, NOON } from './arbitraries.ts';

const neverAsked = (): never => {
  throw new Error('the clocks are nobody’s business under this policy');
};
const newest = (localAt: Date | null, remoteAt: Date | null): ReturnType<typeof arbitrate> =>
  arbitrate('email', { policyOf: () => 'newest', editedAt: () => localAt, remoteAt });

test('there are the four policies of CONFLICT_POLICY', () => {
  expect(POLICIES).toEqual(['newest', 'crm', 'mirror', 'manual']);
});

test.each([
  ['crm', 'crm'],
  ['mirror', 'mirror'],
  ['manual', 'open'],
] as const)('%s ends as %s, whatever the clocks say', (policy, outcome) => {
  const arbiter: Arbiter = { policyOf: () => policy, editedAt: neverAsked, remoteAt: NOON };
  expect(arbitrate('email', arbiter)).toEqual({ policy, outcome, compared: null });
});

test.each<[string, number | null, ConflictOutcome]>([
  ['a minute before the CRM', -60_000, 'crm'],
  ['a millisecond before the CRM', -1, 'crm'],
  ['at the same time', 0, 'crm'],
  ['within one second', 999, 'crm'],
  ['exactly one second later', 1000, 'crm'],
  ['more than one second later', 1001, 'mirror'],
  ['without a log row', null, 'crm'],
])('newest, edited here %s: %s ms', (_when, ms, outcome) => {
  const localAt = ms === null ? null : after(ms);
  expect(newest(localAt, NOON)).toEqual({
    policy: 'newest',
    outcome,
    compared: { localAt: localAt?.toISOString() ?? null, remoteAt: '2026-01-23T12:00:00.000Z' },
  });
});

test('newest, where the CRM tells no time: an edit that was logged is newer than one of which nothing is known', () => {
  expect(newest(NOON, null)).toEqual({ policy: 'newest', outcome: 'mirror', compared: { localAt: NOON.toISOString(), remoteAt: null } });
  expect(newest(null, null)).toEqual({ policy: 'newest', outcome: 'crm', compared: { localAt: null, remoteAt: null } });
});

test('policy and time are those of the field in question, or of the contact', () => {
  const arbiter: Arbiter = {
    policyOf: (field) => (field === 'contact' ? 'newest' : field === 'cf_score' ? 'newest' : 'crm'),
    editedAt: (field) => (field === 'cf_score' ? after(5000) : after(-5000)),
    remoteAt: NOON,
  };
  expect((['contact', 'cf_score', 'email'] as const).map((field) => arbitrate(field, arbiter).outcome)).toEqual(['crm', 'mirror', 'crm']);
});

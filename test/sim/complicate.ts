/**
 * What makes a plain life harder: policies that need a person, people who decide, a push that is paused, leaders that freeze and wake up again,
 * edits that no trigger saw, a brake, a slow search, clocks that are minutes apart. Of a plain schedule everything stays as it is.
 */
import { POLICIES, type Policy } from '../../src/domain/merge.ts';
import { createDice, type Dice } from './dice.ts';
import type { Edit, Event, Freeze, Operator, Rounds, Schedule } from './schedule.ts';

const POLICY_FIELDS = ['first_name', 'email', 'job_title', 'city', 'street', 'cf_note', 'cf_day', 'phones', 'contact'] as const;
const MINUTES_APART_MS = 600_000;
/** Edits have the numbers from here on: those below are the plain schedule's. */
const N_FROM = 1000;

export const complicate = (plain: Schedule): Schedule => {
  const dice = createDice(plain.seed ^ 0x0ddba11);
  const policy: Policy = dice.chance(0.2) ? 'manual' : plain.policy;
  const fieldPolicies = dice.chance(0.2) ? somePolicies(dice) : {};
  const isManual = [policy, ...Object.values(fieldPolicies)].includes('manual');
  const brakeRows = dice.chance(0.15) ? dice.below(3) : null;
  const searchLagMs = dice.pick([0, 0, 400, 5000, 30_000]);
  const isOrdered = dice.chance(0.15);
  const skewMs = dice.chance(0.15) ? dice.pick([-MINUTES_APART_MS, MINUTES_APART_MS]) : plain.skewMs;
  const additions: readonly Event[] = [
    ...several(dice, isManual ? 4 : 0, () => resolve(dice)),
    ...several(dice, brakeRows === null ? 0 : 4, () => decide(dice)),
    ...several(dice, dice.chance(0.2) ? 3 : 0, (at) => uncaptured(dice, N_FROM + 10 * at)),
  ];
  const frozen = dice.chance(0.35)
    ? plain.events.map((event) => (event.side === 'sync' && dice.chance(0.4) ? frozenIn(dice, event) : event))
    : plain.events;
  const events = withPause(
    dice,
    additions.reduce((all, addition) => insert(dice, all, addition), frozen),
  );
  return {
    ...plain,
    policy,
    skewMs,
    ...(Object.keys(fieldPolicies).length > 0 && { fieldPolicies }),
    ...(brakeRows !== null && { brakeRows }),
    ...(searchLagMs > 0 && { searchLagMs }),
    ...(isOrdered && { writeMode: 'ordered' as const }),
    events,
  };
};

const several = <T>(dice: Dice, most: number, make: (at: number) => T): readonly T[] =>
  Array.from({ length: most === 0 ? 0 : dice.below(most + 1) }, (_, at) => make(at));

const somePolicies = (dice: Dice): { readonly [field: string]: Policy } =>
  Object.fromEntries(Array.from({ length: 1 + dice.below(3) }, () => [dice.pick(POLICY_FIELDS), dice.pick(POLICIES)]));

const resolve = (dice: Dice): Operator => ({ side: 'operator', act: 'resolve', who: dice.below(6), choice: dice.pick(['crm', 'mirror']) });
const decide = (dice: Dice): Operator => ({ side: 'operator', act: dice.pick(['approve', 'reject']), who: dice.below(4) });

const uncaptured = (dice: Dice, n: number): Event => {
  const edit = (_: unknown, at: number): Edit =>
    dice.chance(0.75)
      ? { edit: 'set', field: dice.pick(['job_title', 'city', 'street', 'cf_note', 'cf_day']), n: n + at }
      : { edit: dice.pick(['link', 'unlink']), kind: dice.pick(['companies', 'deals']), id: 1 + dice.below(3) };
  return { side: 'local', act: 'uncaptured', who: dice.below(12), edits: Array.from({ length: 1 + dice.below(2) }, edit) };
};

const frozenIn = (dice: Dice, rounds: Rounds): Rounds => {
  const freeze: Freeze = { at: 1 + dice.below(90), forSteps: 1 + dice.below(200), endsSessions: dice.chance(0.7) };
  return { ...rounds, freeze };
};

/** After everybody is there twice: twins come first. */
const insert = (dice: Dice, events: readonly Event[], event: Event): readonly Event[] => {
  const first = events.filter(({ side }) => side === 'twin').length;
  return events.toSpliced(first + dice.below(events.length - first + 1), 0, event);
};

const withPause = (dice: Dice, events: readonly Event[]): readonly Event[] => {
  if (!dice.chance(0.15)) return events;
  const paused = insert(dice, events, { side: 'operator', act: 'pause' });
  return dice.chance(0.5) ? insert(dice, paused, { side: 'operator', act: 'resume' }) : paused;
};

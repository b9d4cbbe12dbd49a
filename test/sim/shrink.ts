/** Takes away what a failing schedule does not need: whole stretches of events first, then single ones, then what is inside of them. */
import type { Edit, Event, Schedule } from './schedule.ts';

type Fails = (schedule: Schedule) => Promise<boolean>;

/** @param runsMax how many schedules may be tried at most */
export const shrink = async (schedule: Schedule, fails: Fails, runsMax = 1500): Promise<Schedule> => {
  let best = schedule;
  let runs = 0;
  const tryEach = async (candidates: Iterable<Schedule>): Promise<boolean> => {
    for (const candidate of candidates) {
      if (runs >= runsMax) return false;
      runs += 1;
      if (!(await fails(candidate))) continue;
      best = candidate;
      return true;
    }
    return false;
  };
  while ((await tryEach(withoutStretches(best))) || (await tryEach(withSmallerEvents(best))) || (await tryEach(plainer(best))));
  return best;
};

function* withoutStretches(schedule: Schedule): Iterable<Schedule> {
  const { events } = schedule;
  for (let length = Math.ceil(events.length / 2); length >= 1; length = length === 1 ? 0 : Math.ceil(length / 2)) {
    for (let start = 0; start < events.length; start += length) yield { ...schedule, events: events.toSpliced(start, length) };
  }
}

function* withSmallerEvents(schedule: Schedule): Iterable<Schedule> {
  for (const [at, event] of schedule.events.entries()) {
    for (const smaller of smallerEvents(event)) yield { ...schedule, events: schedule.events.with(at, smaller) };
  }
}

function* smallerEvents(event: Event): Iterable<Event> {
  if ('edits' in event) for (const edits of fewer(event.edits)) yield { ...event, edits };
  if (event.side === 'twin') {
    for (const here of fewer(event.here)) yield { ...event, here };
    for (const there of fewer(event.there)) yield { ...event, there };
  }
  if (event.side === 'fault' && event.times > 1) yield { ...event, times: 1 };
  if (event.side !== 'sync') return;
  if (event.freeze != null) yield { ...event, freeze: null };
  if (event.freeze?.endsSessions === false) yield { ...event, freeze: { ...event.freeze, endsSessions: true } };
  if (event.crashAt !== null) yield { ...event, crashAt: null };
  if (event.refuseAt !== null) yield { ...event, refuseAt: null };
  for (const rounds of fewer(event.rounds)) if (rounds.length > 0) yield { ...event, rounds };
  for (const during of fewer(event.during)) yield { ...event, during };
  for (const [at, { action, ...moment }] of event.during.entries()) {
    if (!('edits' in action)) continue;
    for (const edits of fewer<Edit>(action.edits))
      yield { ...event, during: event.during.with(at, { ...moment, action: { ...action, edits } }) };
  }
}

function* fewer<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (const at of items.keys()) yield items.toSpliced(at, 1);
}

function* plainer(schedule: Schedule): Iterable<Schedule> {
  if (schedule.skewMs !== 0) yield { ...schedule, skewMs: 0 };
  if (schedule.perPage !== 100) yield { ...schedule, perPage: 100 };
  if (schedule.freshMs !== 0) yield { ...schedule, freshMs: 0 };
  if (schedule.mode !== 'upstream') yield { ...schedule, mode: 'upstream' };
  for (const name of ['brakeRows', 'searchLagMs', 'writeMode', 'fieldPolicies'] as const) {
    const { [name]: value, ...plain } = schedule;
    if (value !== undefined) yield plain;
  }
  for (const field of Object.keys(schedule.fieldPolicies ?? {})) {
    const { [field]: _, ...fieldPolicies } = schedule.fieldPolicies ?? {};
    yield { ...schedule, fieldPolicies };
  }
  if (schedule.policy !== 'newest') yield { ...schedule, policy: 'newest' };
}

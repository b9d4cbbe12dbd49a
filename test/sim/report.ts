/** A broken promise as a person reads it: what happened, what came of it, and how to see it again. */
import type { Verdict } from './life.ts';
import type { Schedule } from './schedule.ts';

const lines = (items: Iterable<unknown>): string => [...items].map((item) => `  ${JSON.stringify(item)}`).join('\n');

/** The schedule, line by line, and which promises it broke. */
export const tellSchedule = ({ events, ...setting }: Schedule, broken: readonly string[]): string =>
  [`SIM_SEED=${setting.seed}`, ...broken.map((line) => `- ${line}`), JSON.stringify(setting), lines(events)].join('\n');

/** Everything that was seen to happen, in order: values on both sides, calls, the change log, conflicts. */
export const tellStory = ({ world, books }: Verdict): string => {
  const { changes } = world.history;
  return [
    'What changed:',
    ...changes.map(({ seq, side, by, tag, field, value }) => `  ${seq} ${side} ${tag} ${field} = ${value} (${by})`),
    'Calls:',
    ...world.account.calls.calls.map(
      ({ at, call, id, body, status, fault }) =>
        `  ${at.toISOString().slice(14, 23)} ${call} ${id ?? ''} ${JSON.stringify(body) ?? ''} ${status} ${fault ?? ''}`,
    ),
    'Change log:',
    lines(books?.log ?? []),
    'Conflicts:',
    lines(books?.conflicts ?? []),
    'States:',
    lines(books?.states ?? []),
  ].join('\n');
};

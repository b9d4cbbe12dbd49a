/** `pause`, `resume` and `retry`: what a person tells the mirror, by the same functions that SQL and HTTP call. */
import type { Decisions } from '../postgres/decisions.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { count } from './status.ts';

export interface Json {
  readonly json: boolean;
}

export const setPaused = async (io: Io, decisions: Decisions, paused: boolean, { json }: Json): Promise<ExitCode> => {
  await decisions.setPaused(paused);
  if (json) io.out(JSON.stringify({ paused }));
  else
    io.out(
      paused
        ? 'Paused: nothing is pulled or pushed until `relate-mirror resume`. Edits go on being captured.'
        : 'Resumed: both directions go on where they stood.',
    );
  return EXIT.done;
};

export interface RetryOptions extends Json {
  readonly all: boolean;
}

/** One that cannot be retried does not keep the others from it; the exit code tells. */
export const retry = async (io: Io, decisions: Decisions, ids: readonly number[], { all, json }: RetryOptions): Promise<ExitCode> => {
  if (all === ids.length > 0) {
    io.err(
      all ? 'Either numbers or --all, not both.' : 'Which edits? Their numbers, or --all for everything: `relate-mirror retry --help`.',
    );
    return EXIT.usage;
  }
  if (all) {
    const retried = await decisions.retryAll();
    io.out(json ? JSON.stringify({ retried }) : describeAll(retried));
    return EXIT.done;
  }
  let refused = 0;
  for (const changeId of ids) {
    const answer = await decisions.retry(changeId);
    const isRefused = 'refusal' in answer;
    if (isRefused) refused += 1;
    if (json)
      io.out(JSON.stringify({ change_id: changeId, state: isRefused ? null : answer.state, error: isRefused ? answer.refusal : null }));
    else if (isRefused) io.err(`Nothing was done about change ${changeId}: ${answer.refusal}.`);
    else io.out(`Change ${changeId}: ${MEANS[answer.state] ?? answer.state}`);
  }
  return refused === 0 ? EXIT.done : EXIT.failed;
};

const describeAll = (retried: number): string =>
  retried === 0
    ? 'Nothing is parked, and nothing waits for another try.'
    : `${count(retried, 'edit or record', 'edits and records')} ${retried === 1 ? 'is' : 'are'} tried again now.`;

/** By the state that it has now. */
const MEANS: { readonly [state: string]: string } = {
  pending: 'pending, it is tried again now',
  retry: 'it is tried again now',
  unknown: 'the CRM is asked now what became of it',
  sending: 'it is on its way',
  done: 'it is done already; nothing to retry',
  merged: 'nothing of it was left to push; nothing to retry',
};

/** Lives through a schedule, lets everything settle, and judges. */
import { backfillLinks, pullOnce, sweepOnce, syncOnce } from '../../src/sync/rounds.ts';
import { pushDue } from '../../src/sync/push.ts';
import { createDice } from './dice.ts';
import { actLocally, actRemotely, enterTwice } from './people.ts';
import { brokenPromises, nobodyAnswers } from './promises.ts';
import type { Action, Event, RoundKind, Rounds, Schedule } from './schedule.ts';
import { Crash } from './scheduler.ts';
import { crashAndRestart, createWorld, StatementFailed, type Life, type World } from './world.ts';
import { MirrorBusy } from '../../src/ports/mirror-errors.ts';

/** As the daemon has it: CRM_TIMEOUT_MS + CREATE_RECHECK_MS. */
const CREATE_GRACE_MS = 1000;

export interface Verdict {
  /** One line for each broken promise. */
  readonly broken: readonly string[];
  readonly world: World;
}

export const live = async (schedule: Schedule): Promise<Verdict> => {
  const world = createWorld(schedule);
  try {
    for (const event of schedule.events) await happen(world, event);
    await settle(world);
    const broken = brokenPromises(world);
    return { world, broken: broken.length > 0 || nobodyAnswers(world.account) ? broken : await unrest(world) };
  } catch (error) {
    return { world, broken: [`threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`] };
  }
};

const happen = async (world: World, event: Event): Promise<void> => {
  world.clock.nowMs += 300;
  if (event.side === 'time') world.clock.nowMs += event.ms;
  else if (event.side === 'sync') await runRounds(world, event);
  else if (event.side === 'twin') {
    world.scheduler.start(enterTwice(world, event));
    await drive(world, 1);
  } else {
    act(world, event);
    await drive(world, 1);
  }
};

/** Begins what a person does; a transaction goes on step by step with everything else. */
const act = (world: World, action: Action): void => {
  if (action.side === 'fault') world.crm.fault({ call: action.call, kind: action.kind, times: action.times });
  else if (action.side === 'local') world.scheduler.start(actLocally(world, action));
  else {
    try {
      actRemotely(world, action);
    } catch (error) {
      // The CRM refuses its own people too: an e-mail that is taken, say.
      if (!(error instanceof Error) || !error.message.startsWith('the sandbox CRM')) throw error;
    }
  }
};

const drive = async (world: World, order: number, during: (step: number) => void = () => {}): Promise<void> => {
  const dice = createDice(order);
  await world.scheduler.drive(dice, (step) => {
    world.clock.nowMs += dice.below(8);
    during(step);
  });
};

const ROUND: { readonly [K in RoundKind]: (life: Life) => Promise<unknown> } = {
  pull: ({ deps, memory }) => pullOnce(deps, memory),
  push: ({ deps, memory }) => pushDue(deps, memory),
  links: ({ deps }) => backfillLinks(deps),
  sweep: ({ deps }) => sweepOnce(deps, 'sweep', null),
  sync: ({ deps, memory }) => syncOnce(deps, memory),
};

/** How a round may end without being wrong: the process died, a statement failed, or rows stayed locked. The next one goes on. */
const endsRound = (error: unknown): boolean => error instanceof Crash || error instanceof StatementFailed || error instanceof MirrorBusy;

const runRounds = async (world: World, { rounds, order, during, crashAt, refuseAt }: Rounds): Promise<void> => {
  const unexpected: unknown[] = [];
  const run = (work: Promise<unknown>): void =>
    world.scheduler.start(
      work.catch((error: unknown) => {
        if (!endsRound(error)) unexpected.push(error);
      }),
    );
  const ready = becomeReady(world.life);
  for (const round of rounds) run(ready.then(() => ROUND[round](world.life)));
  await drive(world, order, (step) => {
    for (const { at, action } of during) if (at === step) act(world, action);
    if (step === refuseAt) world.life.term.refuseNext = true;
    if (step !== crashAt) return;
    crashAndRestart(world);
  });
  if (unexpected.length > 0) throw unexpected[0];
};

/** What the last life had in flight is unknown now: the first thing a new one says, until the database has heard it. */
const becomeReady = async (life: Life): Promise<void> => {
  if (life.isReady) return;
  await life.deps.mirror.recoverAttempts(CREATE_GRACE_MS);
  life.isReady = true;
};

const ROUNDS_MAX = 60;
const QUIET_STEPS: Omit<Rounds, 'rounds'> = { side: 'sync', order: 7, during: [], crashAt: null, refuseAt: null };

/** Edits and faults have stopped: what a daemon does over the next minutes, and one `resync --links`. */
const settle = async (world: World): Promise<void> => {
  world.crm.clearFaults();
  world.life.term.refuseNext = false;
  await untilNothingIsDue(world);
  // A walk that sees nobody believes no word about anybody: where nobody was there to be seen, the next one has its turn.
  const sweeps = nobodyAnswers(world.account) ? 2 : 1;
  for (let sweep = 0; sweep < sweeps; sweep += 1) {
    const request = world.mirror.requestRun('resync', true);
    const run = await world.mirror.takeRequest();
    if (run?.id !== request) throw new Error('somebody else had asked for a run');
    world.scheduler.start(sweepOnce(world.life.deps, 'resync', run));
    await drive(world, 3);
    await untilNothingIsDue(world);
  }
};

const untilNothingIsDue = async (world: World): Promise<void> => {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    await runRounds(world, { ...QUIET_STEPS, rounds: ['sync'] });
    await runRounds(world, { ...QUIET_STEPS, rounds: ['links'] });
    const due = await world.mirror.nextDueMs({ creates: true });
    if (due === null && world.life.memory.orphans.size === 0 && (await world.mirror.countMarks(['deferred', 'links', 'activities'])) === 0)
      return;
    world.clock.nowMs += Math.max(due ?? 0, 100);
  }
};

/** Both sides quiet: a further round of everything writes nothing anywhere. */
const unrest = async (world: World): Promise<readonly string[]> => {
  const { account, mirror, schedule } = world;
  world.clock.nowMs += 60_000;
  const before = { version: mirror.version(), tables: picture(world), calls: account.calls.calls.length };
  await runRounds(world, { ...QUIET_STEPS, rounds: ['pull'] });
  await runRounds(world, { ...QUIET_STEPS, rounds: ['push'] });
  const lines: string[] = [];
  // A pull of several pages saves how far it came.
  if (schedule.perPage === 100 && mirror.version() !== before.version) lines.push('a quiet pull and push wrote to the database');
  await runRounds(world, { ...QUIET_STEPS, rounds: ['sweep'] });
  await runRounds(world, { ...QUIET_STEPS, rounds: ['links'] });
  if (picture(world) !== before.tables) lines.push('a quiet round changed contacts, states or the log');
  const writes = account.calls.calls.slice(before.calls).filter(({ method }) => method !== 'GET');
  return [...lines, ...writes.map(({ call, id }) => `a quiet round sent ${call} ${id ?? ''}`)];
};

const picture = ({ mirror }: World): string => {
  const { contacts, links, states, log, conflicts, marks } = mirror.tables;
  return JSON.stringify([contacts, links, states, log, conflicts, marks].map(({ committed }) => [...committed.entries()]));
};

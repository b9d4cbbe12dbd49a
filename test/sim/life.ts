/** Lives through a schedule, lets everything settle, and judges. */
import { backfillLinks, pullOnce, sweepOnce, syncOnce } from '../../src/sync/rounds.ts';
import { pushDue } from '../../src/sync/push.ts';
import type { Books, SimDatabase } from './database.ts';
import { createFakeDatabase } from './database-fake.ts';
import { createDice } from './dice.ts';
import { actLocally, actRemotely, enterTwice } from './people.ts';
import { operate } from './operator.ts';
import { hasNoControl, nobodyAnswers } from './given.ts';
import { brokenPromises } from './promises.ts';
import type { Action, Event, RoundKind, Rounds, Schedule } from './schedule.ts';
import { Crash } from './scheduler.ts';
import { crashAndRestart, createWorld, freezeAndTakeOver, StatementFailed, type Life, type World } from './world.ts';
import { LostLeadership, MirrorBusy } from '../../src/ports/mirror-errors.ts';

/** As the daemon has it: CRM_TIMEOUT_MS + CREATE_RECHECK_MS. */
const CREATE_GRACE_MS = 1000;

export interface Verdict {
  /** One line for each broken promise. */
  readonly broken: readonly string[];
  readonly world: World;
  /** Null where it did not come to its end. */
  readonly books: Books | null;
}

/** On a fake database of its own, unless another one is given. */
export const live = async (schedule: Schedule, database: SimDatabase = createFakeDatabase()): Promise<Verdict> => {
  const world = createWorld(schedule, database);
  try {
    for (const [field, policy] of Object.entries(schedule.fieldPolicies ?? {})) await database.setPolicy(field, policy);
    for (const event of schedule.events) await happen(world, event);
    await settle(world);
    if (world.unexpected.length > 0) throw world.unexpected[0];
    const books = await database.books();
    const broken = brokenPromises({ ...world, books });
    return {
      world,
      books,
      broken: broken.length > 0 || hasNoControl(world.account, world.database.rows().rows) ? broken : await unrest(world),
    };
  } catch (error) {
    return { world, books: null, broken: [`threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`] };
  }
};

const BETWEEN_EVENTS_MS = 300;

const happen = async (world: World, event: Event): Promise<void> => {
  await world.database.pass(event.side === 'time' ? event.ms + BETWEEN_EVENTS_MS : BETWEEN_EVENTS_MS);
  if (event.side === 'time') return;
  if (event.side === 'sync') await runRounds(world, event);
  else if (event.side === 'twin') {
    run(world, enterTwice(world, event));
    await drive(world, 1);
  } else {
    act(world, event);
    await drive(world, 1);
    if (event.side === 'operator' && event.act === 'pause') world.pausedAt = world.account.calls.calls.length;
  }
};

/** What it throws is told in the end. */
const run = (world: World, work: Promise<unknown>): void =>
  world.scheduler.start(work.catch((error: unknown) => void world.unexpected.push(error)));

/** Begins what a person does; a transaction goes on step by step with everything else. */
const act = (world: World, action: Action): void => {
  if (action.side === 'operator') run(world, operate(world, action));
  else if (action.side === 'fault') world.crm.fault({ call: action.call, kind: action.kind, times: action.times });
  else if (action.side === 'local') run(world, actLocally(world, action));
  else {
    try {
      actRemotely(world, action);
    } catch (error) {
      // The CRM refuses its own people too: an e-mail that is taken, say.
      if (!(error instanceof Error) || !error.message.startsWith('the sandbox CRM')) throw error;
    }
  }
};

const drive = async (world: World, order: number, during: (step: number) => Promise<void> | undefined = () => undefined): Promise<void> => {
  const dice = createDice(order);
  await world.scheduler.drive(dice, (step) => {
    world.database.tick(dice.below(8));
    return during(step);
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
const endsRound = (error: unknown, { term }: Life): boolean =>
  error instanceof Crash ||
  error instanceof StatementFailed ||
  error instanceof MirrorBusy ||
  (error instanceof LostLeadership && (term.dead || term.deposed !== 'no'));

const runRounds = async (world: World, { rounds, order, during, crashAt, refuseAt, freeze = null }: Rounds): Promise<void> => {
  const beginAll = (life: Life): void => {
    const ready = becomeReady(life);
    for (const round of rounds) {
      const ends = (error: unknown): void => void (endsRound(error, life) || world.unexpected.push(error));
      world.scheduler.start(ready.then(() => ROUND[round](life)).catch(ends));
    }
  };
  beginAll(world.life);
  await drive(world, order, (step) => {
    for (const { at, action } of during) if (at === step) act(world, action);
    if (step === refuseAt) world.life.term.refuseNext = true;
    if (step === crashAt) return crashAndRestart(world);
    if (step !== freeze?.at) return undefined;
    const takenOver = freezeAndTakeOver(world, freeze);
    beginAll(world.life);
    return takenOver;
  });
  if (world.unexpected.length > 0) throw world.unexpected[0];
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
  await operate(world, { side: 'operator', act: 'resume' });
  await untilNothingIsDue(world);
  // A walk that sees nobody believes no word about anybody: where nobody was there to be seen, the next one has its turn.
  let isQuiet = false;
  const sweeps = nobodyAnswers(world.account) ? 2 : 1;
  for (let sweep = 0; sweep < sweeps; sweep += 1) {
    const request = await world.database.requestRun('resync', true);
    const run = await world.database.mirror(world.life.term.epoch).takeRequest();
    if (run?.id !== request) throw new Error('somebody else had asked for a run');
    world.scheduler.start(sweepOnce(world.life.deps, 'resync', run));
    await drive(world, 3);
    isQuiet = await untilNothingIsDue(world);
  }
  // What the CRM cannot tell is asked again and again; after a sweep there is nothing of the kind left, unless it shows nobody.
  if (!isQuiet && !hasNoControl(world.account, world.database.rows().rows))
    world.witness.trespasses.push(`something is still to be done after ${ROUNDS_MAX} rounds`);
};

/** Answers whether it came to that. */
const untilNothingIsDue = async (world: World): Promise<boolean> => {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    await runRounds(world, { ...QUIET_STEPS, rounds: ['sync'] });
    await runRounds(world, { ...QUIET_STEPS, rounds: ['links'] });
    const mirror = world.database.mirror(world.life.term.epoch);
    const due = await mirror.nextDueMs({ creates: true, ordered: world.schedule.writeMode === 'ordered' });
    if (due === null && world.life.memory.orphans.size === 0 && (await mirror.countMarks(['deferred', 'links', 'activities'])) === 0)
      return true;
    await world.database.pass(Math.max(due ?? 0, 100));
  }
  return false;
};

/** Both sides quiet: a further round of everything writes nothing anywhere. */
const unrest = async (world: World): Promise<readonly string[]> => {
  const { account, database, schedule } = world;
  await database.pass(60_000);
  const [anything, contents] = [await database.fingerprint('anything'), await database.fingerprint('contents')];
  const before = account.calls.calls.length;
  await runRounds(world, { ...QUIET_STEPS, rounds: ['pull'] });
  await runRounds(world, { ...QUIET_STEPS, rounds: ['push'] });
  const lines: string[] = [];
  // A pull of several pages saves how far it came.
  if (schedule.perPage === 100 && (await database.fingerprint('anything')) !== anything)
    lines.push('a quiet pull and push wrote to the database');
  await runRounds(world, { ...QUIET_STEPS, rounds: ['sweep'] });
  await runRounds(world, { ...QUIET_STEPS, rounds: ['links'] });
  if ((await database.fingerprint('contents')) !== contents) lines.push('a quiet round changed contacts, states or the log');
  const writes = account.calls.calls.slice(before).filter(({ method }) => method !== 'GET');
  return [...lines, ...writes.map(({ call, id }) => `a quiet round sent ${call} ${id ?? ''}`)];
};

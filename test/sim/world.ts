/** One simulated installation: two sides, two clocks, and a process that can die. */
import type { CustomFieldDefs } from '../../src/domain/contact.ts';
import type { Clock, Log } from '../../src/ports/ambient.ts';
import type { Capabilities, Crm } from '../../src/ports/crm.ts';
import { DOCUMENTED_ONLY } from '../../src/ports/crm.ts';
import type { Mirror, MirrorTx } from '../../src/ports/mirror.ts';
import { createSandboxAccount, type SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { CustomField } from '../../src/sandbox/crm/records.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { createPushMemory, type PushMemory } from '../../src/sync/push.ts';
import { createCapabilityStore } from '../../src/sync/rounds.ts';
import { createFakeCrm, type FakeCrm } from '../fakes/fake-crm.ts';
import { createFakeMirror, type FakeMirror } from '../fakes/fake-mirror.ts';
import { createDice, type Dice } from './dice.ts';
import { History } from './history.ts';
import type { Schedule } from './schedule.ts';
import { Scheduler, type Term } from './scheduler.ts';
import { Witness } from './witness.ts';

const CUSTOM_FIELDS: readonly CustomField[] = [
  { name: 'cf_note', label: 'Note', type: 'Text' },
  { name: 'cf_day', label: 'Day', type: 'Date' },
];
export const DEFS: CustomFieldDefs = new Map([
  ['cf_note', { name: 'cf_note', type: 'text', label: 'Note', options: [], origin: 'crm' }],
  ['cf_day', { name: 'cf_day', type: 'date', label: 'Day', options: [], origin: 'crm' }],
]);

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The database refused a statement: a lost connection, a full disk. */
export class StatementFailed extends Error {
  constructor() {
    super('the database refused this statement');
    this.name = 'StatementFailed';
  }
}

export interface World {
  readonly schedule: Schedule;
  readonly account: SandboxAccount;
  readonly crm: FakeCrm;
  readonly mirror: FakeMirror;
  readonly history: History;
  readonly witness: Witness;
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly clock: { nowMs: number };
  life: Life;
}

/** What a process has in memory. */
export interface Life {
  readonly term: Term;
  readonly deps: SyncDeps;
  readonly memory: PushMemory;
  /** The attempts of the life before are known to be unknown. */
  isReady: boolean;
}

const START_MS = Date.UTC(2026, 0, 1);

export const createWorld = (schedule: Schedule): World => {
  const clock = { nowMs: START_MS };
  const account = createSandboxAccount({ clock: { now: () => new Date(clock.nowMs + schedule.skewMs) }, customFields: CUSTOM_FIELDS });
  for (const kind of ['companies', 'deals', 'activities'] as const) for (const name of ['A', 'B', 'C']) account.addRecord(kind, name);
  const epoch = { number: 1 };
  const mirror = createFakeMirror({ lease: { epoch: () => epoch.number }, now: () => new Date(clock.nowMs) });
  const scheduler = new Scheduler();
  const history = new History(mirror, account, DEFS);
  const witness = new Witness(history);
  const terms: { now: Term | null } = { now: null };
  const crm = createFakeCrm({ account, mode: schedule.mode, pause: ({ phase }) => pause(scheduler, terms.now, phase, witness) });
  const beginLife = (): Life => {
    const term: Term = { dead: false, refuseNext: false };
    terms.now = term;
    return { term, ...createLife(schedule, clock, crm, stepwise(mirror, scheduler, term, witness), witness) };
  };
  const world: World = {
    schedule,
    account,
    crm,
    mirror,
    history,
    witness,
    scheduler,
    dice: createDice(schedule.seed ^ 0x5eed),
    clock,
    life: beginLife(),
  };
  revivals.set(world, () => {
    epoch.number += 1;
    mirror.setLeaderEpoch(epoch.number);
    world.life = beginLife();
  });
  return world;
};

const revivals = new WeakMap<World, () => void>();

/** The process dies where it stands and another one takes over under a new epoch; only the database and the CRM remember. */
export const crashAndRestart = (world: World): void => {
  world.scheduler.crash(world.life.term);
  revivals.get(world)?.();
};

const pause = async (scheduler: Scheduler, term: Term | null, phase: 'sent' | 'processed', witness: Witness): Promise<void> => {
  // What the account has just done for a call is the sync's doing, whatever happens next.
  if (phase === 'processed') witness.callProcessed();
  await scheduler.step(term);
};

const createLife = (
  schedule: Schedule,
  clock: { readonly nowMs: number },
  fake: FakeCrm,
  mirror: Mirror,
  witness: Witness,
): Omit<Life, 'term'> => {
  const store = createCapabilityStore(mirror);
  const found: Capabilities =
    schedule.mode === 'documented'
      ? { ...DOCUMENTED_ONLY, perPage: schedule.perPage }
      : {
          ...DOCUMENTED_ONLY,
          perPage: schedule.perPage,
          filters: true,
          withLinks: true,
          trash: true,
          activities: true,
          customFields: true,
        };
  store.set(found);
  const simClock: Clock = { now: () => new Date(clock.nowMs), monotonicMs: () => clock.nowMs, sleep: async () => {} };
  const [stopping, giveUp] = [new AbortController(), new AbortController()];
  const deps: SyncDeps = {
    crm: watched(fake, clock, witness),
    mirror,
    clock: simClock,
    random: () => 0.5,
    log: silent,
    settings: {
      conflictPolicy: schedule.policy,
      backoff: { minMs: 1000, maxMs: 8000 },
      // The brake has its own tests; here it would only hide what goes wrong behind it.
      brake: { rows: 1000, share: 1, max: 1000 },
      changeLogDays: 90,
      createRecheckMs: 500,
      overlapMs: 120_000,
      freshMs: schedule.freshMs,
      pushConcurrency: 3,
    },
    capabilities: store,
    maySend: () => true,
    signal: stopping.signal,
    giveUp: giveUp.signal,
  };
  return { deps, memory: watchedMemory(witness), isReady: false };
};

/** Tells the witness when a pull of changes begins, … */
const watched = (crm: FakeCrm, clock: { readonly nowMs: number }, witness: Witness): Crm => ({
  ...crm,
  list: async (params, options) => {
    if (options.lane === 'changes' && params.page === 1) witness.pullBegins(clock.nowMs);
    return await crm.list(params, options);
  },
});

/** … and when one went through: that is when the push takes note of it. */
const watchedMemory = (witness: Witness): PushMemory => {
  let pulledAtMs: number | null = null;
  return {
    ...createPushMemory(),
    get pulledAtMs() {
      return pulledAtMs;
    },
    set pulledAtMs(beganMs: number | null) {
      pulledAtMs = beganMs;
      if (beganMs !== null) witness.pullEnded(beganMs);
    },
  };
};

/** The mirror with a step before every statement, before a commit and after it. */
const stepwise = (mirror: FakeMirror, scheduler: Scheduler, term: Term, witness: Witness): Mirror => {
  const step = async (): Promise<void> => {
    await scheduler.step(term);
    if (!term.refuseNext) return;
    term.refuseNext = false;
    throw new StatementFailed();
  };
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (object, name) => {
        const method = object[name as keyof T];
        if (typeof method !== 'function') return method;
        return async (...parameters: unknown[]): Promise<unknown> => {
          await step();
          witness.statement(String(name), parameters);
          return (await Reflect.apply(method, object, parameters)) as unknown;
        };
      },
    });
  const statements = wrap<Mirror>(mirror);
  const transaction: Mirror['transaction'] = async (steps) => {
    await step();
    const result = await mirror.transaction(async (tx) => {
      const ended = await steps(wrap<MirrorTx>(tx));
      await step();
      return ended;
    });
    await step();
    return result;
  };
  return new Proxy(statements, { get: (object, name) => (name === 'transaction' ? transaction : object[name as keyof Mirror]) });
};

/** One simulated installation: two sides, two clocks, and a process that can die or freeze while another one takes over. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { CustomFieldDefs, RemoteContact } from '../../src/domain/contact.ts';
import type { Clock, Log } from '../../src/ports/ambient.ts';
import { NO_TELEMETRY } from '../../src/ports/telemetry.ts';
import type { Capabilities, Crm } from '../../src/ports/crm.ts';
import { DOCUMENTED_ONLY } from '../../src/ports/crm.ts';
import type { Mirror, MirrorTx } from '../../src/ports/mirror.ts';
import { createSandboxAccount, type SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { CustomField } from '../../src/sandbox/crm/records.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import { createPushMemory, type PushMemory } from '../../src/sync/push.ts';
import { createCapabilityStore } from '../../src/sync/rounds.ts';
import { createFakeCrm, type FakeCrm } from '../fakes/fake-crm.ts';
import type { SimDatabase } from './database.ts';
import { History } from './history.ts';
import type { Freeze, Schedule } from './schedule.ts';
import { Scheduler, type Term } from './scheduler.ts';
import { Witness } from './witness.ts';

const CUSTOM_FIELDS: readonly CustomField[] = [
  { name: 'cf_note', label: 'Note', type: 'Text' },
  { name: 'cf_day', label: 'Day', type: 'Date' },
];
export const DEFS: CustomFieldDefs = new Map([
  ['cf_note', { name: 'cf_note', type: 'text', label: 'Note', options: [], origin: 'crm', crmType: null, listed: true, gone: false }],
  ['cf_day', { name: 'cf_day', type: 'date', label: 'Day', options: [], origin: 'crm', crmType: null, listed: true, gone: false }],
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
  readonly database: SimDatabase;
  readonly history: History;
  readonly witness: Witness;
  readonly scheduler: Scheduler;
  /** Whose call the CRM is working on. */
  readonly calling: AsyncLocalStorage<Term>;
  life: Life;
  /** How many calls there were when the push was paused with nothing under way; null: it is not. */
  pausedAt: number | null;
  /** What nobody expected to be thrown. */
  readonly unexpected: unknown[];
}

/** What a process has in memory. */
export interface Life {
  readonly term: Term;
  readonly deps: SyncDeps;
  readonly memory: PushMemory;
  /** The attempts of the life before are known to be unknown. */
  isReady: boolean;
}

export const createWorld = (schedule: Schedule, database: SimDatabase): World => {
  const clock = { now: () => new Date(database.now() + schedule.skewMs) };
  const account = createSandboxAccount({ clock, customFields: CUSTOM_FIELDS });
  for (const kind of ['companies', 'deals', 'activities'] as const) for (const name of ['A', 'B', 'C']) account.addRecord(kind, name);
  const scheduler = new Scheduler(database.pace);
  const history = new History(database, account, DEFS);
  database.setObserver(history);
  const witness = new Witness(history);
  const calling = new AsyncLocalStorage<Term>();
  const crm = createFakeCrm({
    account,
    mode: schedule.mode,
    pause: ({ phase }) => pause(scheduler, calling.getStore() ?? null, phase, witness),
  });
  const world = { schedule, account, crm, database, history, witness, scheduler, calling, pausedAt: null, unexpected: [] };
  return { ...world, life: beginLife(world, 1) };
};

const beginLife = (world: Omit<World, 'life'>, epoch: number): Life => {
  const term: Term = { epoch, dead: false, refuseNext: false, frozenUntil: 0, deposed: 'no' };
  return { term, ...createLife(world, term) };
};

/** The process dies where it stands and another one takes over under a new epoch; only the database and the CRM remember. */
export const crashAndRestart = (world: World): Promise<void> | undefined => {
  const { term } = world.life;
  world.scheduler.crash(term);
  world.life = beginLife(world, term.epoch + 1);
  return world.database.lead(term.epoch + 1) ?? undefined;
};

/** It stands still, another one takes over, and after so many steps it wakes up and goes on where it was. */
export const freezeAndTakeOver = (world: World, { forSteps, endsSessions }: Freeze): Promise<void> | undefined => {
  const { term } = world.life;
  term.deposed = endsSessions ? 'sessions ended' : 'yes';
  world.scheduler.freeze(term, forSteps);
  world.life = beginLife(world, term.epoch + 1);
  return world.database.lead(term.epoch + 1) ?? undefined;
};

const pause = async (scheduler: Scheduler, term: Term | null, phase: 'sent' | 'processed', witness: Witness): Promise<void> => {
  // What the account has just done for a call is the sync's doing, whatever happens next.
  if (phase === 'processed') {
    witness.callProcessed();
    if (term !== null && term.deposed !== 'no') witness.trespasses.push('a leader that was deposed sent a call');
  }
  await scheduler.step(term);
};

const createLife = (
  { schedule, database, crm: fake, scheduler, witness, calling }: Omit<World, 'life'>,
  term: Term,
): Omit<Life, 'term'> => {
  const mirror = stepwise(database.mirror(term.epoch), scheduler, term, witness);
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
  const simClock: Clock = { now: () => new Date(database.now()), monotonicMs: () => database.now(), sleep: async () => {} };
  const [stopping, giveUp] = [new AbortController(), new AbortController()];
  const deps: SyncDeps = {
    crm: watched(fake, { database, witness, calling, searchLagMs: schedule.searchLagMs ?? 0 }, term),
    mirror,
    clock: simClock,
    random: () => 0.5,
    log: silent,
    telemetry: NO_TELEMETRY,
    settings: {
      conflictPolicy: schedule.policy,
      writeMode: schedule.writeMode ?? 'merged',
      backoff: { minMs: 1000, maxMs: 8000 },
      // Mostly out of the way: it would hide what goes wrong behind it.
      brake: { rows: schedule.brakeRows ?? 1000, share: schedule.brakeRows === undefined ? 1 : 0, max: 1000 },
      changeLogDays: 90,
      externalIdField: null,
      createRecheckMs: 500,
      createGraceMs: 1000,
      overlapMs: 120_000,
      freshMs: schedule.freshMs,
      pushConcurrency: 3,
    },
    capabilities: store,
    maySend: () => term.deposed === 'no',
    signal: stopping.signal,
    giveUp: giveUp.signal,
  };
  return { deps, memory: watchedMemory(witness), isReady: false };
};

interface Watching extends Pick<World, 'database' | 'witness' | 'calling'> {
  readonly searchLagMs: number;
}

/** Says whose call it is, keeps what is young from the search, and tells the witness when a pull of changes begins, … */
const watched = (crm: FakeCrm, { database, witness, calling, searchLagMs }: Watching, term: Term): Crm => {
  const isIndexed = ({ createdAt }: RemoteContact, now: Date | null): boolean =>
    createdAt === null || now === null || createdAt.getTime() <= now.getTime() - searchLagMs;
  const own: Pick<Crm, 'list' | 'search'> = {
    list: async (params, options) => {
      if (options.lane === 'changes' && params.page === 1) witness.pullBegins(database.now());
      return await crm.list(params, options);
    },
    search: async (params, options) => {
      const answer = await crm.search(params, options);
      if (!answer.ok || searchLagMs === 0) return answer;
      return { ...answer, value: { ...answer.value, records: answer.value.records.filter((one) => isIndexed(one, answer.meta.date)) } };
    },
  };
  return new Proxy<Crm>(crm, {
    get: (_, name) => {
      const method = { ...crm, ...own }[name as keyof Crm] as (...parameters: unknown[]) => unknown;
      return (...parameters: unknown[]) => calling.run(term, () => method(...parameters));
    },
  });
};

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
const stepwise = (mirror: Mirror, scheduler: Scheduler, term: Term, witness: Witness): Mirror => {
  const step = async (isInside = false): Promise<void> => {
    await scheduler.step(term);
    const isEnded = isInside && term.deposed === 'sessions ended';
    if (!term.refuseNext && !isEnded) return;
    term.refuseNext = false;
    throw new StatementFailed();
  };
  const wrap = <T extends object>(target: T, isInside: boolean): T =>
    new Proxy(target, {
      get: (object, name) => {
        const method = object[name as keyof T];
        if (typeof method !== 'function') return method;
        return async (...parameters: unknown[]): Promise<unknown> => {
          await step(isInside);
          witness.statement(String(name), parameters);
          return (await Reflect.apply(method, object, parameters)) as unknown;
        };
      },
    });
  const statements = wrap<Mirror>(mirror, false);
  const transaction: Mirror['transaction'] = async (steps) => {
    await step();
    const isTooLate = term.deposed !== 'no';
    const result = await mirror.transaction(async (tx) => {
      const ended = await steps(wrap<MirrorTx>(tx, true));
      await step(true);
      return ended;
    });
    if (isTooLate) witness.trespasses.push('a leader that was deposed wrote to the database');
    await step();
    return result;
  };
  return new Proxy(statements, { get: (object, name) => (name === 'transaction' ? transaction : object[name as keyof Mirror]) });
};

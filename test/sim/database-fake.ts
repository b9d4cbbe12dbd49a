/** The simulated database in memory, on a fake clock: a life takes milliseconds, and the same seed lives the same life again. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { NO_LINKS, type LinkSets } from '../../src/domain/contact.ts';
import type { Mirror } from '../../src/ports/mirror.ts';
import { createFakeMirror } from '../fakes/fake-mirror.ts';
import type { Tables } from '../fakes/fake-rows.ts';
import type { UserSession } from '../fakes/fake-user.ts';
import { resolve, uncapturedSession } from './operator-fake.ts';
import type { Books, Observer, Row, SimDatabase } from './database.ts';

const START_MS = Date.UTC(2026, 0, 1);

export const createFakeDatabase = (): SimDatabase => {
  let nowMs = START_MS;
  let observer: Observer = { observe: () => undefined };
  // One mirror, asked under the epoch of whoever is asking: a leader that was frozen wakes up under its old one.
  const asking = new AsyncLocalStorage<number>();
  const mirror = createFakeMirror({ lease: { epoch: () => asking.getStore() ?? 1 }, now: () => new Date(nowMs) });
  const { tables } = mirror;
  let seen: ReturnType<SimDatabase['rows']> = { version: -1, rows: [] };
  return {
    mirror: (epoch) =>
      new Proxy<Mirror>(mirror, {
        get: (object, name) => {
          const method: unknown = object[name as keyof Mirror];
          return typeof method !== 'function'
            ? method
            : (...parameters: unknown[]): unknown => asking.run(epoch, () => Reflect.apply(method, object, parameters) as unknown);
        },
      }),
    lead: (epoch) => mirror.setLeaderEpoch(epoch),
    begin: (isCaptured = true) => (isCaptured ? booked(mirror.begin(), () => observer) : uncapturedSession(mirror, observer)),
    rows: () => {
      if (seen.version !== mirror.version()) seen = { version: mirror.version(), rows: readRows(tables) };
      return seen;
    },
    books: async () => readBooks(tables),
    fingerprint: async (what) => (what === 'anything' ? String(mirror.version()) : contents(tables)),
    setPolicy: async (field, policy) => mirror.setPolicy(field, policy),
    setPaused: async (paused) => mirror.setPaused(paused),
    resolve: (who, choice) => resolve(mirror, who, choice, observer),
    decide: async (who, how) => {
      const open = [...tables.holds.committed.values()].filter(({ state }) => state === 'open');
      const chosen = open[who % Math.max(1, open.length)];
      if (chosen !== undefined && how === 'approve') mirror.approve(chosen.id);
    },
    requestRun: async (kind, withLinks) => mirror.requestRun(kind, withLinks),
    now: () => nowMs,
    pass: (ms) => void (nowMs += ms),
    tick: (ms) => void (nowMs += ms),
    pace: { settle: () => turn(), idle: () => null },
    setObserver: (next) => void (observer = next),
    close: async () => undefined,
  };
};

/** Nothing happens between these: what is new after the commit is this person's. */
const booked = (user: UserSession, observer: () => Observer): UserSession => ({
  ...user,
  commit: () => {
    observer().observe('sync');
    const committed = user.commit();
    observer().observe('person');
    return committed;
  },
});

const readRows = ({ contacts, links }: Tables): readonly Row[] => {
  const linked = new Map<number, { [K in keyof LinkSets]: number[] }>();
  for (const { kind, contactId, id } of links.committed.values()) {
    const sets = linked.get(contactId) ?? { companies: [], deals: [], activities: [] };
    sets[kind].push(id);
    linked.set(contactId, sets);
  }
  return [...contacts.committed.values()].map(({ id, crmId, fields }) => ({ id, crmId, fields, links: linked.get(id) ?? NO_LINKS }));
};

const readBooks = (tables: Tables): Books => ({
  rows: readRows(tables),
  log: [...tables.log.committed.values()].map(({ settledAt, ...row }) => ({ ...row, isSettled: settledAt !== null })),
  states: [...tables.states.committed.values()].map(({ contactId, crmId, attempt, goneAt, hiddenAt, holdId }) => ({
    contactId,
    crmId,
    attempt: attempt?.state ?? null,
    isGone: goneAt !== null,
    isHidden: hiddenAt !== null,
    holdId,
  })),
  conflicts: [...tables.conflicts.committed.values()],
  marks: [...tables.marks.committed.values()].map(({ crmId, reason }) => ({ crmId, reason })),
  holds: [...tables.holds.committed.values()],
});

const contents = ({ contacts, links, states, log, conflicts, marks }: Tables): string =>
  JSON.stringify([contacts, links, states, log, conflicts, marks].map(({ committed }) => [...committed.entries()]));

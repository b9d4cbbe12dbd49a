/**
 * Readers who ask without a pause, as dashboards do, and what they met: errors, answers that cannot be, and how long they waited for a lock.
 *
 * A wait is told by the server, not by a clock beside a busy machine: how long a reader's process has been waiting for a lock.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { connect } from '../postgres/editing.ts';

export type Row = { readonly [column: string]: unknown };

export interface Asked {
  readonly name: string;
  readonly sql: string;
  /** What is wrong with the answer; null: nothing. */
  check(rows: readonly Row[]): string | null;
}

/** What a reader met. */
export interface Met {
  /** Each of them is one too many. */
  readonly wrong: readonly string[];
  readonly answers: number;
  /** By question; 0 is a question that nobody got to. */
  readonly answersOf: ReadonlyMap<string, number>;
  readonly slowestMsOf: ReadonlyMap<string, number>;
  readonly longestWaitMs: number;
}

export interface Readers {
  /** Resolves when every reader has asked every question once more. */
  round(): Promise<void>;
  /** What was met since the readers began, or since the last look. */
  met(): Met;
  stop(): Promise<Met>;
}

export interface ReaderOptions {
  /** As whom they read. */
  readonly url: string;
  /** Of a superuser, who sees who waits. */
  readonly watchUrl: string;
  readonly questions: readonly Asked[];
  readonly connections: number;
}

const LOOK_EVERY_MS = 50;
/** Ten of the same are no more than one. */
const WRONG_MAX = 20;
const WAITS = `
  select extract(epoch from clock_timestamp() - waitstart)::float * 1000 as ms, relation::regclass::text as relation, mode
  from pg_locks where not granted and waitstart is not null and pid = any($1)`;

const openReader = async (url: string): Promise<{ readonly client: pg.Client; readonly pid: number }> => {
  const client = await connect(url);
  await client.query('set statement_timeout = 0; set lock_timeout = 0');
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return { client, pid: rows[0]?.pid ?? 0 };
};

const empty = (questions: readonly Asked[]) => ({
  wrong: [] as string[],
  answers: 0,
  answersOf: new Map(questions.map(({ name }) => [name, 0])),
  slowestMsOf: new Map(questions.map(({ name }) => [name, 0])),
  longestWaitMs: 0,
});

export const startReaders = async ({ url, watchUrl, questions, connections }: ReaderOptions): Promise<Readers> => {
  const readers = await Promise.all(Array.from({ length: connections }, () => openReader(url)));
  const watcher = await openReader(watchUrl);
  let met = empty(questions);
  const stopping = new AbortController();
  const rounds = readers.map(() => 0);
  let roundEnded = Promise.withResolvers<void>();
  const complain = (what: string): void => {
    if (met.wrong.length < WRONG_MAX && !met.wrong.includes(what)) met.wrong.push(what);
  };
  const ask = async (client: pg.Client, { name, sql, check }: Asked): Promise<void> => {
    const startedMs = performance.now();
    try {
      const { rows } = await client.query<Row>(sql);
      const wrong = check(rows);
      if (wrong !== null) complain(`${name}: ${wrong}`);
    } catch (error) {
      complain(`${name}: ${String(error)}`);
    }
    met.answers += 1;
    met.answersOf.set(name, (met.answersOf.get(name) ?? 0) + 1);
    met.slowestMsOf.set(name, Math.max(met.slowestMsOf.get(name) ?? 0, performance.now() - startedMs));
  };
  const read = async (at: number): Promise<void> => {
    const client = readers[at]?.client;
    if (client === undefined) return;
    while (!stopping.signal.aborted) {
      // Each begins elsewhere, so that they do not all ask the same.
      for (let n = 0; n < questions.length && !stopping.signal.aborted; n += 1) {
        const question = questions[(n + at * Math.ceil(questions.length / connections)) % questions.length];
        if (question !== undefined) await ask(client, question);
      }
      rounds[at] = (rounds[at] ?? 0) + 1;
      roundEnded.resolve();
      roundEnded = Promise.withResolvers<void>();
    }
  };
  const watch = async (): Promise<void> => {
    const pids = readers.map(({ pid }) => pid);
    while (!stopping.signal.aborted) {
      const { rows } = await watcher.client.query<{ ms: number }>(WAITS, [pids]);
      for (const { ms } of rows) met.longestWaitMs = Math.max(met.longestWaitMs, ms);
      await pause(LOOK_EVERY_MS);
    }
  };
  const running = [...readers.map((_, at) => read(at)), watch()];
  const take = (): Met => {
    const taken = met;
    met = empty(questions);
    return taken;
  };
  return {
    round: async () => {
      const until = rounds.map((done) => done + 2);
      while (rounds.some((done, at) => done < (until[at] ?? 0))) await roundEnded.promise;
    },
    met: take,
    stop: async () => {
      if (stopping.signal.aborted) return take();
      stopping.abort();
      await Promise.all(running);
      await Promise.all([...readers, watcher].map(({ client }) => client.end()));
      return take();
    },
  };
};

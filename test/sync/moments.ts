/** The worst moment: what somebody does just before or just after one step of the daemon's transaction, or while a call is on its way. */
import type pg from 'pg';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { SandboxRequest } from '../../src/sandbox/crm/faults.ts';
import type { MirrorTx } from '../../src/ports/mirror.ts';
import type { SyncDeps } from '../../src/sync/deps.ts';
import type { Harness } from './harness.ts';

export interface Moment {
  readonly deps: SyncDeps;
  /** Whether it came. */
  readonly happened: () => boolean;
}

/** Once, before or after the first time that this step is taken. */
export const atStep = (deps: SyncDeps, when: 'before' | 'after', step: keyof MirrorTx, work: () => Promise<unknown>): Moment => {
  let happened = false;
  const once = async (): Promise<void> => {
    if (happened) return;
    happened = true;
    await work();
  };
  const watched = (tx: MirrorTx): MirrorTx =>
    new Proxy(tx, {
      get: (object, name) => {
        const method = object[name as keyof MirrorTx] as (...parameters: readonly unknown[]) => Promise<unknown>;
        if (name !== step) return method;
        return async (...parameters: readonly unknown[]): Promise<unknown> => {
          if (when === 'before') await once();
          const result = await method(...parameters);
          if (when === 'after') await once();
          return result;
        };
      },
    });
  const { mirror } = deps;
  const transaction: typeof mirror.transaction = async (steps) => await mirror.transaction(async (tx) => await steps(watched(tx)));
  return { deps: { ...deps, mirror: { ...mirror, transaction } }, happened: () => happened };
};

/**
 * Once, when such a call has arrived at the CRM and is not processed yet. The answer says whether it came, and throws what `work` threw: the
 * sandbox would only make a 500 of it.
 */
export const onceDuring = (
  { sandbox }: Harness,
  call: CallName,
  work: () => unknown,
  matches: (request: SandboxRequest) => boolean = () => true,
): (() => boolean) => {
  let happened = false;
  const failures: unknown[] = [];
  const stop = sandbox.onRequest(async (request) => {
    if (happened || request.call !== call || !matches(request)) return;
    happened = true;
    stop();
    try {
      await work();
    } catch (error) {
      failures.push(error);
    }
  });
  return () => {
    if (failures.length > 0) throw failures[0];
    return happened;
  };
};

export interface Started {
  readonly done: Promise<void>;
  /** It waits for a lock. */
  readonly waits: boolean;
}

const IS_WAITING = `select coalesce(wait_event_type = 'Lock', false) as waiting from pg_stat_activity where pid = $1`;

/**
 * Begins a person's statement and comes back as soon as it either is done or waits for a lock; `done` ends when it is done, and closes its
 * session.
 */
export const startStatement = async ({ pool, sql }: Harness, text: string, values: readonly unknown[]): Promise<Started> => {
  const client: pg.PoolClient = await pool.connect();
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  let over = false;
  const done = client.query(text, [...values]).then(
    () => {
      over = true;
      client.release();
    },
    (error: unknown) => {
      over = true;
      client.release(true);
      throw error;
    },
  );
  for (;;) {
    const [state] = await sql(IS_WAITING, [rows[0]?.pid]);
    if (over || state?.['waiting'] === true) return { done, waits: !over };
  }
};

/** Until some session of this database waits for a lock, or `over` says that there is none to wait for. */
export const untilSomebodyWaits = async ({ sql }: Harness, over: () => boolean): Promise<void> => {
  const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  while (!over() && (await sql(waiting)).length === 0);
};

/**
 * `/api/events`: how it is going, pushed to whoever watches (server-sent events). One poller for all of them, and none while nobody listens.
 *
 * The same for everybody who may look, with the admin token or without, so nothing here tells a contact's values. Each event replaces the one
 * before: a client that reads too slowly misses some, and is let go when it reads nothing for long.
 */
import type { ServerResponse } from 'node:http';
import { errorFields } from '../domain/error-fields.ts';
import type { Clock, Log } from '../ports/ambient.ts';
import type { Operations, Run } from '../ports/operations.ts';
import { maskItem } from './privacy.ts';
import type { Watch } from './watch.ts';

export interface EventsOptions {
  readonly watch: Watch;
  readonly operations: Pick<Operations, 'runsUnderWay'>;
  readonly clock: Clock;
  readonly log: Log;
}
export interface Events {
  /** False: there are as many clients as may be. */
  hasRoom(): boolean;
  /** Takes the connection over, its head written already. */
  add(client: ServerResponse): void;
  /** Ends all connections. */
  stop(): Promise<void>;
}

interface Told {
  readonly event: 'status' | 'run' | 'unavailable';
  readonly about: string;
  readonly data: string;
  /** The end of a run is news only to whoever saw it go on. */
  readonly onlyIfSeen: boolean;
}

const toTold = (event: Told['event'], data: object, run?: Run): Told => ({
  event,
  about: run === undefined ? event : `run ${run.id}`,
  data: JSON.stringify(data),
  onlyIfSeen: run !== undefined && run.state !== 'running',
});

const CLIENTS_MAX = 32;
const LOOK_EVERY_MS = 1_000;
const HEARTBEAT_EVERY_MS = 15_000;
/** So long a client may read nothing. */
const STALLED_MS_MAX = 30_000;

interface Client {
  readonly response: ServerResponse;
  /** What it was last sent, by what it was about. */
  readonly seen: Map<string, string>;
  heardAtMs: number;
}

const createLook = (watch: Watch, operations: EventsOptions['operations']): (() => Promise<readonly Told[]>) => {
  /** Runs that went on when last looked at: their end has to be told, though another one may go on by then. */
  let going: readonly number[] = [];
  return async () => {
    const { overview, isDatabaseUp } = await watch.look();
    if (!isDatabaseUp) return [toTold('unavailable', { code: 'database_unreachable' })];
    const runs = await operations.runsUnderWay(going);
    going = runs.flatMap(({ id, state }) => (state === 'running' ? [id] : []));
    return [
      ...(overview === null ? [] : [toTold('status', overview.status)]),
      ...runs.map((run) => toTold('run', maskItem('runs', run), run)),
    ];
  };
};

export const createEvents = ({ watch, operations, clock, log }: EventsOptions): Events => {
  const clients = new Set<Client>();
  let stopped = false;
  let polling: { readonly over: AbortController; readonly done: Promise<void> } | null = null;

  const send = (client: Client, text: string): void => {
    const now = clock.monotonicMs();
    if (!client.response.writableNeedDrain) client.heardAtMs = now;
    else if (now - client.heardAtMs > STALLED_MS_MAX) client.response.destroy();
    if (!client.response.writableNeedDrain) client.response.write(text);
  };
  const tell = (client: Client, { event, about, data, onlyIfSeen }: Told): void => {
    const seen = client.seen.get(about);
    if (seen === data || (onlyIfSeen && seen === undefined) || client.response.writableNeedDrain) return;
    client.seen.set(about, data);
    send(client, `event: ${event}\ndata: ${data}\n\n`);
  };

  const look = createLook(watch, operations);
  const poll = async (signal: AbortSignal): Promise<void> => {
    let beatAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      try {
        for (const told of await look()) for (const client of clients) tell(client, told);
      } catch (error) {
        log.debug(errorFields(error), 'a look for the events failed');
      }
      if (clock.monotonicMs() - beatAtMs >= HEARTBEAT_EVERY_MS) {
        beatAtMs = clock.monotonicMs();
        for (const client of clients) send(client, ': still here\n\n');
      }
      await clock.sleep(LOOK_EVERY_MS, signal);
    }
  };
  const rest = async (): Promise<void> => {
    const ending = polling;
    polling = null;
    ending?.over.abort();
    await ending?.done;
  };
  const wake = (): void => {
    if (polling !== null) return;
    const over = new AbortController();
    polling = { over, done: poll(over.signal) };
  };

  return {
    hasRoom: () => !stopped && clients.size < CLIENTS_MAX,
    add: (response) => {
      const client: Client = { response, seen: new Map(), heardAtMs: clock.monotonicMs() };
      clients.add(client);
      response.on('error', () => undefined);
      response.once('close', () => {
        clients.delete(client);
        if (clients.size === 0) void rest();
      });
      // At once: a browser takes the connection for open only then.
      response.write('retry: 2000\n\n');
      wake();
    },
    stop: async () => {
      stopped = true;
      for (const { response } of clients) response.end();
      await rest();
    },
  };
};

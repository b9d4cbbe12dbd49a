/**
 * LISTEN on a connection of its own, which is watched and made again when it breaks or falls silent.
 *
 * A notification is a hint, the poll is the truth: whatever was sent while the connection was away is lost, so each time it is made the
 * handlers are called for every channel.
 */
import pg from 'pg';
import type { Clock, Log } from '../ports/ambient.ts';
import { createService, type Service } from '../ports/service.ts';
import { errorCode } from './connection.ts';
import { openSession, type Session } from './session.ts';

/** Called with the channel; must not throw. */
export type NotifyHandler = (channel: string) => void;

export interface ListenerOptions {
  /** A direct connection: a transaction pooler delivers no notifications. */
  readonly connectionString: string;
  readonly channels: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  readonly onNotify?: NotifyHandler;
  readonly applicationName?: string;
  /** How often the connection is tried, and how long an answer may take: a silent one is noticed within the sum. */
  readonly heartbeatMs?: number;
  readonly answerTimeoutMs?: number;
}

export interface Listener extends Service {
  /** Adds a handler; the answer removes it. */
  onNotify(handler: NotifyHandler): () => void;
}

const HEARTBEAT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 5_000;
const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 5_000;

export const createListener = (options: ListenerOptions): Listener => {
  const { clock, log, channels } = options;
  const handlers = new Set<NotifyHandler>(options.onNotify === undefined ? [] : [options.onNotify]);
  const notify = (channel: string): void => handlers.forEach((handler) => handler(channel));
  const heartbeatMs = options.heartbeatMs ?? HEARTBEAT_MS;
  const answerTimeoutMs = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
  const connection = {
    connectionString: options.connectionString,
    applicationName: options.applicationName ?? 'relate-mirror listen',
    statementTimeoutMs: answerTimeoutMs,
    lockTimeoutMs: 0,
    answerTimeoutMs,
  };

  const listen = async (session: Session, signal: AbortSignal): Promise<void> => {
    session.client.on('notification', ({ channel }) => notify(channel));
    for (const channel of channels) await session.query(`listen ${pg.escapeIdentifier(channel)}`);
    channels.forEach(notify);
    const gone = new AbortController();
    void session.ended.then(() => gone.abort());
    for (;;) {
      await clock.sleep(heartbeatMs, AbortSignal.any([signal, gone.signal]));
      if (signal.aborted) return;
      // On a connection that has ended this rejects at once.
      await session.query('select 1');
    }
  };

  const run = async (signal: AbortSignal): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      let session: Session | null = null;
      try {
        session = await openSession(connection, signal);
        if (failures > 0) log.info({ failures }, 'notifications are heard again');
        failures = 0;
        await listen(session, signal);
      } catch (error) {
        failures += 1;
        if (!signal.aborted && failures === 1) log.warn({ code: errorCode(error) }, 'notifications are not heard; reconnecting');
      } finally {
        await session?.close();
      }
      if (!signal.aborted) await clock.sleep(Math.min(RECONNECT_MS_MIN * 2 ** failures, RECONNECT_MS_MAX), signal);
    }
  };

  return {
    ...createService(run),
    onNotify: (handler) => {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
  };
};

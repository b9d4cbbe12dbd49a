/** One connection of its own, outside of any pool, that can always be got rid of: for LISTEN, the leader's lease and migrations. */
import { Socket } from 'node:net';
import pg from 'pg';
import { toClientConfig, type ConnectionOptions } from './connection.ts';

export interface Session {
  readonly client: pg.Client;
  query<T extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<readonly T[]>;
  /** Resolves once the connection is gone, for whatever reason. */
  readonly ended: Promise<void>;
  /** Says goodbye, and tears the connection down where the server does not answer within a second. Harmless when repeated. */
  close(): Promise<void>;
}

const GOODBYE_MS = 1_000;

/** Opens it, unless the signal fires first. @throws ConnectionStringError, or what the network or the server said */
export const openSession = async (options: ConnectionOptions, signal?: AbortSignal): Promise<Session> => {
  // Our own socket: the driver offers no way to drop a connection whose server has gone silent.
  const socket = new Socket();
  const client = new pg.Client({ ...toClientConfig(options), stream: () => socket });
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  // Unheard, an error of an idle connection would end the process. Whoever uses it sees the failure in the next query, or in `ended`.
  client.on('error', () => socket.destroy());
  const close = async (): Promise<void> => {
    const timer = setTimeout(() => socket.destroy(), GOODBYE_MS);
    try {
      // An unanswered query in front would hold the goodbye up.
      await Promise.race([client.end(), ended]);
    } catch {
      socket.destroy();
    } finally {
      clearTimeout(timer);
    }
  };
  const giveUp = (): void => void socket.destroy();
  signal?.addEventListener('abort', giveUp);
  try {
    signal?.throwIfAborted();
    await client.connect();
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
  return {
    client,
    ended,
    close,
    query: async <T extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
      (await client.query<T>(text, [...values])).rows,
  };
};

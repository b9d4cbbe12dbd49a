/** `start`: listen, wait for Postgres, migrate, wait for leadership, keep both sides in step until a signal. */
import type { App } from '../app.ts';
import type { Clock, Log, Random } from '../ports/ambient.ts';
import { whenReachable } from '../postgres/when-reachable.ts';
import { EXIT, untilStopped, type ExitCode, type Io } from './io.ts';

export interface Start {
  readonly io: Io;
  readonly app: App;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
}

/** `prepare` brings the database up to date; it is called again for as long as Postgres is away. */
export const runStart = async ({ io, app, log, clock, random }: Start, prepare: () => Promise<void>): Promise<ExitCode> => {
  // First: a port that is taken ends the command before it has done anything, and whoever watches is told what is waited for.
  await app.admin?.start();
  if (!(await whenReachable({ clock, random, log, signal: io.signal }, prepare))) return EXIT.done;
  await app.daemon.start();
  log.info({}, 'started; waiting for the lead');
  await untilStopped(io);
  log.info({}, 'stopping; what is in flight is ended first');
  await app.daemon.stop();
  await app.admin?.stop();
  log.info({}, 'stopped');
  return EXIT.done;
};

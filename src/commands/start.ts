/** `start`: migrate, listen, wait for leadership, keep both sides in step until a signal. */
import type { App } from '../app.ts';
import type { Log } from '../ports/ambient.ts';
import { EXIT, untilStopped, type ExitCode, type Io } from './io.ts';

export const runStart = async (io: Io, app: App, log: Log): Promise<ExitCode> => {
  // First: a port that is taken ends the command before it has done anything.
  await app.admin?.start();
  await app.daemon.start();
  log.info({}, 'started; waiting for the lead');
  await untilStopped(io);
  log.info({}, 'stopping; what is in flight is ended first');
  await app.daemon.stop();
  await app.admin?.stop();
  log.info({}, 'stopped');
  return EXIT.done;
};

/** `start`: migrate, wait for leadership, keep both sides in step until a signal. */
import type { App } from '../app.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

export const runStart = async (io: Io, app: App): Promise<ExitCode> => {
  await app.daemon.start();
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve();
    io.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await app.daemon.stop();
  return EXIT.done;
};

/** `relate-mirror start` as a child that never outlives the soak, however that ends. */
import type { BuiltProgram } from '../e2e/built-program.ts';
import { startChild, type Child } from '../e2e/child.ts';

export const startDaemon = (program: BuiltProgram, env: NodeJS.ProcessEnv): Child => {
  const child = startChild(program, ['start'], { PATH: process.env['PATH'], HTTP_PORT: '0', ...env });
  const end = (): void => child.kill('SIGKILL');
  process.once('exit', end);
  void child.ended.then(() => process.off('exit', end));
  return child;
};

/** The built program as a child process: what it says, and how it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { BuiltProgram } from './built-program.ts';

export interface Ended {
  /** Null: a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** From the start to the end. */
  readonly ms: number;
}

/** A line of the log, parsed. */
export type LogLine = { readonly [name: string]: unknown };

export interface Child {
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended and everything it said was read. */
  readonly ended: Promise<Ended>;
  /** The first line of the log, past or to come, that fits. Rejects when the child ends, or the time is over, without one. */
  logged(what: string, fits: (line: LogLine) => boolean, deadlineMs?: number): Promise<LogLine>;
  /** Says on. */
  output(): { readonly stdout: string; readonly stderr: string };
}

const DEADLINE_MS = 30_000;

const toLogLine = (line: string): LogLine => {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { msg: line };
  }
};

const gather = (stream: Readable, heard: () => void): { text: string } => {
  const said = { text: '' };
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    said.text += chunk;
    heard();
  });
  return said;
};

/** Starts it with exactly these environment variables. */
export const startChild = ({ cli, directory }: BuiltProgram, args: readonly string[], env: NodeJS.ProcessEnv): Child => {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [cli, ...args], { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const listeners = new Set<() => void>();
  const heard = (): void => listeners.forEach((listener) => listener());
  const [stdout, stderr] = [gather(child.stdout, heard), gather(child.stderr, heard)];
  const ended = once(child, 'close').then(([code]): Ended => {
    const ms = performance.now() - startedAt;
    return { code: code as number | null, stdout: stdout.text, stderr: stderr.text, ms };
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('The program could not be started.');
  return {
    pid,
    kill: (signal) => void child.kill(signal),
    ended,
    output: () => ({ stdout: stdout.text, stderr: stderr.text }),
    logged: async (what, fits, deadlineMs = DEADLINE_MS) => {
      const found = Promise.withResolvers<LogLine>();
      const fail = (why: string): void => found.reject(new Error(`${what}: ${why}. It said:\n${stderr.text.slice(-4000)}`));
      const look = (): void => {
        const line = stderr.text.split('\n').slice(0, -1).map(toLogLine).find(fits);
        if (line !== undefined) found.resolve(line);
      };
      const timer = setTimeout(() => fail(`not after ${deadlineMs} ms`), deadlineMs);
      listeners.add(look);
      void ended.then(() => (look(), fail('the program has ended')));
      look();
      try {
        return await found.promise;
      } finally {
        clearTimeout(timer);
        listeners.delete(look);
      }
    },
  };
};

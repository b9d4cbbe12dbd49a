/** What `postmaster.pid` in a data directory says, and whether it is still true. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

export interface Postmaster {
  readonly pid: number;
  readonly port: number | null;
  /** The server takes connections. */
  readonly ready: boolean;
}

/** Line by line: pid, data directory, start time, port, socket directory, listen address, shared memory key, status. */
export const parsePostmasterFile = (text: string): Postmaster | null => {
  const lines = text.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  const port = Number(lines[3]);
  return { pid, port: Number.isSafeInteger(port) && port > 0 ? port : null, ready: lines[7] === 'ready' };
};

/** Null where there is no file, or one that says nothing. */
export const readPostmasterFile = async (dataDirectory: string): Promise<Postmaster | null> => {
  const text = await readFile(path.join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
  return parsePostmasterFile(text);
};

/** The command line of a process, or null where no such process lives. */
const commandLine = async (pid: number): Promise<string | null> => {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
  } catch {
    // No /proc (macOS), or no such process.
    return promisify(execFile)('ps', ['-p', String(pid), '-o', 'command=']).then(
      ({ stdout }) => stdout,
      () => null,
    );
  }
};

/**
 * Who has the pid of a `postmaster.pid`: the server of this very data directory, another program (after a reboot or in a fresh container
 * pids begin again), or nobody.
 */
export const holderOf = async (pid: number, dataDirectory: string): Promise<'server' | 'other' | 'nobody'> => {
  const command = await commandLine(pid);
  if (command === null) return 'nobody';
  return command.includes(` -D ${dataDirectory} `) ? 'server' : 'other';
};

/**
 * Stops the server when this process is gone, whatever ended it: kill -9 runs no exit handler. A shell holds the other end of a pipe; the
 * pipe closes with us, and the shell then asks the server for a fast shutdown. Both live in sessions of their own, so that Ctrl-C in the
 * terminal reaches the program alone, and the program can still use its database while it stops.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';

/** $1 pid, $2 postmaster.pid, $3 a folder to remove afterwards, or nothing. The pid is checked: it may have been given to another program. */
const SCRIPT = `
read -r _
read -r pid < "$2" && [ "$pid" = "$1" ] && kill -INT "$1"
[ -n "$3" ] || exit 0
while kill -0 "$1" 2> /dev/null; do sleep 0.1; done
rm -rf -- "$3"
`;

export interface Watchdog {
  /** Ends the watch; the server is left alone. */
  release(): void;
}

export const watchServer = (pid: number, dataDirectory: string, removeAfterwards: string | null): Watchdog => {
  const args = ['-c', SCRIPT, 'relate-mirror-watchdog', String(pid), path.join(dataDirectory, 'postmaster.pid'), removeAfterwards ?? ''];
  const shell: ChildProcess = spawn('/bin/sh', args, { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' });
  // Without a shell the server still runs; it only outlives a kill -9.
  shell.on('error', () => undefined);
  shell.stdin?.on('error', () => undefined);
  shell.unref();
  (shell.stdin as { unref?: () => void } | null)?.unref?.();
  return { release: () => void shell.kill('SIGKILL') };
};

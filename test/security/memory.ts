/** What Linux knows of a process. */
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * The environment of a small container. What is alive has to fit in that heap; without the limits V8 and malloc leave more lying about before
 * they clear away, and the peak is that of their patience.
 */
export const SMALL: NodeJS.ProcessEnv = { NODE_OPTIONS: '--max-old-space-size=160 --max-semi-space-size=8', MALLOC_ARENA_MAX: '2' };

/** The most memory that the process ever held, in MiB. */
export const peakMemoryMib = (pid: number): number => {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (match === null) throw new Error(`/proc/${pid}/status does not tell VmHWM`);
  return Number(match[1]) / 1024;
};

/** From now on the peak is that of what follows. */
export const forgetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, '5');

/**
 * The disk of Postgres is full: its data directory stands on a small file system of its own, that somebody fills until the system itself says
 * ENOSPC. What Postgres makes of that (refused statements; a PANIC, once the write-ahead log has no room) is its own doing. Then space is given
 * back, and Postgres is started where it had ended.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, open, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { skipped, type Drill } from './drill.ts';
import { openDrillWorld, until, type DrillWorld, type Pace } from './world.ts';

const SIZE = '320m';
const EDITS_MS = 3_000;
const ALERT_MS_MAX = { small: 60_000, full: 1_500_000 } as const;
const BLOCK = Buffer.alloc(1024 * 1024, 1);
const of = ({ small }: Pace, durations: { readonly small: number; readonly full: number }): number =>
  small ? durations.small : durations.full;

const mount = async (): Promise<string | null> => {
  const folder = path.join(tmpdir(), `relate-mirror-disk-${randomUUID()}`);
  await mkdir(folder);
  try {
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0711`, 'tmpfs', folder]);
    return folder;
  } catch {
    await rmdir(folder);
    return null;
  }
};

/** Writes until the file system has not a single block left. */
const fill = async (file: string): Promise<void> => {
  const ballast = await open(file, 'a');
  try {
    for (let size = BLOCK.length; size >= 512; size /= 2) {
      try {
        for (;;) await ballast.write(BLOCK.subarray(0, size));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    await ballast.close();
  }
};

/** A PANIC of Postgres: it ended, or recovers again and again. */
const PRESS_MS_MAX = 30_000;

/** Uses up what is left of the write-ahead log, of which Postgres keeps some files in store. Answers how it ended. */
const useUpTheLog = async ({ postgres, sql }: DrillWorld): Promise<string> => {
  const untilMs = performance.now() + PRESS_MS_MAX;
  while (postgres.isUp() && performance.now() < untilMs) {
    await sql(`select pg_logical_emit_message(true, 'drill', repeat('x', 8000))`).catch(() => undefined);
    await sql('select pg_switch_wal()').catch(() => undefined);
  }
  return postgres.isUp() ? 'Postgres went on' : 'Postgres ended with a PANIC';
};

const refusals = (world: DrillWorld): number => world.daemon().output().stderr.split('"53100"').length - 1;

export const DISK_FULL: Drill = {
  name: 'disk full on Postgres',
  what: 'ENOSPC for its tables, then for its log as well; then space',
  alerts: ['RelateMirrorPullLagging', 'RelateMirrorDatabaseDown'],
  run: async (pace) => {
    const folder = await mount();
    if (folder === null) return skipped('no file system can be mounted here (root is needed)');
    const settings = { max_wal_size: '32MB', min_wal_size: '32MB', log_min_messages: 'fatal' };
    const unmount = (): void => void execFileSync('umount', ['--lazy', folder]);
    process.once('exit', unmount);
    const world = await openDrillWorld(pace, { postgres: { directory: path.join(folder, 'server'), settings } });
    try {
      const [tables = '', log = ''] = DISK_FULL.alerts;
      world.people();
      await pause(EDITS_MS);
      const ballast = path.join(folder, 'ballast');
      await fill(ballast);
      const sinceMs = performance.now();
      const alertSeconds = await world.fired([tables], of(pace, ALERT_MS_MAX));
      const refused = refusals(world);
      const violations = refused === 0 ? ['the daemon never met a full disk'] : [];
      const panic = await useUpTheLog(world);
      await world.fired([log], of(pace, ALERT_MS_MAX));
      const outageSeconds = Math.round((performance.now() - sinceMs) / 1_000);
      await rm(ballast);
      await world.postgres.resume();
      await until('Postgres answers', async () => (await world.sql('select 1 as one')).length === 1, 60_000);
      await pause(EDITS_MS);
      const recovery = await world.recovered();
      const notes = [`${outageSeconds} s`, `the daemon met ENOSPC ${refused} times`, panic];
      return { violations: [...violations, ...recovery.violations], alertSeconds, recoverySeconds: recovery.seconds, notes };
    } finally {
      await world.close();
      process.off('exit', unmount);
      unmount();
      await rmdir(folder);
    }
  },
};

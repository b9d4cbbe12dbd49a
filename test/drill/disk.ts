/**
 * The disk of Postgres is full: a small file system of its own, that somebody fills until the system itself says ENOSPC. It holds either the
 * tables (statements that need room are refused, everything else goes on) or the write-ahead log (a PANIC, and no server). Then space is given
 * back, and Postgres is started where it had ended.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, open, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { OwnPostgresOptions } from '../soak/own-postgres.ts';
import { skipped, type Drill, type Outcome } from './drill.ts';
import { openDrillWorld, until, type DrillWorld, type Pace } from './world.ts';

const SIZE = { tables: '256m', log: '96m' } as const;
const EDITS_MS = 3_000;
const ALERT_MS_MAX = { small: 60_000, full: 1_500_000 } as const;
const BLOCK = Buffer.alloc(1024 * 1024, 1);
const of = ({ small }: Pace, durations: { readonly small: number; readonly full: number }): number =>
  small ? durations.small : durations.full;

const mount = async (size: string): Promise<string | null> => {
  const folder = path.join(tmpdir(), `relate-mirror-disk-${randomUUID()}`);
  await mkdir(folder);
  try {
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0711`, 'tmpfs', folder]);
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
const PRESS_MS_MAX = 60_000;

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

interface Full {
  readonly folder: string;
  readonly alerts: readonly string[];
  readonly postgres: OwnPostgresOptions;
  /** What comes of it, once the alert has fired; answers a note, and what should have been otherwise. */
  readonly press: (world: DrillWorld) => Promise<string>;
  readonly seen: (world: DrillWorld) => { readonly note: string; readonly violations: readonly string[] };
}

const holdDrill = async (pace: Pace, { folder, alerts, postgres, press, seen }: Full): Promise<Outcome> => {
  const unmount = (): void => void execFileSync('umount', ['--lazy', folder]);
  process.once('exit', unmount);
  try {
    const world = await openDrillWorld(pace, { postgres });
    try {
      world.people();
      await pause(EDITS_MS);
      const ballast = path.join(folder, 'ballast');
      await fill(ballast);
      const sinceMs = performance.now();
      const pressed = await press(world);
      const fired = await world.firedAny(alerts, of(pace, ALERT_MS_MAX));
      const alertSeconds = (performance.now() - sinceMs) / 1_000;
      const { note, violations } = seen(world);
      await rm(ballast);
      await world.postgres.resume();
      await until('Postgres answers', async () => (await world.sql('select 1 as one')).length === 1, 60_000);
      await pause(EDITS_MS);
      const recovery = await world.recovered();
      const notes = [`${Math.round(alertSeconds)} s`, note, pressed, alerts.length > 1 ? `${fired} was first` : ''].filter(
        (text) => text !== '',
      );
      return { violations: [...violations, ...recovery.violations], alertSeconds, recoverySeconds: recovery.seconds, notes };
    } finally {
      await world.close();
    }
  } finally {
    process.off('exit', unmount);
    unmount();
    await rmdir(folder);
  }
};

const NO_MOUNT = 'no file system can be mounted here (root is needed)';

export const TABLES_FULL: Drill = {
  name: 'disk full, tables',
  what: 'ENOSPC where the tables are: statements are refused with 53100',
  // Minutes later Postgres makes a checkpoint and does not survive it: in full that comes before any lag is long enough to tell.
  alerts: ['RelateMirrorPullLagging', 'RelateMirrorDatabaseDown'],
  run: async (pace) => {
    const folder = await mount(SIZE.tables);
    if (folder === null) return skipped(NO_MOUNT);
    return await holdDrill(pace, {
      folder,
      alerts: TABLES_FULL.alerts,
      postgres: { directory: path.join(folder, 'server'), walDirectory: path.join(tmpdir(), `relate-mirror-wal-${randomUUID()}`) },
      press: () => Promise.resolve(''),
      seen: (world) => {
        const refused = refusals(world);
        return { note: `the daemon met ENOSPC ${refused} times`, violations: refused === 0 ? ['the daemon never met a full disk'] : [] };
      },
    });
  },
};

export const LOG_FULL: Drill = {
  name: 'disk full, log',
  what: 'ENOSPC where the write-ahead log is: a PANIC, and no server',
  alerts: ['RelateMirrorDatabaseDown'],
  run: async (pace) => {
    const folder = await mount(SIZE.log);
    if (folder === null) return skipped(NO_MOUNT);
    return await holdDrill(pace, {
      folder,
      alerts: LOG_FULL.alerts,
      postgres: { walDirectory: path.join(folder, 'pg_wal'), settings: { max_wal_size: '32MB', min_wal_size: '32MB' } },
      press: useUpTheLog,
      seen: (world) => {
        const isUp = world.postgres.isUp();
        return { note: '', violations: isUp ? ['Postgres went on without room for its log'] : [] };
      },
    });
  },
};

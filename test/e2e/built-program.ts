/**
 * The program as it is shipped: compiled by the project's own build configuration, once for each state of the sources, into a folder laid
 * out as the package is. `dist` itself is left alone, since whoever runs the tests may be building it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = path.join(PROJECT, 'node_modules', '.cache', 'relate-mirror-e2e');
const BUILD = path.join(PROJECT, 'script', 'build.ts');

export interface BuiltProgram {
  readonly cli: string;
  /** A folder without a `.env`. */
  readonly directory: string;
}

const hashOfSources = async (): Promise<string> => {
  const hash = createHash('sha256');
  const names = await readdir(path.join(PROJECT, 'src'), { recursive: true });
  const files = names.filter((name) => path.extname(name) !== '').map((name) => path.join('src', name));
  for (const file of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'script/build.ts', ...files.toSorted()]) {
    hash.update(`${file}\n`).update(await readFile(path.join(PROJECT, file)));
  }
  return hash.digest('hex').slice(0, 16);
};

const compile = async (directory: string): Promise<void> => {
  const dist = path.join(directory, 'dist');
  await promisify(execFile)(process.execPath, ['--import', 'tsx', BUILD, dist], { cwd: PROJECT }).catch((error: unknown) => {
    throw new Error(`The program does not compile: ${(error as { stdout?: string }).stdout ?? String(error)}`, { cause: error });
  });
  // Where the compiled program looks for them: as far above it as above the sources.
  for (const name of ['drizzle', 'package.json']) await symlink(path.join(PROJECT, name), path.join(directory, name));
};

/** Another process is building these sources: how often to look, and after how long it must have died. */
const LOOK_EVERY_MS = 100;
const BUILD_MS_MAX = 60_000;
/** Builds of earlier sources are kept no longer than a run of the tests can take. */
const KEEP_MS = 3_600_000;

const removeOldBuilds = async (): Promise<void> => {
  for (const name of await readdir(CACHE)) {
    const folder = path.join(CACHE, name);
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > KEEP_MS) await rm(folder, { recursive: true, force: true });
  }
};

/** True: it is ours to build. False: another process has built it meanwhile. */
const takeTurn = async (lock: string, directory: string): Promise<boolean> => {
  for (const deadline = Date.now() + BUILD_MS_MAX; Date.now() < deadline; await pause(LOOK_EVERY_MS)) {
    if (existsSync(directory)) return false;
    if ((await mkdir(lock).catch(() => 'taken')) !== 'taken') return true;
  }
  return true;
};

const build = async (): Promise<BuiltProgram> => {
  const directory = path.join(CACHE, await hashOfSources());
  const lock = `${directory}.lock`;
  const draft = `${directory}.draft`;
  await mkdir(CACHE, { recursive: true });
  if (!existsSync(directory) && (await takeTurn(lock, directory))) {
    try {
      await removeOldBuilds();
      await rm(draft, { recursive: true, force: true });
      await compile(draft);
      await rename(draft, directory);
    } finally {
      await rm(lock, { recursive: true, force: true });
    }
  }
  return { cli: path.join(directory, 'dist', 'cli.js'), directory };
};

let building: Promise<BuiltProgram> | null = null;

/** Builds it, unless these very sources are built already: test files that run side by side share one build. */
export const buildProgram = async (): Promise<BuiltProgram> => await (building ??= build());

/**
 * The program as it is shipped: compiled by the project's own build configuration, once for each state of the sources, into a folder laid
 * out as the package is. `dist` itself is left alone, since whoever runs the tests may be building it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = path.join(PROJECT, 'node_modules', '.cache', 'relate-mirror-e2e');
const COMPILER = path.join(PROJECT, 'node_modules', 'typescript', 'bin', 'tsc');

export interface BuiltProgram {
  readonly cli: string;
  /** A folder without a `.env`. */
  readonly directory: string;
}

const hashOfSources = async (): Promise<string> => {
  const hash = createHash('sha256');
  const names = await readdir(path.join(PROJECT, 'src'), { recursive: true });
  const files = names.filter((name) => name.endsWith('.ts')).map((name) => path.join('src', name));
  for (const file of ['package.json', 'tsconfig.json', 'tsconfig.build.json', ...files.toSorted()]) {
    hash.update(`${file}\n`).update(await readFile(path.join(PROJECT, file)));
  }
  return hash.digest('hex').slice(0, 16);
};

const compile = async (directory: string): Promise<void> => {
  const dist = path.join(directory, 'dist');
  await promisify(execFile)(process.execPath, [COMPILER, '-p', 'tsconfig.build.json', '--outDir', dist], { cwd: PROJECT }).catch(
    (error: unknown) => {
      throw new Error(`The program does not compile: ${(error as { stdout?: string }).stdout ?? String(error)}`, { cause: error });
    },
  );
  // Where the compiled program looks for them: as far above it as above the sources.
  for (const name of ['drizzle', 'package.json']) await symlink(path.join(PROJECT, name), path.join(directory, name));
};

let building: Promise<BuiltProgram> | null = null;

/** Builds it unless these very sources are built already. Test files that run side by side may both build; the first one to finish wins. */
export const buildProgram = async (): Promise<BuiltProgram> => await (building ??= build());

const build = async (): Promise<BuiltProgram> => {
  const hash = await hashOfSources();
  const directory = path.join(CACHE, hash);
  if (!existsSync(directory)) {
    await mkdir(CACHE, { recursive: true });
    const draft = await mkdtemp(path.join(CACHE, 'draft-'));
    try {
      await compile(draft);
      await rename(draft, directory).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      });
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  }
  return { cli: path.join(directory, 'dist', 'cli.js'), directory };
};

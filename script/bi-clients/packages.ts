/** What Debian packages of the four stacks; installed where it is missing and this process may. */
import { execFile } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A single-file Java program needs the JDK's compiler; the JRE has none. */
const PACKAGES = {
  unixodbc: 'unixodbc',
  'odbc-postgresql': 'odbc-postgresql',
  'python3-pyodbc': 'python3-pyodbc',
  'libpostgresql-jdbc-java': 'libpostgresql-jdbc-java',
  'default-jdk-headless': 'javac',
  'python3-sqlalchemy': 'python3-sqlalchemy',
  'python3-psycopg2': 'python3-psycopg2',
  'r-base-core': 'r-base-core',
  'r-cran-dbi': 'r-cran-dbi',
  'r-cran-rpostgresql': 'r-cran-rpostgresql',
} as const;

/** An install script starts no service while this is there. */
const POLICY = '/usr/sbin/policy-rc.d';
const OUTPUT_MAX = 64 * 1024 * 1024;

const succeeds = async (command: string, args: readonly string[]): Promise<boolean> =>
  await run(command, [...args], { maxBuffer: OUTPUT_MAX }).then(
    () => true,
    () => false,
  );

const isThere = async (name: string): Promise<boolean> => {
  // Whichever JDK: javac is what is needed of it.
  if (PACKAGES[name as keyof typeof PACKAGES] === 'javac') return await succeeds('javac', ['-version']);
  const said = await run('dpkg-query', ['--show', '--showformat=${db:Status-Status}', name]).catch(() => ({ stdout: '' }));
  return said.stdout === 'installed';
};

const missing = async (): Promise<readonly string[]> => {
  const names = Object.keys(PACKAGES);
  const there = await Promise.all(names.map(isThere));
  return names.filter((_, at) => there[at] !== true);
};

const install = async (names: readonly string[]): Promise<void> => {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const made = !existsSync(POLICY);
  if (made) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await run('apt-get', ['update', '-qq'], { env, maxBuffer: OUTPUT_MAX });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], { env, maxBuffer: OUTPUT_MAX });
  } finally {
    if (made) rmSync(POLICY);
  }
};

/** @returns which packages are still missing, and why they could not be installed */
export const installPackages = async (
  say: (line: string) => void,
): Promise<{ readonly missing: readonly string[]; readonly why: string }> => {
  const wanted = await missing();
  if (wanted.length === 0) return { missing: [], why: '' };
  if (!(await succeeds('apt-get', ['--version']))) return { missing: wanted, why: 'this machine has no apt-get' };
  if (process.getuid?.() !== 0) return { missing: wanted, why: 'only root may install them' };
  say(`Installing ${wanted.join(', ')}`);
  try {
    await install(wanted);
  } catch (error) {
    return { missing: await missing(), why: (error as { stderr?: string }).stderr?.trim() ?? String(error) };
  }
  return { missing: await missing(), why: 'apt-get installed without them' };
};

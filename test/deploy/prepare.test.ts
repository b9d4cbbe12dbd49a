/** The first service of docker-compose.yml: who gets which secret, and what is said where one is missing. */
import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { ROOT } from './project-files.ts';

const SCRIPT = path.join(ROOT, 'deploy/compose/prepare.mts');
const URL_OF_CRM = 'https://crm.example.com/api';

interface Ended {
  readonly code: number;
  readonly said: string;
}

let given = '';
let out = '';
beforeEach(async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'relate-mirror-prepare-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  [given, out] = [path.join(directory, 'given'), path.join(directory, 'out')];
  await mkdir(given);
  for (const folder of ['postgres', 'owner', 'daemon', 'sandbox', 'monitoring']) await mkdir(path.join(out, folder), { recursive: true });
});

const run = async (env: NodeJS.ProcessEnv = {}, ...flags: readonly string[]): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(process.execPath, ['--no-warnings', SCRIPT, given, out, ...flags], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), said: stdout + stderr }),
    );
  });

const give = (name: string, text: string): Promise<void> => writeFile(path.join(given, `${name}.txt`), text);
const got = (folder: string, name: string): Promise<string> => readFile(path.join(out, folder, name), 'utf8');
const all = async (): Promise<Record<string, string>> => {
  const names = await readdir(out, { recursive: true });
  const files = names.filter((name) => name.includes(path.sep));
  return Object.fromEntries(await Promise.all(files.map(async (name) => [name, await readFile(path.join(out, name), 'utf8')] as const)));
};

describe('with an account', () => {
  it('gives each service what it needs and no more, and keeps it over the next starts', async () => {
    await give('crm_token', 'token-of-the-crm\n');
    expect(await run({ CRM_URL: URL_OF_CRM })).toEqual({ code: 0, said: `The secrets are in place; the CRM is ${URL_OF_CRM}\n` });
    const first = await all();
    expect(Object.keys(first).toSorted()).toEqual(
      [
        ...['admin_token', 'crm_allow_http', 'crm_token', 'crm_url', 'database_url'].map((name) => `daemon/${name}`),
        ...['grafana_password', 'reader_password'].map((name) => `monitoring/${name}`),
        'owner/database_url',
        ...['daemon', 'editor', 'owner', 'postgres', 'reader'].map((role) => `postgres/${role}_password`),
      ].toSorted(),
    );
    expect(first['daemon/crm_token']).toBe('token-of-the-crm');
    expect(first['monitoring/reader_password']).toBe(first['postgres/reader_password']);
    expect(await run({ CRM_URL: URL_OF_CRM })).toMatchObject({ code: 0 });
    expect(await all()).toEqual(first);
  });

  it('invents secrets that nobody guesses, all of them different, readable where they are mounted', async () => {
    await give('crm_token', 'token');
    await run({ CRM_URL: URL_OF_CRM });
    const { 'daemon/admin_token': token = '', ...files } = await all();
    const passwords = ['daemon', 'editor', 'owner', 'postgres', 'reader'].map((role) => files[`postgres/${role}_password`] ?? '');
    for (const secret of [token, ...passwords]) expect(secret).toMatch(/^[\w-]{32}$/);
    expect(new Set([token, ...passwords]).size).toBe(6);
    expect((await stat(path.join(out, 'daemon/crm_token'))).mode & 0o777).toBe(0o444);
  });

  it('makes settings that the program takes, whatever is in a password', async () => {
    await give('crm_token', 'token');
    await give('daemon_password', 'p@ss/w:ö rd?#%\n');
    await run({ CRM_URL: URL_OF_CRM });
    const url = await got('daemon', 'database_url');
    expect(decodeURIComponent(new URL(url).password)).toBe('p@ss/w:ö rd?#%');
    const names = ['CRM_URL', 'CRM_TOKEN', 'CRM_ALLOW_HTTP', 'DATABASE_URL', 'ADMIN_TOKEN'];
    const files = await all();
    const parsed = parseConfig(
      Object.fromEntries(names.map((name) => [`${name}_FILE`, `daemon/${name.toLowerCase()}`])),
      (file) => files[file] ?? '',
    );
    expect(parsed).toMatchObject({ ok: true, config: { crmUrl: URL_OF_CRM, crmToken: 'token', databaseUrl: url } });
  });

  it('takes a changed file over what it had', async () => {
    await give('crm_token', 'old');
    await run({ CRM_URL: URL_OF_CRM });
    await give('crm_token', 'new');
    await give('reader_password', 'chosen');
    await run({ CRM_URL: URL_OF_CRM });
    expect(await got('daemon', 'crm_token')).toBe('new');
    expect(await got('postgres', 'reader_password')).toBe('chosen');
    expect(await got('monitoring', 'reader_password')).toBe('chosen');
  });
});

describe('without', () => {
  const HINT = 'To see it work without an account: docker compose --profile sandbox up --wait\n';

  it('says everything that is missing, and makes nothing', async () => {
    const { code, said } = await run();
    expect(code).toBe(2);
    expect(said).toMatch(/^CRM_URL is not set\. .*\nsecrets\/crm_token\.txt is missing or empty\. .*\n/);
    expect(said.endsWith(HINT)).toBe(true);
    expect(await all()).toEqual({});
  });

  it.each([['an empty file', ' \n'] as const, ['no file', null] as const])('counts %s as no token', async (_what, text) => {
    if (text !== null) await give('crm_token', text);
    const { code, said } = await run({ CRM_URL: URL_OF_CRM });
    expect(code).toBe(2);
    expect(said).toMatch(/^secrets\/crm_token\.txt is missing or empty/);
  });

  it('takes the sandbox where this start brings one, and only then', async () => {
    expect(await run({}, '--sandbox')).toEqual({ code: 0, said: '' });
    expect(await run()).toMatchObject({ code: 0 });
    expect(await got('daemon', 'crm_url')).toBe('http://sandbox-crm:3900/api');
    expect(await got('daemon', 'crm_token')).toBe(await got('sandbox', 'crm_token'));
    expect(await got('daemon', 'crm_allow_http')).toBe('true');
    // The next start comes without it.
    expect(await run()).toMatchObject({ code: 2 });
    await give('crm_token', 'real');
    await run({ CRM_URL: URL_OF_CRM });
    expect(await got('daemon', 'crm_url')).toBe(URL_OF_CRM);
    expect(await got('daemon', 'crm_allow_http')).toBe('false');
  });

  it('does not choose between a sandbox and an account', async () => {
    await run({}, '--sandbox');
    const { code, said } = await run({ CRM_URL: URL_OF_CRM });
    expect(code).toBe(2);
    expect(said).toMatch(/^CRM_URL is set, and --profile sandbox brings a CRM of its own/);
  });
});

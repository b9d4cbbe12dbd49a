/** `doctor` on a user's own machine: the file `.env`, the embedded server, and settings that are misspelt. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, type TestContext } from 'vitest';
import type { Line } from '../../src/commands/doctor/line.ts';
import { buildProgram } from './built-program.ts';
import { startChild, type Ended } from './child.ts';
import { succeeded, TIMEOUT } from './world.ts';

const TOKEN = 'token-of-the-file-0123456789';

/** A working directory with a `.env`, and nobody at CRM_URL. */
const openFolder = ({ onTestFinished }: TestContext, more = '') => {
  const directory = mkdtempSync(path.join(tmpdir(), 'relate-mirror-doctor-'));
  const file = path.join(directory, '.env');
  writeFileSync(file, `CRM_URL=http://127.0.0.1:1/api\nCRM_TOKEN=${TOKEN}\nCRM_TIMEOUT_MS=500\n${more}`);
  chmodSync(file, 0o600);
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const run = async (args: readonly string[]): Promise<Ended> =>
    await startChild({ ...(await buildProgram()), directory }, args, { PATH: process.env['PATH'] }).ended;
  const doctor = async () => {
    const { stdout } = await run(['doctor', '--json']);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
    expect(stdout).not.toContain(TOKEN);
    return (check: string): Line | undefined => lines.find((line) => line.check === check);
  };
  return { file, run, doctor };
};

describe('doctor', TIMEOUT, () => {
  it('warns of a .env that others than its owner may read, since the token stands in it', async (context) => {
    const { file, doctor } = openFolder(context);
    expect((await doctor())('env_file')).toMatchObject({ state: 'ok' });
    for (const mode of [0o640, 0o604]) {
      chmodSync(file, mode);
      expect((await doctor())('env_file')).toMatchObject({
        state: 'warning',
        detail: expect.stringContaining(`CRM_TOKEN, and others than its owner have rights to it (mode ${mode.toString(8)})`) as string,
        remedy: 'chmod 600 .env',
      });
    }
  });

  it('names settings that do not exist, without their values', async (context) => {
    const { doctor } = openFolder(context, 'CRM_RAET_SHARE=hush-hush\n');
    const line = (await doctor())('settings');
    expect(line).toMatchObject({
      state: 'warning',
      detail: expect.stringMatching(/^CRM_RAET_SHARE is no setting and is ignored; /) as string,
    });
    expect(line?.detail).not.toContain('hush');
  });

  it('finds the embedded server of an ordinary user safe', async (context) => {
    const { run, doctor } = openFolder(context);
    succeeded(await run(['migrate']));
    const find = await doctor();
    expect(find('server_safety')).toMatchObject({ state: 'ok' });
    expect(find('migrations')).toMatchObject({ state: 'ok' });
  });
});

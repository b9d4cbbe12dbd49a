/** TAB, in real shells where they are installed: what the script of `completion` makes of the program's own answers. */
import { execFile, execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildProgram } from './built-program.ts';
import { TIMEOUT } from './world.ts';

let folder: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  const { cli } = await buildProgram();
  folder = await mkdtemp(path.join(tmpdir(), 'relate-mirror-completion-'));
  const program = path.join(folder, 'relate-mirror');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`);
  await chmod(program, 0o755);
  // Neither settings nor a database: the program must not ask for any.
  env = { PATH: `${folder}:${process.env['PATH'] ?? ''}`, HOME: folder };
});
afterAll(() => rm(folder, { recursive: true }));

const isInstalled = (shell: string): boolean => {
  try {
    execFileSync(shell, ['-c', 'exit 0'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const say = async (shell: string, script: string): Promise<readonly string[]> => {
  const { stdout } = await promisify(execFile)(shell, ['-c', script], { env, cwd: folder });
  return stdout.split('\n').filter((line) => line !== '');
};

/** As bash does at TAB: the words of the line, and which of them is being typed. */
const bash = async (...words: readonly string[]): Promise<readonly string[]> =>
  await say(
    'bash',
    `source <(relate-mirror completion bash); COMP_WORDS=(relate-mirror ${words.map((word) => `'${word}'`).join(' ')})
     COMP_CWORD=${words.length}; _relate_mirror; printf '%s\\n' "\${COMPREPLY[@]}"`,
  );

describe.skipIf(!isInstalled('bash'))('in bash', TIMEOUT, () => {
  it('commands, commands below them, options and choices are completed', async () => {
    expect(await bash('sta')).toEqual(['start', 'status']);
    expect(await bash('holds', '')).toEqual(['approve', 'reject']);
    expect(await bash('status', '--w')).toEqual(['--watch']);
    expect(await bash('resync', '--links', '--')).toEqual(['--no-wait', '--json', '--help']);
    expect(await bash('conflicts', 'resolve', '5', '')).toEqual(['crm', 'mirror']);
    expect(await bash('completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(await bash('retry', '5', '')).toEqual([]);
  });

  it('nothing of the line is carried out', async () => {
    expect(await bash('retry', '$(touch carried-out)', '--a')).toEqual(['--all']);
    expect(await say('bash', 'ls')).not.toContain('carried-out');
  });
});

describe.skipIf(!isInstalled('fish'))('in fish', TIMEOUT, () => {
  it('commands and options are completed', async () => {
    const fish = async (line: string) => await say('fish', `relate-mirror completion fish | source; complete --do-complete '${line}'`);
    expect((await fish('relate-mirror sta')).map((line) => line.split('\t')[0])).toEqual(['start', 'status']);
    expect((await fish('relate-mirror status --w')).map((line) => line.split('\t')[0])).toEqual(['--watch']);
  });
});

describe.skipIf(!isInstalled('zsh'))('in zsh', TIMEOUT, () => {
  it('commands and options are completed, with their descriptions', async () => {
    const zsh = async (...words: readonly string[]) =>
      await say(
        'zsh',
        `compdef() { }; _describe() { printf '%s\\n' "\${(@P)2}" }; source <(relate-mirror completion zsh)
         words=(relate-mirror ${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length + 1}; _relate_mirror`,
      );
    expect((await zsh('sta')).map((line) => line.split(':')[0])).toEqual(['start', 'status']);
    expect(await zsh('status', '--w')).toEqual(['--watch:again each second, until Ctrl-C']);
  });
});

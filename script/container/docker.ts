/** The engine's own command line. */
import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DockerOptions {
  /** Beside the environment of this process. */
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
}

export const tryDocker = async (args: readonly string[], { env = {}, input = '' }: DockerOptions = {}): Promise<Said> =>
  new Promise((resolve, reject) => {
    const child = spawn('docker', args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8');
      child[name].on('data', (text: string) => (said[name] += text));
    }
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ code: code ?? 1, stdout: stripVTControlCharacters(said.stdout), stderr: stripVTControlCharacters(said.stderr) }),
    );
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });

/** Its standard output. @throws Error with what it said last, where it failed */
export const docker = async (args: readonly string[], options?: DockerOptions): Promise<string> => {
  const { code, stdout, stderr } = await tryDocker(args, options);
  if (code !== 0) throw new Error(`docker ${args.slice(0, 4).join(' ')} … ended with ${code}:\n${(stderr + stdout).trim().slice(-3000)}`);
  return stdout.trim();
};

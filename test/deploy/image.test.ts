/** The Dockerfile, as far as it can be known without an engine: `npm run verify:container` builds and runs it. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { environmentProblems, isRoute, read, ROOT, VERSION } from './project-files.ts';

interface Stage {
  readonly base: string;
  readonly name: string | null;
  readonly steps: readonly { readonly verb: string; readonly rest: string }[];
}

/** Without comments; a line that ends in a backslash goes on. */
const parseDockerfile = (text: string): readonly Stage[] => {
  const stages: { base: string; name: string | null; steps: { verb: string; rest: string }[] }[] = [];
  const lines = text.replaceAll(/^#.*\n/gm, '').replaceAll(/\\\n\s*/g, ' ');
  for (const [, verb = '', rest = ''] of lines.matchAll(/^([A-Z]+) (.*)$/gm)) {
    const [, base = '', name = null] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
    if (verb === 'FROM') stages.push({ base, name, steps: [] });
    else stages.at(-1)?.steps.push({ verb, rest });
  }
  return stages;
};

const STAGES = parseDockerfile(read('Dockerfile'));
const FINAL = STAGES.at(-1);
const textOf = (stage: Stage | undefined, verb: string): string =>
  (stage?.steps ?? []).flatMap((step) => (step.verb === verb ? [step.rest] : [])).join('\n');
const copiesOf = (stage: Stage | undefined): readonly { from: string | null; paths: readonly string[] }[] =>
  textOf(stage, 'COPY')
    .split('\n')
    .map((line) => {
      const words = line.split(' ');
      const from = words[0]?.startsWith('--from=') === true ? (words.shift() ?? '').slice('--from='.length) : null;
      return { from, paths: words.slice(0, -1) };
    });

describe('Dockerfile', () => {
  it('stands on one pinned line of Node, in every stage', () => {
    expect(new Set(STAGES.map(({ base }) => base))).toEqual(new Set(['node:24-bookworm-slim']));
  });

  it('ships the packages that run and the compiled program, and nothing else that was installed or built', () => {
    const packages = STAGES.find(({ name }) => name === 'packages');
    expect(textOf(packages, 'RUN')).toMatch(/npm ci .*--omit=dev --omit=optional --ignore-scripts/);
    const built = copiesOf(FINAL).filter(({ from }) => from !== null);
    expect(built).toEqual([
      { from: 'packages', paths: ['/build/node_modules'] },
      { from: 'build', paths: ['/build/dist'] },
    ]);
  });

  it('copies what there is, and the builder is given that alone', () => {
    const copied = new Set(STAGES.flatMap((stage) => copiesOf(stage).flatMap(({ from, paths }) => (from === null ? paths : []))));
    const lines = read('.dockerignore').split('\n');
    const given = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    expect(lines.filter((line) => line !== '' && !/^[!#]/.test(line))).toEqual(['*']);
    expect([...copied].toSorted()).toEqual(given.toSorted());
    expect(given.filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([]);
  });

  it('is given what the build runs', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const needed = [...(scripts['build'] ?? '').matchAll(/\b(script\/\S+)/g)].map(([, file = '']) => file);
    const build = STAGES.find(({ name }) => name === 'build');
    const given = copiesOf(build).flatMap(({ paths }) => paths);
    expect(textOf(build, 'RUN')).toContain('npm run build');
    expect(needed.filter((file) => !given.includes(file))).toEqual([]);
    expect(needed.length).toBeGreaterThan(0);
  });

  it('runs the program itself as an ordinary user, known by number, and stops it with a signal that it handles', () => {
    expect(textOf(FINAL, 'USER')).toBe('1000:1000');
    expect(JSON.parse(textOf(FINAL, 'ENTRYPOINT'))).toEqual(['node', '/app/dist/cli.js']);
    expect(JSON.parse(textOf(FINAL, 'CMD'))).toEqual(['start']);
    expect(textOf(FINAL, 'STOPSIGNAL')).toBe('SIGTERM');
    // Nothing after it runs as root again, or could belong to the user.
    const last = FINAL?.steps.findIndex(({ verb }) => verb === 'USER') ?? -1;
    expect(FINAL?.steps.slice(last + 1).filter(({ verb }) => verb === 'RUN' || verb === 'COPY')).toEqual([]);
  });

  it('says what it is', () => {
    const labels = textOf(FINAL, 'LABEL');
    for (const name of ['title', 'description', 'licenses', 'version', 'revision', 'created']) {
      expect(labels).toContain(`org.opencontainers.image.${name}=`);
    }
    expect(textOf(FINAL, 'ARG').split('\n')).toContain(`VERSION=${VERSION}`);
  });

  it('sets only settings of the program and limits of memory, and no secret', () => {
    const names = [...textOf(FINAL, 'ENV').matchAll(/([A-Z_]+)=/g)].map(([, name = '']) => name);
    const ofTheProgram = names.filter((name) => !['NODE_ENV', 'NODE_OPTIONS', 'MALLOC_ARENA_MAX'].includes(name));
    expect(ofTheProgram).toEqual(['HTTP_HOST', 'LOG_FORMAT']);
    expect(environmentProblems(ofTheProgram)).toEqual([]);
    expect(textOf(FINAL, 'ARG') + textOf(FINAL, 'ENV')).not.toMatch(/TOKEN|PASSWORD|DATABASE_URL/);
  });
});

describe('the health check', () => {
  const CHECK = 'deploy/container/healthcheck.mjs';

  const probe = async (args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ code: number; said: string }> =>
    new Promise((resolve) => {
      execFile(process.execPath, [path.join(ROOT, CHECK), ...args], { env }, (error, stdout) =>
        resolve({ code: error === null ? 0 : Number(error.code), said: stdout.trim() }),
      );
    });

  const serve = async (): Promise<number> => {
    const server = createServer(({ url }, answer) => {
      if (url === '/healthz') answer.end('{"status":"alive"}');
      else answer.writeHead(503).end('{"ready":false}');
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };

  it('is part of the image, and asks for a path that is there', () => {
    expect(textOf(FINAL, 'HEALTHCHECK')).toMatch(/CMD \["node", "\/app\/container\/healthcheck\.mjs"\]$/);
    const [, asked = ''] = /process\.argv\[2\] \?\? '([^']+)'/.exec(read(CHECK)) ?? [];
    expect(isRoute(asked)).toBe(true);
  });

  it('tells a good answer, a bad one and none apart, and says what it heard', async () => {
    const port = String(await serve());
    expect(await probe([], { HTTP_PORT: port })).toEqual({ code: 0, said: '/healthz 200 {"status":"alive"}' });
    expect(await probe(['/readyz'], { HTTP_PORT: port })).toEqual({ code: 1, said: '/readyz 503 {"ready":false}' });
    expect(await probe([], { HTTP_PORT: '1' })).toEqual({ code: 1, said: expect.stringContaining('/healthz on port 1: ') });
  });
});

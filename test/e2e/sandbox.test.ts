/** `relate-mirror sandbox`: a CRM of its own process, for trying things out without an account. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildProgram } from './built-program.ts';
import { startChild, type Child } from './child.ts';

const TOKEN = 'sandbox-token-5f2a';

const start = async (args: readonly string[], env: NodeJS.ProcessEnv): Promise<Child> => {
  const child = startChild(await buildProgram(), ['sandbox', ...args], { CRM_TOKEN: TOKEN, ...env });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await child.ended;
  });
  return child;
};

const get = async (url: string, token: string | null): Promise<Response> =>
  await fetch(url, { headers: { accept: 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) } });

describe('sandbox', { timeout: 60_000 }, () => {
  it('serves its people at the port of CRM_URL behind CRM_TOKEN, and ends with 0 on SIGTERM', async () => {
    const child = await start(['--contacts', '7', '--rate', '50'], { CRM_URL: 'http://127.0.0.1:0/api' });
    const { url } = await child.logged('the address', (line) => typeof line['url'] === 'string');
    const answer = await get(`${String(url)}/contacts?per_page=100`, TOKEN);
    expect(answer.headers.get('x-ratelimit-limit')).toBe('50');
    expect(((await answer.json()) as { data: unknown[] }).data).toHaveLength(7);
    expect((await get(`${String(url)}/contacts`, 'another')).status).toBe(401);
    expect((await get(`${String(url)}/contacts`, null)).status).toBe(401);
    child.kill('SIGTERM');
    const { code, stdout, stderr } = await child.ended;
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain(TOKEN);
  });

  it.each([
    ['https://crm.example.com/api', 'CRM_URL="https://crm.example.com/api": the sandbox CRM serves http://HOST:PORT/api only'],
    ['http://localhost:3900/v2/api', 'CRM_URL="http://localhost:3900/v2/api": the sandbox CRM serves http://HOST:PORT/api only'],
  ])('refuses what it cannot serve: %s', async (crmUrl, told) => {
    const { code, stderr } = await (await start([], { CRM_URL: crmUrl })).ended;
    expect({ code, stderr }).toEqual({ code: 2, stderr: `${told}\n` });
  });

  it('says which address is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await (await start([], { CRM_URL: `http://127.0.0.1:${port}/api` })).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(`Nothing can listen at 127.0.0.1, port ${port}: EADDRINUSE.`);
  });
});

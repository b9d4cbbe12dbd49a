/** A compose project of its own: its own name, ports and secrets, and nothing of the operator's. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import type { z } from 'zod';
import { docker, tryDocker, type Said } from './docker.ts';

export interface Stack {
  readonly project: string;
  readonly ports: { readonly postgres: number; readonly dashboard: number; readonly sandbox: number };
  /** With the profile sandbox. */
  compose(...args: readonly string[]): Promise<string>;
  /** Without a profile. */
  readonly tryPlain: (...args: readonly string[]) => Promise<Said>;
  /** The container of a service. */
  id(service: string): Promise<string>;
  inspect<T>(service: string, schema: z.ZodType<T>): Promise<T>;
  /** A secret as the service sees it. */
  secret(service: string, name: string): Promise<string>;
  /** Containers, volumes and networks. */
  remove(): Promise<void>;
}

/** Ports that nobody uses just now, held until all are known, so that they differ. */
const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) server.close();
  return ports;
};

/** `secrets`: a folder in place of secrets/. */
export const createStack = async (image: string, secrets: string): Promise<Stack> => {
  const [postgres = 0, dashboard = 0, sandbox = 0] = await freePorts(3);
  const project = `relate-mirror-verify-${randomBytes(3).toString('hex')}`;
  const env = {
    RELATE_MIRROR_IMAGE: image,
    SECRETS_DIR: secrets,
    POSTGRES_PORT: String(postgres),
    DASHBOARD_PORT: String(dashboard),
    SANDBOX_PORT: String(sandbox),
    CRM_URL: '',
    PULL_CRON: '* * * * * *',
  };
  // Not the operator's .env: it names an account.
  const prefix = ['compose', '--ansi', 'never', '--env-file', '/dev/null', '--project-name', project];
  const compose = async (...args: readonly string[]): Promise<string> =>
    await docker([...prefix, '--profile', 'sandbox', ...args], { env });
  const id = async (service: string): Promise<string> => await compose('ps', '--all', '--quiet', service);
  return {
    project,
    ports: { postgres, dashboard, sandbox },
    compose,
    tryPlain: async (...args) => await tryDocker([...prefix, ...args], { env }),
    id,
    inspect: async (service, schema) => schema.parse((JSON.parse(await docker(['inspect', await id(service)])) as readonly unknown[])[0]),
    secret: async (service, name) => await compose('exec', '-T', service, 'cat', `/run/secrets/${name}`),
    remove: async () => void (await compose('down', '--volumes', '--remove-orphans', '--timeout', '20')),
  };
};

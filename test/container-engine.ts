/** Whether there is a container engine to work with. A question to its socket, because only loading a client library takes half a second. */
import { existsSync } from 'node:fs';
import { request } from 'node:http';

const ENGINE_SOCKET = '/var/run/docker.sock';
const PING_TIMEOUT_MS = 1_000;

export const engineAddress = (): string => process.env['DOCKER_HOST'] ?? `unix://${ENGINE_SOCKET}`;

export const engineAnswers = async (host = engineAddress()): Promise<boolean> => {
  const socketPath = host.startsWith('unix://') ? host.slice('unix://'.length) : null;
  if (socketPath !== null && !existsSync(socketPath)) return false;
  const { hostname, port } = socketPath === null ? new URL(host) : { hostname: 'localhost', port: '' };
  return new Promise((resolve) => {
    const ping = request({
      ...(socketPath === null ? { host: hostname, port } : { socketPath }),
      path: '/_ping',
      timeout: PING_TIMEOUT_MS,
    });
    ping.on('response', (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.on('close', () => resolve(false));
    ping.end();
  });
};

/** `sandbox`: the sandbox CRM by itself, at CRM_URL and behind CRM_TOKEN, for a daemon with the same settings to work with. */
import { formatProblem, type Config } from '../config.ts';
import type { Log } from '../ports/ambient.ts';
import { createSandboxAccount } from '../sandbox/crm/account.ts';
import { startSandbox } from '../sandbox/crm/server.ts';
import { EXIT, Told, untilStopped, type ExitCode, type Io } from './io.ts';

export interface SandboxOptions {
  /** Where it listens; the port is CRM_URL's. */
  readonly host: string;
  readonly contacts: number;
  readonly ratePerMinute: number;
}

/** The path that the sandbox serves, as the product does. */
const PATH = '/api';

interface SandboxWork extends SandboxOptions {
  readonly config: Config;
  readonly log: Log;
}

export const runSandbox = async (io: Io, { config, log, host, contacts, ratePerMinute }: SandboxWork): Promise<ExitCode> => {
  const { crmUrl, crmToken } = config;
  const { protocol, pathname, port } = new URL(crmUrl);
  if (protocol !== 'http:' || pathname !== PATH) {
    io.err(formatProblem({ setting: 'CRM_URL', value: crmUrl, message: `the sandbox CRM serves http://HOST:PORT${PATH} only` }));
    return EXIT.usage;
  }
  const account = createSandboxAccount();
  account.seed({ contacts });
  const address = { host, port: Number(port === '' ? 80 : port) };
  const sandbox = await startSandbox({ account, token: crmToken, ratePerMinute, ...address }).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    throw new Told(`Nothing can listen at ${address.host}, port ${address.port}: ${code ?? 'unknown error'}.`, { cause: error });
  });
  log.info({ url: sandbox.url, contacts }, 'the sandbox CRM is up; what is written to it lives in memory');
  await untilStopped(io);
  await sandbox.close();
  return EXIT.done;
};

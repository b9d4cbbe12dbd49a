/** Settings as they hold, and what only shows when they are seen together. */
import type { Config, DotEnvFile, EffectiveSetting } from '../../config.ts';
import { isLoopback } from '../../domain/loopback.ts';
import { ok, warning, type Line } from './line.ts';

const TOKEN_LENGTH_MIN = 16;

export interface Settings {
  readonly config: Config;
  readonly effective: readonly EffectiveSetting[];
  /** Names that look like settings and are none. */
  readonly unknown: readonly string[];
  /** Null where there is none. */
  readonly dotEnv: DotEnvFile | null;
  readonly nodeVersion: string;
}

export const checkSettings = ({ config, effective, unknown, dotEnv, nodeVersion }: Settings): readonly Line[] => [
  describeSettings(effective, unknown),
  checkDotEnv(dotEnv),
  ok('node', nodeVersion),
  checkAdmin(config),
];

const describeSettings = (effective: readonly EffectiveSetting[], unknown: readonly string[]): Line => {
  const set = effective.filter(({ isDefault }) => !isDefault);
  const shown = set.map(({ name, value }) => `${name}=${value ?? '(hidden)'}`);
  const rest = effective.length - set.length;
  const detail = [...shown, `${rest} at their defaults`].join(', ');
  if (unknown.length === 0) return ok('settings', detail);
  const [names, are] = [unknown.join(', '), unknown.length === 1 ? 'is no setting and is' : 'are no settings and are'];
  return warning('settings', `${names} ${are} ignored; ${detail}`, "Is it misspelt? The README's table has all settings.");
};

const SHARED_BITS = 0o077;

/** It is the one file of secrets whose rights nobody else looks after: platforms do that for theirs. */
const checkDotEnv = (file: DotEnvFile | null): Line => {
  if (file === null) return ok('env_file', 'there is no .env here');
  const mode = file.mode.toString(8).padStart(3, '0');
  if (file.secrets.length === 0) return ok('env_file', '.env holds no secret');
  if ((file.mode & SHARED_BITS) === 0) return ok('env_file', `.env is its owner's alone (mode ${mode})`);
  return warning(
    'env_file',
    `.env holds ${file.secrets.join(', ')}, and others than its owner have rights to it (mode ${mode})`,
    'chmod 600 .env',
  );
};

const checkAdmin = ({ httpHost, httpPort, adminToken }: Config): Line => {
  const where = `${httpHost}:${httpPort}`;
  const isLocal = isLoopback(httpHost);
  if (adminToken === null && !isLocal) {
    return warning(
      'admin_api',
      `${where} is reached from elsewhere and ADMIN_TOKEN is not set: only health and metrics are served`,
      'Set ADMIN_TOKEN (or ADMIN_TOKEN_FILE) to use the dashboard and the admin API from there.',
    );
  }
  if (adminToken !== null && adminToken.length < TOKEN_LENGTH_MIN) {
    return warning(
      'admin_api',
      `ADMIN_TOKEN has ${adminToken.length} characters: it can be guessed`,
      `Set a random one of at least ${TOKEN_LENGTH_MIN} characters: openssl rand -hex 32`,
    );
  }
  return ok(
    'admin_api',
    `${where}, ${adminToken === null ? 'loopback only, without token: read only and without values' : 'with a token'}`,
  );
};

/** Settings as they hold, and what only shows when they are seen together. */
import type { Config, EffectiveSetting } from '../../config.ts';
import { ok, warning, type Line } from './line.ts';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;
const TOKEN_LENGTH_MIN = 16;

export const checkSettings = (config: Config, effective: readonly EffectiveSetting[], nodeVersion: string): readonly Line[] => [
  describeSettings(effective),
  ok('node', nodeVersion),
  checkAdmin(config),
];

const describeSettings = (effective: readonly EffectiveSetting[]): Line => {
  const set = effective.filter(({ isDefault }) => !isDefault);
  const shown = set.map(({ name, value }) => `${name}=${value ?? '(hidden)'}`);
  const rest = effective.length - set.length;
  return ok('settings', [...shown, `${rest} at their defaults`].join(', '));
};

const checkAdmin = ({ httpHost, httpPort, adminToken }: Config): Line => {
  const where = `${httpHost}:${httpPort}`;
  const isLocal = LOOPBACK.test(httpHost);
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

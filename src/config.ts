/**
 * The settings: the only place that reads the environment. Every setting is parsed and checked before any command does anything, whether
 * the command needs it or not, so that a mistake shows when it is made and not at three in the night.
 *
 * A value may come from a file instead (`X_FILE` for `X`), as container platforms hand out secrets.
 */
import { readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { isLoopback } from './domain/loopback.ts';
import { type SettingName, SETTINGS, type SettingValues } from './settings.ts';

export type Environment = { readonly [name: string]: string | undefined };

/** Reads a whole file as text; throws as node:fs does. */
export type ReadFile = (file: string) => string;

export interface ConfigProblem {
  /** The name as the user wrote it: `X`, or `X_FILE`. */
  readonly setting: string;
  /** What stands there; null where nothing does, or where it is a secret. */
  readonly value: string | null;
  /** What is wrong, and what is allowed. */
  readonly message: string;
}

export interface Config {
  /** Without a slash at the end; ends in `/api`. */
  readonly crmUrl: string;
  readonly crmToken: string;
  /** Null: the embedded server. */
  readonly databaseUrl: string | null;
  /** Null: as databaseUrl. */
  readonly databaseListenUrl: string | null;
  /** Calls per minute, never more than the CRM allows; null: what the CRM allows. */
  readonly crmRatePerMinute: number | null;
  /** Over 0, up to 1. */
  readonly crmRateShare: number;
  readonly crmTimeoutMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  readonly createRecheckMs: number;
  readonly crmExternalIdField: `cf_${string}` | null;
  readonly pullCron: string;
  readonly sweepCron: string;
  readonly cronTimeZone: string;
  readonly pushPollMs: number;
  readonly conflictPolicy: 'newest' | 'crm' | 'mirror' | 'manual';
  readonly writeMode: 'merged' | 'ordered';
  readonly brakeRows: number;
  /** 0 to 1, of the mirror's rows. */
  readonly brakeShare: number;
  readonly brakeMax: number;
  readonly captureNotify: boolean;
  readonly httpHost: string;
  /** 0: one that is free. */
  readonly httpPort: number;
  readonly adminToken: string | null;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Null: pretty on a terminal, json elsewhere. */
  readonly logFormat: 'json' | 'pretty' | null;
  readonly changeLogDays: number;
  readonly historyDays: number;
}

/** A setting as it holds, for people. */
export interface EffectiveSetting {
  readonly name: SettingName;
  /** As it was written, without a password; null where it is a secret. The default as the reference shows it. */
  readonly value: string | null;
  readonly isDefault: boolean;
}

export type ParsedConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly effective: readonly EffectiveSetting[];
      /** Names that look like settings of ours and are none: a typing error leaves a setting at its default, in silence. */
      readonly unknown: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

const toConfig = (values: SettingValues): Config => ({
  crmUrl: values.CRM_URL,
  crmToken: values.CRM_TOKEN,
  databaseUrl: values.DATABASE_URL,
  databaseListenUrl: values.DATABASE_LISTEN_URL,
  crmRatePerMinute: values.CRM_RATE_PER_MINUTE,
  crmRateShare: values.CRM_RATE_SHARE,
  crmTimeoutMs: values.CRM_TIMEOUT_MS,
  retryMinMs: values.RETRY_MIN_MS,
  retryMaxMs: values.RETRY_MAX_MS,
  createRecheckMs: values.CREATE_RECHECK_MS,
  crmExternalIdField: values.CRM_EXTERNAL_ID_FIELD,
  pullCron: values.PULL_CRON,
  sweepCron: values.SWEEP_CRON,
  cronTimeZone: values.TZ_CRON,
  pushPollMs: values.PUSH_POLL_MS,
  conflictPolicy: values.CONFLICT_POLICY,
  writeMode: values.WRITE_MODE,
  brakeRows: values.BRAKE_ROWS,
  brakeShare: values.BRAKE_SHARE,
  brakeMax: values.BRAKE_MAX,
  captureNotify: values.CAPTURE_NOTIFY,
  httpHost: values.HTTP_HOST,
  httpPort: values.HTTP_PORT,
  adminToken: values.ADMIN_TOKEN,
  logLevel: values.LOG_LEVEL,
  logFormat: values.LOG_FORMAT,
  changeLogDays: values.CHANGE_LOG_DAYS,
  historyDays: values.HISTORY_DAYS,
});

/**
 * What only shows when settings are seen together. Called with the settings that are right by themselves.
 * @param isSet whether somebody wrote it: a default that another setting outdoes is no contradiction
 */
const contradictions = (values: Partial<SettingValues>, isSet: (name: SettingName) => boolean): readonly ConfigProblem[] => {
  const problems: ConfigProblem[] = [];
  const { BRAKE_ROWS, BRAKE_MAX } = values;
  if (isSet('BRAKE_ROWS') && BRAKE_ROWS !== undefined && BRAKE_MAX !== undefined && BRAKE_ROWS > BRAKE_MAX) {
    problems.push({ setting: 'BRAKE_ROWS', value: String(BRAKE_ROWS), message: `must not be over BRAKE_MAX (${BRAKE_MAX})` });
  }
  const { CRM_URL, CRM_ALLOW_HTTP, RETRY_MIN_MS, RETRY_MAX_MS, DATABASE_URL, DATABASE_LISTEN_URL } = values;
  if (CRM_URL?.startsWith('http:') && CRM_ALLOW_HTTP !== true && !isLoopback(new URL(CRM_URL).hostname)) {
    const message = 'would send the token unencrypted; allowed is https, http to loopback, or http anywhere with CRM_ALLOW_HTTP=true';
    problems.push({ setting: 'CRM_URL', value: withoutCredentials(CRM_URL), message });
  }
  if (RETRY_MIN_MS !== undefined && RETRY_MAX_MS !== undefined && RETRY_MIN_MS > RETRY_MAX_MS) {
    problems.push({ setting: 'RETRY_MIN_MS', value: String(RETRY_MIN_MS), message: `must not be over RETRY_MAX_MS (${RETRY_MAX_MS})` });
  }
  if (DATABASE_URL === null && DATABASE_LISTEN_URL != null) {
    problems.push({ setting: 'DATABASE_LISTEN_URL', value: null, message: 'needs DATABASE_URL, of which it is the direct connection' });
  }
  return problems;
};

/** An address may hold a password where none belongs, or a token behind its question mark. */
const withoutCredentials = (text: string): string => text.replace(/\/\/.*@/g, '//…@').replace(/(:\/\/[^?#]*)[?#].*$/s, '$1?…');

type Raw = { readonly text: string | null } | { readonly problem: ConfigProblem };

/** A setting's text from the environment or from its file; null where it is not set. An empty value counts as not set. */
const readRaw = (name: SettingName, env: Environment, readFile: ReadFile): Raw => {
  const direct = env[name]?.trim() ?? '';
  const setting = `${name}_FILE`;
  const file = env[setting]?.trim() ?? '';
  if (file === '') return { text: direct === '' ? null : direct };
  if (direct !== '') return { problem: { setting, value: file, message: `only one of ${name} and ${setting} may be set` } };
  try {
    const text = readFile(file).trim();
    if (text === '') return { problem: { setting, value: file, message: 'the file is empty' } };
    return { text };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    return { problem: { setting, value: file, message: `the file cannot be read (${code}); allowed: the path of a readable file` } };
  }
};

/**
 * Parses and checks all settings. Pure but for `readFile`, which is only asked for `X_FILE` settings.
 *
 * Not ok: one problem per wrong, missing or contradictory setting, in the order of the reference.
 */
export const parseConfig = (env: Environment, readFile: ReadFile = (file) => readFileSync(file, 'utf8')): ParsedConfig => {
  const problems: ConfigProblem[] = [];
  const values: { [name: string]: unknown } = {};
  const effective: EffectiveSetting[] = [];
  for (const { name, secret, allowed, schema, fallback, shown } of SETTINGS) {
    const raw = readRaw(name, env, readFile);
    if ('problem' in raw) {
      problems.push(raw.problem);
    } else if (raw.text === null && fallback === undefined) {
      problems.push({ setting: name, value: null, message: `is required: ${allowed}` });
    } else if (raw.text === null) {
      values[name] = fallback;
      effective.push({ name, value: shown.replaceAll('`', ''), isDefault: true });
    } else {
      const parsed = schema.safeParse(raw.text);
      if (parsed.success) {
        values[name] = parsed.data;
        effective.push({ name, value: secret ? null : withoutCredentials(raw.text), isDefault: false });
      } else problems.push({ setting: name, value: secret ? null : withoutCredentials(raw.text), message: `allowed: ${allowed}` });
    }
  }
  // Each value came out of its own schema or is its own default: the table gives the types.
  const typed = values as Partial<SettingValues>;
  problems.push(...contradictions(typed, (name) => effective.some((each) => each.name === name && !each.isDefault)));
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, config: toConfig(typed as SettingValues), effective, unknown: unknownNames(env) };
};

const KNOWN_NAMES: ReadonlySet<string> = new Set(SETTINGS.flatMap(({ name }) => [name, `${name}_FILE`]));
/** Beginnings that are ours alone: `HTTP_PROXY` or `POSTGRES_PORT` are somebody else's. */
const OWN_NAME = /^(CRM|BRAKE|CONFLICT|PULL|SWEEP|PUSH|HISTORY|CHANGE_LOG|CAPTURE)_/;

const unknownNames = (env: Environment): readonly string[] =>
  Object.keys(env)
    .filter((name) => OWN_NAME.test(name) && !KNOWN_NAMES.has(name))
    .toSorted();

/** One line, for people: `CRM_TIMEOUT_MS="soon": allowed: …`. */
export const formatProblem = ({ setting, value, message }: ConfigProblem): string =>
  `${setting}${value === null ? '' : `=${JSON.stringify(value)}`}: ${message}`;

/**
 * The configuration of this process: its environment, completed from `.env` in the working directory (what is set already wins over the
 * file). `overrides` win over both, files (`X_FILE`) included.
 */
export const readConfig = (overrides: Environment = {}, dotEnv = '.env'): ParsedConfig => {
  let file: Environment = {};
  try {
    file = parseEnv(readFileSync(dotEnv, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') return { ok: false, problems: [{ setting: dotEnv, value: null, message: `the file cannot be read (${code})` }] };
  }
  const env: { [name: string]: string | undefined } = { ...file, ...process.env };
  // X and X_FILE are one setting: whoever sets either replaces both of the weaker source.
  for (const stronger of [process.env, overrides]) {
    for (const name of Object.keys(stronger)) {
      delete env[name.endsWith('_FILE') ? name.slice(0, -'_FILE'.length) : `${name}_FILE`];
    }
    Object.assign(env, stronger);
  }
  return parseConfig(env);
};

/** The file `.env`, as far as it is a secret. */
export interface DotEnvFile {
  /** Permission bits, 0o600 say. */
  readonly mode: number;
  /** The secret settings that stand in it. */
  readonly secrets: readonly SettingName[];
}

/** Null where there is none, or where it cannot be read. */
export const inspectDotEnv = (dotEnv = '.env'): DotEnvFile | null => {
  try {
    const values = parseEnv(readFileSync(dotEnv, 'utf8'));
    const secrets = SETTINGS.filter(({ name, secret }) => secret && (values[name] ?? '').trim() !== '').map(({ name }) => name);
    return { mode: statSync(dotEnv).mode & 0o777, secrets };
  } catch {
    return null;
  }
};

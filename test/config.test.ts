import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { type Config, type Environment, formatProblem, inspectDotEnv, parseConfig, readConfig } from '../src/config.ts';
import { SETTINGS } from '../src/settings.ts';

const REQUIRED = { CRM_URL: 'https://crm.example/api', CRM_TOKEN: 'token-1' };

const configOf = (env: Environment): Config => {
  const parsed = parseConfig({ ...REQUIRED, ...env });
  if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join('\n'));
  return parsed.config;
};
const linesOf = (env: Environment, readFile?: (file: string) => string): readonly string[] => {
  const parsed = parseConfig({ ...REQUIRED, ...env }, readFile);
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};

test('with the two required settings, all others have their defaults', () => {
  expect(configOf({})).toEqual({
    crmUrl: 'https://crm.example/api',
    crmToken: 'token-1',
    databaseUrl: null,
    databaseListenUrl: null,
    crmRatePerMinute: null,
    crmRateShare: 0.9,
    crmTimeoutMs: 30_000,
    retryMinMs: 1_000,
    retryMaxMs: 300_000,
    createRecheckMs: 5_000,
    crmExternalIdField: null,
    pullCron: '0 * * * * *',
    sweepCron: '0 15 3 * * *',
    cronTimeZone: 'UTC',
    pushPollMs: 5_000,
    conflictPolicy: 'newest',
    writeMode: 'merged',
    brakeRows: 25,
    brakeShare: 0.1,
    brakeMax: 1_000,
    captureNotify: true,
    httpHost: '127.0.0.1',
    httpPort: 8080,
    adminToken: null,
    logLevel: 'info',
    logFormat: null,
    changeLogDays: 90,
    historyDays: 365,
  } satisfies Config);
});

test('a missing required setting is named, and an empty one counts as missing', () => {
  const parsed = parseConfig({ CRM_TOKEN: '  ' });
  expect(parsed.ok ? [] : parsed.problems).toEqual([
    expect.objectContaining({ setting: 'CRM_URL', value: null, message: expect.stringContaining('is required') as string }),
    expect.objectContaining({ setting: 'CRM_TOKEN', value: null, message: expect.stringContaining('is required') as string }),
  ]);
});

test('every wrong setting gets a line of its own that names it, its value and what is allowed', () => {
  expect(linesOf({ CRM_TIMEOUT_MS: 'soon', WRITE_MODE: 'both', HTTP_PORT: '65536' })).toEqual([
    'CRM_TIMEOUT_MS="soon": allowed: a whole number of milliseconds from 10 to 600000',
    'WRITE_MODE="both": allowed: merged, ordered',
    'HTTP_PORT="65536": allowed: a port from 0 to 65535',
  ]);
});

describe.each([
  [
    'CRM_URL',
    ['https://a.example/api', 'https://a.example/crm/api/', 'http://127.0.0.1:1/api', 'http://localhost/api', 'http://[::1]:80/api'],
  ],
  ['CRM_TOKEN', ['1|abcDEF_-.~+/=']],
  ['CRM_ALLOW_HTTP', ['true', 'false']],
  ['DATABASE_URL', ['postgres://u:p@h:5432/d', 'postgresql://h/d?sslmode=verify-full', 'postgres:///d?host=/run/postgresql']],
  ['CRM_RATE_PER_MINUTE', ['1', '6000']],
  ['CRM_RATE_SHARE', ['1', '0.01', '.5']],
  ['CRM_TIMEOUT_MS', ['10', '600000']],
  ['RETRY_MIN_MS', ['1', '300000']],
  ['RETRY_MAX_MS', ['1000', '86400000']],
  ['CREATE_RECHECK_MS', ['0', '3600000']],
  ['CRM_EXTERNAL_ID_FIELD', ['cf_mirror_id', 'cf_1']],
  ['PULL_CRON', ['*/5 * * * *', '*/10 * * * * *']],
  ['SWEEP_CRON', ['0 3 * * 1-5']],
  ['TZ_CRON', ['UTC', 'Europe/Berlin', 'America/New_York']],
  ['PUSH_POLL_MS', ['10', '3600000']],
  ['CONFLICT_POLICY', ['newest', 'crm', 'mirror', 'manual']],
  ['WRITE_MODE', ['merged', 'ordered']],
  ['BRAKE_ROWS', ['0', '25']],
  ['BRAKE_SHARE', ['0', '0.1', '1']],
  ['BRAKE_MAX', ['0', '1000']],
  ['CAPTURE_NOTIFY', ['on', 'off']],
  ['HTTP_HOST', ['0.0.0.0', '::', 'localhost', 'mirror.internal']],
  ['HTTP_PORT', ['0', '65535']],
  ['ADMIN_TOKEN', ['s3cret']],
  ['LOG_LEVEL', ['debug', 'silent']],
  ['LOG_FORMAT', ['json', 'pretty']],
  ['CHANGE_LOG_DAYS', ['1', '36500']],
  ['HISTORY_DAYS', ['0', '36500']],
])('%s', (name, values) => {
  test.each(values)('takes %s', (value) => expect(linesOf({ [name]: value })).toEqual([]));
});

const WRONG: readonly (readonly [name: string, values: readonly string[]])[] = [
  ['CRM_URL', ['crm.example/api', 'https://a.example', 'https://a.example/api/v2', 'ftp://a.example/api', 'https://a.example/api?x=1']],
  ['CRM_TOKEN', ['two words', 'Bearer abc', 'tökén', 'line\nbreak']],
  ['CRM_ALLOW_HTTP', ['1', 'yes', 'TRUE']],
  ['DATABASE_URL', ['mysql://h/d', 'host=a dbname=b', 'postgres://h/d?sslmode=maybe']],
  ['DATABASE_LISTEN_URL', ['h:5432']],
  ['CRM_RATE_PER_MINUTE', ['0', '-1', '1.5', '1e3', '6,000']],
  ['CRM_RATE_SHARE', ['0', '1.01', '90%', '-0.5', 'NaN']],
  ['CRM_TIMEOUT_MS', ['0', '9', '600001', '30s', '0x10']],
  ['RETRY_MIN_MS', ['0', '86400001']],
  ['RETRY_MAX_MS', ['0', 'Infinity']],
  ['CREATE_RECHECK_MS', ['-1', '3600001']],
  ['CRM_EXTERNAL_ID_FIELD', ['mirror_id', 'cf_', 'cf_a b', 'cf_a;drop']],
  ['PULL_CRON', ['every minute', '60 * * * * *', '* * *', '@sometimes']],
  ['SWEEP_CRON', ['0 25 * * *']],
  ['TZ_CRON', ['Berlin', 'Mars/Olympus']],
  ['PUSH_POLL_MS', ['0']],
  ['CONFLICT_POLICY', ['oldest', 'Newest']],
  ['WRITE_MODE', ['both']],
  ['BRAKE_ROWS', ['-1', '2.5']],
  ['BRAKE_SHARE', ['1.1', '10%']],
  ['BRAKE_MAX', ['none']],
  ['CAPTURE_NOTIFY', ['true']],
  ['HTTP_HOST', ['http://localhost', 'a b', '-x']],
  ['HTTP_PORT', ['-1', '65536', 'http']],
  ['ADMIN_TOKEN', ['two words']],
  ['LOG_LEVEL', ['verbose']],
  ['LOG_FORMAT', ['text']],
  ['CHANGE_LOG_DAYS', ['0', '36501']],
  ['HISTORY_DAYS', ['-1', 'forever']],
];

test('every setting has wrong values that the next tests try', () => {
  expect(WRONG.map(([name]) => name)).toEqual(SETTINGS.map(({ name }) => name));
});

describe.each(WRONG)('%s', (name, values) => {
  test.each(values)('refuses %j', (value) => {
    // DATABASE_LISTEN_URL alone would be refused for another reason.
    const lines = linesOf({ DATABASE_URL: 'postgres://h/d', [name]: value });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(name);
    expect(lines[0]).toContain('allowed');
  });
});

test("a secret's value is never in a problem, nor is a password in an address", () => {
  const lines = linesOf({
    CRM_URL: 'https://ada:hunter2@crm.example/api',
    CRM_TOKEN: 'hunter2 hunter2',
    DATABASE_URL: 'mysql://ada:hunter2@h/d',
    DATABASE_LISTEN_URL: 'mysql://ada:hunter2@h/d',
    ADMIN_TOKEN: 'hunter2 hunter2',
  });
  expect(lines).toHaveLength(5);
  expect(lines.join('\n')).not.toContain('hunter2');
});

describe('CRM_URL', () => {
  test('loses its slash at the end', () =>
    expect(configOf({ CRM_URL: 'https://crm.example/api/' }).crmUrl).toBe('https://crm.example/api'));

  test('is http beyond loopback only with CRM_ALLOW_HTTP=true', () => {
    const [line, ...more] = linesOf({ CRM_URL: 'http://crm.example/api' });
    expect(line).toMatch(/^CRM_URL="http:\/\/crm\.example\/api": .*CRM_ALLOW_HTTP=true/);
    expect(more).toEqual([]);
    expect(linesOf({ CRM_URL: 'http://127.0.0.1.evil.example/api' })).toHaveLength(1);
    expect(configOf({ CRM_URL: 'http://crm.example/api', CRM_ALLOW_HTTP: 'true' }).crmUrl).toBe('http://crm.example/api');
  });
});

describe('contradictions', () => {
  test('RETRY_MIN_MS over RETRY_MAX_MS', () => {
    expect(linesOf({ RETRY_MIN_MS: '5000', RETRY_MAX_MS: '4000' })).toEqual(['RETRY_MIN_MS="5000": must not be over RETRY_MAX_MS (4000)']);
    expect(linesOf({ RETRY_MIN_MS: '4000', RETRY_MAX_MS: '4000' })).toEqual([]);
  });

  test('BRAKE_ROWS over BRAKE_MAX, where somebody set it; a smaller BRAKE_MAX alone is none', () => {
    expect(linesOf({ BRAKE_ROWS: '5000', BRAKE_MAX: '10' })).toEqual(['BRAKE_ROWS="5000": must not be over BRAKE_MAX (10)']);
    expect(linesOf({ BRAKE_ROWS: '2000' })).toEqual(['BRAKE_ROWS="2000": must not be over BRAKE_MAX (1000)']);
    expect(linesOf({ BRAKE_ROWS: '10', BRAKE_MAX: '10' })).toEqual([]);
    expect(linesOf({ BRAKE_MAX: '10' })).toEqual([]);
  });

  test('one that is wrong by itself is reported once, not as a contradiction too', () => {
    expect(linesOf({ RETRY_MIN_MS: 'x', RETRY_MAX_MS: '1' })).toHaveLength(1);
  });

  test('DATABASE_LISTEN_URL without DATABASE_URL', () => {
    expect(linesOf({ DATABASE_LISTEN_URL: 'postgres://h/d' })).toEqual([
      expect.stringContaining('DATABASE_LISTEN_URL: needs DATABASE_URL'),
    ]);
  });
});

test('names that look like settings and are none are told, with no value; those of others are left alone', () => {
  const parsed = parseConfig({
    ...REQUIRED,
    CRM_RAET_SHARE: '0.5',
    BRAKE_ROW: '1',
    SWEEP_CRON_FILE: '',
    CRM_TOKEN_FIEL: 'x',
    HTTP_PROXY: 'p',
  });
  expect(parsed.ok && parsed.unknown).toEqual(['BRAKE_ROW', 'CRM_RAET_SHARE', 'CRM_TOKEN_FIEL']);
  const right = parseConfig({ ...REQUIRED, POSTGRES_PORT: '1' });
  expect(right.ok && right.unknown).toEqual([]);
});

describe('X_FILE', () => {
  const files: Record<string, string> = { '/run/token': 'from-file\n', '/run/empty': '\n' };
  const readFile = (file: string): string => {
    const text = files[file];
    if (text === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' });
    return text;
  };

  test('gives the value of X, without the line break at its end', () => {
    const parsed = parseConfig({ CRM_URL: REQUIRED.CRM_URL, CRM_TOKEN_FILE: '/run/token' }, readFile);
    expect(parsed.ok && parsed.config.crmToken).toBe('from-file');
  });

  test('together with X is a contradiction', () => {
    expect(linesOf({ CRM_TOKEN_FILE: '/run/token' }, readFile)).toEqual([
      'CRM_TOKEN_FILE="/run/token": only one of CRM_TOKEN and CRM_TOKEN_FILE may be set',
    ]);
  });

  test('that is missing or empty is named with its path', () => {
    expect(linesOf({ CRM_TOKEN: '', CRM_TOKEN_FILE: '/run/nothing' }, readFile)).toEqual([
      'CRM_TOKEN_FILE="/run/nothing": the file cannot be read (ENOENT); allowed: the path of a readable file',
    ]);
    expect(linesOf({ CRM_TOKEN: '', CRM_TOKEN_FILE: '/run/empty' }, readFile)).toEqual(['CRM_TOKEN_FILE="/run/empty": the file is empty']);
  });
});

describe('inspectDotEnv', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'relate-mirror-config-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('tells its rights and which secrets stand in it, and nothing of a file that is not there', () => {
    const file = path.join(folder, '.env');
    expect(inspectDotEnv(file)).toBeNull();
    writeFileSync(file, 'CRM_URL=https://a.example/api\nCRM_TOKEN=x\nADMIN_TOKEN=\nDATABASE_URL=postgres://a:b@c/d\n');
    chmodSync(file, 0o640);
    expect(inspectDotEnv(file)).toEqual({ mode: 0o640, secrets: ['CRM_TOKEN', 'DATABASE_URL'] });
    chmodSync(file, 0o600);
    expect(inspectDotEnv(file)?.mode).toBe(0o600);
  });
});

describe('readConfig', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'relate-mirror-config-'));
  const dotEnv = path.join(folder, '.env');
  afterEach(() => vi.unstubAllEnvs());
  afterAll(() => rmSync(folder, { recursive: true }));

  test('reads .env, lets the environment win over it, and overrides win over both', () => {
    writeFileSync(dotEnv, 'CRM_URL=https://file.example/api\nCRM_TOKEN="file token"\nHTTP_PORT=1\nPUSH_POLL_MS=100\n');
    vi.stubEnv('CRM_TOKEN', 'env-token');
    vi.stubEnv('HTTP_PORT', '2');
    const parsed = readConfig({ HTTP_PORT: '3' }, dotEnv);
    const expected = { crmUrl: 'https://file.example/api', crmToken: 'env-token', pushPollMs: 100, httpPort: 3 };
    expect(parsed).toMatchObject({ ok: true, config: expect.objectContaining(expected) as Config });
  });

  test('an override of X replaces an X_FILE of the environment', () => {
    vi.stubEnv('CRM_TOKEN_FILE', path.join(folder, 'nothing'));
    const parsed = readConfig(REQUIRED, path.join(folder, 'absent'));
    expect(parsed.ok && parsed.config.crmToken).toBe('token-1');
  });

  test('a .env that is absent is no problem, one that cannot be read is', () => {
    expect(readConfig(REQUIRED, path.join(folder, 'absent')).ok).toBe(true);
    expect(readConfig(REQUIRED, folder)).toEqual({
      ok: false,
      problems: [{ setting: folder, value: null, message: 'the file cannot be read (EISDIR)' }],
    });
  });
});

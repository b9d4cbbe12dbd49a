/** The reference of all settings: their names, defaults, meanings and what is allowed. The README's table is checked against it. */
import { isIP } from 'node:net';
import { validate as isCron } from 'node-cron';
import { z } from 'zod';

interface Setting<T> {
  readonly schema: z.ZodType<T, string>;
  /** The value where it is not set; without one the setting is required. */
  readonly fallback?: T;
  /** The default as a reader of the reference should see it. */
  readonly shown: string;
  readonly meaning: string;
  /** Stands in the error line. */
  readonly allowed: string;
  /** Its value is never printed. */
  readonly secret?: boolean;
}

const setting = <T>(definition: Setting<T>): Setting<T> => definition;

const whole = (min: number, max: number): z.ZodType<number, string> =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine((value) => value >= min && value <= max);

const share = z
  .string()
  .regex(/^\d*\.?\d+$/)
  .transform(Number)
  .refine((value) => value <= 1);

const ms = (fallback: number, min: number, max: number, meaning: string): Setting<number> => ({
  schema: whole(min, max),
  fallback,
  shown: String(fallback),
  meaning,
  allowed: `a whole number of milliseconds from ${min} to ${max}`,
});

const days = (min: 0 | 1, fallback: number, meaning: string): Setting<number> => ({
  schema: whole(min, 36_500),
  fallback,
  shown: String(fallback),
  meaning,
  allowed: `a whole number of days from ${min} to 36500`,
});

const oneOf = <const T extends readonly [string, ...string[]]>(values: T, fallback: T[number], meaning: string): Setting<T[number]> => ({
  schema: z.enum(values),
  fallback,
  shown: fallback,
  meaning,
  allowed: values.join(', '),
});

/** Goes into an HTTP header as it is. */
const headerToken = z.string().regex(/^[\x21-\x7e]{1,4096}$/);

const parseUrl = (text: string): URL | null => (URL.canParse(text) ? new URL(text) : null);

const crmUrl = z
  .string()
  .transform((text) => text.replace(/\/+$/, ''))
  .refine((text) => {
    const url = parseUrl(text);
    if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return false;
    return url.pathname.endsWith('/api') && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  });

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

const databaseUrl = z.string().refine((text) => {
  const url = parseUrl(text);
  if (url === null || (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:')) return false;
  const mode = url.searchParams.get('sslmode');
  return mode === null || SSL_MODES.includes(mode);
});
const DATABASE_URL_ALLOWED = `postgres://user:password@host:port/database, with sslmode ${SSL_MODES.join(', ')} or none`;

const cron = (fallback: string, meaning: string): Setting<string> => ({
  schema: z.string().refine((text) => isCron(text)),
  fallback,
  shown: fallback,
  meaning,
  allowed: 'a cron expression of five fields, or six with seconds first',
});

const isTimeZone = (text: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
};

const HOST_NAME = /^(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*\.?$/i;

const TABLE = {
  CRM_URL: setting<string>({
    schema: crmUrl,
    shown: 'required',
    meaning: 'base address of the CRM, ending in `/api`; https, or http to loopback, or anywhere with CRM_ALLOW_HTTP=true',
    allowed: 'an https address that ends in /api, without user, password or query (http: see CRM_ALLOW_HTTP)',
  }),
  CRM_TOKEN: setting<string>({
    schema: headerToken,
    shown: 'required',
    meaning: "the CRM's bearer token",
    allowed: 'the token alone, without spaces, quotes around it or the word Bearer',
    secret: true,
  }),
  CRM_ALLOW_HTTP: setting<boolean>({
    schema: z.enum(['true', 'false']).transform((text) => text === 'true'),
    fallback: false,
    shown: 'false',
    meaning: 'lets CRM_URL be http beyond loopback: the token then travels unencrypted',
    allowed: 'true, false',
  }),
  DATABASE_URL: setting<string | null>({
    schema: databaseUrl,
    fallback: null,
    shown: 'embedded server under `.relate-mirror/`',
    meaning:
      'the mirror. TLS as its `sslmode` says; without one: none to loopback and unix sockets, verify-full elsewhere. Without it the embedded server, if its optional package is installed',
    allowed: DATABASE_URL_ALLOWED,
    secret: true,
  }),
  DATABASE_LISTEN_URL: setting<string | null>({
    schema: databaseUrl,
    fallback: null,
    shown: 'DATABASE_URL',
    meaning: "direct connection for LISTEN and the leader's lease, where DATABASE_URL goes through a transaction pooler",
    allowed: DATABASE_URL_ALLOWED,
    secret: true,
  }),
  CRM_RATE_PER_MINUTE: setting<number | null>({
    schema: whole(1, 1_000_000),
    fallback: null,
    shown: 'learned, 60 until known',
    meaning: 'ceiling for all calls together; it only lowers what the CRM allows (X-RateLimit-Limit)',
    allowed: 'a whole number of calls from 1 to 1000000',
  }),
  CRM_RATE_SHARE: setting<number>({
    schema: share.refine((value) => value > 0),
    fallback: 0.9,
    shown: '0.9',
    meaning: 'share of that ceiling that the daemon may use',
    allowed: 'a number over 0, up to 1',
  }),
  CRM_TIMEOUT_MS: ms(30_000, 10, 600_000, 'time-out of one call'),
  RETRY_MIN_MS: ms(1_000, 1, 86_400_000, 'first back-off of a failed item; jitter is added'),
  RETRY_MAX_MS: ms(300_000, 1, 86_400_000, 'longest back-off of a failed item'),
  CREATE_RECHECK_MS: ms(5_000, 0, 3_600_000, 'after a create of unknown outcome: how long the CRM is asked before it may be sent again'),
  CRM_EXTERNAL_ID_FIELD: setting<`cf_${string}` | null>({
    schema: z
      .string()
      .regex(/^cf_\w{1,120}$/)
      .transform((name): `cf_${string}` => `cf_${name.slice('cf_'.length)}`),
    fallback: null,
    shown: 'none',
    meaning: 'a custom field that carries a correlation id, which makes that question exact',
    allowed: "a custom field's name, beginning with cf_",
  }),
  PULL_CRON: cron('0 * * * * *', 'when the changes are pulled; seconds field allowed'),
  SWEEP_CRON: cron('0 15 3 * * *', 'when everything is reconciled'),
  TZ_CRON: setting<string>({
    schema: z.string().refine(isTimeZone),
    fallback: 'UTC',
    shown: 'UTC',
    meaning: 'time zone of both',
    allowed: 'an IANA time zone, such as Europe/Berlin',
  }),
  PUSH_POLL_MS: ms(5_000, 10, 3_600_000, 'how often is looked for local edits where a notification was lost'),
  CONFLICT_POLICY: oneOf(
    ['newest', 'crm', 'mirror', 'manual'],
    'newest',
    'who wins when both sides changed one field; per field in `sync.field_policy`',
  ),
  WRITE_MODE: oneOf(['merged', 'ordered'], 'merged', '`merged` (net effect per contact) or `ordered` (every committed edit, in order)'),
  BRAKE_ROWS: setting<number>({
    schema: whole(0, 1_000_000_000),
    fallback: 25,
    shown: '25',
    meaning:
      'destructive changes of the last hour in one direction that are more than this and more than BRAKE_SHARE of the mirror, or more than BRAKE_MAX: the rest is held for approval',
    allowed: 'a whole number from 0 to 1000000000',
  }),
  BRAKE_SHARE: setting<number>({
    schema: share,
    fallback: 0.1,
    shown: '0.1',
    meaning: "see BRAKE_ROWS; share of the mirror's rows",
    allowed: 'a number from 0 to 1',
  }),
  BRAKE_MAX: setting<number>({
    schema: whole(0, 1_000_000_000),
    fallback: 1000,
    shown: '1000',
    meaning: 'see BRAKE_ROWS; whatever the size of the mirror',
    allowed: 'a whole number from 0 to 1000000000',
  }),
  CAPTURE_NOTIFY: setting<boolean>({
    schema: z.enum(['on', 'off']).transform((text) => text === 'on'),
    fallback: true,
    shown: 'on',
    meaning: '`off` where clients use two-phase commit (Postgres refuses PREPARE after NOTIFY); the poll serves',
    allowed: 'on, off',
  }),
  HTTP_HOST: setting<string>({
    schema: z.string().refine((text) => isIP(text) !== 0 || HOST_NAME.test(text)),
    fallback: '127.0.0.1',
    shown: '127.0.0.1',
    meaning: 'where health, metrics, dashboard and admin API listen (0.0.0.0 in the image)',
    allowed: 'an IP address or a host name',
  }),
  HTTP_PORT: setting<number>({
    schema: whole(0, 65_535),
    fallback: 8080,
    shown: '8080',
    meaning: 'their port; 0 picks one and logs it',
    allowed: 'a port from 0 to 65535',
  }),
  ADMIN_TOKEN: setting<string | null>({
    schema: headerToken,
    fallback: null,
    shown: 'none',
    meaning: 'the admin API asks for it; without it every state-changing request is refused',
    allowed: 'printable characters without spaces',
    secret: true,
  }),
  LOG_LEVEL: oneOf(['debug', 'info', 'warn', 'error', 'silent'], 'info', 'what is logged'),
  LOG_FORMAT: setting<'json' | 'pretty' | null>({
    schema: z.enum(['json', 'pretty']),
    fallback: null,
    shown: 'json, `pretty` on a terminal',
    meaning: 'how it is logged',
    allowed: 'json, pretty',
  }),
  CHANGE_LOG_DAYS: days(
    1,
    90,
    'how long what is settled is kept: changes in `sync.change_log`, runs, decided conflicts, closed holds, calls',
  ),
  HISTORY_DAYS: days(0, 365, 'how long old versions are kept in `bi.contact_history`; `0` writes none, and keeps what there is'),
} as const;

export type SettingName = keyof typeof TABLE;
export type SettingValues = { readonly [K in SettingName]: (typeof TABLE)[K] extends Setting<infer T> ? T : never };

export interface SettingReference {
  readonly name: SettingName;
  /** As shown in the reference; the value itself is `fallback`. */
  readonly shown: string;
  readonly meaning: string;
  readonly allowed: string;
  readonly secret: boolean;
  readonly schema: z.ZodType<unknown, string>;
  /** Undefined: required. */
  readonly fallback: unknown;
}

/** In the order of the reference. */
export const SETTINGS: readonly SettingReference[] = Object.entries(TABLE).map(
  ([name, { secret = false, fallback, ...rest }]: [string, Setting<unknown>]) => ({
    name: name as SettingName,
    secret,
    fallback,
    ...rest,
  }),
);

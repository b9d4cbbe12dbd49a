/**
 * The first thing that docker-compose.yml starts: one folder of secrets for each service, mounted there read-only and nowhere else. What the
 * operator put into secrets/ is taken; what is left out is invented once and kept. Whether there is a CRM to talk to is decided here, so that
 * a missing setting is told before anything runs.
 *
 *   node prepare.mts GIVEN OUT             GIVEN: the operator's secrets/; OUT: a folder a service, each a volume
 *   node prepare.mts GIVEN OUT --sandbox   only leaves word that this start has a sandbox CRM
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const DATABASE = 'postgres:5432/relate_mirror';
const SANDBOX_URL = 'http://sandbox-crm:3900/api';
const SECRET_BYTES = 24;

/** Each invented secret with the folder that keeps it. */
const INVENTED = {
  postgres_password: 'postgres',
  owner_password: 'postgres',
  daemon_password: 'postgres',
  reader_password: 'postgres',
  editor_password: 'postgres',
  admin_token: 'daemon',
  grafana_password: 'monitoring',
} as const;
type Invented = keyof typeof INVENTED;

/** Told to the operator, without a stack. */
class Missing extends Error {}

const [given = '', out = '', flag] = process.argv.slice(2);
const markFile = path.join(out, 'sandbox', 'chosen');

const textOf = (file: string): string | null => {
  if (!existsSync(file)) return null;
  const text = readFileSync(file, 'utf8').trim();
  return text === '' ? null : text;
};

/** Written whole or not at all; readable for whoever has the folder mounted, whatever its user is. */
const store = (folder: string, name: string, text: string): void => {
  const file = path.join(out, folder, name);
  if (textOf(file) === text) return;
  mkdirSync(path.dirname(file), { recursive: true });
  rmSync(`${file}.new`, { force: true });
  writeFileSync(`${file}.new`, text);
  chmodSync(`${file}.new`, 0o444);
  renameSync(`${file}.new`, file);
};

const givenSecret = (name: string): string | null => textOf(path.join(given, `${name}.txt`));

const provide = (name: Invented): string => {
  const folder = INVENTED[name];
  const text = givenSecret(name) ?? textOf(path.join(out, folder, name)) ?? randomBytes(SECRET_BYTES).toString('base64url');
  store(folder, name, text);
  return text;
};

/** Without TLS: both ends are containers on one private network of this machine. */
const databaseUrl = (role: string, password: string): string =>
  `postgres://${role}:${encodeURIComponent(password)}@${DATABASE}?sslmode=disable`;

interface CrmSettings {
  readonly url: string;
  readonly token: string;
  readonly allowHttp: boolean;
}

const sandboxCrm = (): CrmSettings => {
  const token = textOf(path.join(out, 'sandbox', 'crm_token')) ?? randomBytes(SECRET_BYTES).toString('base64url');
  store('sandbox', 'crm_token', token);
  return { url: SANDBOX_URL, token, allowHttp: true };
};

const realCrm = (): CrmSettings => {
  const url = process.env['CRM_URL']?.trim() ?? '';
  const token = givenSecret('crm_token');
  const missing = [
    ...(url === ''
      ? ['CRM_URL is not set. Write CRM_URL=https://…/api, the address of your CRM, into the file .env beside docker-compose.yml.']
      : []),
    ...(token === null ? ["secrets/crm_token.txt is missing or empty. Put the CRM's bearer token into it, and nothing else."] : []),
  ];
  if (url === '' || token === null)
    throw new Missing([...missing, 'To see it work without an account: docker compose --profile sandbox up --wait'].join('\n'));
  return { url, token, allowHttp: process.env['CRM_ALLOW_HTTP'] === 'true' };
};

/** The word counts for this start only. */
const chooseCrm = (): CrmSettings => {
  const sandbox = existsSync(markFile);
  rmSync(markFile, { force: true });
  if (!sandbox) return realCrm();
  if ((process.env['CRM_URL']?.trim() ?? '') === '') return sandboxCrm();
  throw new Missing(
    'CRM_URL is set, and --profile sandbox brings a CRM of its own: take one of them away (`CRM_URL= docker compose …` does for once).',
  );
};

const prepare = (): void => {
  const crm = chooseCrm();
  const { owner_password, daemon_password, reader_password } = Object.fromEntries(
    (Object.keys(INVENTED) as Invented[]).map((name) => [name, provide(name)]),
  ) as Record<Invented, string>;
  store('owner', 'database_url', databaseUrl('relate_mirror_owner', owner_password));
  store('daemon', 'database_url', databaseUrl('relate_mirror_daemon', daemon_password));
  store('daemon', 'crm_url', crm.url);
  store('daemon', 'crm_token', crm.token);
  store('daemon', 'crm_allow_http', String(crm.allowHttp));
  store('monitoring', 'reader_password', reader_password);
  console.log(`The secrets are in place; the CRM is ${crm.url}`);
};

try {
  if (flag === '--sandbox') store('sandbox', 'chosen', 'yes');
  else prepare();
} catch (error) {
  if (!(error instanceof Missing)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

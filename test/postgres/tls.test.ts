/** TLS to a real server: who is believed, who is not, and what the operator is told. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explain } from '../../src/commands/explain.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { openSession } from '../../src/postgres/session.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/sandbox/postgres/launch.ts';
import { postgresMajor } from '../postgres-server.ts';
import { createCertificates, type Certificates } from './certificates.ts';

/** An address of this machine that is not taken for one: what a server elsewhere would be. (To connect to it is to connect to loopback.) */
const ELSEWHERE = '0.0.0.0';

let certificates: Certificates;
let ours: string;
let another: string;
let server: EmbeddedPostgres;
let expired: EmbeddedPostgres;
let plain: EmbeddedPostgres;

const startWith = async ({ cert, key }: { readonly cert: string; readonly key: string }): Promise<EmbeddedPostgres> =>
  await startEmbeddedPostgres({
    major: postgresMajor(),
    fsync: false,
    settings: { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key },
  });

beforeAll(async () => {
  certificates = await createCertificates();
  const authority = await certificates.authority('ours');
  ours = authority.file;
  another = (await certificates.authority('another')).file;
  [server, expired, plain] = await Promise.all([
    startWith(await authority.sign(['DNS:localhost', `IP:${ELSEWHERE}`])),
    startWith(await authority.sign(['DNS:localhost'], { days: -1 })),
    startEmbeddedPostgres({ major: postgresMajor(), fsync: false }),
  ]);
});
afterAll(async () => {
  await Promise.all([server, expired, plain].map((each) => each.stop()));
  await certificates.remove();
});

const urlOf = (host: string, parameters: { readonly [name: string]: string } = {}, of = server): string => {
  const url = new URL(of.url());
  url.hostname = host;
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
};
const LIMITS = { applicationName: 'test', statementTimeoutMs: 0, lockTimeoutMs: 0, answerTimeoutMs: 0 };
/** Whether the connection is encrypted, or what the operator is told. */
const tried = async (connectionString: string): Promise<boolean | string> => {
  try {
    const session = await openSession({ connectionString, ...LIMITS });
    const [row] = await session.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()');
    await session.close();
    return row?.ssl ?? 'no row';
  } catch (error) {
    return explain(error);
  }
};

describe('without sslmode', () => {
  it('loopback is not encrypted, and anything else is verified in full', async () => {
    expect(await tried(urlOf('localhost'))).toBe(false);
    expect(await tried(urlOf('127.0.0.1'))).toBe(false);
    expect(await tried(urlOf(ELSEWHERE))).toMatch(/^Postgres' certificate is not of an authority that is trusted here: .*sslrootcert/);
    expect(await tried(urlOf(ELSEWHERE, { sslrootcert: ours }))).toBe(true);
    expect(await tried(urlOf(ELSEWHERE, { sslrootcert: another }))).toContain('not of an authority that is trusted');
  });

  it('a server elsewhere that offers none is refused', async () => {
    expect(await tried(urlOf(ELSEWHERE, {}, plain))).toMatch(/^Postgres offers no TLS/);
    expect(await tried(urlOf(ELSEWHERE, { sslmode: 'disable' }, plain))).toBe(false);
  });
});

describe('sslmode=verify-full', () => {
  const FULL = { sslmode: 'verify-full' };
  it('takes the authority that is named, and no other', async () => {
    expect(await tried(urlOf('localhost', { ...FULL, sslrootcert: ours }))).toBe(true);
    expect(await tried(urlOf('localhost', { ...FULL, sslrootcert: another }))).toMatch(
      /not of an authority.*\((UNABLE_TO|SELF_SIGNED|CERT_SIG)/,
    );
    expect(await tried(urlOf('localhost', FULL))).toContain('not of an authority that is trusted');
  });

  it('wants the very name of the host', async () => {
    expect(await tried(urlOf('127.0.0.1', { ...FULL, sslrootcert: ours }))).toMatch(/^Postgres' certificate is for another host/);
    expect(await tried(urlOf('127.0.0.1', { sslmode: 'verify-ca', sslrootcert: ours }))).toBe(true);
    expect(await tried(urlOf('127.0.0.1', { sslmode: 'verify-ca', sslrootcert: another }))).toContain('not of an authority');
  });

  it('refuses a certificate that has expired', async () => {
    expect(await tried(urlOf('localhost', { ...FULL, sslrootcert: ours }, expired))).toMatch(/^Postgres' certificate has expired/);
  });
});

it('sslmode=require encrypts, and believes anybody; with an authority it verifies that', async () => {
  expect(await tried(urlOf('127.0.0.1', { sslmode: 'require' }))).toBe(true);
  expect(await tried(urlOf('127.0.0.1', { sslmode: 'require', sslrootcert: another }))).toContain('not of an authority');
});

it('direct negotiation is verified alike', async () => {
  if (postgresMajor() < 17) return;
  const direct = { sslnegotiation: 'direct' };
  expect(await tried(urlOf(ELSEWHERE, { ...direct, sslrootcert: ours }))).toBe(true);
  expect(await tried(urlOf(ELSEWHERE, direct))).toContain('not of an authority');
});

it('holds for the pool as well', async () => {
  const poolOf = (file: string) =>
    createPool({ connectionString: urlOf('localhost', { sslmode: 'verify-full', sslrootcert: file }), max: 1, applicationName: 'test' });
  const [good, bad] = [poolOf(ours), poolOf(another)];
  expect((await good.query<{ ssl: boolean }>('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).rows).toEqual([{ ssl: true }]);
  const said = await bad.query('select 1').then(() => 'accepted', explain);
  expect(said).toContain('not of an authority');
  expect(said).not.toContain(server.password);
  await good.end();
  await bad.end();
});

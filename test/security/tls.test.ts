/** TLS to the CRM, as the built program does it: verified, always, and a refusal that says what is wrong and what to do. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWorld, TIMEOUT, type World } from '../e2e/world.ts';
import { createCertificates, type Authority, type Certificates } from '../postgres/certificates.ts';
import { startHostileCrm, type HostileCrm } from './hostile-crm.ts';

const ROOT = path.join(import.meta.dirname, '../..');

describe('TLS to the CRM', TIMEOUT, () => {
  let certificates: Certificates;
  const opened: HostileCrm[] = [];
  let world: World;
  let trusted: Authority;
  let other: Authority;

  beforeAll(async () => {
    certificates = await createCertificates();
    [trusted, other] = [await certificates.authority('trusted'), await certificates.authority('other')];
    world = await openWorld({ seed: { contacts: 3 } });
  }, 60_000);
  afterAll(async () => {
    await world.close();
    for (const crm of opened) await crm.close();
    await certificates.remove();
  });

  const issue = async (authority: Authority, name: string, days = 2) => {
    const { cert, key } = await authority.sign([name], { days });
    return { cert: readFileSync(cert), key: readFileSync(key) };
  };

  const search = async (certificate: Parameters<typeof startHostileCrm>[1], ca: string | undefined, more: NodeJS.ProcessEnv = {}) => {
    const crm = await startHostileCrm(world.sandbox.url, certificate);
    opened.push(crm);
    const env = { CRM_URL: crm.url, ...(ca === undefined ? {} : { NODE_EXTRA_CA_CERTS: ca }), ...more };
    return { crm, ended: await world.run(['search', 'a', '--json'], env) };
  };

  it('goes on with a certificate of an authority that was added', async () => {
    const { ended, crm } = await search(await issue(trusted, 'IP:127.0.0.1'), trusted.file);
    expect(ended).toMatchObject({ code: 0 });
    expect(crm.asked).toHaveLength(1);
  });

  it.each([
    ['of an authority that nobody knows', () => [issue(trusted, 'IP:127.0.0.1'), undefined] as const, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['of another authority', () => [issue(other, 'IP:127.0.0.1'), trusted.file] as const, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['for another address', () => [issue(trusted, 'IP:127.0.0.2'), trusted.file] as const, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['for a name', () => [issue(trusted, 'DNS:localhost'), trusted.file] as const, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['that has expired', () => [issue(trusted, 'IP:127.0.0.1', -1), trusted.file] as const, 'CERT_HAS_EXPIRED'],
  ])('refuses a certificate %s, before anything is sent', async (_name, make, code) => {
    const [certificate, ca] = make();
    const { ended, crm } = await search(await certificate, ca);
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('tls_refused');
    expect(ended.stderr).toContain(code);
    expect(ended.stderr).toContain('NODE_EXTRA_CA_CERTS');
    expect(crm.asked).toEqual([]);
  });

  it('refuses a server that only speaks an old TLS', async () => {
    const old = {
      ...(await issue(trusted, 'IP:127.0.0.1')),
      minVersion: 'TLSv1' as const,
      maxVersion: 'TLSv1.1' as const,
      ciphers: 'DEFAULT@SECLEVEL=0',
    };
    const { ended, crm } = await search(old, trusted.file);
    expect(ended.code).toBe(1);
    expect(crm.asked).toEqual([]);
  });

  it('cannot be told not to verify, by the environment either', async () => {
    const { ended, crm } = await search(await issue(other, 'IP:127.0.0.1'), undefined, { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    expect(ended.code).toBe(1);
    expect(crm.asked).toEqual([]);
    const lax = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) =>
      /rejectUnauthorized: (?!true)|checkServerIdentity/.test(readFileSync(path.join(ROOT, file), 'utf8')),
    );
    expect(lax).toEqual([]);
  });
});

/** Certificates made by the machine's openssl for one test: an authority, and servers that it vouches for, or does not. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}
export interface Authority {
  /** The file for NODE_EXTRA_CA_CERTS. */
  readonly file: string;
  /** @param days until it ends; negative: since when it has ended */
  issue(altName: string, days?: number): Certificate;
}
export interface Certificates extends Disposable {
  authority(name: string): Authority;
}

const DAY_MS = 86_400_000;
/** `YYYYMMDDHHMMSSZ` */
const asn1 = (at: number): string => `${new Date(at).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;

export const makeCertificates = (): Certificates => {
  const folder = mkdtempSync(path.join(tmpdir(), 'relate-mirror-tls-'));
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const read = (file: string): string => readFileSync(path.join(folder, file), 'utf8');
  const newKey = (name: string, subject: string): string[] => [
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    `${name}.key`,
    '-subj',
    `/CN=${subject}`,
  ];

  const authority = (name: string): Authority => {
    openssl(...newKey(name, name), '-x509', '-days', '30', '-out', `${name}.pem`);
    writeFileSync(path.join(folder, `${name}.txt`), '');
    writeFileSync(
      path.join(folder, `${name}.cnf`),
      `[ca]\ndefault_ca=own\n[own]\ndatabase=${name}.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any\ncopy_extensions=copy\nunique_subject=no\n[any]\ncommonName=supplied\n`,
    );
    let issued = 0;
    const issue = (altName: string, days = 10): Certificate => {
      const server = `${name}-${(issued += 1)}`;
      openssl(...newKey(server, 'server'), '-addext', `subjectAltName=${altName}`, '-out', `${server}.csr`);
      const [from, to] = [Date.now() - 20 * DAY_MS, Date.now() + days * DAY_MS].map(asn1);
      openssl(
        'ca',
        '-batch',
        '-config',
        `${name}.cnf`,
        '-cert',
        `${name}.pem`,
        '-keyfile',
        `${name}.key`,
        '-in',
        `${server}.csr`,
        '-out',
        `${server}.pem`,
        '-startdate',
        from ?? '',
        '-enddate',
        to ?? '',
        '-notext',
      );
      return { key: read(`${server}.key`), cert: read(`${server}.pem`) };
    };
    return { file: path.join(folder, `${name}.pem`), issue };
  };
  return { authority, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
};

/** Authorities and certificates of a test's own, made by the machine's openssl. */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { serverAccount } from '../../src/sandbox/postgres/account.ts';

export interface Authority {
  /** Its own certificate: what a client trusts. */
  readonly file: string;
  /** A server's certificate and key, which only the server's account may read. `valid`: from and to, as openssl writes days. */
  sign(names: readonly string[], valid?: { readonly days: number }): Promise<{ readonly cert: string; readonly key: string }>;
}

export interface Certificates {
  authority(name: string): Promise<Authority>;
  remove(): Promise<void>;
}

const openssl = async (args: readonly string[]): Promise<void> => void (await promisify(execFile)('openssl', [...args]));

export const createCertificates = async (): Promise<Certificates> => {
  const directory = await mkdtemp(path.join(tmpdir(), 'relate-mirror-tls-'));
  await chmod(directory, 0o711);
  let files = 0;
  const fileOf = (kind: string): string => path.join(directory, `${(files += 1)}.${kind}`);
  return {
    authority: async (name) => {
      const [file, key] = [fileOf('pem'), fileOf('key')];
      const subject = ['-subj', `/CN=${name}`, '-addext', 'basicConstraints=critical,CA:TRUE'];
      await openssl([
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
        ...subject,
        '-keyout',
        key,
        '-out',
        file,
      ]);
      await chmod(file, 0o644);
      return {
        file,
        sign: async (names, { days } = { days: 2 }) => {
          const [request, own, cert, extensions] = [fileOf('csr'), fileOf('key'), fileOf('pem'), fileOf('ext')];
          await writeFile(extensions, `subjectAltName=${names.join(',')}\n`);
          await openssl([
            'req',
            '-newkey',
            'ec',
            '-pkeyopt',
            'ec_paramgen_curve:prime256v1',
            '-nodes',
            '-subj',
            '/CN=server',
            '-keyout',
            own,
            '-out',
            request,
          ]);
          await openssl([
            'x509',
            '-req',
            '-in',
            request,
            '-CA',
            file,
            '-CAkey',
            key,
            '-CAcreateserial',
            '-days',
            String(days),
            '-extfile',
            extensions,
            '-out',
            cert,
          ]);
          const account = await serverAccount(directory);
          for (const secret of [own, cert]) {
            await chmod(secret, 0o600);
            if (account !== null) await chown(secret, account.uid, account.gid);
          }
          return { cert, key: own };
        },
      };
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
};

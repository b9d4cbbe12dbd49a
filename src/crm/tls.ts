/** What TLS to the CRM comes to: one handshake, no request. */
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { isLoopback } from '../domain/loopback.ts';

export type TlsFinding =
  | { readonly kind: 'none'; readonly isLocal: boolean }
  | { readonly kind: 'verified'; readonly protocol: string; readonly issuer: string; readonly validTo: Date }
  /** `code`: of Node or of the certificate's check. */
  | { readonly kind: 'failed'; readonly code: string };

/** Verified as every call verifies it: by the same authorities, for the same name. */
export const inspectTls = async (crmUrl: string, timeoutMs: number): Promise<TlsFinding> => {
  const { protocol, hostname, port } = new URL(crmUrl);
  if (protocol !== 'https:') return { kind: 'none', isLocal: isLoopback(hostname) };
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const found = Promise.withResolvers<TlsFinding>();
  const socket = connect({
    host,
    port: port === '' ? 443 : Number(port),
    timeout: timeoutMs,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  socket.once('timeout', () => found.resolve({ kind: 'failed', code: 'ETIMEDOUT' }));
  socket.once('error', (error: NodeJS.ErrnoException) => found.resolve({ kind: 'failed', code: error.code ?? 'unknown' }));
  socket.once('secureConnect', () => {
    const { issuer, valid_to: validTo } = socket.getPeerCertificate();
    const by = [issuer.O, issuer.CN].flat().find((name) => typeof name === 'string');
    found.resolve({
      kind: 'verified',
      protocol: socket.getProtocol() ?? 'TLS',
      issuer: by ?? 'an unnamed authority',
      validTo: new Date(validTo),
    });
  });
  try {
    return await found.promise;
  } finally {
    socket.destroy();
  }
};

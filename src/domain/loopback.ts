/**
 * What counts as this machine, in one place: there the CRM's token may go over http, Postgres is spoken to without TLS, and the admin API
 * answers without a token.
 *
 * Only what no name server is asked for: `mirror.localhost` is this machine to a browser, to others it may be whatever a name server says.
 */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i;

/** @param host a name or an address without a port, in brackets or not */
export const isLoopback = (host: string): boolean => LOOPBACK.test(host);

/** How connections are made: TLS, limits, values, and what happens when one breaks. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConnectionStringError, toClientConfig } from '../../src/postgres/connection.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { createTestDatabase, type TestDatabase } from '../database.ts';
import { silentLog } from './ambient.ts';
import { startProxy } from './proxy.ts';

const LIMITS = { applicationName: 'test', statementTimeoutMs: 1_000, lockTimeoutMs: 100, answerTimeoutMs: 0 };
/** What the driver makes of it: false, true (verify-full) or its TLS options. */
const tlsOf = (connectionString: string): unknown => {
  const client = new pg.Client(toClientConfig({ connectionString, ...LIMITS }));
  return (client as unknown as { readonly ssl: unknown }).ssl;
};

describe('TLS', () => {
  it.each(['localhost', '127.0.0.1', '127.1.2.3', '[::1]'])('is not used to %s', (host) => {
    expect(tlsOf(`postgres://u:p@${host}/db`)).toBe(false);
  });
  it('is not used to a unix socket', () => {
    expect(tlsOf('postgres:///db?host=/var/run/postgresql')).toBe(false);
    expect(tlsOf('postgres://%2Fvar%2Frun%2Fpostgresql/db')).toBe(false);
  });
  it.each(['db.example.com', '10.0.0.5', '127.0.0.1.example.com', 'localhost.example.com'])('verifies %s in full', (host) => {
    expect(tlsOf(`postgres://u:p@${host}/db`)).toBe(true);
  });
  it.each(['sslnegotiation=postgres', 'sslnegotiation=direct', 'application_name=x', 'ssl=true', 'uselibpqcompat=true'])(
    'verifies in full with %s alone',
    (parameter) => {
      expect(tlsOf(`postgres://u:p@db.example.com/db?${parameter}`)).toBe(true);
    },
  );
  it('names a file that cannot be read', () => {
    const url = 'postgres://u:geheim@db.example.com/db?sslrootcert=/nowhere/ca.pem';
    expect(() => toClientConfig({ connectionString: url, ...LIMITS })).toThrow(
      new ConnectionStringError('sslrootcert=/nowhere/ca.pem: the file cannot be read (ENOENT)'),
    );
  });
  it('follows sslmode as libpq means it', () => {
    expect(tlsOf('postgres://db.example.com/db?sslmode=disable')).toBe(false);
    expect(tlsOf('postgres://db.example.com/db?sslmode=require')).toEqual({ rejectUnauthorized: false });
    expect(tlsOf('postgres://db.example.com/db?sslmode=prefer')).toEqual({ rejectUnauthorized: false });
    expect(tlsOf('postgres://db.example.com/db?sslmode=verify-full')).toEqual({});
    expect(tlsOf('postgres://localhost/db?sslmode=verify-full')).toEqual({});
    expect(tlsOf('postgres://localhost/db?sslmode=prefer')).toBe(false);
  });
  it('refuses what it does not know, without printing the password', () => {
    const message = (url: string): string => {
      try {
        toClientConfig({ connectionString: url, ...LIMITS });
      } catch (error) {
        if (error instanceof ConnectionStringError) return error.message;
      }
      return 'accepted';
    };
    expect(message('postgres://u:geheim@localhost/db?sslmode=maybe')).toBe(
      'sslmode=maybe is not known. Allowed: disable, allow, prefer, require, verify-ca, verify-full',
    );
    expect(message('postgres://u:geheim@db/db?sslmode=verify-ca')).toContain('needs sslrootcert');
    expect(message('postgres://u:geheim@host:port/db')).toMatch(/^The connection string is not a valid one/);
  });
});

describe('a pool', () => {
  let database: TestDatabase;
  beforeAll(async () => void (database = await createTestDatabase({ empty: true })));
  afterAll(async () => database.drop());

  it('sets the session’s limits; what the connection string asks for wins', async () => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-c lock_timeout=7s');
    const pool = createPool({ connectionString: url.href, max: 1, applicationName: 'test pool' });
    const show = async (name: string) =>
      (await pool.query<{ value: string }>('select current_setting($1) as value', [name])).rows[0]?.value;
    expect(await show('TimeZone')).toBe('UTC');
    expect(await show('statement_timeout')).toBe('30s');
    expect(await show('lock_timeout')).toBe('7s');
    expect(await show('idle_in_transaction_session_timeout')).toBe('10s');
    expect([await show('tcp_keepalives_idle'), await show('tcp_keepalives_interval'), await show('tcp_keepalives_count')]).toEqual([
      '5',
      '2',
      '3',
    ]);
    // Shown in milliseconds, without a unit.
    expect(await show('tcp_user_timeout')).toBe('10000');
    expect(await show('application_name')).toBe('test pool');
    await pool.end();
  });

  it('reads bigint as exact numbers, and refuses what is none', async () => {
    const pool = createPool({ connectionString: database.url, max: 1, applicationName: 'test pool' });
    const { rows } = await pool.query(
      `select 9007199254740991::bigint as n, '{1,-2}'::bigint[] as ids, count(*) as c, '2026-01-02T00:00:00Z'::timestamptz as at`,
    );
    expect(rows).toEqual([{ n: 9_007_199_254_740_991, ids: [1, -2], c: 1, at: new Date('2026-01-02T00:00:00Z') }]);
    await expect(pool.query('select 9007199254740992::bigint')).rejects.toThrow(RangeError);
    await pool.end();
  });

  it('outlives connections that break, idle and checked out', async () => {
    const pool = createPool({ connectionString: database.url, max: 2, applicationName: 'test broken', log: silentLog });
    const [out, idle] = await Promise.all([pool.connect(), pool.connect()]);
    idle.release();
    const noticed = Promise.all([
      new Promise((resolve) => out.once('end', resolve)),
      new Promise((resolve) => pool.once('error', resolve)),
    ]);
    const killer = createPool({ connectionString: database.url, max: 1, applicationName: 'test killer' });
    await killer.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test broken'`);
    await noticed;
    out.release(true);
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await Promise.all([pool.end(), killer.end()]);
  });

  it('gives up a query whose server has fallen silent', async () => {
    const proxy = await startProxy(database.url);
    const pool = createPool({ connectionString: proxy.url, max: 1, applicationName: 'test silent', statementTimeoutMs: 100 });
    await pool.query('select 1');
    proxy.silence();
    await expect(pool.query('select 1')).rejects.toThrow('Query read timeout');
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await proxy.close();
    await pool.end();
  });
});

/** What is waited for, and what is the operator's at once. */
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { MigrationError } from '../../src/postgres/migrate.ts';
import { isAway, whenReachable } from '../../src/postgres/when-reachable.ts';
import type { Clock, Log } from '../../src/ports/ambient.ts';

const coded = (code: string): Error => Object.assign(new Error('whatever it says'), { code });

describe('waited for', () => {
  it.each(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', '57P03', '57P01', '53300', '25006'])('is %s', (code) => {
    expect(isAway(coded(code))).toBe(true);
    expect(isAway(new MigrationError('failed', 'x', coded(code)))).toBe(true);
  });

  it('is a silent host, a connection cut off, and another who migrates', async () => {
    const client = new pg.Client({ host: '192.0.2.1', connectionTimeoutMillis: 20, user: 'x', database: 'x', password: 'x' });
    const error: unknown = await client.connect().catch((cause: unknown) => cause);
    expect(isAway(error) || ['ENETUNREACH', 'EHOSTUNREACH'].includes((error as { code?: string }).code ?? '')).toBe(true);
    expect(isAway(new Error('Connection terminated unexpectedly'))).toBe(true);
    expect(isAway(new MigrationError('busy', 'x'))).toBe(true);
  });
});

it.each(['28P01', '28000', '3D000', '42501', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID'])(
  'not waited for is %s',
  (code) => {
    expect(isAway(coded(code))).toBe(false);
    expect(isAway(new MigrationError('edited', 'x'))).toBe(false);
    expect(isAway(new Error('The server does not support SSL connections'))).toBe(false);
  },
);

describe('whenReachable', () => {
  const setUp = () => {
    const [pauses, lines]: [number[], string[]] = [[], []];
    const say = (_fields: object, message: string): void => void lines.push(message);
    const log: Log = { debug: say, info: say, warn: say, error: say };
    const stop = new AbortController();
    const clock: Clock = { now: () => new Date(), monotonicMs: () => 0, sleep: (ms) => (pauses.push(ms), Promise.resolve()) };
    return { pauses, lines, stop, waiting: { clock, log, random: () => 0.999, signal: stop.signal } };
  };

  it('pauses ever longer, up to a limit, and speaks at the beginning and the end', async () => {
    const { pauses, lines, waiting } = setUp();
    let calls = 0;
    const work = async (): Promise<void> => {
      calls += 1;
      if (calls < 10) throw coded('57P03');
    };
    expect(await whenReachable(waiting, work)).toBe(true);
    expect(pauses).toEqual([200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000].map((ms) => expect.closeTo(ms, -1) as number));
    expect(lines).toEqual(['Postgres cannot be worked with now; waiting for it', 'Postgres is there']);
  });

  it('passes on what no wait mends, also in the middle of a wait', async () => {
    const { waiting } = setUp();
    let calls = 0;
    const work = async (): Promise<void> => {
      calls += 1;
      throw coded(calls === 1 ? 'ECONNREFUSED' : '28P01');
    };
    await expect(whenReachable(waiting, work)).rejects.toMatchObject({ code: '28P01' });
  });

  it('answers false once stopped, whatever the work fails with then', async () => {
    const { stop, waiting } = setUp();
    const work = async (): Promise<void> => {
      stop.abort();
      throw new Error('cut off');
    };
    expect(await whenReachable(waiting, work)).toBe(false);
    expect(await whenReachable(waiting, work)).toBe(false);
  });
});

/** In a tangle with a person's transaction it is the daemon's that steps back: its lock_timeout lies below the server's deadlock check. */
import pg from 'pg';
import { expect, it } from 'vitest';
import { createMirror } from '../../src/postgres/mirror.ts';
import { createTestDatabase } from '../database.ts';

const SETTING = 'select setting::int as ms from pg_settings where name = $1';

it('every transaction of the mirror gives a lock up before the server looks for deadlocks', async () => {
  const database = await createTestDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 1 });
  const clients: pg.PoolClient[] = [];
  pool.on('connect', (client) => clients.push(client));
  pool.on('error', () => undefined);
  try {
    await pool.query('update sync.leader set epoch = 1');
    const quiet = (): void => undefined;
    const mirror = createMirror({ pool, lease: { epoch: () => 1 }, log: { debug: quiet, info: quiet, warn: quiet, error: quiet } });
    // On the transaction's own connection, the only one there is.
    const settingOf = async (name: string): Promise<number> =>
      (await clients[0]?.query<{ ms: number }>(SETTING, [name]))?.rows[0]?.ms ?? Number.NaN;
    const [ours, servers] = await mirror.transaction(async () => [await settingOf('lock_timeout'), await settingOf('deadlock_timeout')]);
    expect(ours).toBeGreaterThan(0);
    expect(ours).toBeLessThan(servers ?? 0);
  } finally {
    await pool.end();
    await database.drop();
  }
});

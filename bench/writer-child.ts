/** Runs as a child process: see writer.ts. */
import pg from 'pg';
import { serve } from './child.ts';
import type { WriterCalls } from './writer.ts';

let client: pg.Client | null = null;

serve<WriterCalls>({
  open: async ({ databaseUrl }) => {
    client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    return null;
  },
  commit: async ({ sql, values }) => {
    if (client === null) throw new Error('no database was opened');
    await client.query('begin');
    await client.query(sql, [...values]);
    const sentAt = process.hrtime.bigint();
    await client.query('commit');
    return { sentAt, doneAt: process.hrtime.bigint() };
  },
});

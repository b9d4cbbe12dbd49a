/**
 * BI on a streaming replica: a copy of the server's files that follows it. A reader there sees contacts and history, late by what streaming
 * takes, and what he does is no load and no lock on the mirror's own server.
 */
import { execFile } from 'node:child_process';
import { chown, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrateDatabase } from '../../src/postgres/migrate.ts';
import { createHistoryKeeper } from '../../src/postgres/history.ts';
import { serverAccount } from '../../src/sandbox/postgres/account.ts';
import { findBinaries } from '../../src/sandbox/postgres/binaries.ts';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/sandbox/postgres/launch.ts';
import { freePort, startServer, type Server } from '../../src/sandbox/postgres/server.ts';
import { postgresMajor } from '../postgres-server.ts';
import { addContact, connect, one, refusal } from './editing.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const DEADLINE_MS = 30_000;

let primary: EmbeddedPostgres;
let standby: Server;
let writer: pg.Client;
let reader: pg.Client;

/** What pg_basebackup does: the files between the start and the stop of a backup, and the label that says so. */
const copyFiles = async (client: pg.Client, from: string, to: string): Promise<void> => {
  await client.query(`select pg_backup_start('standby', true)`);
  await promisify(execFile)('cp', ['-a', from, to]);
  for (const file of ['postmaster.pid', 'postmaster.opts']) await rm(path.join(to, file), { force: true });
  const label = await one<string>(client, 'select labelfile as value from pg_backup_stop(false)');
  const { uid, gid } = await stat(to);
  for (const [file, text] of [
    ['backup_label', label],
    ['standby.signal', ''],
  ] as const) {
    await writeFile(path.join(to, file), text);
    await chown(path.join(to, file), uid, gid);
  }
};

const startStandby = async (dataDirectory: string): Promise<Server> => {
  const account = await serverAccount(dataDirectory);
  const base = path.dirname(dataDirectory);
  const { host, port, user, password } = primary;
  return await startServer({
    binaries: await findBinaries(postgresMajor(), account, base),
    account,
    dataDirectory,
    logFile: path.join(base, 'standby.log'),
    port: await freePort(),
    fsync: false,
    settings: {
      primary_conninfo: `host=${host} port=${port} user=${user} password=${password}`,
      hot_standby_feedback: 'on',
      max_standby_streaming_delay: '1s',
      wal_retrieve_retry_interval: '200ms',
    },
    timeoutMs: 60_000,
    removeWithServer: null,
  });
};

/** Until the standby has replayed what the primary has written so far. */
const streamed = async (): Promise<void> => {
  const lsn = await one<string>(writer, 'select pg_current_wal_lsn()::text as value');
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await one<boolean>(reader, 'select pg_last_wal_replay_lsn() >= $1::pg_lsn as value', [lsn]))) {
    if (performance.now() > deadline) throw new Error(`the standby did not reach ${lsn} within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

beforeAll(async () => {
  // Only what is written out is streamed, and a commit that did not wait for that may be behind the position that is asked for.
  primary = await startEmbeddedPostgres({ major: postgresMajor(), fsync: false, settings: { synchronous_commit: 'on' } });
  await migrateDatabase({ connectionString: primary.url() });
  writer = await connect(primary.url());
  await createHistoryKeeper({ connectionString: primary.url(), days: 365, log: silent }).keepOnce(new AbortController().signal);
  const files = `${primary.dataDirectory}-standby`;
  await copyFiles(writer, primary.dataDirectory, files);
  standby = await startStandby(files);
  const url = new URL(primary.url());
  url.port = String(standby.port);
  reader = await connect(url.href);
}, 120_000);
afterAll(async () => {
  await reader.end();
  await standby.stop();
  await writer.end();
  await primary.stop();
});

describe('a streaming replica', { timeout: 60_000 }, () => {
  it('shows edits, deletions and the history', async () => {
    const [kept, gone] = [await addContact(writer, 'Kept'), await addContact(writer, 'Gone')];
    await writer.query(`update crm.contacts set city = 'Rome' where id = $1`, [kept]);
    const before = await one<string>(writer, 'select clock_timestamp()::text as value');
    await writer.query('delete from crm.contacts where id = $1', [gone]);
    await streamed();
    expect((await reader.query('select first_name, city from crm.contacts')).rows).toEqual([{ first_name: 'Kept', city: 'Rome' }]);
    const then = await reader.query<{ first_name: string }>('select first_name from bi.contacts_at($1) order by id', [before]);
    expect(then.rows.map((row) => row.first_name)).toEqual(['Kept', 'Gone']);
    expect(await one(reader, `select op as value from bi.contact_history where contact_id = $1 and valid_to is null`, [gone])).toBe(
      'delete',
    );
    expect(Number(await one(reader, 'select queue_depth as value from sync.status'))).toBeGreaterThan(0);
  });

  it('takes no edit', async () => {
    expect(await refusal(reader, `update crm.contacts set city = 'Oslo'`)).toMatchObject({ code: '25006' });
    expect(await refusal(reader, 'select sync.pause()')).toMatchObject({ code: '25006' });
  });

  it('lets a long report run while contacts are edited, and keeps no one on the primary waiting', async () => {
    await reader.query('begin isolation level repeatable read');
    const count = await one<string>(reader, 'select count(*) as value from bi.contact_history');
    for (let n = 1; n <= 20; n += 1) await writer.query(`update crm.contacts set city = $1`, [`Round ${n}`]);
    await writer.query('vacuum crm.contacts');
    await writer.query('select sync.add_history_months()');
    expect(await one<string>(reader, 'select count(*) as value from bi.contact_history')).toBe(count);
    await reader.query('commit');
    await streamed();
    expect(Number(await one(reader, 'select count(*) as value from bi.contact_history'))).toBe(Number(count) + 20);
  });

  it('gives a report up after its own patience where a table it reads is dropped on the primary', async () => {
    await writer.query(`select sync.add_history_month(clock_timestamp() - interval '900 days')`);
    // Looked through already: as if the retention had moved on.
    await writer.query('update sync.account set history_pruned_to = null');
    await writer.query(
      `insert into sync.contact_versions (contact_id, valid_from, op, origin, who, first_name, phones, custom_fields)
       values (999999, clock_timestamp() - interval '900 days', 'delete', 'crm', 'CRM', 'Old', '[]', '{}')`,
    );
    await streamed();
    await reader.query('begin isolation level repeatable read');
    await reader.query('select count(*) from bi.contact_history');
    // On the primary nobody waits for a reader of the replica.
    expect(Number(await one(writer, 'select sync.prune_history(365) as value'))).toBe(1);
    expect(Number(await one(writer, 'select sync.prune_history(365) as value'))).toBe(0);
    expect(await refusal(reader, 'select count(*), pg_sleep(20) from bi.contact_history')).toMatchObject({ code: '40001' });
    await reader.query('rollback');
    await streamed();
    expect(Number(await one(reader, `select count(*) as value from bi.contact_history where contact_id = 999999`))).toBe(0);
  });
});

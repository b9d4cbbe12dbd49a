/**
 * Yesterday's backup is restored. In it: an edit, a create and a deletion that had not been pushed yet then, and have been since; and everything
 * that both sides did today is missing. Nothing of today may be lost, the create may not be made twice, and the deletion, which a person in the
 * CRM has taken back since, may not happen again unless somebody approves it.
 */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Soul } from '../soak/souls.ts';
import { skipped, type Drill, type Outcome } from './drill.ts';
import { openDrillWorld, until, type DrillWorld, type Pace } from './world.ts';

const EDITS_MS = 3_000;
const ALERT_MS_MAX = 120_000;
const SWEEP_MS_MAX = 150_000;
const WRITES = ['create', 'update', 'delete', 'attach', 'detach', 'sync', 'restore'] as const;
/** The server that Debian's pg_dump can read. */
const DUMPED_MAJOR = 15;

const run = promisify(execFile);

/** How a backup is made and put back; between the two the daemon is stopped. */
interface Backup {
  make(world: DrillWorld): Promise<void>;
  putBack(world: DrillWorld): Promise<void>;
  clean(): Promise<void>;
}

/** Logically, into a new database of the same name: what identifies it is another. */
const dumped = (): Backup => {
  const file = path.join(tmpdir(), `relate-mirror-backup-${randomUUID()}`);
  const onServer = async ({ postgres }: DrillWorld, ...statements: readonly string[]): Promise<void> => {
    const url = new URL(postgres.url);
    url.pathname = '/postgres';
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    for (const statement of statements) await client.query(statement);
    await client.end();
  };
  return {
    make: async ({ postgres }) => void (await run('pg_dump', ['--format=custom', `--file=${file}`, postgres.url])),
    putBack: async (world) => {
      await onServer(world, 'drop database relate_mirror with (force)', 'create database relate_mirror');
      await run('pg_restore', ['--exit-on-error', '--no-owner', `--dbname=${world.postgres.url}`, file]);
    },
    clean: async () => await rm(file, { force: true }),
  };
};

/** The files of the stopped server, as a disk that is rolled back to a snapshot: nothing in the database can tell. */
const copied = (): Backup => {
  const folder = path.join(tmpdir(), `relate-mirror-backup-${randomUUID()}`);
  return {
    make: async ({ postgres }) => {
      await postgres.halt('fast');
      await run('cp', ['-a', postgres.dataDirectory, folder]);
      await postgres.resume();
    },
    putBack: async ({ postgres, sql }) => {
      await postgres.halt('fast');
      await rm(postgres.dataDirectory, { recursive: true });
      await run('cp', ['-a', folder, postgres.dataDirectory]);
      await postgres.resume();
      // Connections of before are noticed as gone by their first use.
      await until('Postgres answers', async () => (await sql('select 1 as one')).length === 1, 30_000);
      // As docs/operations.md says for what no identity shows, before any daemon starts.
      await sql('select sync.mark_restored()');
    },
    clean: async () => await rm(folder, { recursive: true, force: true }),
  };
};

const someone = (world: DrillWorld, which: number): { readonly soul: Soul; readonly crmId: number; readonly rowId: number } => {
  const soul = world.souls.all.filter(
    ({ tag, deletedBy, crmId, rowId }) => tag === null && deletedBy === null && crmId !== null && rowId !== null,
  )[which];
  if (soul?.crmId == null || soul.rowId === null) throw new Error('there are too few contacts');
  return { soul, crmId: soul.crmId, rowId: soul.rowId };
};

const edit = async ({ souls, sql }: DrillWorld, { soul, rowId }: { readonly soul: Soul; readonly rowId: number }): Promise<void> => {
  const value = souls.next('local');
  await sql('update crm.contacts set city = $2 where id = $1', [rowId, value]);
  souls.write(soul, 'local', 'city', value);
};

const inStepNow = async (world: DrillWorld): Promise<readonly string[]> => (await world.recovered()).violations;

const drill = async (world: DrillWorld, backup: Backup, alerts: readonly string[]): Promise<Outcome> => {
  const { account, souls, sql } = world;
  const violations: string[] = [];
  world.people();
  await pause(EDITS_MS);
  violations.push(...(await inStepNow(world)));

  // Yesterday, with the daemon down: three edits wait in the backup.
  const [edited, victim] = [someone(world, 0), someone(world, 1)];
  await world.stopDaemon();
  await edit(world, edited);
  const tag = souls.next('local');
  const [made] = await sql(`insert into crm.contacts (first_name, last_name, email) values ('Made', $1, $2) returning id::int`, [
    tag,
    `${tag}yesterday@drill.example`,
  ]);
  souls.add({ tag, origin: 'local', doomed: false, crmId: null, rowId: made?.['id'] as number });
  await sql('delete from crm.contacts where id = $1', [victim.rowId]);
  await backup.make(world);
  world.startDaemon();
  victim.soul.deletedBy = 'local';
  violations.push(...(await inStepNow(world)));

  // Today: everything goes on, and a person in the CRM takes the deletion back.
  account.restore(victim.crmId);
  victim.soul.deletedBy = null;
  victim.soul.rowId = null;
  await edit(world, edited);
  world.people();
  await pause(EDITS_MS);
  violations.push(...(await inStepNow(world)));

  await world.stopDaemon();
  await backup.putBack(world);
  for (const soul of souls.all) soul.rowId = null;
  const writes = (): number => account.calls.count(...WRITES);
  const before = writes();
  world.startDaemon();
  const alertSeconds = await world.fired(alerts, ALERT_MS_MAX);
  const isSwept = async (): Promise<boolean> => (await sql('select sync.identity_swept() as swept'))[0]?.['swept'] === true;
  const hold = async (): Promise<{ id: number; plan: string }> =>
    (await until(
      'the hold is there',
      async () => (await sql(`select id::int, plan::text from sync.holds where state = 'open' and cause = 'identity' order by id desc`))[0],
      SWEEP_MS_MAX,
    )) as { id: number; plan: string };
  await until('a complete sweep', isSwept, SWEEP_MS_MAX);
  if (writes() !== before) violations.push(`${writes() - before} writes before anybody had approved the restored database`);
  const { id, plan } = await hold();
  const planned = JSON.parse(plan) as readonly { readonly crm_id: number | null; readonly op: string }[];
  if (!planned.some((line) => line.crm_id === victim.crmId && line.op === 'delete'))
    violations.push('the plan does not list the deletion of yesterday');

  // As the document says: the deletions are not wanted, so reject; then push after all.
  const decide = async (how: 'approve' | 'reject', which: number): Promise<void> => {
    const { code, stderr } = await world.run(['holds', how, String(which)]);
    if (code !== 0 && code !== 3) throw new Error(`holds ${how} ended with ${code}: ${stderr.slice(-300)}`);
  };
  await decide('reject', id);
  await sql('select sync.mark_restored()');
  await until('a complete sweep', isSwept, SWEEP_MS_MAX);
  if (account.contact(victim.crmId)?.deletedAtMs !== null) violations.push('the deletion of yesterday happened again');
  await decide('approve', (await hold()).id);
  const recovery = await world.recovered();
  violations.push(...recovery.violations);
  const ops = planned.map(({ op }) => op).toSorted((a, b) => a.localeCompare(b));
  const notes = [`pending in it, and in the plan after the sweep: ${ops.join(', ')}`, `${writes() - before} writes after the approval`];
  return { violations, alertSeconds, recoverySeconds: recovery.seconds, notes };
};

const ALERTS = ['RelateMirrorRestored'] as const;

export const RESTORED: Drill = {
  name: "yesterday's backup",
  what: 'pg_dump, pg_restore into a new database; reject, then approve',
  alerts: ALERTS,
  run: async (pace: Pace) => {
    const hasClient = await run('pg_dump', ['--version']).then(
      () => true,
      () => false,
    );
    if (!hasClient) return skipped('pg_dump is not installed (postgresql-client)');
    const backup = dumped();
    const world = await openDrillWorld(pace, { postgres: { major: DUMPED_MAJOR } });
    try {
      return await drill(world, backup, ALERTS);
    } finally {
      await world.close();
      await backup.clean();
    }
  },
};

export const ROLLED_BACK: Drill = {
  name: 'files rolled back',
  what: 'the files of yesterday; mark_restored(), reject, then approve',
  alerts: ALERTS,
  run: async (pace: Pace) => {
    const backup = copied();
    const world = await openDrillWorld(pace);
    try {
      return await drill(world, backup, ALERTS);
    } finally {
      await world.close();
      await backup.clean();
    }
  },
};

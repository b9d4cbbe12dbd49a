/** A mirror moves to another server as docs/operations.md says, with an edit on its way, and loses nothing. */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { grantsScript } from '../../src/postgres/roles.ts';
import { DAEMON_ROLE } from '../../src/postgres/sql/grants.ts';
import type { PostgresMajor } from '../../src/sandbox/postgres/binaries.ts';
import { postgresMajor } from '../postgres-server.ts';
import { OWNER, startRoleServer, type RoleServer } from '../postgres/role-server.ts';
import { openWorld, succeeded, TIMEOUT, until } from './world.ts';

/** pg_dump reads no server that is newer than itself. */
const dumpable = (): PostgresMajor | null => {
  try {
    const [, version] = /(\d+)/.exec(execFileSync('pg_dump', ['--version']).toString()) ?? [];
    return Number(version) >= postgresMajor() ? postgresMajor() : Number(version) >= 15 ? 15 : null;
  } catch {
    return null;
  }
};
const major = dumpable();
if (major === null) process.stderr.write('Skipped: pg_dump 15 or newer is not installed (Debian: apt install postgresql-client).\n');

const run = promisify(execFile);
/** The roles, but for their passwords, which nothing prints. */
const addRoles = async (server: RoleServer): Promise<void> => {
  const [roles = ''] = grantsScript(null).split('-- Rights:');
  await server.script(roles);
  await server.addLogin(DAEMON_ROLE);
  await server.addLogin('ann', 'relate_mirror_editor');
};

describe.skipIf(major === null)('a move to another server', TIMEOUT, () => {
  it('keeps rights and edits, and pushes nothing before a person has looked', async ({ onTestFinished }) => {
    const [old, next] = await Promise.all([0, 1].map(() => startRoleServer({ major: major ?? 15 })));
    if (old === undefined || next === undefined) throw new Error('no servers');
    const world = await openWorld({ seed: { contacts: 20 }, env: { DATABASE_URL: old.urlOf(DAEMON_ROLE) } });
    onTestFinished(async () => {
      await world.close();
      await Promise.all([old.stop(), next.stop()]);
    });
    await addRoles(old);
    succeeded(await world.run(['migrate'], { DATABASE_URL: old.urlOf(OWNER) }));
    succeeded(await world.run(['sync']));

    // 1. Paused, with an edit that is still to be pushed, and no daemon.
    const before = await old.as('ann');
    await before.query('select sync.pause()');
    await before.query(`update crm.contacts set city = 'Moved' where id = (select min(id) from crm.contacts)`);
    // 2. and 3., as the schemas' owner on both ends: no superuser.
    await addRoles(next);
    const { stdout: dump } = await run('pg_dump', ['--dbname', old.urlOf(OWNER)], { maxBuffer: 64_000_000 });
    const restore = run('psql', ['--dbname', next.urlOf(OWNER), '--quiet', '--set', 'ON_ERROR_STOP=1', '--output', '/dev/null']);
    restore.child.stdin?.end(dump);
    await restore;
    // 4. and 5.
    const ann = await next.as('ann');
    await ann.query('select sync.resume()');
    const daemon = world.start(['start'], { DATABASE_URL: next.urlOf(DAEMON_ROLE) });
    const [hold] = await until('the hold, and a sweep behind it', async () => {
      const { rows } = await ann.query<{ id: string }>(
        `select s.identity_hold as id from sync.status s join sync.holds h on h.id = s.identity_hold
         where exists (select from sync.runs r where r.kind = 'sweep' and r.complete and r.started_at > h.created_at)`,
      );
      return rows.length > 0 ? rows : null;
    });
    const moved = () => world.account.contacts().filter(({ city }) => city === 'Moved').length;
    expect(moved()).toBe(0);
    await ann.query('select sync.approve($1)', [hold?.id]);
    await until('the edit', () => moved() === 1);
    // Rights and capture came along.
    await ann.query(`update crm.contacts set city = 'Moved' where id = (select max(id) from crm.contacts)`);
    await until('an edit made there', () => moved() === 2);
    expect(await next.sql('select distinct changed_by from sync.change_log')).toEqual([{ changed_by: 'ann' }]);
    daemon.kill('SIGTERM');
    succeeded(await daemon.ended);
  });
});

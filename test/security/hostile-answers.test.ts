/**
 * The built program against a CRM that answers to hurt it: it says what is wrong, loses and doubles nothing, stays alive and small, and is in
 * step again once the CRM behaves.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Child } from '../e2e/child.ts';
import { openWorld, TIMEOUT, until, type World } from '../e2e/world.ts';
import { startServer, json, type ScriptedServer } from '../crm/scripted-server.ts';
import { ATTACKS } from './attacks.ts';
import { isList, isWrite, startHostileCrm, type HostileCrm } from './hostile-crm.ts';
import { forgetPeak, peakMemoryMib, SMALL } from './memory.ts';

let contacts = 30;
const MEMORY_MIB_MAX = 256;

describe('hostile answers', TIMEOUT, () => {
  let world: World;
  let crm: HostileCrm;
  let daemon: Child;
  let elsewhere: ScriptedServer;

  beforeAll(async () => {
    world = await openWorld({ seed: { contacts } });
    crm = await startHostileCrm(world.sandbox.url);
    elsewhere = await startServer(json(200, { data: [] }));
    daemon = world.start(['start'], { CRM_URL: crm.url, CRM_TIMEOUT_MS: '1000', ...SMALL });
    await world.inStep();
  }, 60_000);
  afterAll(async () => {
    await world.close();
    await crm.close();
    await elsewhere[Symbol.asyncDispose]();
  });

  /** What the daemon said of the CRM since `from`: the codes of the rounds that it gave up. */
  const codesSince = (from: number): readonly unknown[] =>
    daemon
      .output()
      .stderr.slice(from)
      .split('\n')
      .flatMap((line) =>
        line.includes('the CRM cannot be worked with now') && line.endsWith('}') ? [(JSON.parse(line) as { code: unknown }).code] : [],
      );

  const survives = async (): Promise<void> => {
    crm.behave();
    await world.inStep();
    expect(await world.sql('select count(*)::int as n from crm.contacts')).toEqual([{ n: contacts }]);
    expect(world.account.contacts()).toHaveLength(contacts);
    expect(peakMemoryMib(daemon.pid)).toBeLessThan(MEMORY_MIB_MAX);
    forgetPeak(daemon.pid);
  };

  it.each(ATTACKS)('of a list: $name', async ({ attack, code }) => {
    const from = daemon.output().stderr.length;
    crm.attack(isList, attack);
    const codes = await until('two rounds that failed', () => {
      // Connections that the attack before was cut off from.
      const seen = codesSince(from).filter((each) => each !== 'connection_reset');
      return seen.length >= 2 ? seen : null;
    });
    expect(new Set(codes)).toEqual(new Set([code]));
    await survives();
  });

  it.each(ATTACKS)('of an edit and of a create that were carried out: $name', async ({ name, attack }) => {
    const before = crm.attacked();
    crm.attack(isWrite, attack, 'after');
    await world.sql(`update crm.contacts set city = $1 where id = (select min(id) from crm.contacts)`, [name]);
    await world.sql(`insert into crm.contacts (first_name, email) values ('New', $1)`, [`new${before}@example.com`]);
    contacts += 1;
    expect(await until('both answered so', () => crm.attacked() - before >= 2)).toBe(true);
    await survives();
  });

  it.each([301, 302, 303, 307, 308])('of %i to another host: nothing follows, the token does not travel', async (status) => {
    const from = daemon.output().stderr.length;
    const location = elsewhere.url.replace('//', '//user:password@');
    crm.attack(isList, (response) => response.writeHead(status, { location: `${location}/contacts` }).end());
    await until('a round that failed', () => codesSince(from).includes('redirected'));
    expect(elsewhere.received).toEqual([]);
    await survives();
  });
});

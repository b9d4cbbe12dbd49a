/** What docs/commands.md says of `--json` is what the commands print, output by output and key by key. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseDocument, sectionOf, tableOf } from '../docs/markdown.ts';
import { openWorld, TIMEOUT, until, type World } from './world.ts';

const documented = (): ReadonlyMap<string, readonly string[]> => {
  const document = parseDocument('docs/commands.md', readFileSync('docs/commands.md', 'utf8'));
  const codes = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
  const rows = tableOf(sectionOf(document, 'The shapes of JSON'), 'output');
  return new Map(rows.map(([output = '', keys = '']) => [codes(output)[0] ?? '', codes(keys).toSorted()]));
};

type Line = { readonly [key: string]: unknown };
const linesOf = (text: string): readonly Line[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);

/** Every output, from a mirror that has something of everything: each list has a line. */
const produce = async (world: World): Promise<ReadonlyMap<string, Line | undefined>> => {
  const env = { BRAKE_ROWS: '2', BRAKE_SHARE: '0.01', CONFLICT_POLICY: 'manual' };
  const found = new Map<string, Line | undefined>();
  const ask = async (output: string, ...more: readonly string[]): Promise<readonly Line[]> => {
    const { stdout } = await world.run([...output.split(' '), ...more, '--json'], env);
    const lines = linesOf(stdout);
    found.set(output, lines.at(-1));
    return lines;
  };
  await ask('migrate');
  await ask('sync');
  await ask('resync');
  const full = await world.run(['plan', '--full', '--json'], env);
  found.set(
    'progress',
    linesOf(full.stderr).find((line) => 'phase' in line),
  );
  // A hold of deletions, a conflict, an edit that the CRM refuses.
  const [contact] = world.account.contacts();
  if (contact === undefined) throw new Error('no contacts');
  world.account.update(contact.id, { city: 'Bergen' });
  await world.sql(`update crm.contacts set city = 'Oslo' where crm_id = $1`, [contact.id]);
  await world.sql(
    `update crm.contacts set email = (select email from crm.contacts where email is not null order by id desc limit 1) where id = 12`,
  );
  await world.sql('delete from crm.contacts where id between 2 and 8');
  const plan = await world.run(['plan', '--json'], env);
  for (const kind of ['change', 'conflict', 'total'])
    found.set(
      `plan: ${kind}`,
      linesOf(plan.stdout).find((line) => line['kind'] === kind),
    );
  await world.run(['sync'], env);
  const [parked] = await world.sql('select change_id from sync.parked where change_id is not null');
  await ask('retry', String(parked?.['change_id']));
  await ask('retry --all');
  await ask('audit');
  await ask('status');
  await ask('search', String(contact.first_name));
  const [conflict] = await ask('conflicts');
  await ask('conflicts resolve', String(conflict?.['id']), 'crm');
  const [hold] = await ask('holds');
  await ask('holds reject', String(hold?.['id']));
  await world.run(['sync'], env);
  await world.sql('delete from crm.contacts where id between 20 and 28');
  await world.run(['sync'], env);
  const [again] = await ask('holds');
  await ask('holds approve', String(again?.['id']));
  await ask('pause');
  const paused = await world.run(['plan', '--json'], env);
  found.set(
    'plan: note',
    linesOf(paused.stdout).find((line) => line['kind'] === 'note'),
  );
  await ask('resume');
  await ask('doctor');
  await ask('resync --no-wait');
  const watch = world.start(['status', '--watch', '--json'], env);
  await until('a line', () => linesOf(watch.output().stdout).length > 0);
  watch.kill('SIGINT');
  found.set('status --watch', linesOf((await watch.ended).stdout)[0]);
  return found;
};

it('every output has the keys that are documented, and every output is documented', TIMEOUT, async (context) => {
  const world = await openWorld({ seed: { contacts: 30 } });
  context.onTestFinished(() => world.close());
  const found = await produce(world);
  const keys = new Map([...found].map(([output, line]) => [output, Object.keys(line ?? { nothing: null }).toSorted()]));
  expect(Object.fromEntries(keys)).toEqual(Object.fromEntries(documented()));
});

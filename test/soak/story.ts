/** Where a promise was broken: everything that tells why, in a folder of its own. */
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Pool } from '../../src/postgres/pool.ts';
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { Crew } from './crew.ts';
import type { Reign } from './leadership.ts';
import type { Souls } from './souls.ts';
import type { Verdict } from './verdict.ts';

export interface StoryOptions {
  readonly crew: Crew;
  readonly account: SandboxAccount;
  readonly pool: Pool;
  readonly souls: Souls;
  readonly reigns: readonly Reign[];
}

const TABLES = ['change_log', 'contact_state', 'conflicts', 'marks', 'refused', 'runs', 'holds', 'leader', 'account'];

const lines = (items: Iterable<unknown>): string => [...items].map((item) => JSON.stringify(item)).join('\n');

/** Answers the folder. */
export const saveStory = async (verdict: Verdict, options: StoryOptions): Promise<string> => {
  const folder = path.join(tmpdir(), `relate-mirror-soak-${verdict.name}-${verdict.seed}-${Date.now()}`);
  await mkdir(folder, { recursive: true });
  const save = async (name: string, text: string): Promise<void> => await writeFile(path.join(folder, name), text);
  const { crew, account, pool, souls, reigns } = options;
  const children = crew.children.map((child) => save(`daemon-${child.pid}.log`, child.output().stderr));
  const tables = [...TABLES.map((name) => `sync.${name}`), 'crm.contacts'].map(async (name) => {
    const { rows } = await pool.query(`select * from ${name} order by 1`).catch((error: unknown) => ({ rows: [String(error)] }));
    await save(`${name}.jsonl`, lines(rows));
  });
  const told = souls.all.map((soul) => ({ ...soul, written: [...soul.written.values()], elements: [...soul.elements.values()] }));
  await Promise.all([
    ...children,
    ...tables,
    save('verdict.json', JSON.stringify(verdict, null, 2)),
    save('calls.jsonl', lines(account.calls.calls)),
    save('crm.jsonl', lines([...account.contacts(), ...account.trashed()])),
    save('people.jsonl', lines(told)),
    save('reigns.jsonl', lines(reigns)),
    save('writes.jsonl', lines(crew.writes)),
  ]);
  return folder;
};

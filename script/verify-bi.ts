/**
 * Checks the schema bi with the programs that analysts connect with: ODBC, JDBC, SQLAlchemy with psycopg2, and R's DBI, as Debian packages them.
 *
 * A PostgreSQL of its own over TCP with passwords is filled from a sandbox account by the built program. Through each stack, as reader, masked
 * reader and editor: relations and columns by the stack's own calls, with their comments; each view, and each query of docs/bi.md, cell by cell
 * as node's pg reads it, in the language's own types; what the role is refused; no plain e-mail, phone or street for the masked reader. What the
 * editor changes has to arrive in the CRM.
 *
 *   npm run verify:bi
 *
 * Debian's packages are installed where they are missing and this process may. Exit code 1 and a line for each thing that is not so, 2 where
 * packages are missing.
 */
import { existsSync } from 'node:fs';
import { COOKBOOK, readCookbook } from '../test/bi/cookbook.ts';
import { CHECKS, checkStack, readCatalogue, type Found, type Read } from './bi-clients/checks.ts';
import { editThrough } from './bi-clients/edits.ts';
import { installPackages } from './bi-clients/packages.ts';
import { STACKS } from './bi-clients/stacks.ts';
import { openBiWorld, ROLES, type BiWorld, type Role } from './bi-clients/world.ts';

const WRONG_SHOWN = 10;
const seconds = (sinceMs: number): string => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;

let problems = 0;
const tell = (where: string, wrong: readonly string[]): void => {
  problems += wrong.length;
  for (const line of wrong.slice(0, WRONG_SHOWN)) console.log(`FAIL  ${where}: ${line}`);
  if (wrong.length > WRONG_SHOWN) console.log(`FAIL  ${where}: and ${wrong.length - WRONG_SHOWN} more`);
};

const WIDTHS = [12, 8, ...CHECKS.map(() => 12), 8];
const row = (cells: readonly string[]): string =>
  cells
    .map((cell, at) => cell.padEnd(WIDTHS[at] ?? 0))
    .join('')
    .trimEnd();
const summary = (found: Found): readonly string[] =>
  CHECKS.map((check) => {
    const { looked, wrong } = found[check] ?? { looked: 0, wrong: [] };
    return found[check] === null ? '-' : wrong.length === 0 ? `ok ${looked}` : `FAIL ${wrong.length}`;
  });

const checkReading = async (world: BiWorld, cookbook: readonly Read[]): Promise<readonly string[]> => {
  const catalogue = await readCatalogue(world);
  const lines: string[] = [];
  for (const stack of STACKS) {
    for (const role of Object.keys(ROLES) as Role[]) {
      const startedMs = performance.now();
      try {
        const found = await checkStack({ world, stack, role, catalogue, cookbook });
        for (const check of CHECKS) tell(`${stack.name} as ${role}, ${check}`, found[check]?.wrong ?? []);
        lines.push(row([stack.name, role, ...summary(found), seconds(startedMs)]));
      } catch (error) {
        tell(`${stack.name} as ${role}`, [error instanceof Error ? error.message : String(error)]);
      }
    }
  }
  return lines;
};

const checkEditing = async (world: BiWorld): Promise<string> => {
  const edits = [];
  for (const [at, stack] of STACKS.entries()) edits.push({ stack, edited: await editThrough(world, stack, at) });
  await world.sync();
  const before = problems;
  for (const { stack, edited } of edits) tell(`${stack.name} as editor, edit`, [...edited.wrong, ...edited.arrived()]);
  return `Edits of the editor, a column and a custom field, in bi.contacts at once and in the CRM after a sync: ${problems === before ? `ok ${edits.length}` : 'FAIL'}`;
};

const verify = async (): Promise<void> => {
  const cookbook = existsSync(COOKBOOK) ? readCookbook().map(({ number, title, sql }) => ({ name: `${number}. ${title}`, sql })) : [];
  const startedMs = performance.now();
  const world = await openBiWorld();
  try {
    console.log(`A mirror of ${world.account.contacts().length} contacts (${seconds(startedMs)})`);
    const lines = await checkReading(world, cookbook);
    const edits = await checkEditing(world);
    console.log(`\n${row(['stack', 'role', ...CHECKS, 'time'])}\n${lines.join('\n')}\n\n${edits}`);
  } finally {
    await world.close();
  }
};

const startedMs = performance.now();
const { missing, why } = await installPackages((line) => console.log(line));
if (missing.length > 0) {
  console.error(`Missing: ${missing.join(', ')} (${why}). Nothing was checked.`);
  process.exitCode = 2;
} else {
  console.log(`Debian's packages are there (${seconds(startedMs)})`);
  await verify();
  console.log(`${problems === 0 ? 'The four stacks read what pg reads.' : `${problems} problems`} (${seconds(startedMs)})`);
  if (problems > 0) process.exitCode = 1;
}

/** The documents say what the program does: each of their names is looked up, each example is run, and nothing public is left out. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CHECKS } from '../src/commands/doctor/line.ts';
import { createMetrics } from '../src/admin/metrics.ts';
import { createAdmin, type Admin } from '../src/admin/server.ts';
import { EXIT } from '../src/commands/io.ts';
import { describeStatus } from '../src/commands/status.ts';
import { CHANGE_STATES } from '../src/domain/change.ts';
import { ERROR_CODES } from '../src/domain/errors.ts';
import { DAEMON_ROLE, GROUP_ROLES } from '../src/postgres/sql/grants.ts';
import type { Operations } from '../src/ports/operations.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { SETTINGS } from '../src/settings.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { type Document, parseDocument, plain, sectionOf, tableOf, unwrapped } from './docs/markdown.ts';
import { POOLER_SETTINGS } from './e2e/pgbouncer.ts';
import { addContact, asDaemon, connect } from './postgres/editing.ts';

const ROOT = path.join(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const PATHS = ['README.md', 'CHANGELOG.md', ...globSync('docs/*.md', { cwd: ROOT }).toSorted()];
const DOCUMENTS: readonly Document[] = PATHS.map((file) => parseDocument(file, read(file)));

const documentAt = (file: string): Document => {
  const document = DOCUMENTS.find((candidate) => candidate.path === file);
  if (document === undefined) throw new Error(`${file} is missing`);
  return document;
};
const README = documentAt('README.md');
const SPEC = documentAt('docs/SPEC.md');
const OPERATIONS = documentAt('docs/operations.md');

const columnOf = (document: Document, title: string, head: string): readonly string[] =>
  tableOf(sectionOf(document, title), head).map(([first = '']) => plain(first));

describe('links and paths', () => {
  it.each(DOCUMENTS)('of $path lead to files and headings that are there', ({ path: from, links }) => {
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false;
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? from : path.posix.join(path.posix.dirname(from), file);
      if (!existsSync(path.join(ROOT, target))) return true;
      return anchor !== undefined && !documentAt(target).headings.some((heading) => heading.anchor === anchor);
    });
    expect(broken).toEqual([]);
  });

  it.each(DOCUMENTS)('of $path in backticks exist', ({ codes }) => {
    const paths = codes.filter((code) => /^(src|test|docs|drizzle|script|bench|deploy|\.ci)(\/[\w./*-]*)?$/.test(code));
    expect(paths.filter((file) => globSync(file, { cwd: ROOT }).length === 0)).toEqual([]);
  });
});

describe('settings', () => {
  it('of the README are those of the program: names, defaults and meanings', () => {
    const rows = tableOf(sectionOf(README, 'Configuration'), 'name').map((row) => row.map(plain));
    expect(rows).toEqual(SETTINGS.map(({ name, shown, meaning }) => [name, shown, meaning].map(plain)));
  });

  it('that are told to have no effect are those that nothing reads', () => {
    const fields = [...read('src/config.ts').matchAll(/^ +(\w+): values\.(\w+),$/gm)];
    expect(fields.length).toBeGreaterThan(20);
    // `doctor` tells settings and gives none of them an effect.
    const sources = globSync('src/**/*.ts', { cwd: ROOT }).filter(
      (file) => path.basename(file) !== 'config.ts' && !file.includes('doctor'),
    );
    const texts = sources.map(read);
    const isRead = (field: string): boolean => texts.some((text) => new RegExp(`\\b${field}\\b`).test(text));
    const idle = fields.flatMap(([, field = '', name = '']) => (isRead(field) ? [] : [name])).toSorted();
    const toldBy = (text: string): readonly string[] => [...text.matchAll(/`([A-Z_]+)`/g)].map(([, name = '']) => name).toSorted();
    const [, readme = ''] = /without effect in this version:([^.]*)\./.exec(unwrapped(sectionOf(README, 'Configuration'))) ?? [];
    expect(toldBy(readme)).toEqual(idle);
    expect(toldBy(sectionOf(SPEC, 'Settings that this version does not use'))).toEqual(idle);
  });
});

/** The program as `src/cli.ts` puts it together: importing it runs it, so its last step only hands it over. */
const loadProgram = async (): Promise<Command> => {
  const programs: Command[] = [];
  const signals = ['SIGTERM', 'SIGINT'] as const;
  const listeners = signals.map((signal) => process.listeners(signal));
  const parse = vi.spyOn(Command.prototype, 'parseAsync').mockImplementation(function (this: Command) {
    programs.push(this);
    return Promise.resolve(this);
  });
  await import('../src/cli.ts');
  parse.mockRestore();
  for (const [index, signal] of signals.entries()) {
    for (const listener of process.listeners(signal)) {
      if (listeners[index]?.includes(listener) === false) process.off(signal, listener);
    }
  }
  const [program] = programs;
  if (program === undefined) throw new Error('src/cli.ts did not parse its arguments');
  return program;
};

const usageOf = (command: Command): string =>
  [
    command.name(),
    ...command.registeredArguments.map((argument) => {
      const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
      return argument.required ? `<${name}>` : `[${name}]`;
    }),
    ...command.options.map(({ flags }) => `[${flags}]`),
  ].join(' ');

describe('commands', () => {
  it('of the README are those of the program, with their arguments and options', async () => {
    const program = await loadProgram();
    // Without `help`, which commander adds, and what only the completion's scripts call.
    const commands = program
      .createHelp()
      .visibleCommands(program)
      .filter((command) => command.name() !== 'help');
    expect(columnOf(README, 'Commands', 'command').toSorted()).toEqual(commands.map(usageOf).toSorted());
  });

  it('end with the exit codes that the README and the operations tell', () => {
    const codes = Object.values(EXIT).map(String).toSorted();
    expect(columnOf(README, 'Commands', 'exit code').toSorted()).toEqual(codes);
    expect(columnOf(OPERATIONS, 'Exit codes', 'exit code').toSorted()).toEqual(codes);
  });
});

describe('commands.md', () => {
  it('explains every check of `doctor`, and none that does not exist', () => {
    expect(columnOf(documentAt('docs/commands.md'), 'What doctor checks', 'check').toSorted()).toEqual(Object.keys(CHECKS).toSorted());
  });
});

describe('over HTTP', () => {
  let admin: Admin;
  const metrics = createMetrics({ version: '0', nodeVersion: '0' });
  beforeAll(async () => {
    const never = async (): Promise<never> => await new Promise<never>(() => undefined);
    admin = createAdmin({
      host: '127.0.0.1',
      port: 0,
      adminToken: null,
      operations: { ping: never, overview: never, pool: () => ({ total: 0, idle: 0, waiting: 0 }) } as unknown as Operations,
      metrics,
      crmHealth: { last: () => null },
      rows: { list: () => [] },
      role: () => 'starting',
      budget: () => ({ limit: 0, used: 0 }),
      clock: systemClock,
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    });
    await admin.start();
  });
  afterAll(async () => await admin.stop());

  it('the endpoints of the README are the routes of the server', () => {
    expect(columnOf(README, 'Over HTTP', 'endpoint').toSorted()).toEqual(admin.routes().toSorted());
  });

  it('the metrics of the operations are those of the program', async () => {
    const known = metrics.names.map((name) => `relate_mirror_${name}`);
    const text = await (await fetch(`${admin.url()}/metrics`)).text();
    const own = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name);
    const kinds = ['relate_mirror_nodejs_*', 'relate_mirror_process_*'];
    const isOfKind = (name: string): boolean => kinds.some((kind) => name.startsWith(kind.slice(0, -1)));
    expect(columnOf(OPERATIONS, 'Metrics', 'metric').toSorted()).toEqual([...known, ...kinds].toSorted());
    expect(own.filter((name) => !known.includes(name) && !isOfKind(name))).toEqual([]);
    for (const kind of kinds) expect(own.some((name) => name.startsWith(kind.slice(0, -1)))).toBe(true);
  });
});

describe('operations.md', () => {
  it('explains every error code, and none that does not exist', () => {
    expect(columnOf(OPERATIONS, 'Error codes', 'code').toSorted()).toEqual(Object.keys(ERROR_CODES).toSorted());
  });

  it('explains every state of an edit, and none that does not exist', () => {
    expect(columnOf(OPERATIONS, 'States of an edit', 'state').toSorted()).toEqual([...CHANGE_STATES].toSorted());
  });

  it('gives PgBouncer the settings that the tests run it with', () => {
    const ini = OPERATIONS.fences.find(({ language }) => language === 'ini')?.text.split('\n') ?? [];
    expect(ini).toEqual(expect.arrayContaining(Object.entries(POOLER_SETTINGS).map(([name, value]) => `${name} = ${value}`)));
  });

  it('explains every role, and none that does not exist', () => {
    expect(columnOf(OPERATIONS, 'Roles and rights', 'role').toSorted()).toEqual([...Object.keys(GROUP_ROLES), DAEMON_ROLE].toSorted());
  });

  it('explains every line of `status`', () => {
    const lines = describeStatus({
      leader: null,
      paused: false,
      pull_lag_seconds: null,
      push_lag_seconds: 0,
      queue_depth: 0,
      last_complete_sweep_at: null,
      budget_limit: null,
      budget_used: null,
      parked: 0,
      held: 0,
      unknown: 0,
      open_conflicts: 0,
      retry: 0,
      contacts: 0,
      first_sweep_done: true,
      identity_hold: null,
      crm_error_code: null,
      crm_seen_seconds: null,
      pull_late: false,
    });
    expect(columnOf(OPERATIONS, 'The first look', 'line')).toEqual(lines.map((line) => line.split(/ {2,}/)[0]));
  });
});

it('decisions.md numbers its decisions from 1 on', () => {
  const numbers = documentAt('docs/decisions.md').headings.flatMap(({ text }) => /^(\d+)\. /.exec(text)?.[1] ?? []);
  expect(numbers.map(Number)).toEqual(numbers.map((_, at) => at + 1));
});

describe('SPEC.md', () => {
  const promises = SPEC.headings.flatMap(({ text }) => (/^\d+\. /.test(text) ? [text] : []));

  it('numbers the promises from 1 to 11', () => {
    expect(promises.map((title) => Number.parseInt(title, 10))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it.each(promises)('names tests that exist: %s', (title) => {
    expect(missingTests(unwrapped(sectionOf(SPEC, title)))).toEqual([]);
  });
});

/** Names of tests behind a file (`test/x.test.ts`: "one", "two") that are not in it. */
const missingTests = (text: string): readonly string[] => {
  expect([...text.matchAll(/`(test\/[^`]+\.ts)`/g)].length).toBeGreaterThan(0);
  return [...text.matchAll(/`(test\/[^`]+\.ts)`: ((?:"[^"]+"(?:, )?)+)/g)].flatMap(([, file = '', quoted = '']) => {
    const source = read(file).replaceAll('\\', '');
    const names = [...quoted.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name);
    return names.filter((name) => !["'", '"', '`'].some((quote) => source.includes(`${quote}${name}${quote}`)));
  });
};

describe('security.md', () => {
  it('names a test for every threat, and they exist', () => {
    const threats = tableOf(sectionOf(documentAt('docs/security.md'), 'Threats'), 'threat');
    expect(threats.length).toBeGreaterThan(10);
    expect(threats.flatMap(([, , tests = '']) => missingTests(tests))).toEqual([]);
  });
});

/** Nobody but the daemon and the views call these; what is in neither list makes a test fail, so that somebody decides. */
const INTERNAL_FUNCTIONS = new Set(
  `begin_own_write captured capture_contacts capture_links custom_value_problem drawn_contact_id effective_role end_own_write guard_contact
   guard_names guard_truncate guard_writer is_blank is_date is_datetime is_own_write is_safe_number lock_open_hold phones_problem put_fields
   raise_custom_field request_run destruction waiting_damage reject_pull reject_push reject_found resolve_contact plan_identity
   database_identity check_identity hold_identity decide_identity identity_swept agreed_value
   is_agreed_link is_create_in_doubt
   write_versions switch_history snapshot_history history_partition create_history_month attach_history_month add_history_months prune_history
   is_history_whole history_reaches mirrored_tables take_lock add_history_month is_masked mask_email mask_phone mask_phones mask_text
   to_number to_boolean to_date to_instant bi_columns_max bi_kind bi_column_type bi_fields bi_seen is_bi_due cut_to_bytes bi_column_name
   note_bi_columns bi_expression bi_contacts_sql bi_column_comments refresh_bi note_custom_field_change tell_custom_field_changes
   count_custom_values is_count_due`
    .split(/\s+/)
    .map((name) => `sync.${name}`),
);

const RELATIONS = `
  select format('%s.%s', n.nspname, c.relname) as name, array(
    select attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ) as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('crm', 'sync', 'bi') and c.relkind in ('r', 'v', 'p') and not c.relispartition`;
const FUNCTIONS = `
  select distinct format('%s.%s', n.nspname, p.proname) as name
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('crm', 'sync', 'bi')`;

/** Names of the schemas that a document mentions, columns behind them included. */
const namesIn = (text: string): readonly string[] => [
  ...new Set(
    [...text.replaceAll(/`[\w./-]+\/[\w./-]+`/g, '').matchAll(/\b(?!bi\.md\b)(?:crm|sync|bi)\.[a-z_]+(?:\.[a-z_]+)?/g)].map(
      ([name]) => name,
    ),
  ),
];

describe('SQL', () => {
  let database: TestDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await createTestDatabase();
    client = await connect(database.url);
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  const relations = async () => (await client.query<{ name: string; columns: readonly string[] }>(RELATIONS)).rows;
  const functions = async () => (await client.query<{ name: string }>(FUNCTIONS)).rows.map(({ name }) => name);

  it.each(DOCUMENTS)('names of $path exist in the database', async ({ text }) => {
    const known = new Set([
      ...(await functions()),
      ...(await relations()).flatMap(({ name, columns }) => [name, ...columns.map((column) => `${name}.${column}`)]),
    ]);
    expect(namesIn(text).filter((name) => !known.has(name))).toEqual([]);
  });

  it('bi.md tells every view and function of bi, and columns that they have', async () => {
    const rows = tableOf(sectionOf(documentAt('docs/bi.md'), 'What is in it'), 'view or function');
    const told = new Set(rows.flatMap((cells) => namesIn(cells.slice(0, 2).join(' '))));
    const known = await relations();
    const names = [...known.map(({ name }) => name), ...(await functions())];
    expect([...told].toSorted()).toEqual(names.filter((name) => name.startsWith('bi.')).toSorted());
    const columnsOfView = new Map(known.map(({ name, columns }) => [name, new Set(columns)]));
    const unknown = rows.flatMap(([view = '', , columns = '']) =>
      [...columns.matchAll(/`([a-z0-9_]+)`/g)].flatMap(([, column = '']) =>
        columnsOfView.get(plain(view))?.has(column) === false ? [`${plain(view)}.${column}`] : [],
      ),
    );
    expect(unknown).toEqual([]);
  });

  it('the README names every table and view, and every function that people call', async () => {
    const named = new Set(namesIn(sectionOf(README, 'In SQL')));
    const names = [...(await relations()).map(({ name }) => name), ...(await functions())];
    expect(names.filter((name) => !named.has(name) && !INTERNAL_FUNCTIONS.has(name))).toEqual([]);
    expect([...INTERNAL_FUNCTIONS].filter((name) => !names.includes(name))).toEqual([]);
  });

  /** What the examples find: something parked, a plan of each direction, a conflict on each of two fields, known names. */
  const prepare = async (): Promise<void> => {
    await client.query('select sync.switch_history(true), sync.snapshot_history(0, 1)');
    const insert = `insert into crm.contacts (crm_id, first_name, city) select n, 'Ann', 'Rome' from generate_series(7, 9) n`;
    const states = `insert into sync.contact_state (contact_id, crm_id, base, base_hash)
      select id, crm_id, '{"first_name": "Ann", "city": "Rome", "phones": [], "custom_fields": {}}', 'h' from crm.contacts`;
    await asDaemon(client, insert, states, `insert into crm.companies values (12, 'Alder Labs')`);
    await client.query(`insert into sync.custom_fields (name, type, origin) values ('cf_score', 'number', 'inferred')`);
    await client.query(`update crm.contacts set email = 'taken@example.com' where crm_id = 7`);
    await client.query(`update sync.change_log set state = 'parked', error_code = 'invalid', error = 'taken'`);
    await client.query('delete from crm.contacts where crm_id = 8');
    await client.query(
      `insert into sync.holds (direction, reason, rows, plan) values ('push', 'many', 1, '[]'), ('pull', 'many', 1, '[]')`,
    );
    await client.query(`update sync.change_log set state = 'held', hold_id = 1, next_attempt_at = null where op = 'delete'`);
    await client.query('update sync.contact_state set hold_id = 2, gone_at = now() where crm_id = 9');
    await client.query(`insert into sync.conflicts (contact_id, field, local, remote, outcome, state, policy)
      select id, field, '"Oslo"', '"Bonn"', 'open', 'open', 'manual' from crm.contacts, unnest(array['city', 'first_name']) field where crm_id = 7`);
    await addContact(client, 'Bob');
  };

  /** Statements of an example, each of which ends its line. */
  const statementsOf = (text: string): readonly string[] =>
    text.split(/(?<=;)[ \t]*(?:--.*)?\n/).filter((statement) => statement.trim() !== '');
  const examplesOf = ({ fences }: Document): readonly string[] =>
    fences.flatMap(({ language, text }) => (language === 'sql' ? [text] : []));

  it('every example of the README runs, in order, and finds something', async () => {
    await prepare();
    const examples = examplesOf(README);
    expect(examples.length).toBeGreaterThan(10);
    const foundNothing: string[] = [];
    for (const example of examples) {
      // Roles belong to the whole server: what makes one is taken back.
      const keeps = !/^create role/m.test(example);
      if (!keeps) await client.query('begin');
      for (const statement of statementsOf(example)) {
        // There is no daemon here that would settle what an example waits for.
        if (statement.includes('sync.wait('))
          await client.query(`update sync.change_log set state = 'done', settled_at = now() where state = 'pending'`);
        const { command, rowCount } = await client.query(statement).catch((cause: unknown) => {
          throw new Error(`The README's example fails: ${statement}`, { cause });
        });
        if (rowCount === 0 && !['CREATE', 'GRANT'].includes(command)) foundNothing.push(statement);
      }
      if (!keeps) await client.query('rollback');
    }
    expect(foundNothing).toEqual([]);
  });

  it('what they show is for an editor, where it does not say whose it is', async () => {
    const inline = OPERATIONS.text
      .split('\n')
      .flatMap((line) => (line.includes('as the owner') ? [] : [...line.matchAll(/`(select [^`…]+?);?`/g)]));
    const looks = [
      ...examplesOf(README).flatMap(statementsOf),
      ...examplesOf(OPERATIONS).flatMap(statementsOf),
      ...inline.flatMap(([, statement = '']) => (/\bfrom\b/.test(statement) ? [statement] : [])),
    ].filter((statement) => /^\s*select\b/.test(statement) && !/sync\.leader|create_publication|pg_create/.test(statement));
    expect(looks.length).toBeGreaterThan(25);
    const refused: string[] = [];
    for (const statement of looks) {
      await client.query('begin; set local role relate_mirror_editor');
      await client.query(statement).catch(({ code }: { code?: string }) => code === '42501' && refused.push(statement));
      await client.query('rollback');
    }
    expect(refused).toEqual([]);
  });

  it('every query of operations.md and scaling.md runs', async () => {
    const examples = [OPERATIONS, documentAt('docs/scaling.md')].flatMap(examplesOf).flatMap(statementsOf);
    expect(examples.length).toBeGreaterThan(2);
    for (const statement of examples) await client.query(statement);
  });
});

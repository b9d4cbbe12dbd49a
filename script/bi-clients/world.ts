/** What the four stacks connect to: PostgreSQL over TCP with passwords, filled by the built program from a sandbox account, and three logins. */
import pg from 'pg';
import { grantsScript } from '../../src/postgres/roles.ts';
import { createSandboxAccount, type SandboxAccount } from '../../src/sandbox/crm/account.ts';
import { startSandbox } from '../../src/sandbox/crm/server.ts';
import { buildProgram } from '../../test/e2e/built-program.ts';
import { startChild } from '../../test/e2e/child.ts';
import { OWNER, startRoleServer } from '../../test/postgres/role-server.ts';

export const ROLES = {
  reader: 'relate_mirror_reader',
  masked: 'relate_mirror_reader_masked',
  editor: 'relate_mirror_editor',
} as const;
export type Role = keyof typeof ROLES;

export interface BiWorld {
  readonly account: SandboxAccount;
  readonly url: { readonly [R in Role]: string };
  /** node's pg as that login, in UTC. */
  readonly client: { readonly [R in Role]: pg.Client };
  /** As the superuser. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** `relate-mirror sync`. @throws Error with what it said, where it did not end well */
  sync(): Promise<void>;
  close(): Promise<void>;
}

const CONTACTS = 300;
const TOKEN = 'bi-token';
/** Told in the headers; without them the program keeps to 60 calls a minute. */
const RATE_PER_MINUTE = 6_000;

/** As if it had been kept for a year: questions about the past have an answer. */
const WITH_A_PAST = [
  `update sync.contact_versions set valid_from = valid_from - interval '365 days'`,
  `update sync.account set history_since = history_since - interval '365 days'`,
] as const;

const mapRoles = async <T>(make: (role: Role) => Promise<T>): Promise<{ readonly [R in Role]: T }> => ({
  reader: await make('reader'),
  masked: await make('masked'),
  editor: await make('editor'),
});

export const openBiWorld = async (): Promise<BiWorld> => {
  const account = createSandboxAccount();
  account.seed({ contacts: CONTACTS });
  const sandbox = await startSandbox({ account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE });
  const server = await startRoleServer();
  const clients: pg.Client[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(clients.map((client) => client.end()));
    await sandbox.close();
    await server.stop();
  };
  try {
    await server.migrateAs(OWNER);
    await server.script(grantsScript(null));
    const program = await buildProgram();
    const env = {
      PATH: process.env['PATH'],
      CRM_URL: sandbox.url,
      CRM_TOKEN: TOKEN,
      DATABASE_URL: server.urlOf(OWNER),
      LOG_FORMAT: 'json',
    };
    const sync = async (): Promise<void> => {
      const { code, stderr } = await startChild(program, ['sync'], env).ended;
      if (code !== 0) throw new Error(`relate-mirror sync ended with ${code}: ${stderr.slice(-2_000)}`);
    };
    await sync();
    for (const statement of WITH_A_PAST) await server.sql(statement);
    const login = async (role: Role): Promise<string> => {
      const name = `anna ${role} ü`;
      await server.sql(`create role "${name}" login password 'password-of-a-test'; grant ${ROLES[role]} to "${name}"`);
      return server.urlOf(name);
    };
    const url = await mapRoles(login);
    const client = await mapRoles(async (role) => {
      const one = new pg.Client({ connectionString: url[role], options: '-c TimeZone=UTC' });
      clients.push(one);
      await one.connect();
      return one;
    });
    return { account, url, client, sql: async (text, values) => await server.sql(text, values), sync, close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** A server of the test's own, since roles belong to a whole server: an owner that may not create roles, a migrated database, and logins. */
import type pg from 'pg';
import { migrateDatabase } from '../../src/postgres/migrate.ts';
import { startEmbeddedPostgres, type EmbeddedPostgresOptions } from '../../src/sandbox/postgres/launch.ts';
import { postgresMajor } from '../postgres-server.ts';
import { connect } from './editing.ts';

export const OWNER = 'relate_mirror_owner';
const PASSWORD = 'password-of-a-test';

export interface RoleServer {
  readonly superuserUrl: string;
  /** As a role with its password; by default in the mirror's database. */
  urlOf(role: string, database?: string): string;
  /** As the superuser, in the mirror's database. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** A login with the password that `urlOf` knows; member of `group`, where there is one. */
  addLogin(role: string, group?: string): Promise<void>;
  /** A connection as the role, closed with the server. */
  as(role: string): Promise<pg.Client>;
  migrateAs(role: string, database?: string): Promise<unknown>;
  /** Runs a script as psql would: all of it, as the superuser or the role. */
  script(text: string, role?: string): Promise<void>;
  stop(): Promise<void>;
}

const MIRROR = 'mirror';

/** The database is owned by the superuser, and empty; the owner of the schemas has nothing but the right to create in it. */
export const startRoleServer = async (options: Pick<EmbeddedPostgresOptions, 'major' | 'settings'> = {}): Promise<RoleServer> => {
  const server = await startEmbeddedPostgres({ major: postgresMajor(), fsync: false, ...options });
  const clients: pg.Client[] = [];
  const open = async (url: string): Promise<pg.Client> => {
    const client = await connect(url);
    clients.push(client);
    return client;
  };
  const urlOf: RoleServer['urlOf'] = (role, database = MIRROR) => {
    const url = new URL(server.url(database));
    [url.username, url.password] = [role, PASSWORD];
    return url.href;
  };
  const maintenance = await open(server.url('postgres'));
  await maintenance.query(`create database ${MIRROR}`);
  await maintenance.query(`create role ${OWNER} login password '${PASSWORD}'; grant create on database ${MIRROR} to ${OWNER}`);
  const superuser = await open(server.url(MIRROR));
  return {
    superuserUrl: server.url(MIRROR),
    urlOf,
    sql: async (text, values = []) => (await superuser.query<Record<string, unknown>>(text, [...values])).rows,
    addLogin: async (role, group) => {
      await superuser.query(`create role ${role} login password '${PASSWORD}'`);
      if (group !== undefined) await superuser.query(`grant ${group} to ${role}`);
    },
    as: (role) => open(urlOf(role)),
    migrateAs: (role, database) => migrateDatabase({ connectionString: urlOf(role, database), grants: 'always' }),
    script: async (text, role) => void (await (role === undefined ? superuser : await open(urlOf(role))).query(text)),
    stop: async () => {
      await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
      await server.stop();
    },
  };
};

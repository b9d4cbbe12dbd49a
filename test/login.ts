/** Logins on the tests' server. Roles belong to the whole server, so each has a name of its own and goes with its test. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface TestLogin {
  readonly role: string;
  readonly url: string;
  drop(): Promise<void>;
}

/** `url`: of a superuser, in the database where the statements are run. */
export const createTestLogin = async (url: string, grantsOf: (role: string) => readonly string[]): Promise<TestLogin> => {
  const role = `relate_test_${randomBytes(6).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  const run = async (statements: readonly string[]): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await run([`create role ${role} login password '${password}'`, ...grantsOf(role)]);
  const own = new URL(url);
  [own.username, own.password] = [role, password];
  return { role, url: own.href, drop: () => run([`drop owned by ${role}`, `drop role ${role}`]) };
};

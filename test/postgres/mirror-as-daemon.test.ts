/** Everything the mirror's port does, as a role that has what `relate-mirror grants --daemon` prints and owns nothing. */
import { afterAll, beforeAll } from 'vitest';
import { daemonGrants } from '../../src/postgres/sql/grants.ts';
import { mirrorContract } from '../contract/mirror.contract.ts';
import { createTestLogin, type TestLogin } from '../login.ts';
import { openMirrorDatabase, type MirrorDatabase } from './mirror-harness.ts';

let database: MirrorDatabase;
let login: TestLogin;
beforeAll(async () => {
  database = await openMirrorDatabase(async (url) => (login = await createTestLogin(url, daemonGrants)).url);
});
afterAll(async () => {
  await login.drop();
  await database.close();
});

mirrorContract('postgres, as the role of a daemon', () => database.make());

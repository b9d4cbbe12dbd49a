import { afterAll, beforeAll } from 'vitest';
import { mirrorContract } from '../contract/mirror.contract.ts';
import { openMirrorDatabase, type MirrorDatabase } from './mirror-harness.ts';

let database: MirrorDatabase;
beforeAll(async () => {
  database = await openMirrorDatabase();
});
afterAll(() => database.close());

mirrorContract('postgres', () => database.make());

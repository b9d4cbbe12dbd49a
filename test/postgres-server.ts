/**
 * Which PostgreSQL the tests run on: the one of TEST_DATABASE_URL; else a container, where an engine answers and the image starts; else
 * the embedded one. PG_MAJOR (15 or 18, default 18) chooses the version of the latter two.
 */
import { POSTGRES_MAJORS, type PostgresMajor } from '../src/sandbox/postgres/binaries.ts';
import { startEmbeddedPostgres } from '../src/sandbox/postgres/launch.ts';
import { engineAnswers } from './container-engine.ts';

export interface TestServer {
  /** Of a role that may create databases. */
  readonly url: string;
  /** What was chosen, for the one line that says so. */
  readonly what: string;
  stop(): Promise<void>;
}

const CONTAINER_TIMEOUT_MS = 90_000;
const WITHOUT_FSYNC = ['-c', 'fsync=off', '-c', 'full_page_writes=off', '-c', 'synchronous_commit=off', '-c', 'max_connections=200'];

export const postgresMajor = (): PostgresMajor => {
  const wanted = process.env['PG_MAJOR'] ?? '18';
  const major = POSTGRES_MAJORS.find((known) => String(known) === wanted);
  if (major === undefined) throw new Error(`PG_MAJOR: "${wanted}" is not one of ${POSTGRES_MAJORS.join(', ')}.`);
  return major;
};

const startContainer = async (major: PostgresMajor): Promise<TestServer> => {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql');
  const image = `postgres:${major}`;
  const starting = new PostgreSqlContainer(image).withCommand(['postgres', ...WITHOUT_FSYNC]).start();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no start after ${CONTAINER_TIMEOUT_MS} ms`)), CONTAINER_TIMEOUT_MS);
  });
  try {
    const container = await Promise.race([starting, late]);
    return { url: container.getConnectionUri(), what: `container ${image}`, stop: async () => void (await container.stop()) };
  } catch (error) {
    void starting.then(
      (container) => container.stop(),
      () => undefined,
    );
    throw error;
  } finally {
    clearTimeout(timer);
  }
};

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';

export const startTestServer = async (): Promise<TestServer> => {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined && given !== '') return { url: given, what: 'TEST_DATABASE_URL', stop: () => Promise.resolve() };
  const major = postgresMajor();
  if (await engineAnswers()) {
    try {
      return await startContainer(major);
    } catch (error) {
      process.stderr.write(`No container for the tests (${firstLine(error)}): going on with the embedded PostgreSQL.\n`);
    }
  }
  const embedded = await startEmbeddedPostgres({ major, fsync: false });
  return { url: embedded.url('postgres'), what: `embedded PostgreSQL ${major}`, stop: () => embedded.stop() };
};

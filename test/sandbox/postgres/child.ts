/** Run as a process of its own: starts the embedded PostgreSQL in the folder given, or a temporary one, says where, and waits to be killed. */
import { startEmbeddedPostgres } from '../../../src/sandbox/postgres/launch.ts';
import { postgresMajor } from '../../postgres-server.ts';

const [directory] = process.argv.slice(2);
const server = await startEmbeddedPostgres({ major: postgresMajor(), fsync: false, ...(directory === undefined ? {} : { directory }) });
const { port, dataDirectory, attached } = server;
process.stdout.write(`${JSON.stringify({ url: server.url(), port, dataDirectory, attached })}\n`);
process.stdin.resume();

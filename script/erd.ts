/** Draws docs/erd.svg from a database that was just migrated, and keeps the graph that it shows beside it: docs/erd.dot. */
import { writeFileSync } from 'node:fs';
import pg from 'pg';
import { migrateDatabase } from '../src/postgres/migrate.ts';
import { startEmbeddedPostgres } from '../src/sandbox/postgres/launch.ts';
import { toDot, toSvg } from './erd/dot.ts';
import { readModel } from './erd/model.ts';

const server = await startEmbeddedPostgres({ fsync: false });
try {
  const url = server.url('postgres');
  await migrateDatabase({ connectionString: url });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const model = await readModel(client);
  await client.end();
  const dot = toDot(model);
  writeFileSync('docs/erd.dot', dot);
  writeFileSync('docs/erd.svg', await toSvg(dot));
  console.log(`docs/erd.svg: ${model.relations.length} tables and views, ${model.references.length} references`);
} finally {
  await server.stop();
}

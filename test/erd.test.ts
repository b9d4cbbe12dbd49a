/** The diagram is drawn from the schema as it is. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { digestOf, toDot } from '../script/erd/dot.ts';
import { readModel } from '../script/erd/model.ts';
import { createTestDatabase } from './database.ts';
import { connect } from './postgres/editing.ts';

const read = (file: string): string => readFileSync(path.join(import.meta.dirname, '../docs', file), 'utf8');

it('shows every table, view, column and reference; `npm run erd` draws it anew', async () => {
  const database = await createTestDatabase();
  const client = await connect(database.url);
  const model = await readModel(client);
  await client.end();
  await database.drop();
  expect(model.relations.length).toBeGreaterThan(30);
  const dot = toDot(model);
  expect(read('erd.dot').split('\n')).toEqual(dot.split('\n'));
  const svg = read('erd.svg');
  expect(svg).toContain(digestOf(dot));
  expect(model.relations.filter(({ name }) => !svg.includes(`>${name}`))).toEqual([]);
});

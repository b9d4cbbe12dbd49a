/** The main job, seen from the host: what a person edits with SQL arrives in the CRM, what is edited in the CRM arrives in Postgres. */
import pg from 'pg';
import { z } from 'zod';
import { until, type Report } from './report.ts';
import type { Stack } from './stack.ts';

const Contact = z.object({ id: z.number(), first_name: z.string(), city: z.string().nullable() });
type Contact = z.infer<typeof Contact>;

export interface Sides {
  readonly sql: (text: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>;
  readonly readContact: (id: number) => Promise<Contact>;
  readonly editContact: (id: number, fields: { readonly [name: string]: unknown }) => Promise<void>;
  readonly close: () => Promise<void>;
}

export const connectAs = async ({ ports }: Stack, user: string, password: string): Promise<pg.Client> => {
  const client = new pg.Client({ host: '127.0.0.1', port: ports.postgres, user, password, database: 'relate_mirror' });
  // The server may end while nothing is asked; the next question says so.
  client.on('error', () => undefined);
  await client.connect();
  return client;
};

/** As somebody who edits contacts, and as somebody who works in the CRM. */
export const openSides = async (stack: Stack): Promise<Sides> => {
  const client = await connectAs(stack, 'mirror_editor', await stack.secret('postgres', 'editor_password'));
  const token = await stack.secret('sandbox-crm', 'crm_token');
  const call = async (method: 'GET' | 'PUT', id: number, fields?: object): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${stack.ports.sandbox}/api/contacts/${id}`, {
      method,
      headers: { authorization: `Bearer ${token}`, accept: 'application/json', 'content-type': 'application/json' },
      ...(fields === undefined ? {} : { body: JSON.stringify(fields) }),
    });
    if (!answer.ok) throw new Error(`${method} contact ${id}: ${answer.status} ${await answer.text()}`);
    return await answer.json();
  };
  return {
    sql: async (text, values = []) => (await client.query<Record<string, unknown>>(text, [...values])).rows,
    readContact: async (id) => Contact.parse(await call('GET', id)),
    editContact: async (id, fields) => void (await call('PUT', id, fields)),
    close: async () => await client.end(),
  };
};

/** One edit each way. `mark` makes it differ from those before. */
export const verifyEdits = async (report: Report, sides: Sides, mark: string): Promise<void> => {
  const { sql, readContact, editContact } = sides;
  const [row] = await sql('select id, crm_id from crm.contacts where crm_id is not null order by id limit 1');
  const [id, crmId] = [Number(row?.['id']), Number(row?.['crm_id'])];
  await report.step('an edit made with SQL arrives in the CRM', async () => {
    const started = performance.now();
    await sql('update crm.contacts set city = $2 where id = $1', [id, `Olten ${mark}`]);
    await until('the city in the CRM', async () => (await readContact(crmId)).city === `Olten ${mark}`);
    return `contact ${crmId}, after ${Math.round(performance.now() - started)} ms`;
  });
  await report.step('an edit made in the CRM arrives in Postgres', async () => {
    const started = performance.now();
    await editContact(crmId, { city: `Chur ${mark}` });
    const select = 'select city from crm.contacts where id = $1';
    await until('the city in Postgres', async () => (await sql(select, [id]))[0]?.['city'] === `Chur ${mark}`);
    return `row ${id}, after ${Math.round(performance.now() - started)} ms`;
  });
  await report.step('a row inserted with SQL becomes a contact', async () => {
    const insert = 'insert into crm.contacts (first_name, last_name) values ($1, $2) returning id';
    const inserted = Number((await sql(insert, [`Ada ${mark}`, 'Lovelace']))[0]?.['id']);
    const select = 'select crm_id from crm.contacts where id = $1';
    const created = await until('its crm_id', async () => Number((await sql(select, [inserted]))[0]?.['crm_id']) || null);
    const { first_name: name } = await readContact(created);
    if (name !== `Ada ${mark}`) throw new Error(`contact ${created} is called ${name}`);
    return `contact ${created}`;
  });
};

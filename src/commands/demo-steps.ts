/** The demo's steps: what a user does, and how it is seen to have worked. */
import type { Pool } from '../postgres/pool.ts';
import { readSnapshot } from '../postgres/snapshot.ts';
import type { Clock } from '../ports/ambient.ts';
import { differences } from '../sandbox/compare.ts';
import type { SandboxAccount } from '../sandbox/crm/account.ts';
import { StepFailed, type Deed, type Seen, type Step } from './demo-stage.ts';

type Row = Record<string, unknown>;

export interface DemoWorld {
  readonly account: SandboxAccount;
  readonly pool: Pool;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  sql(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
}

const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 5;

/** Looks until it is there; answers how long that took. */
const until = async (
  { clock, signal }: DemoWorld,
  what: string,
  isThere: () => boolean | Promise<boolean>,
  everyMs = LOOK_EVERY_MS,
): Promise<number> => {
  const startedMs = clock.monotonicMs();
  while (!(await isThere())) {
    if (signal.aborted) throw new StepFailed('stopped');
    if (clock.monotonicMs() - startedMs > PATIENCE_MS) throw new StepFailed(`${what}: not after ${PATIENCE_MS / 1000} s`);
    await clock.sleep(everyMs, signal);
  }
  return clock.monotonicMs() - startedMs;
};

const one = async (world: DemoWorld, text: string, values: readonly unknown[] = []): Promise<Row> => {
  const [row] = await world.sql(text, values);
  if (row === undefined) throw new StepFailed(`no row: ${text}`);
  return row;
};

const sql = (what: string): Deed => ({ where: 'psql', what });
const crm = (what: string): Deed => ({ where: 'crm', what });

/** A contact that nobody used yet. */
const pick = async (world: DemoWorld, nth: number): Promise<{ readonly id: number; readonly crmId: number }> => {
  const row = await one(world, 'select id, crm_id from crm.contacts where crm_id is not null order by id offset $1 limit 1', [nth]);
  return { id: Number(row['id']), crmId: Number(row['crm_id']) };
};

const initialMirror = async (world: DemoWorld): Promise<Seen> => {
  const ms = await until(
    world,
    'the first full load',
    async () => (await one(world, 'select first_sweep_done as done from sync.status'))['done'] === true,
  );
  await until(world, 'the links', async () => (await one(world, 'select count(*) = 0 as done from sync.marks'))['done'] === true, 50);
  const found = differences(await readSnapshot(world.pool), world.account.contacts());
  if (found.length > 0) throw new StepFailed(`${found.length} differences, the first: ${found[0]}`);
  const { n } = (await one(world, 'select count(*)::int as n from crm.contacts')) as { n: number };
  return { did: [], seen: `${n} contacts after {ms}, compared field by field and link by link: no difference`, ms };
};

const localEdit = async (world: DemoWorld): Promise<Seen> => {
  const { id, crmId } = await pick(world, 10);
  const did = `update crm.contacts set city = 'Zürich' where id = ${id};`;
  await world.sql(did);
  const ms = await until(world, 'the edit in the CRM', () => world.account.contact(crmId)?.city === 'Zürich', 1);
  return { did: [sql(did)], seen: 'in the CRM after {ms}', ms };
};

const crmEdit = async (world: DemoWorld): Promise<Seen> => {
  const { id, crmId } = await pick(world, 11);
  world.account.update(crmId, { job_title: 'Head of everything' });
  const arrived = async (): Promise<boolean> =>
    (await one(world, 'select job_title from crm.contacts where id = $1', [id]))['job_title'] === 'Head of everything';
  const ms = await until(world, 'the edit in the mirror', arrived);
  return {
    did: [crm(`somebody changes the job title of contact ${crmId}`)],
    seen: 'in the mirror after {ms}; it looks once a second here, once a minute by default',
    ms,
  };
};

const createFromSql = async (world: DemoWorld): Promise<Seen> => {
  const did = `insert into crm.contacts (first_name, last_name, email, phones)\nvalues ('Ada', 'Lovelace', 'ada@example.com',\n        '[{"number": "+44 20 7946 0018", "type": "work"}]');`;
  await world.sql(did);
  const text = `select crm_id from crm.contacts where email = 'ada@example.com' and crm_id is not null`;
  const ms = await until(world, 'the crm_id', async () => (await world.sql(text)).length === 1, 1);
  const crmId = Number((await one(world, text))['crm_id']);
  const matches = world.account.contacts().filter(({ email }) => email === 'ada@example.com');
  if (matches.length !== 1 || matches[0]?.id !== crmId) throw new StepFailed(`${matches.length} contacts in the CRM, not this one`);
  return { did: [sql(did)], seen: `created, once; its crm_id ${crmId} was here after {ms}`, ms };
};

const linksBothWays = async (world: DemoWorld): Promise<Seen> => {
  const { id, crmId } = await pick(world, 12);
  const company = world.account
    .records('companies')
    .find((record) => world.account.contact(crmId)?.companies.includes(record.id) === false);
  const deal = world.account.records('deals').find((record) => world.account.contact(crmId)?.deals.includes(record.id) === false);
  if (company === undefined || deal === undefined) throw new StepFailed('no free company or deal');
  const did = `insert into crm.contact_companies values (${id}, ${company.id});  -- ${company.name}`;
  await world.sql(did);
  const ms = await until(world, 'the company in the CRM', () => world.account.contact(crmId)?.companies.includes(company.id) === true, 1);
  world.account.attach(crmId, { deals: [deal.id] });
  const linked = async (): Promise<boolean> =>
    (await world.sql('select 1 from crm.contact_deals where contact_id = $1 and deal_id = $2', [id, deal.id])).length === 1;
  await until(world, 'the deal in the mirror', linked);
  return {
    did: [sql(did), crm(`somebody links the deal "${deal.name}"`)],
    seen: 'the company is linked there after {ms}, and the deal here',
    ms,
  };
};

const deletesBothWays = async (world: DemoWorld): Promise<Seen> => {
  const [here, there] = [await pick(world, 13), await pick(world, 14)];
  const did = `delete from crm.contacts where id = ${here.id};`;
  await world.sql(did);
  const ms = await until(world, 'the contact in the trash', () => world.account.contact(here.crmId)?.deletedAtMs !== null, 1);
  world.account.delete(there.crmId);
  await until(world, 'the row gone', async () => (await world.sql('select 1 from crm.contacts where id = $1', [there.id])).length === 0);
  const lost = await world.sql('select 1 from crm.contacts where id = $1', [here.id]);
  if (lost.length > 0) throw new StepFailed('the deleted row came back');
  return {
    did: [sql(did), crm(`somebody deletes contact ${there.crmId}`)],
    seen: "the first is in the CRM's trash after {ms}; the other left the mirror, with the CRM's word for that very id",
    ms,
  };
};

const conflict = async (world: DemoWorld): Promise<Seen> => {
  const { id, crmId } = await pick(world, 15);
  await world.sql('select sync.pause()');
  world.account.update(crmId, { city: 'Geneva', street: 'Quai 1' });
  // The later edit wins under the policy `newest`: the CRM's times have whole seconds, so this one comes clearly later.
  await world.clock.sleep(2100, world.signal);
  const did = `update crm.contacts set city = 'Bern', state = 'BE' where id = ${id};`;
  await world.sql(did);
  await world.sql('select sync.resume()');
  const text = `select outcome, base, local, remote from sync.conflicts where contact_id = $1 and field = 'city'`;
  await until(world, 'the conflict', async () => (await world.sql(text, [id])).length === 1);
  await until(world, 'the winner in the CRM', () => world.account.contact(crmId)?.city === 'Bern');
  const record = await one(world, text, [id]);
  const row = await one(world, 'select city, street, state from crm.contacts where id = $1', [id]);
  const contact = world.account.contact(crmId);
  const survived = row['street'] === 'Quai 1' && contact?.state === 'BE' && row['city'] === 'Bern' && contact.street === 'Quai 1';
  if (!survived || record['outcome'] !== 'mirror' || record['remote'] !== 'Geneva')
    throw new StepFailed(`not merged as expected: ${JSON.stringify(record)}`);
  return {
    did: [crm('somebody sets the city to Geneva, and the street'), sql(did)],
    seen: `the later city stands on both sides, street and state survived, and sync.conflicts keeps the loser, ${JSON.stringify(record['remote'])}`,
    ms: null,
  };
};

const refused = async (world: DemoWorld): Promise<Seen> => {
  const [{ id }, owner] = [await pick(world, 16), await pick(world, 17)];
  const email = world.account.contact(owner.crmId)?.email ?? 'ada@example.com';
  const did = `update crm.contacts set email = '${email}' where id = ${id};`;
  await world.sql(did);
  const ms = await until(
    world,
    'the parked edit',
    async () => (await world.sql('select 1 from sync.parked where contact_id = $1', [id])).length > 0,
  );
  const { error } = await one(world, 'select error from sync.parked where contact_id = $1', [id]);
  const mended = `update crm.contacts set email = 'free@example.com' where id = ${id};`;
  await world.sql(mended);
  await until(
    world,
    'the mended edit',
    async () => (await world.sql('select 1 from sync.parked where contact_id = $1', [id])).length === 0,
  );
  const seen = `that address is somebody else's: parked after {ms} with the CRM's own words, "${String(error)}", and through once mended`;
  return { did: [sql(did), sql(mended)], seen, ms };
};

const inStep = async (world: DemoWorld): Promise<Seen> => {
  const quiet = async (): Promise<boolean> => {
    const { queue_depth: depth } = await one(world, 'select queue_depth from sync.status');
    return Number(depth) === 0 && differences(await readSnapshot(world.pool), world.account.contacts()).length === 0;
  };
  await until(world, 'both sides equal', quiet, 100);
  return { did: [], seen: 'the same contacts, field by field and link by link', ms: null };
};

export const DEMO_STEPS: readonly Step<DemoWorld>[] = [
  { title: 'The whole account is mirrored', play: initialMirror },
  { title: 'An edit in SQL arrives in the CRM', play: localEdit },
  { title: 'An edit in the CRM arrives in the mirror', play: crmEdit },
  { title: 'A row inserted with SQL becomes a contact and gets its crm_id', play: createFromSql },
  { title: 'Links, both ways', play: linksBothWays },
  { title: 'Deletes, both ways', play: deletesBothWays },
  { title: 'The same field edited on both sides: a conflict, decided and recorded', play: conflict },
  { title: 'A value that the CRM refuses is parked, and delays nobody', play: refused },
  { title: 'In the end, both sides are equal', play: inStep },
];

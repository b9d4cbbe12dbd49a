/**
 * Answers that are right in form and wrong in part: keys that the CRM drops, values that it rewrites, writes that it applies by half. Whatever
 * it says, nobody's edit is dropped without a word, nothing is sent for ever, and once it behaves both sides are equal.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SandboxMode } from '../../src/sandbox/crm/server.ts';
import type { SyncDeps, SyncSettings } from '../../src/sync/deps.ts';
import { createPushMemory, pushDue } from '../../src/sync/push.ts';
import { sweepOnce } from '../../src/sync/rounds.ts';
import { createEditor, type Editor, type Row } from './edits.ts';
import { openHarness, type Harness, type HarnessOptions } from './harness.ts';

// Seconds on a machine of its own; a test that waits for a busy one has not failed.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let harness: Harness;
let editor: Editor;
let mode: SandboxMode;

/** One mirror for the tests of a describe; each takes contacts that no other has touched. */
const openFor = (options: HarnessOptions): void => {
  beforeAll(async () => {
    mode = options.mode ?? 'upstream';
    harness = await openHarness({ seed: { contacts: 20 }, settings: { backoff: { minMs: 5, maxMs: 20 } }, ...options });
    while ((await harness.probe()) !== null);
    await harness.settle();
    editor = createEditor(harness);
  });
  afterAll(async () => await harness.close());
};

const prepared = async (): Promise<Row> => {
  const row = await editor.take();
  await harness.sql(`update crm.contacts set city = 'base', street = 'base', custom_fields = custom_fields || $2 where id = $1`, [
    row.id,
    { cf_nickname: 'base' },
  ]);
  await harness.settle();
  harness.account.calls.clear();
  return row;
};
const there = (row: Row) => harness.account.contact(row.crmId);
const sent = (call: 'create' | 'update'): readonly unknown[] =>
  harness.account.calls.calls.filter((one) => one.call === call).map(({ body }) => body);
const here = async (row: Pick<Row, 'id'>, columns: string): Promise<Record<string, unknown> | undefined> =>
  (await harness.sql(`select ${columns} from crm.contacts where id = $1`, [row.id]))[0];
const parked = async (): Promise<readonly unknown[]> => await harness.sql('select contact_id, op, error_code, error from sync.parked');
const open = async (): Promise<readonly unknown[]> =>
  await harness.sql('select op, state, error_code from sync.change_log where settled_at is null');
/** What fails stays as it is, to be looked at. */
const slowly = (settings: Partial<SyncSettings> = {}): SyncDeps => ({
  ...harness.deps,
  settings: { ...harness.deps.settings, backoff: { minMs: 600_000, maxMs: 600_000 }, ...settings },
});
const atOnce = async (): Promise<unknown> =>
  await harness.sql(`update sync.change_log set next_attempt_at = clock_timestamp() where settled_at is null`);
/** Rounds in which nobody edits anything: they send nothing. */
const staysQuiet = async (): Promise<void> => {
  const writes = (): number => harness.account.calls.calls.filter(({ method }) => method !== 'GET').length;
  const before = writes();
  for (let round = 0; round < 3; round += 1) await harness.sync();
  expect(writes()).toBe(before);
};
const equal = async (): Promise<void> => {
  await harness.settle();
  expect(await harness.differences(mode === 'documented' ? ['companies', 'deals'] : undefined)).toEqual([]);
  expect(await open()).toEqual([]);
};

describe.each(['documented', 'upstream'] as const)('in %s mode the CRM answers 200 and', (of) => {
  openFor({ mode: of });

  it('drops a column and a custom field of an update: parked by their names, the other fields are there, and it is not sent again', async () => {
    const row = await prepared();
    const dropped = harness.sandbox.fault({ call: 'update', kind: 'dropped-keys', keys: ['city', 'cf_nickname'], times: Infinity });
    await harness.sql(`update crm.contacts set city = 'here', street = 'here', custom_fields = custom_fields || $2 where id = $1`, [
      row.id,
      { cf_nickname: 'here' },
    ]);
    await harness.settle();
    expect(there(row)).toMatchObject({ city: 'base', street: 'here', custom: { cf_nickname: 'base' } });
    expect(await parked()).toEqual([
      { contact_id: row.id, op: 'update', error_code: 'write_ignored', error: 'The CRM kept its own value of city, cf_nickname' },
    ]);
    // What was edited here is still here.
    expect(await here(row, `city, street, custom_fields ->> 'cf_nickname' as nickname`)).toEqual({
      city: 'here',
      street: 'here',
      nickname: 'here',
    });
    await staysQuiet();
    expect(sent('update')).toHaveLength(1);
    dropped.cancel();
    await harness.sql('select sync.retry_all()');
    await equal();
    expect(there(row)).toMatchObject({ city: 'here', custom: { cf_nickname: 'here' } });
  });

  it.each(['city', 'cf_nickname'])('drops %s of a create: the row keeps it, and it is parked by its name', async (key) => {
    const dropped = harness.sandbox.fault({ call: 'create', kind: 'dropped-keys', keys: [key] });
    const [row] = await harness.sql(
      `insert into crm.contacts (first_name, city, custom_fields) values ('Dropped', 'here', '{"cf_nickname": "here"}') returning id`,
    );
    await harness.settle();
    expect(dropped.fired).toBe(1);
    const id = Number(row?.['id']);
    const state = { row: await here({ id }, `city, custom_fields ->> 'cf_nickname' as nickname`), parked: await parked() };
    // Before anything is said about it: the next test must not meet it.
    await harness.sql('select sync.retry_all()');
    await harness.settle();
    expect(state.row).toEqual({ city: 'here', nickname: 'here' });
    expect(state.parked).toMatchObject([{ contact_id: id, error_code: 'write_ignored', error: `The CRM kept its own value of ${key}` }]);
    await equal();
  });
});

describe('the CRM', () => {
  openFor({});

  it('answers with half a document: what was written is read and not written again, what was created is found and not doubled', async () => {
    const row = await prepared();
    harness.sandbox.fault({ call: 'update', kind: 'half-json' });
    harness.sandbox.fault({ call: 'create', kind: 'half-json' });
    await harness.sql(`update crm.contacts set city = 'here' where id = $1`, [row.id]);
    await harness.sql(`insert into crm.contacts (first_name, job_title) values ('Half', 'a document')`);
    await pushDue(slowly(), createPushMemory());
    // The create was asked about at once.
    expect(await open()).toEqual([{ op: 'update', state: 'unknown', error_code: 'bad_answer' }]);
    await atOnce();
    await equal();
    expect([sent('update').length, sent('create').length]).toEqual([1, 1]);
    expect(harness.account.contacts().filter(({ first_name: name }) => name === 'Half')).toHaveLength(1);
  });

  it.each(['newest', 'mirror'] as const)(
    'answers 500 and has applied an update by half: it is read, and the other half alone is sent (%s)',
    async (policy) => {
      const row = await prepared();
      const deps = slowly({ conflictPolicy: policy });
      const half = harness.sandbox.fault({ call: 'update', kind: '500-half', applied: 1 });
      await harness.sql(`update crm.contacts set city = 'here', street = 'here', job_title = 'here' where id = $1`, [row.id]);
      await pushDue(deps, createPushMemory());
      expect(half.fired).toBe(1);
      expect(await open()).toEqual([{ op: 'update', state: 'unknown', error_code: 'server_error' }]);
      const [first] = sent('update') as [Record<string, unknown>];
      const [applied = ''] = Object.keys(first);
      harness.account.update(row.crmId, { last_name: 'There', state: 'There' });
      while ((await harness.mirror.nextDueMs({ creates: true })) !== null) {
        await harness.sql(`update sync.change_log set next_attempt_at = clock_timestamp() where state = 'unknown'`);
        await pushDue(deps, createPushMemory());
      }
      const { [applied]: _applied, ...rest } = first;
      expect(sent('update')).toEqual([{ city: 'here', street: 'here', job_title: 'here' }, rest]);
      await equal();
      expect(there(row)).toMatchObject({ city: 'here', street: 'here', job_title: 'here', last_name: 'There', state: 'There' });
      expect(await harness.sql('select field from sync.conflicts where contact_id = $1', [row.id])).toEqual([]);
    },
  );

  it('answers 500 and has made a contact by half: it is found by its e-mail, and gets the rest', async () => {
    harness.account.calls.clear();
    harness.sandbox.fault({ call: 'create', kind: '500-half', applied: 3 });
    const email = `half.${mode}@answers.example`;
    await harness.sql(`insert into crm.contacts (first_name, last_name, email, street, phones) values ('Half', 'Made', $1, 'here', $2)`, [
      email,
      JSON.stringify([{ number: '+41 79 000 11 22', type: 'work' }]),
    ]);
    await equal();
    expect(sent('create')).toHaveLength(1);
    const found = harness.account.contacts().filter((contact) => contact.email === email);
    expect(found).toMatchObject([{ street: 'here', phones: [{ number: '+41 79 000 11 22' }] }]);
  });

  it('answers 500 and has made one with nothing but a name: parked by the id it may be, and not made again until a person says so', async () => {
    harness.account.calls.clear();
    harness.sandbox.fault({ call: 'create', kind: '500-half', applied: 2 });
    const [row] = await harness.sql(
      `insert into crm.contacts (first_name, last_name, street) values ('Half', 'Nameless', 'here') returning id`,
    );
    await harness.settle();
    const [made] = harness.account.contacts().filter(({ last_name: name }) => name === 'Nameless');
    expect(await parked()).toEqual([
      {
        contact_id: Number(row?.['id']),
        op: 'insert',
        error_code: 'several_matches',
        error: `1 contacts of the CRM may be this one: ${made?.id}`,
      },
    ]);
    await staysQuiet();
    expect(sent('create')).toHaveLength(1);
    // The person throws the half away and says: again.
    harness.account.delete(made?.id ?? 0);
    await sweepOnce(harness.deps, 'sweep', null);
    await harness.sql(`select sync.retry(change_id) from sync.parked where error_code = 'several_matches'`);
    await equal();
    expect(harness.account.contacts().filter(({ last_name: name }) => name === 'Nameless')).toMatchObject([{ street: 'here' }]);
  });
});

describe('a value that the CRM stores in another form', () => {
  openFor({ account: { requireCallingPrefix: true }, seed: { contacts: 10 } });
  const capitalised = { kind: 'rewritten', rewrite: (body: object) => ({ ...body, ...('email' in body && { email: CAPITAL }) }) } as const;
  const CAPITAL = 'Ada@Rewritten.Example';
  const PLAIN = 'ada@rewritten.example';

  it('trimmed is the same value: one call, and the row keeps what was written', async () => {
    const row = await prepared();
    await harness.sql(`update crm.contacts set city = '  here ', custom_fields = custom_fields || $2 where id = $1`, [
      row.id,
      { cf_nickname: ' here  ' },
    ]);
    await harness.settle();
    expect(there(row)).toMatchObject({ city: 'here', custom: { cf_nickname: 'here' } });
    expect(await here(row, `city, custom_fields ->> 'cf_nickname' as nickname`)).toEqual({ city: '  here ', nickname: ' here  ' });
    await staysQuiet();
    expect(sent('update')).toHaveLength(1);
    await equal();
  });

  it('with a calling prefix is taken over; the same old number again is parked, not sent for ever', async () => {
    const row = await prepared();
    const phones = JSON.stringify([{ number: '079 123 45 67', type: 'work' }]);
    await harness.sql('update crm.contacts set country_id = 2 where id = $1', [row.id]);
    await harness.settle();
    harness.account.calls.clear();
    await harness.sql('update crm.contacts set phones = $2 where id = $1', [row.id, phones]);
    await equal();
    const [stored] = there(row)?.phones ?? [];
    expect(stored?.number).toMatch(/^\+\d+079 123 45 67$/);
    expect(await here(row, 'phones')).toEqual({ phones: [{ number: stored?.number, type: 'work' }] });
    expect(sent('update')).toHaveLength(1);
    // A program that writes its own list each night.
    await harness.sql('update crm.contacts set phones = $2 where id = $1', [row.id, phones]);
    await harness.settle();
    expect(await parked()).toEqual([
      { contact_id: row.id, op: 'update', error_code: 'write_ignored', error: 'The CRM kept its own value of phones' },
    ]);
    await staysQuiet();
    expect(sent('update')).toHaveLength(2);
    expect(there(row)?.phones).toEqual([stored]);
    await harness.sql('update crm.contacts set phones = $2 where id = $1', [row.id, JSON.stringify([{ ...stored, type: 'work' }])]);
    await equal();
  });

  it('capitalised, in an update and in a create, is taken over with one call each', async () => {
    const row = await prepared();
    const capital = harness.sandbox.fault({ call: 'update', ...capitalised });
    await harness.sql('update crm.contacts set email = $2 where id = $1', [row.id, PLAIN]);
    await equal();
    expect(capital.fired).toBe(1);
    expect(await here(row, 'email')).toEqual({ email: CAPITAL });
    const other = `X${CAPITAL}`;
    harness.sandbox.fault({ call: 'create', kind: 'rewritten', rewrite: (body) => ({ ...body, email: other }) });
    const [made] = await harness.sql(`insert into crm.contacts (first_name, email) values ('Capital', $1) returning id`, [
      other.toLowerCase(),
    ]);
    await equal();
    expect(await here({ id: Number(made?.['id']) }, 'email')).toEqual({ email: other });
    await staysQuiet();
    expect([sent('update').length, sent('create').length]).toEqual([1, 1]);
  });

  it('that a trigger of the user’s puts back is sent once more and then parked', async () => {
    const row = await prepared();
    const there = `There.${PLAIN}`;
    await harness.sql(`
      create function public.lower_email() returns trigger language plpgsql as $$ begin new.email := lower(new.email); return new; end $$`);
    await harness.sql(`create trigger lower_email before update on crm.contacts for each row execute function public.lower_email()`);
    const capital = harness.sandbox.fault({
      call: 'update',
      kind: 'rewritten',
      rewrite: (body) => ({ ...body, email: there }),
      times: Infinity,
    });
    await harness.sql('update crm.contacts set email = $2 where id = $1', [row.id, there.toLowerCase()]);
    await harness.settle();
    expect(await parked()).toEqual([
      { contact_id: row.id, op: 'update', error_code: 'write_ignored', error: 'The CRM kept its own value of email' },
    ]);
    await staysQuiet();
    expect(capital.fired).toBe(2);
    capital.cancel();
    await harness.sql('select sync.retry_all()');
    await equal();
  });
});

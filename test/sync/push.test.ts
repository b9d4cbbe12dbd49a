/** Each kind of local edit, made with plain SQL, reaches the CRM with the fewest calls. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
let company: number;
let otherCompany: number;
let deal: number;
let activity: number;

beforeAll(async () => {
  harness = await openHarness({ seed: { contacts: 30 }, settings: { conflictPolicy: 'mirror' } });
  await harness.probe();
  await harness.settle();
  const [first, second] = harness.account.records('companies');
  company = first?.id ?? 0;
  otherCompany = second?.id ?? 0;
  deal = harness.account.records('deals')[0]?.id ?? 0;
  activity = harness.account.records('activities')[0]?.id ?? 0;
});
afterAll(async () => await harness.close());
beforeEach(() => harness.account.calls.clear());

/** The write calls that arrived, in order. */
const writes = (): readonly string[] => harness.account.calls.calls.filter(({ method }) => method !== 'GET').map(({ call }) => call);

/** A contact that no other test edits. */
let used = 0;
const next = async (): Promise<{ id: number; crm_id: number }> => {
  const [row] = await harness.sql('select id, crm_id from crm.contacts order by id offset $1 limit 1', [used]);
  used += 1;
  return row as { id: number; crm_id: number };
};
const insert = async (columns: string, values: string): Promise<number> => {
  const [row] = await harness.sql(`insert into crm.contacts (${columns}) values (${values}) returning id`);
  return row?.['id'] as number;
};

const equal = async (): Promise<void> => {
  await harness.settle();
  expect(await harness.differences()).toEqual([]);
  expect(await harness.sql('select op, state, error from sync.change_log where settled_at is null')).toEqual([]);
};

describe('creating', () => {
  it('a bare insert is one POST and gets its crm_id', async () => {
    const id = await insert('first_name', `'Ada'`);
    await equal();
    expect(writes()).toEqual(['create']);
    const [row] = await harness.sql('select crm_id, crm_created_at from crm.contacts where id = $1', [id]);
    expect(harness.account.contact(row?.['crm_id'] as number)?.first_name).toBe('Ada');
    expect(row?.['crm_created_at']).toBeInstanceOf(Date);
  });

  it('an insert with every field, phones, custom fields, companies and deals is one POST; activities are one attach', async () => {
    const id = await insert(
      'first_name, last_name, email, job_title, street, city, state, postal_code, user_id, source_id, country_id, phones, custom_fields',
      `'Grace', 'Hopper', 'grace@example.test', 'Rear admiral', '1 Navy Yard', 'Arlington', 'VA', '22202', 1, 1, 1,
       '[{"number": "+1 202 555 0101", "type": "work"}, {"number": "+1 202 555 0102"}]', '{}'`,
    );
    await harness.sql('insert into crm.contact_companies values ($1, $2), ($1, $3)', [id, company, otherCompany]);
    await harness.sql('insert into crm.contact_deals values ($1, $2)', [id, deal]);
    await harness.sql('insert into crm.contact_activities values ($1, $2)', [id, activity]);
    await equal();
    expect(writes()).toEqual(['create', 'attach']);
  });

  it('insert and delete before the push make no call', async () => {
    const id = await insert('first_name', `'Nobody'`);
    await harness.sql('delete from crm.contacts where id = $1', [id]);
    await equal();
    expect(writes()).toEqual([]);
  });
});

describe('updating', () => {
  it('one field is one PUT with that field only', async () => {
    const { id } = await next();
    await harness.sql(`update crm.contacts set city = 'Zürich' where id = $1`, [id]);
    await equal();
    expect(writes()).toEqual(['update']);
    expect(harness.account.calls.calls.find(({ call }) => call === 'update')?.body).toEqual({ city: 'Zürich' });
  });

  it('every field, then each of them cleared', async () => {
    const { id } = await next();
    await harness.sql(
      `update crm.contacts set first_name = 'Alan', last_name = 'Turing', email = 'alan@example.test', job_title = 'x', street = 'y', city = 'z', state = 's',
       postal_code = '1', user_id = 2, source_id = 2, country_id = 2, phones = '[{"number": "+44 20 7946 0001", "type": "other"}]' where id = $1`,
      [id],
    );
    await equal();
    await harness.sql(
      `update crm.contacts set last_name = null, email = null, job_title = null, street = null, city = null, state = null, postal_code = null,
       source_id = null, country_id = null, phones = '[]' where id = $1`,
      [id],
    );
    await equal();
    expect(writes()).toEqual(['update', 'update']);
  });

  it('500 edits of one row before the push are one PUT; A→B→A is none', async () => {
    const { id } = await next();
    for (let edit = 1; edit <= 500; edit += 1)
      await harness.sql('update crm.contacts set job_title = $2 where id = $1', [id, `title ${edit}`]);
    await equal();
    expect(writes()).toEqual(['update']);

    harness.account.calls.clear();
    const [row] = await harness.sql('select city from crm.contacts where id = $1', [id]);
    await harness.sql(`update crm.contacts set city = 'elsewhere' where id = $1`, [id]);
    await harness.sql('update crm.contacts set city = $2 where id = $1', [id, row?.['city']]);
    await equal();
    expect(writes()).toEqual([]);
    expect(
      await harness.sql(`select count(*)::int as n from sync.change_log where contact_id = $1 and state = 'merged'`, [id]),
    ).not.toEqual([{ n: 0 }]);
  });

  it('phones are read just before they are written, and another phone that came meanwhile survives', async () => {
    const { id, crm_id: crmId } = await next();
    harness.account.update(crmId, { phones: [{ number: '+41 44 000 00 01', type: 'work' }] });
    await harness.sql(`update crm.contacts set phones = phones || '[{"number": "+41 44 000 00 02", "type": "mobile"}]' where id = $1`, [
      id,
    ]);
    await equal();
    expect(writes()).toEqual(['update']);
    const numbers = harness.account.contact(crmId)?.phones.map(({ number }) => number);
    expect(numbers).toContain('+41 44 000 00 01');
    expect(numbers).toContain('+41 44 000 00 02');
  });

  it('custom fields of every type, set and cleared', async () => {
    const { id } = await next();
    const fields = harness.account.customFields();
    const value = (type: string): unknown =>
      ({
        Number: 7,
        Numeric: 12.5,
        Boolean: true,
        Date: '2026-02-28',
        DateTime: '2026-03-29T01:30:00Z',
        Email: 'a@b.test',
        Url: 'https://example.test/x',
        Timezone: 'Europe/Zurich',
        ColorSwatch: '#112233',
      })[type] ?? 'text';
    const values = Object.fromEntries(
      fields.map((field) => {
        const [option] = field.options ?? [];
        if (option === undefined) return [field.name, value(field.type)];
        return [field.name, ['MultiSelect', 'Checkbox'].includes(field.type) ? [option.id] : option.id];
      }),
    );
    await harness.sql('update crm.contacts set custom_fields = $2 where id = $1', [id, values]);
    await equal();
    await harness.sql(`update crm.contacts set custom_fields = '{}' where id = $1`, [id]);
    await equal();
    expect(writes()).toEqual(['update', 'update']);
  });
});

describe('links', () => {
  const linked = async (): Promise<{ id: number; crmId: number }> => {
    const { id, crm_id: crmId } = await next();
    for (const table of ['companies', 'deals', 'activities'])
      await harness.sql(`delete from crm.contact_${table} where contact_id = $1`, [id]);
    await harness.settle();
    harness.account.calls.clear();
    return { id, crmId };
  };

  it('added only: one attach for all kinds', async () => {
    const { id } = await linked();
    await harness.sql('insert into crm.contact_companies values ($1, $2)', [id, company]);
    await harness.sql('insert into crm.contact_deals values ($1, $2)', [id, deal]);
    await harness.sql('insert into crm.contact_activities values ($1, $2)', [id, activity]);
    await equal();
    expect(writes()).toEqual(['attach']);
  });

  it('removed only: one detach', async () => {
    const { id } = await linked();
    await harness.sql('insert into crm.contact_companies values ($1, $2), ($1, $3)', [id, company, otherCompany]);
    await equal();
    harness.account.calls.clear();
    await harness.sql('delete from crm.contact_companies where contact_id = $1 and company_id = $2', [id, company]);
    await equal();
    expect(writes()).toEqual(['detach']);
  });

  it('added and removed: one sync call with the whole set, after a fresh read', async () => {
    const { id, crmId } = await linked();
    const third = harness.account.records('companies')[2]?.id ?? 0;
    const fourth = harness.account.records('companies')[3]?.id ?? 0;
    await harness.sql('insert into crm.contact_companies values ($1, $2), ($1, $3)', [id, company, otherCompany]);
    await equal();
    harness.account.calls.clear();
    await harness.sql('delete from crm.contact_companies where contact_id = $1 and company_id = $2', [id, company]);
    await harness.sql('insert into crm.contact_companies values ($1, $2)', [id, third]);
    // Somebody in the CRM links another one that no pull has seen: the sync call must not remove it.
    harness.account.attach(crmId, { companies: [fourth] });
    await equal();
    expect(writes()).toEqual(['sync']);
    expect(harness.account.contact(crmId)?.companies).toEqual([otherCompany, third, fourth].sort((a, b) => a - b));
  });

  it('an UPDATE of a link is a detach and an attach', async () => {
    const { id, crmId } = await linked();
    await harness.sql('insert into crm.contact_deals values ($1, $2)', [id, deal]);
    await equal();
    const other = harness.account.records('deals')[1]?.id ?? 0;
    await harness.sql('update crm.contact_deals set deal_id = $2 where contact_id = $1', [id, other]);
    await equal();
    expect(harness.account.contact(crmId)?.deals).toEqual([other]);
  });
});

describe('pausing', () => {
  it('stops a push in the middle of a bulk edit, and resuming ends it', async () => {
    const paused = harness.sandbox.onRequest(async ({ call }) => {
      if (call === 'update') await harness.sql('select sync.pause()');
    });
    await harness.sql(`update crm.contacts set postal_code = 'paused ' || id`);
    await harness.sync();
    paused();
    const pushed = writes().length;
    expect(pushed).toBeGreaterThan(0);
    expect(pushed).toBeLessThan(20);
    expect(await harness.sync()).toBeNull();
    expect(writes()).toHaveLength(pushed);
    await harness.sql('select sync.resume()');
    await equal();
    expect(writes().length).toBeGreaterThan(pushed);
  });
});

describe('deleting', () => {
  it('is one DELETE', async () => {
    const { id, crm_id: crmId } = await next();
    await harness.sql('delete from crm.contacts where id = $1', [id]);
    await equal();
    expect(writes()).toEqual(['delete']);
    expect(harness.account.contact(crmId)?.deletedAtMs).not.toBeNull();
  });
});

describe('many deletes at once', () => {
  it('stop at the brake, all of them, as a plan; a single one goes through', async () => {
    const braked = await openHarness({ seed: { contacts: 60 }, settings: { brake: { rows: 5, share: 0.1, max: 1000 } } });
    try {
      await braked.probe();
      await braked.sync();
      await braked.sql('delete from crm.contacts where id in (select id from crm.contacts order by id limit 1)');
      await braked.sync();
      expect(braked.account.calls.count('delete')).toBe(1);
      await braked.sql('delete from crm.contacts where id in (select id from crm.contacts order by id limit 30)');
      await braked.sync();
      expect(braked.account.calls.count('delete')).toBe(1);
      expect(await braked.sql('select direction, state, rows from sync.holds')).toEqual([{ direction: 'push', state: 'open', rows: 30 }]);
      await braked.sql('select sync.approve(id) from sync.holds');
      await braked.settle();
      expect(braked.account.calls.count('delete')).toBe(31);
      expect(await braked.differences()).toEqual([]);
    } finally {
      await braked.close();
    }
  });
});

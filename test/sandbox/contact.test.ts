import { describe, expect, it } from 'vitest';
import { SEED_CUSTOM_FIELDS } from '../../src/sandbox/crm/seed-words.ts';
import { openSandbox } from './open-sandbox.ts';

const KEYS =
  `id first_name last_name display_name email phones tags user_id user source_id source country_id country job_title street city state
  postal_code companies deals companies_count deals_count calls_count notes_count incomplete_activities_for_user_count
  unread_emails_for_user_count owner_assigned_date next_activity_date created_at updated_at avatar avatar_url uploaded_avatar_url guest_email
  guest_display_name media actions path timeline_subject_key was_recently_created authorizations`.split(/\s+/);

describe('create', () => {
  it('answers 201 with the bare object, every key of it, and was_recently_created', async () => {
    const { call } = await openSandbox();
    const { status, body } = await call('POST', '/contacts', { first_name: ' Ada ', last_name: '', user_id: 2, source_id: 'Referral' });
    expect(status).toBe(201);
    for (const key of KEYS) expect(body).toHaveProperty(key);
    expect(body).toMatchObject({
      id: 1,
      first_name: 'Ada',
      last_name: null,
      display_name: 'Ada',
      user: { id: 2 },
      source_id: 3,
      source: { id: 3, name: 'Referral' },
      was_recently_created: true,
      created_at: '2026-03-01T12:00:00.000000Z',
      updated_at: '2026-03-01T12:00:00.000000Z',
    });
    expect((await call('GET', '/contacts/1')).body).toMatchObject({ first_name: 'Ada', was_recently_created: false });
  });

  it.each([
    ['no first name', {}, 'first_name'],
    ['an empty first name', { first_name: ' ' }, 'first_name'],
    ['a text that is no string', { first_name: 'A', city: 7 }, 'city'],
    ['a text that is too long', { first_name: 'A', city: 'x'.repeat(192) }, 'city'],
    ['a bad e-mail', { first_name: 'A', email: 'nobody' }, 'email'],
    ["another contact's e-mail, whatever its case", { first_name: 'A', email: 'TAKEN@mail.example' }, 'email'],
    ["a trashed contact's e-mail", { first_name: 'A', email: 'trashed@mail.example' }, 'email'],
    ["a CRM user's e-mail", { first_name: 'A', email: 'robin.vale@crm.example' }, 'email'],
    ["another contact's phone", { first_name: 'A', phones: [{ number: '+9' }, { number: '+1' }] }, 'phones.1.number'],
    ['an unknown user', { first_name: 'A', user_id: 999 }, 'user_id'],
    ['an unknown country', { first_name: 'A', country_id: 999 }, 'country_id'],
    ['phones that are no list', { first_name: 'A', phones: 7 }, 'phones'],
  ])('refuses %s with 422 and the messages by field', async (_what, sent, field) => {
    const { call, account } = await openSandbox();
    account.create({ first_name: 'Taken', email: 'taken@mail.example', phones: ['+1'] });
    account.delete(account.create({ first_name: 'Trashed', email: 'trashed@mail.example' }).id);
    const { status, body } = await call('POST', '/contacts', sent);
    expect(status).toBe(422);
    expect(Object.keys(body.errors)).toEqual([field]);
    expect(body.message).toBe(body.errors[field]?.[0]);
    expect(account.contacts()).toHaveLength(1);
  });

  it('makes a new source of a label nobody has heard of', async () => {
    const { call } = await openSandbox();
    const { body } = await call('POST', '/contacts', { first_name: 'Ada', source_id: 'Podcast' });
    expect(body.source).toEqual({ id: 6, name: 'Podcast' });
  });

  it('takes links from the generic key too, and those of the e-mail domain where the account does that', async () => {
    const { call, account } = await openSandbox({ account: { autoAssociateCompanies: true } });
    account.addRecord('companies', 'Alder', 'alder.example');
    account.addRecord('companies', 'Beacon', 'beacon.example');
    const { body } = await call('POST', '/contacts', { first_name: 'A', email: 'a@alder.example', associations: { companies: [2, 99] } });
    expect(body.companies).toMatchObject([{ id: 1 }, { id: 2 }]);
  });

  it('has no input where the body is not declared as JSON, or is none', async () => {
    const { call } = await openSandbox();
    expect((await call('POST', '/contacts', { first_name: 'A' }, { 'content-type': 'text/plain' })).status).toBe(422);
    expect((await call('POST', '/contacts', '{"first_name":')).status).toBe(422);
  });
});

describe('update', () => {
  it('writes only the keys sent, trims them, and drops unknown and read-only ones without a word', async () => {
    const { call, account, clock } = await openSandbox();
    account.create({ first_name: 'Ada', last_name: 'King', city: 'Lyon' });
    clock.advance(5);
    const sent = { last_name: ' Lovelace ', city: '', nonsense: 1, id: 77, created_at: '2000-01-01', cf_unknown: 'x' };
    const { status, body } = await call('PUT', '/contacts/1', sent);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: 1, first_name: 'Ada', last_name: 'Lovelace', city: null, updated_at: '2026-03-01T12:00:05.000000Z' });
    expect(body.created_at).toBe('2026-03-01T12:00:00.000000Z');
    expect(body).not.toHaveProperty('cf_unknown');
  });

  it('refuses an empty first name that is present, and does without one that is absent', async () => {
    const { call, account } = await openSandbox();
    account.create({ first_name: 'Ada' });
    expect((await call('PUT', '/contacts/1', { first_name: '' })).body.errors).toHaveProperty('first_name');
    expect((await call('PUT', '/contacts/1', { first_name: null })).status).toBe(422);
    expect((await call('PUT', '/contacts/1', {})).status).toBe(200);
  });

  it('leaves updated_at alone where nothing changes', async () => {
    const { call, account, clock } = await openSandbox({ account: { customFields: SEED_CUSTOM_FIELDS } });
    const company = account.addRecord('companies', 'Alder');
    const same = {
      first_name: 'Ada',
      email: 'a@b.example',
      phones: [{ number: '+1', type: 'work' }],
      companies: [company.id],
      cf_interests: [22, 21],
    };
    account.create(same);
    clock.advance(60);
    const { body } = await call('PUT', '/contacts/1', { ...same, first_name: ' Ada', cf_nickname: null, cf_consents: [] });
    expect(body.updated_at).toBe('2026-03-01T12:00:00.000000Z');
    expect(account.record('companies', company.id)?.updatedAtMs).toBe(Date.parse('2026-03-01T12:00:00Z'));
  });

  it('accepts its own e-mail and phones again, but not those of others', async () => {
    const { call, account } = await openSandbox();
    account.create({ first_name: 'Ada', email: 'ada@mail.example', phones: ['+1'] });
    account.create({ first_name: 'Bo', email: 'bo@mail.example', phones: ['+2'] });
    expect((await call('PUT', '/contacts/1', { email: 'ADA@mail.example', phones: ['+1'] })).status).toBe(200);
    const { body } = await call('PUT', '/contacts/1', { email: 'bo@mail.example', phones: ['+2'] });
    expect(Object.keys(body.errors)).toEqual(['email', 'phones.0.number']);
    expect(body.message).toBe('The email has already been taken. (and 1 more error)');
  });

  it('does not move updated_at for edits that the account is set up to keep silent', async () => {
    const { call, account, clock } = await openSandbox({
      account: { silentEdits: ['tags', 'multiOptions'], customFields: SEED_CUSTOM_FIELDS },
    });
    account.create({ first_name: 'Ada' });
    clock.advance(1);
    const { body } = await call('PUT', '/contacts/1', { tags: ['vip'], cf_interests: [21] });
    expect(body).toMatchObject({ tags: [{ name: 'vip' }], cf_interests: [{ id: 21 }], updated_at: '2026-03-01T12:00:00.000000Z' });
    expect((await call('PUT', '/contacts/1', { tags: ['vip', 'new'], city: 'X' })).body.updated_at).toBe('2026-03-01T12:00:01.000000Z');
    expect((await call('PUT', '/contacts/1', { tags: null })).body.tags).toHaveLength(2);
  });

  it('has no PATCH', async () => {
    const { call, account } = await openSandbox();
    account.create({ first_name: 'Ada' });
    expect((await call('PATCH', '/contacts/1', {})).status).toBe(405);
  });
});

describe('phones', () => {
  it('are replaced as a whole, keyed by the exact number: rows that stay keep their id and take the new type', async () => {
    const { call, account } = await openSandbox();
    account.create({ first_name: 'Ada', phones: [{ number: '+1 555', type: 'work' }, { number: '+2' }] });
    const sent = [
      { id: 99, number: '+1555' },
      { number: '+2', type: 'other' },
      { number: '' },
      { number: '+2', type: 'work' },
      { number: '+3', type: 'fax' },
    ];
    const { body } = await call('PUT', '/contacts/1', { phones: sent });
    expect(body.phones).toEqual([
      { id: 2, number: '+2', type: 'work' },
      { id: 3, number: '+1555', type: 'mobile' },
      { id: 4, number: '+3', type: 'mobile' },
    ]);
  });

  it.each([[[]], [null]])('are all removed by %j, and untouched without the key', async (phones) => {
    const { call, account, clock } = await openSandbox();
    account.create({ first_name: 'Ada', phones: ['+1|work'] });
    clock.advance(1);
    expect((await call('PUT', '/contacts/1', { city: 'Lyon' })).body.phones).toMatchObject([{ number: '+1', type: 'work' }]);
    clock.advance(1);
    expect((await call('PUT', '/contacts/1', { phones })).body).toMatchObject({ phones: [], updated_at: '2026-03-01T12:00:02.000000Z' });
  });

  it('may be one string, and may be shared where the account allows it', async () => {
    const { call, account } = await openSandbox({ account: { phonesUnique: false } });
    account.create({ first_name: 'Ada', phones: ['+1'] });
    const { status, body } = await call('POST', '/contacts', { first_name: 'Bo', phones: '+1, +2|work' });
    expect(status).toBe(201);
    expect(body.phones).toMatchObject([{ number: '+1', type: 'mobile' }, { number: '+2', type: 'work' }]); // prettier-ignore
  });

  it('come back with a calling code where the account requires one', async () => {
    const { call } = await openSandbox({ account: { requireCallingPrefix: true } });
    const { body } = await call('POST', '/contacts', { first_name: 'Ada', country_id: 2, phones: ['555'] });
    expect(body.phones).toMatchObject([{ number: '+41555' }]);
    expect((await call('POST', '/contacts', { first_name: 'Bo', phones: ['555'] })).body.errors).toHaveProperty(['phones.0.number']);
  });
});

describe('companies and deals in the body', () => {
  it('replace the set, skip unknown ids, and touch both sides', async () => {
    const { call, account, clock } = await openSandbox();
    for (const name of ['Alder', 'Beacon', 'Cobalt']) account.addRecord('companies', name);
    account.create({ first_name: 'Ada', companies: [1, 2] });
    clock.advance(3);
    const { body } = await call('PUT', '/contacts/1', { companies: [2, 3, 999] });
    expect(body.companies.map((company) => company.id)).toEqual([2, 3]);
    expect(body.updated_at).toBe('2026-03-01T12:00:03.000000Z');
    const seconds = account.records('companies').map((company) => new Date(company.updatedAtMs).getUTCSeconds());
    expect(seconds).toEqual([3, 0, 3]);
  });

  it('are untouched by null, and wiped by [] as well as by a list of only stale ids, hidden links included', async () => {
    const { call, account } = await openSandbox();
    account.addRecord('deals', 'Pilot');
    account.addRecord('deals', 'Renewal');
    for (const wipe of [[], [998, 999]]) {
      const { id } = account.create({ first_name: 'Ada', deals: [1, 2] });
      account.changeRecord('deals', 2, { hidden: true });
      expect((await call('PUT', `/contacts/${id}`, { deals: null })).body.deals).toMatchObject([{ id: 1, name: 'Pilot' }, { id: 2 }]);
      expect((await call('PUT', `/contacts/${id}`, { deals: wipe })).body.deals).toEqual([]);
      expect(account.contact(id)?.deals).toEqual([]);
      account.changeRecord('deals', 2, { hidden: false });
    }
  });

  it('may name a company, and a trashed one of that name comes back', async () => {
    const { call, account } = await openSandbox();
    account.addRecord('companies', 'Alder');
    account.create({ first_name: 'Ada', companies: [1] });
    account.changeRecord('companies', 1, { trashed: true });
    const before = (await call('GET', '/contacts/1')).body;
    expect(before).toMatchObject({ companies: [], companies_count: 0 });
    expect((await call('PUT', '/contacts/1', { companies: ['Alder'] })).body.companies).toMatchObject([{ id: 1 }]);
  });
});

describe('custom fields', () => {
  it.each([
    ['cf_nickname', 'Addie', 'Addie'],
    ['cf_nickname', '', null],
    ['cf_employees', '1250', 1250],
    ['cf_score', 12.3456, 12.346],
    ['cf_newsletter', true, true],
    ['cf_newsletter', '0', false],
    ['cf_birthday', '2021-12-05', '2021-12-05T00:00:00.000000Z'],
    ['cf_last_visit', '2021-12-05 10:20:30', '2021-12-05T10:20:30.000000Z'],
    ['cf_last_visit', '2021-12-05T10:20:30+02:00', '2021-12-05T08:20:30.000000Z'],
    ['cf_tier', 2, 2],
    ['cf_tier', 'Gold', 3],
    ['cf_language', '12', 12],
    ['cf_timezone', 'Europe/Berlin', 'Europe/Berlin'],
    ['cf_colour', '#ef4444', '#ef4444'],
    ['cf_website', 'https://a.example', 'https://a.example'],
    ['cf_consents', null, []],
  ])('%s sent as %j comes back as %j', async (name, sent, received) => {
    const { call } = await openSandbox({ account: { customFields: SEED_CUSTOM_FIELDS } });
    const { body } = await call('POST', '/contacts', { first_name: 'Ada', [name]: sent });
    expect(body[name]).toEqual(received);
  });

  it.each([[[23, 21]], ['Training, Hardware'], [['Training', '21']]])('several options sent as %j come back as objects', async (sent) => {
    const { call } = await openSandbox({ account: { customFields: SEED_CUSTOM_FIELDS } });
    const { body } = await call('POST', '/contacts', { first_name: 'Ada', cf_interests: sent });
    expect(body.cf_interests).toMatchObject([{ id: 21, label: 'Hardware' }, { id: 23, label: 'Training' }]); // prettier-ignore
  });

  it.each([
    ['cf_tier', 99, 422],
    ['cf_language', 'Klingon', 422],
    ['cf_employees', 'many', 422],
    ['cf_birthday', 'yesterday', 422],
    ['cf_newsletter', 'perhaps', 422],
    ['cf_second_email', 'nobody', 422],
    ['cf_website', 'nowhere', 422],
    ['cf_timezone', 'Moon/Base', 422],
    // The product's own bug.
    ['cf_interests', [21, 99], 500],
  ])('%s refuses %j with %i', async (name, sent, status) => {
    const { call, account } = await openSandbox({ account: { customFields: SEED_CUSTOM_FIELDS } });
    const answer = await call('POST', '/contacts', { first_name: 'Ada', [name]: sent });
    expect(answer.status).toBe(status);
    expect(Object.keys(answer.body.errors ?? {})).toEqual(status === 422 ? [name] : []);
    expect(account.contacts()).toEqual([]);
  });

  it('tries labels before ids, and holds required and unique', async () => {
    const options = [
      { id: 3, label: 'Three' },
      { id: 4, label: '3' },
    ];
    const { call, account } = await openSandbox();
    account.defineCustomField({ name: 'cf_odd', label: 'Odd', type: 'Select', options });
    account.defineCustomField({ name: 'cf_key', label: 'Key', type: 'Text', unique: true, required: true });
    expect((await call('POST', '/contacts', { first_name: 'A', cf_odd: 3, cf_key: 'k' })).body.cf_odd).toBe(4);
    expect((await call('POST', '/contacts', { first_name: 'B', cf_key: 'k' })).body.errors).toHaveProperty('cf_key');
    expect((await call('POST', '/contacts', { first_name: 'B' })).body.errors).toHaveProperty('cf_key');
    expect((await call('PUT', '/contacts/1', { city: 'X' })).status).toBe(200);
  });

  it.each(['/fields/contacts/create', '/fields/contacts/update', '/contacts/create-fields', '/contacts/1/update-fields'])(
    'are listed by %s with type and options',
    async (path) => {
      const { call, account } = await openSandbox({ account: { customFields: SEED_CUSTOM_FIELDS } });
      account.defineCustomField({ name: 'cf_secret', label: 'Secret', type: 'Text', hiddenInForms: true });
      const { rows: body } = await call('GET', path);
      expect(body).toContainEqual(expect.objectContaining({ attribute: 'first_name', fieldType: 'Text', isRequired: true }));
      const tier = { attribute: 'cf_tier', label: 'Tier', fieldType: 'Select', options: [{ value: 1, label: 'Bronze' }, { value: 2, label: 'Silver' }, { value: 3, label: 'Gold' }] }; // prettier-ignore
      expect(body).toContainEqual(expect.objectContaining(tier));
      expect(body.map((field) => field['attribute'])).not.toContain('cf_secret');
    },
  );
});

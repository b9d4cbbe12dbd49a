import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RemoteContact } from '../../src/domain/contact.ts';
import { parseContact, parseContacts } from '../../src/crm/wire.ts';
import { parseCustomFields } from '../../src/crm/wire-fields.ts';
import { contactRow } from './scripted-server.ts';

/** As it comes over the wire, so that `__proto__` is an own key. */
const overTheWire = (value: unknown): unknown => JSON.parse(typeof value === 'string' ? value : JSON.stringify(value));

const read = (more: { readonly [key: string]: unknown } = {}): RemoteContact => {
  const parsed = parseContact(overTheWire(contactRow(7, more)));
  if ('bad' in parsed) throw new Error(parsed.bad.problem);
  return parsed.contact;
};
const problem = (raw: unknown): string => {
  const parsed = parseContact(raw);
  return 'bad' in parsed ? parsed.bad.problem : 'none';
};

describe('a contact of the CRM', () => {
  it('becomes typed fields, dates, links and counts', () => {
    const contact = read({
      last_name: 'Lovelace',
      user_id: '12',
      phones: [{ id: 1, number: '+1', type: 'work' }],
      companies: [{ id: 5, name: 'Acme' }, { id: '3' }, { id: 5 }],
      companies_count: 2,
      deals_count: '0',
    });
    expect(contact.crmId).toBe(7);
    expect(contact.fields).toMatchObject({
      last_name: 'Lovelace',
      user_id: 12,
      phones: [{ number: '+1', type: 'work' }],
      custom_fields: {},
    });
    expect(contact.links).toEqual({ companies: [3, 5], deals: null, activities: null });
    expect(contact.linkCounts).toEqual({ companies: 2, deals: 0 });
    expect(contact.createdAt).toEqual(new Date('2026-01-23T04:58:56Z'));
    expect(contact.extra).toEqual({});
  });

  it('keeps "not told" apart from "none"', () => {
    expect(read().links.companies).toBeNull();
    expect(read({ companies: null }).links.companies).toBeNull();
    expect(read({ companies: [] }).links.companies).toEqual([]);
    expect(read().linkCounts.companies).toBeNull();
  });

  it('reads missing keys as null, phones as none', () => {
    expect(parseContact({ id: 1, first_name: 'A' })).toMatchObject({
      contact: { fields: { email: null, user_id: null, phones: [] }, updatedAt: null, createdAt: null },
    });
  });

  it('leaves out what depends on the viewer, the moment or another record', () => {
    const derived = {
      actions: [{}],
      authorizations: { update: true },
      avatar: null,
      avatar_url: 'x',
      uploaded_avatar_url: 'x',
      calls_count: 3,
      incomplete_activities_for_user_count: 1,
      associations_count: 4,
      changelog: [],
      country: { id: 1, name: 'Chad' },
      display_name: 'x',
      guest_email: 'x',
      is_pinned: false,
      last_contacted_at: 'x',
      media: [],
      next_activity_date: null,
      notes: [],
      calls: [],
      emails: [],
      activities: [{ id: 1 }],
      path: '/contacts/7',
      source: null,
      timeline_subject_key: 'x',
      user: null,
      was_recently_created: true,
    };
    expect(read(derived).extra).toEqual({});
  });

  it('keeps everything else, so that a field the CRM adds tomorrow is there at once', () => {
    const extra = { owner_assigned_date: '2026-01-01T00:00:00.000000Z', lead_score: 5, nested: { a: [1, null] } };
    expect(read(extra).extra).toEqual(extra);
  });

  it('keeps tags as sorted names, and an unknown shape of them as it is', () => {
    expect(
      read({
        tags: [
          { id: 2, name: 'vip' },
          { id: 1, name: 'new' },
        ],
      }).extra,
    ).toEqual({ tags: ['new', 'vip'] });
    expect(read({ tags: ['b', 'a'] }).extra).toEqual({ tags: ['a', 'b'] });
    expect(read({ tags: [{ label: 'x' }] }).extra).toEqual({ tags: [{ label: 'x' }] });
    expect(read({ tags: null }).extra).toEqual({ tags: null });
  });

  it.each([
    ['text', 'text'],
    [1250, 1250],
    [true, true],
    [null, null],
    [{ id: 3, label: 'C' }, 3],
    [
      [{ id: 3, label: 'C' }, { id: 'x' }],
      [3, 'x'],
    ],
    [
      [3, 4],
      [3, 4],
    ],
    [[], []],
    [{ b: 1, a: 2 }, '{"a":2,"b":1}'],
    [[[1]], '[[1]]'],
    [[true], '[true]'],
  ])('reads the custom value %j as %j', (value, expected) => {
    expect(read({ cf_x: value }).fields.custom_fields).toEqual({ cf_x: expected });
  });

  it('collects names beside ids', () => {
    const contact = read({
      user: { id: 1, name: 'Ann', email: 'private@example.com' },
      source: { id: 2, name: '' },
      country: { id: 3, name: 'Chad' },
      companies: [{ id: 5, name: 'Acme' }, { id: 6 }],
      deals: [{ id: 7, display_name: 'Big' }],
    });
    expect(contact.names).toEqual([
      { kind: 'users', id: 1, name: 'Ann' },
      { kind: 'countries', id: 3, name: 'Chad' },
      { kind: 'companies', id: 5, name: 'Acme' },
      { kind: 'deals', id: 7, name: 'Big' },
    ]);
  });

  it('reads phones without type as mobile and phones without number as none', () => {
    expect(read({ phones: [{ number: '1' }, { number: null, type: 'work' }, { number: '2', type: 'fax' }] }).fields.phones).toEqual([
      { number: '1', type: 'mobile' },
      { number: '2', type: 'mobile' },
    ]);
    expect(read({ phones: null }).fields.phones).toEqual([]);
  });

  it.each([
    ['2026-01-23T04:58:56.000000Z', '2026-01-23T04:58:56Z'],
    ['2026-01-23 04:58:56', '2026-01-23T04:58:56Z'],
    ['2026-01-23T06:58:56+02:00', '2026-01-23T04:58:56Z'],
  ])('reads the time %s as UTC', (text, expected) => {
    expect(read({ updated_at: text }).updatedAt).toEqual(new Date(expected));
  });
});

describe('a hostile or broken record', () => {
  it.each([
    [null, 'record is not an object'],
    [[], 'record is not an object'],
    ['x', 'record is not an object'],
    [{}, 'id is not an integer'],
    [contactRow(0), 'id is not an id'],
    [contactRow(1.5), 'id is not a safe integer'],
    [contactRow(2 ** 53), 'id is not a safe integer'],
    [{ ...contactRow(1), id: '9007199254740993' }, 'id is not a safe integer'],
    [{ ...contactRow(1), id: -1 }, 'id is not a safe integer'],
    [contactRow(1, { email: { secret: 1 } }), 'email is not text'],
    [contactRow(1, { user_id: 'Ann' }), 'user_id is not an integer'],
    [contactRow(1, { phones: 'secret' }), 'phones is not a list'],
    [contactRow(1, { phones: ['secret'] }), 'phones.0 is not a phone'],
    [contactRow(1, { phones: [{ number: 1 }] }), 'phones.0.number is not text'],
    [contactRow(1, { updated_at: 'yesterday' }), 'updated_at is not a date-time'],
    [contactRow(1, { updated_at: '2026-02-31T99:00:00Z' }), 'updated_at is not a date-time'],
    [contactRow(1, { companies: 'secret' }), 'companies is not a list'],
    [contactRow(1, { deals: [{ name: 'secret' }] }), 'deals.0.id is not an integer'],
    [{ id: 5 }, 'first_name is missing or not text'],
  ])('%j: %s', (raw, expected) => {
    expect(problem(raw)).toBe(expected);
    expect(problem(raw)).not.toMatch(/secret|Ann|yesterday/);
  });

  it('is reported by id and does not fail its page', () => {
    const batch = parseContacts([contactRow(1), contactRow(2, { email: 7 }), 'x', contactRow(3)]);
    expect(batch.records.map(({ crmId }) => crmId)).toEqual([1, 3]);
    expect(batch.bad).toEqual([
      { crmId: 2, problem: 'email is not text' },
      { crmId: null, problem: 'record is not an object' },
    ]);
  });

  it('cannot reach a prototype, at any depth', () => {
    const raw =
      '{"id":1,"first_name":"A","__proto__":{"polluted":1},"constructor":{"x":1},"deep":{"__proto__":{"polluted":1},"prototype":2,"ok":3}}';
    const parsed = parseContact(overTheWire(raw));
    expect('contact' in parsed && JSON.stringify(parsed.contact.extra)).toBe('{"deep":{"ok":3}}');
    const deep = 'contact' in parsed ? parsed.contact.extra['deep'] : undefined;
    expect(Object.getPrototypeOf(deep)).toBe(Object.prototype);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('loses NUL characters and half surrogates, which Postgres cannot store, wherever they are', () => {
    const contact = read({
      first_name: 'A\u0000da \ud83d',
      phones: [{ number: '+1\u0000', type: 'work' }],
      cf_x: 'a\u0000b',
      'cf_\u0000y': 1,
      lead: { 'k\u0000': ['\u0000', '\ud83d\ude00'] },
      user: { id: 1, name: 'Ann\u0000' },
    });
    expect(contact.fields).toMatchObject({ first_name: 'Ada \ufffd', phones: [{ number: '+1' }], custom_fields: { cf_x: 'ab', cf_y: 1 } });
    expect(contact.extra).toEqual({ lead: { k: ['', '😀'] } });
    expect(contact.names[0]?.name).toBe('Ann');
  });

  it('that nests without end is refused, not followed', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect(problem(overTheWire(`{"id":1,"first_name":"A","odd":${deep}}`))).toBe('odd is nested too deeply');
    expect(problem(overTheWire(`{"id":1,"first_name":"A","cf_odd":${deep}}`))).toBe('cf_odd is nested too deeply');
  });

  it('never throws, whatever JSON comes, and keeps nothing that Postgres would refuse', () => {
    const keys = ['id', 'first_name', 'phones', 'companies', 'tags', 'updated_at', 'cf_a', 'user', '__proto__', 'other'];
    const record = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue());
    fc.assert(
      fc.property(record, fc.boolean(), (raw, valid) => {
        const parsed = parseContact({ ...raw, ...(valid && contactRow(1)) });
        const text = JSON.stringify(parsed);
        expect(text).not.toContain('\\u0000');
        expect(text).not.toMatch(/\\ud[89a-f]/i);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the list of custom fields', () => {
  const parse = (answer: unknown) => {
    const parsed = parseCustomFields(overTheWire(answer));
    return 'value' in parsed ? parsed.value : parsed.problem;
  };

  it.each([
    ['Text', 'text'],
    ['Textarea', 'text'],
    ['Email', 'text'],
    ['Url', 'text'],
    ['Timezone', 'text'],
    ['ColorSwatch', 'text'],
    ['Number', 'number'],
    ['Numeric', 'number'],
    ['Boolean', 'boolean'],
    ['Date', 'date'],
    ['DateTime', 'datetime'],
    ['Select', 'option'],
    ['Radio', 'option'],
    ['MultiSelect', 'options'],
    ['Checkbox', 'options'],
  ])('reads %s as %s', (fieldType, type) => {
    expect(parse([{ attribute: 'cf_x', label: 'X', component: 'odd-field', fieldType }])).toEqual([
      { name: 'cf_x', label: 'X', type, options: [], origin: 'crm', crmType: fieldType, listed: true, gone: false },
    ]);
  });

  it('reads the type from the component where nothing better is there', () => {
    expect(parse([{ attribute: 'cf_x', component: 'date-time-field' }])).toMatchObject([{ type: 'datetime', label: null }]);
    expect(parse([{ name: 'cf_x', component: 'form-select-multiple-field' }])).toMatchObject([{ type: 'options' }]);
    expect(parse([{ component: 'select-field', customField: { field_id: 'cf_x', field_type: 'Checkbox', label: 'L' } }])).toMatchObject([
      { type: 'options', label: 'L' },
    ]);
  });

  it('reads options by either spelling and leaves unreadable ones out', () => {
    const options = [{ value: 1, label: 'A' }, { id: 'b', name: 'B' }, { id: 3 }, { label: 'none' }, 'x', { id: 2 ** 53, label: 'unsafe' }];
    expect(parse([{ attribute: 'cf_x', fieldType: 'Select', options }])).toMatchObject([
      {
        options: [
          { id: 1, label: 'A' },
          { id: 'b', label: 'B' },
          { id: 3, label: '3' },
        ],
      },
    ]);
  });

  it('takes the list from an envelope and leaves out what it does not understand', () => {
    const entries = [
      { attribute: 'email', fieldType: 'Email' },
      { attribute: 'cf_odd', fieldType: 'Hologram' },
      null,
      { attribute: 'cf_x', fieldType: 'Text' },
    ];
    expect(parse({ data: entries })).toMatchObject([{ name: 'cf_x' }]);
    expect(parse({ fields: entries })).toMatchObject([{ name: 'cf_x' }]);
    expect(parse({ status: 'fine' })).toBe('field list is not a list');
    expect(parse([{ attribute: 'cf_x', fieldType: 'constructor' }])).toEqual([]);
  });
});

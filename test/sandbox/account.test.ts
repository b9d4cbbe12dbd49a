import { describe, expect, it } from 'vitest';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import { OrderedLists } from '../../src/sandbox/crm/ordered-lists.ts';
import { parsePhpQuery } from '../../src/sandbox/crm/php-query.ts';
import type { AccountContact } from '../../src/sandbox/crm/records.ts';
import { CUSTOM_FIELD_TYPES } from '../../src/sandbox/crm/records.ts';
import { createStillClock } from './open-sandbox.ts';

const CONTEXT = { baseUrl: 'http://crm.example/api', undocumented: true };

describe('the account without HTTP', () => {
  it('answers with status and body', () => {
    const account = createSandboxAccount();
    expect(account.api.create({ first_name: 'Ada' }, CONTEXT)).toMatchObject({ status: 201, body: { id: 1, was_recently_created: true } });
    expect(account.api.update('1', { first_name: '' }, CONTEXT).status).toBe(422);
    expect(account.api.list(parsePhpQuery('per_page=1'), CONTEXT)).toMatchObject({
      status: 200,
      body: { meta: { total: 1, path: `${CONTEXT.baseUrl}/contacts` } },
    });
    expect(account.api.delete('1')).toEqual({ status: 204, body: undefined });
    expect(account.api.retrieve('1', CONTEXT).status).toBe(404);
  });

  it('is edited by people as the product is: they see everything, and what they change moves updated_at', () => {
    const clock = createStillClock();
    const account = createSandboxAccount({ clock });
    account.addRecord('companies', 'Alder');
    const { id } = account.create({ first_name: 'Ada' });
    account.hide(id);
    clock.advance(1);
    const linked = account.attach(id, { companies: [1] });
    expect(linked.updatedAtMs - linked.createdAtMs).toBe(1000);
    clock.advance(1);
    expect(account.update(id, { city: 'Lyon' })).toMatchObject({ city: 'Lyon', companies: [1], access: 'none' });
    expect(account.sync(id, { companies: [] }).companies).toEqual([]);
    expect(account.delete(id).deletedAtMs).toBe(clock.now().getTime() - 400);
    expect(account.contacts()).toEqual([]);
    expect(account.restore(id).deletedAtMs).toBeNull();
    account.delete(id);
    account.purge(id);
    expect(account.contact(id)).toBeNull();
    expect(account.create({ first_name: 'Bo' }).id).toBe(id + 1);
  });

  it('throws the CRM’s words where it refuses a person, and for ids that are not there', () => {
    const account = createSandboxAccount();
    expect(() => account.create({})).toThrow('The first name field is required.');
    expect(() => account.update(9, {})).toThrow('has no contact 9');
    expect(() => account.restore(account.create({ first_name: 'A' }).id)).toThrow('has no trashed contact 1');
    expect(() => account.hide(9)).toThrow('has no contact 9');
    expect(() => account.changeRecord('deals', 9, {})).toThrow('has no deals 9');
  });

  it('renames, hides and trashes linked records without moving the contact', () => {
    const clock = createStillClock();
    const account = createSandboxAccount({ clock });
    account.addRecord('deals', 'Pilot');
    account.create({ first_name: 'Ada', deals: [1] });
    clock.advance(9);
    account.changeRecord('deals', 1, { name: 'Renewal' });
    expect(account.api.retrieve('1', CONTEXT).body).toMatchObject({
      deals: [{ id: 1, name: 'Renewal' }],
      updated_at: '2026-03-01T12:00:00.000000Z',
    });
    account.changeRecord('deals', 1, { trashed: true });
    expect(account.api.retrieve('1', CONTEXT).body).toMatchObject({ deals: [], deals_count: 0, updated_at: '2026-03-01T12:00:00.000000Z' });
  });
});

describe('seeding', () => {
  const seeded = (seed: number) => {
    const account = createSandboxAccount({ clock: createStillClock() });
    account.seed({ contacts: 400, seed });
    return account;
  };

  it('is the same for the same seed, and another for another', () => {
    expect(seeded(7).contacts()).toEqual(seeded(7).contacts());
    expect(seeded(7).contacts()).not.toEqual(seeded(8).contacts());
  });

  it('gives people of two years, none of the last hour, in whole seconds', () => {
    const nowMs = Date.parse('2026-03-01T12:00:00Z');
    for (const { createdAtMs, updatedAtMs } of seeded(1).contacts()) {
      expect(createdAtMs).toBeGreaterThanOrEqual(nowMs - 730 * 86_400_000);
      expect(updatedAtMs).toBeGreaterThanOrEqual(createdAtMs);
      expect(updatedAtMs).toBeLessThanOrEqual(nowMs - 3_600_000);
      expect([createdAtMs % 1000, updatedAtMs % 1000]).toEqual([0, 0]);
    }
  });

  it('covers every kind of value: links, phones of each type, custom fields of each type', () => {
    const contacts = seeded(1).contacts();
    expect(contacts).toHaveLength(400);
    for (const kind of ['companies', 'deals', 'activities'] as const)
      expect(contacts.some((contact) => contact[kind].length > 1)).toBe(true);
    expect(new Set(contacts.flatMap((contact) => contact.phones.map((phone) => phone.type)))).toEqual(new Set(['mobile', 'work', 'other']));
    const account = seeded(1);
    expect(new Set(account.customFields().map((field) => field.type))).toEqual(new Set(CUSTOM_FIELD_TYPES));
    for (const { name } of account.customFields()) {
      const filled = (contact: AccountContact): boolean => contact.custom[name] !== null && JSON.stringify(contact.custom[name]) !== '[]';
      expect(contacts.some(filled)).toBe(true);
      expect(contacts.every(filled)).toBe(false);
    }
  });

  it('gives contacts that their own API accepts unchanged', () => {
    const clock = createStillClock();
    const account = createSandboxAccount({ clock });
    account.seed({ contacts: 100 });
    for (const contact of account.contacts()) {
      const { id, custom, tags: _tags, activities: _activities, ...columns } = contact;
      expect(account.update(id, { ...columns, ...custom })).toBe(contact);
    }
  });

  it('can leave out links and custom fields, and be added to', () => {
    const account = createSandboxAccount({ clock: createStillClock() });
    account.seed({ contacts: 5, links: false, customFields: false });
    account.seed({ contacts: 5, links: false, customFields: false, seed: 2 });
    expect(account.contacts()).toHaveLength(10);
    expect(account.customFields()).toEqual([]);
    expect(account.contacts().every((contact) => contact.companies.length === 0)).toBe(true);
  });
});

describe('the kept orders', () => {
  it('equal a fresh sort after any mixture of edits', () => {
    const account = createSandboxAccount({ clock: createStillClock() });
    account.seed({ contacts: 200, links: false, customFields: false });
    const contacts = new Map(account.contacts().map((contact) => [contact.id, contact]));
    const lists = new OrderedLists(contacts);
    const compare = (a: AccountContact, b: AccountContact): number => b.updatedAtMs - a.updatedAtMs || a.id - b.id;
    const fresh = () =>
      [...contacts.values()].filter((contact) => contact.access === 'full' && contact.deletedAtMs === null).toSorted(compare);
    expect(lists.rows('live', 'updated', compare)).toEqual(fresh());
    for (const [index, contact] of [...contacts.values()].entries()) {
      if (index % 3 === 0) contacts.set(contact.id, { ...contact, updatedAtMs: 1_700_000_000_000 + ((index * 7919) % 1000) * 1000 });
      else if (index % 11 === 0) contacts.set(contact.id, { ...contact, access: 'none' });
      else if (index % 13 === 0) contacts.set(contact.id, { ...contact, deletedAtMs: 1 });
      else if (index % 17 === 0) contacts.delete(contact.id);
      else continue;
      lists.markChanged(contact.id);
      if (index % 5 !== 0) continue;
      expect(lists.rows('live', 'updated', compare)).toEqual(fresh());
    }
    expect(lists.rows('live', 'updated', compare)).toEqual(fresh());
  });
});

describe('query strings', () => {
  it.each([
    ['a=1&b=two+words&c=%C3%A9', { a: '1', b: 'two words', c: 'é' }],
    ['a[b][0]=x&a[b][1]=y&a[c]=z', { a: { b: { 0: 'x', 1: 'y' }, c: 'z' } }],
    ['a[]=x&a[]=y', { a: { 0: 'x', 1: 'y' } }],
    ['a=1&a=2', { a: '2' }],
    ['a%5Bb%5D=1&d', { a: { b: '1' }, d: '' }],
    ['a[b=1&%E0=x', { 'a[b': '1', '%E0': 'x' }],
  ])('%s is read as the product reads it', (text, expected) => {
    expect(JSON.parse(JSON.stringify(parsePhpQuery(text)))).toEqual(expected);
  });
});

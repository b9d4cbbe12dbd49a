/** How much destruction in an hour is still believable. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  brakeAllowance,
  damageOps,
  describeLimits,
  destroysNothing,
  emptiedFields,
  NO_DESTRUCTION,
  type Destruction,
} from '../../src/domain/brake.ts';
import { EMPTY_FIELDS, NO_LINKS, type ContactFields } from '../../src/domain/contact.ts';

const DEFAULTS = { rows: 25, share: 0.1, max: 1000 };

test('lets through what is within BRAKE_ROWS or within BRAKE_SHARE, and never more than BRAKE_MAX', () => {
  expect(brakeAllowance(0, 0, DEFAULTS)).toBe(25);
  expect(brakeAllowance(0, 250, DEFAULTS)).toBe(25);
  expect(brakeAllowance(0, 259, DEFAULTS)).toBe(25);
  expect(brakeAllowance(0, 260, DEFAULTS)).toBe(26);
  expect(brakeAllowance(0, 10_000, DEFAULTS)).toBe(1000);
  expect(brakeAllowance(0, 1_000_000, DEFAULTS)).toBe(1000);
  expect(brakeAllowance(0, 100, { rows: 25, share: 1, max: 10 })).toBe(10);
});

test('counts what went through in the last hour, singly or together', () => {
  expect(brakeAllowance(10, 100, DEFAULTS)).toBe(15);
  expect(brakeAllowance(25, 100, DEFAULTS)).toBe(0);
  expect(brakeAllowance(26, 100, DEFAULTS)).toBe(0);
  expect(brakeAllowance(999, 100_000, DEFAULTS)).toBe(1);
});

test('holds a change exactly if with it the hour has more than rows and more than the share, or more than the maximum', () => {
  const limitArb = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(
      limitArb,
      fc.integer({ min: 0, max: 100 }),
      limitArb,
      limitArb,
      fc.nat({ max: 300 }),
      (rows, percent, max, lastHour, mirror) => {
        // In whole numbers, so that this says nothing about rounding: n is over the share if n × 100 > percent × mirror.
        const isHeld = (count: number): boolean => (count > rows && count * 100 > percent * mirror) || count > max;
        let allowed = 0;
        while (!isHeld(lastHour + allowed + 1)) allowed += 1;
        expect(brakeAllowance(lastHour, mirror, { rows, share: percent / 100, max })).toBe(allowed);
      },
    ),
    { numRuns: 1000 },
  );
});

test('a share is exact for every whole percent of a mirror of 100: 0.29 × 100 is 28.999999999999996', () => {
  const allowed = Array.from({ length: 101 }, (_, percent) => brakeAllowance(0, 100, { rows: 0, share: percent / 100, max: 1000 }));
  expect(allowed).toEqual(Array.from({ length: 101 }, (_, percent) => percent));
});

test('a batch uses up as much of the hour as its changes would one by one', () => {
  fc.assert(
    fc.property(fc.nat({ max: 100 }), fc.nat({ max: 5000 }), fc.nat({ max: 50 }), (lastHour, mirror, batch) => {
      const before = brakeAllowance(lastHour, mirror, DEFAULTS);
      expect(brakeAllowance(lastHour + batch, mirror, DEFAULTS)).toBe(Math.max(0, before - batch));
    }),
  );
});

test('emptied is what held a value and holds none, in whatever form; a value that changes or shrinks is not', () => {
  const before: ContactFields = {
    ...EMPTY_FIELDS,
    city: 'Rome',
    street: 'Via',
    state: ' ',
    user_id: 0,
    country_id: 3,
    phones: [
      { number: '1', type: 'work' },
      { number: '2', type: 'work' },
    ],
    custom_fields: { cf_a: 'x', cf_b: false, cf_c: [1], cf_d: 2, cf_e: null },
  };
  const changed = {
    ...before,
    city: 'Bonn',
    phones: before.phones.slice(1),
    custom_fields: { ...before.custom_fields, cf_b: true, cf_c: [2] },
  };
  expect(emptiedFields(before, changed)).toEqual([]);
  const blank = {
    ...before,
    city: null,
    street: '  ',
    state: null,
    country_id: null,
    phones: [],
    custom_fields: { cf_a: '', cf_b: null, cf_c: [] },
  };
  expect([...emptiedFields(before, blank)].sort()).toEqual(['cf_a', 'cf_b', 'cf_c', 'cf_d', 'city', 'country_id', 'phones', 'street']);
  expect(emptiedFields(blank, before)).toEqual([]);
});

test('each way of damage counts once, however many fields or links', () => {
  const all: Destruction = { deletes: true, fields: ['city', 'street'], links: { ...NO_LINKS, companies: [1, 2], deals: [3] } };
  expect(damageOps(all)).toEqual(['delete', 'empty', 'detach']);
  expect(damageOps(NO_DESTRUCTION)).toEqual([]);
  expect(destroysNothing(NO_DESTRUCTION)).toBe(true);
  for (const part of ['deletes', 'fields', 'links'] as const) expect(destroysNothing({ ...NO_DESTRUCTION, [part]: all[part] })).toBe(false);
});

test('the limits read as a person set them', () => {
  expect(describeLimits(DEFAULTS)).toBe('25 or 10 % of the mirror, at most 1000');
  expect(describeLimits({ rows: 0, share: 0.125, max: 7 })).toBe('0 or 12.5 % of the mirror, at most 7');
});

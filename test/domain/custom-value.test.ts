/** Custom values: what the CRM sends and what it accepts differ, so both are brought to the form that it accepts. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalCustomValue, sameValue, type CustomType, type CustomValue } from '../../src/domain/contact.ts';
import { CUSTOM_TYPES, customValueArb, frozen } from './arbitraries.ts';

type Case = readonly [type: CustomType, value: CustomValue, canonical: CustomValue];

/** The cases as the code has them; each input frozen, so that nothing is sorted in place. */
const asRead = (cases: readonly Case[]): readonly Case[] =>
  cases.map(([type, value]) => [type, value, canonicalCustomValue(frozen(value), type)]);

test.each(CUSTOM_TYPES)('a value of a field of type %s is canonical after one pass', (type) => {
  fc.assert(
    fc.property(customValueArb, (value) => {
      const once = canonicalCustomValue(value, type);
      expect(canonicalCustomValue(once, type)).toStrictEqual(once);
    }),
    { numRuns: 300 },
  );
});

test('what is empty is null in every type, false and 0 are values', () => {
  for (const type of CUSTOM_TYPES) {
    for (const none of [null, '', ' \t', [], ['', ' ']]) expect(canonicalCustomValue(none, type)).toBeNull();
    expect(canonicalCustomValue(false, type)).toBe(false);
  }
  expect(canonicalCustomValue(0, 'number')).toBe(0);
  expect(canonicalCustomValue(0, 'options')).toEqual([0]);
});

test('text is trimmed and otherwise left alone, whatever it looks like', () => {
  const cases: readonly Case[] = [
    ['text', ' a b ', 'a b'],
    ['text', '007', '007'],
    ['text', 'true', 'true'],
    ['text', '2026-01-23T00:00:00.000000Z', '2026-01-23T00:00:00.000000Z'],
    ['text', 5, 5],
  ];
  expect(asRead(cases)).toEqual(cases);
});

test('a number may come as digits; what would be another number, or is none, stays text', () => {
  const cases: readonly Case[] = [
    ['number', '1250.000', 1250],
    ['number', ' -2.50 ', -2.5],
    ['number', 1250, 1250],
    ['number', '007', 7],
    ['number', '9007199254740991', 9007199254740991],
    ['number', '9007199254740993', '9007199254740993'],
    ['number', '1e3', '1e3'],
    ['number', '0x10', '0x10'],
    ['number', '1,5', '1,5'],
    ['number', 'Infinity', 'Infinity'],
    ['number', true, true],
  ];
  expect(asRead(cases)).toEqual(cases);
});

test('a boolean may come as 0 and 1, as digit or text', () => {
  const cases: readonly Case[] = [
    ['boolean', true, true],
    ['boolean', 'true', true],
    ['boolean', '1', true],
    ['boolean', 1, true],
    ['boolean', false, false],
    ['boolean', 'false', false],
    ['boolean', '0', false],
    ['boolean', 0, false],
    ['boolean', 'yes', 'yes'],
    ['boolean', 2, 2],
  ];
  expect(asRead(cases)).toEqual(cases);
});

test('a date loses the midnight that the CRM adds', () => {
  const cases: readonly Case[] = [
    ['date', '2021-12-05T00:00:00.000000Z', '2021-12-05'],
    ['date', ' 2021-12-05 ', '2021-12-05'],
    ['date', '2021-12-05 00:00:00', '2021-12-05'],
    ['date', '2021-12-05T00:00', '2021-12-05'],
    ['date', '2021-12-05T00:00:00+00:00', '2021-12-05'],
    ['date', '5.12.2021', '5.12.2021'],
    ['date', '2021-12-05 noon', '2021-12-05 noon'],
    ['date', 20211205, 20211205],
  ];
  expect(asRead(cases)).toEqual(cases);
});

test('a date keeps any other time of day: a field taken for a date may be a date-time, and the time somebody wrote may not vanish', () => {
  const cases: readonly Case[] = [
    ['date', '2021-12-05T10:30:00Z', '2021-12-05T10:30:00Z'],
    ['date', '2021-12-05 00:00:01', '2021-12-05 00:00:01'],
    ['date', '2021-12-05T00:00:00+02:00', '2021-12-05T00:00:00+02:00'],
  ];
  expect(asRead(cases)).toEqual(cases);
});

test('a date-time is UTC to the second; without offset it is read as UTC', () => {
  const cases: readonly Case[] = [
    ['datetime', '2026-01-23T04:58:56.000000Z', '2026-01-23T04:58:56Z'],
    ['datetime', '2026-01-23 04:58:56', '2026-01-23T04:58:56Z'],
    ['datetime', '2026-01-23T04:58', '2026-01-23T04:58:00Z'],
    ['datetime', '2026-01-23', '2026-01-23T00:00:00Z'],
    ['datetime', '2026-01-23T04:58:56+02:00', '2026-01-23T02:58:56Z'],
    ['datetime', '2026-01-23 04:58:56 -0230', '2026-01-23T07:28:56Z'],
    ['datetime', '2024-02-29T23:30:00-01:00', '2024-03-01T00:30:00Z'],
  ];
  expect(asRead(cases)).toEqual(cases);
});

test('a date-time that is none is left to the judgement of the CRM, not turned into another one', () => {
  const none = [
    'tomorrow',
    '2026-02-30T10:00:00Z',
    '2025-02-29',
    '2026-13-01',
    '2026-01-00',
    '2026-01-23T25:00:00Z',
    '2026-01-23T10:61',
    '0000-01-01T00:00:00+01:00',
    '9999-12-31T23:59:59-01:00',
    '2026-01-23Z',
  ];
  expect(none.map((value) => canonicalCustomValue(value, 'datetime'))).toEqual(none);
});

test('two date-times are one value exactly if they are one second', () => {
  const minutes = fc.integer({ min: -14 * 60, max: 14 * 60 });
  // A day inside the four-digit years, whatever the offset.
  const seconds = fc.integer({ min: Date.parse('0001-01-02T00:00:00Z') / 1000, max: Date.parse('9999-12-30T00:00:00Z') / 1000 });
  const write = (second: number, offset: number): string => {
    const [sign, size] = [offset < 0 ? '-' : '+', Math.abs(offset)];
    const two = (part: number): string => String(part).padStart(2, '0');
    return `${new Date((second + offset * 60) * 1000).toISOString().slice(0, 19)}${sign}${two(Math.trunc(size / 60))}:${two(size % 60)}`;
  };
  fc.assert(
    fc.property(seconds, minutes, minutes, fc.integer({ min: 0, max: 1 }), (second, here, there, later) => {
      const [a, b] = [write(second, here), write(second + later, there)].map((text) => canonicalCustomValue(text, 'datetime'));
      expect(a).toBe(`${new Date(second * 1000).toISOString().slice(0, 19)}Z`);
      expect(a === b).toBe(later === 0);
    }),
    { numRuns: 300 },
  );
});

test('an option is its id; text that is no plain id may be a label and stays text', () => {
  const cases: readonly Case[] = [
    ['option', 3, 3],
    ['option', ' 3 ', 3],
    ['option', '0', 0],
    ['option', '007', '007'],
    ['option', '1.50', '1.50'],
    ['option', '-1', '-1'],
    ['option', '9007199254740993', '9007199254740993'],
    ['option', 'Gold', 'Gold'],
  ];
  expect(asRead(cases)).toEqual(cases);
});

describe('options', () => {
  test('are a sorted array of ids without repeats, however they are written', () => {
    const cases: readonly Case[] = [
      ['options', [10, 9, 2, 9], [2, 9, 10]],
      ['options', ['10', 9, ' 2 '], [2, 9, 10]],
      ['options', [1, '1'], [1]],
      ['options', 3, [3]],
      ['options', ' 3 ', [3]],
      ['options', 'Gold', ['Gold']],
      ['options', ['Silver', 5, ' Gold ', 'Gold', ''], [5, 'Gold', 'Silver']],
      ['options', ['007', '7'], [7, '007']],
    ];
    expect(asRead(cases)).toEqual(cases);
  });

  test('come out the same in every order, numbers and labels mixed', () => {
    const items = fc.uniqueArray(
      fc.oneof(
        fc.integer({ min: 0, max: 30 }),
        fc.integer({ min: 0, max: 30 }).map((n) => `${n}x`),
      ),
      { maxLength: 8 },
    );
    for (const type of ['options', 'text'] as const) {
      fc.assert(
        fc.property(
          items.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
          ([one, other]) => {
            expect(canonicalCustomValue(one, type)).toEqual(canonicalCustomValue(other, type));
          },
        ),
      );
    }
    // The order once was 2 < 10 < "15" < 2.
    expect(canonicalCustomValue(['15', 10, 2], 'text')).toEqual(canonicalCustomValue([10, 2, '15'], 'text'));
  });

  test('of an undeclared field keep numbers and texts apart', () => {
    expect(canonicalCustomValue(['1', 1], 'text')).toEqual([1, '1']);
    expect(sameValue(canonicalCustomValue(['1'], 'text'), canonicalCustomValue([1], 'text'))).toBe(false);
  });

  test('that are no list of ids and labels stay as they are', () => {
    const odd = (): CustomValue => [{ id: 2 }, ' b ', [1], 'a', 'a', null] as unknown as CustomValue;
    for (const type of ['options', 'text'] as const) expect(canonicalCustomValue(odd(), type)).toEqual(odd());
  });
});

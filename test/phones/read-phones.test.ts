/** Numbers as people type them, and countries as a CRM calls them. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPhoneReader } from '../../src/phones/read-phones.ts';
import { COUNTRIES } from '../../src/sandbox/crm/seed-words.ts';

const reader = createPhoneReader();

describe('a number', () => {
  it.each([
    ['+41 79 123 45 67', null, '+41791234567'],
    ['+41 79 123 45 67', 'DE', '+41791234567'],
    ['079 123 45 67', 'CH', '+41791234567'],
    ['(0)79/123.45-67', 'CH', '+41791234567'],
    ['0041 79 123 45 67', 'CH', '+41791234567'],
    ['(415) 555-2671', 'US', '+14155552671'],
    ['+1 415 555 2671 ext. 12', null, '+14155552671'],
    ['+44 (0) 20 7946 0958', null, '+442079460958'],
    ['020 7946 0958', 'GB', '+442079460958'],
    ['+1 555 0000010', null, '+15550000010'],
    ['٠٧٩١٢٣٤٥٦٧', 'CH', '+41791234567'],
  ])('%s in %s is %s', (number, region, e164) => expect(reader.e164(number, region)).toBe(e164));

  it.each([
    ['079 123 45 67', null],
    ['079 123 45 67', 'XX'],
    ['117', 'CH'],
    ['030 901820', 'CH'],
    ['+41 030 901820', null],
    ['+41 79 123', null],
    ['+999 79 123 45 67', null],
    ['call 079 123 45 67 or 031 123 45 67', 'CH'],
    ['ann@example.com', 'CH'],
    ['', 'CH'],

    ['9'.repeat(100_000), 'CH'],
  ])('%s in %s is none', (number, region) => expect(reader.e164(number, region)).toBeNull());
});

describe('a country', () => {
  it.each([
    ['Switzerland', 'CH'],
    ['Schweiz', 'CH'],
    ['suisse', 'CH'],
    ['CH', 'CH'],
    ['CHE', 'CH'],
    ['United States of America', 'US'],
    ['United States', 'US'],
    ['USA', 'US'],
    ['UK', 'GB'],
    ['the Netherlands', 'NL'],
    ['Czech Republic', 'CZ'],
    ['Russian Federation', 'RU'],
    ['Vietnam', 'VN'],
    ['Moldova', 'MD'],
    ["Cote d'Ivoire", 'CI'],
    ['Côte d’Ivoire', 'CI'],
    ['ÖSTERREICH', 'AT'],
    ['Türkiye', 'TR'],
    ['Turkey', 'TR'],
  ])('called %s is %s', (name, region) => expect(reader.regionOf(name)).toBe(region));

  it.each(['', 'Atlantis', 'Switzerland or Germany', 'constructor'])('called %j is none', (name) =>
    expect(reader.regionOf(name)).toBeNull(),
  );

  it('of the sandbox is known, every one', () => {
    expect(COUNTRIES.map(([name]) => reader.regionOf(name))).toEqual(COUNTRIES.map(([, code]) => code));
  });
});

it('tells the version of the packages that package.json asks for', () => {
  const { dependencies } = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const names = ['libphonenumber-js', 'i18n-iso-countries'];
  expect(reader.version).toBe(names.map((name) => `${name} ${dependencies[name]}`).join(', '));
});

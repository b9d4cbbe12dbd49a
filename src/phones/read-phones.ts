/**
 * Phone numbers as people type them, read into E.164 (+41791234567): by Google's rules, which change with the world's numbering plans.
 *
 * A number without a country's prefix is read by the contact's country. The CRM tells a country by its name only, in the account's language, so names
 * are looked up in those that the world's countries have in some languages; one that fits none is no country, and then only a number in
 * international form can be read.
 */
import countries from 'i18n-iso-countries';
import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString, type PhoneNumber } from 'libphonenumber-js/min';
import type { PhoneReader } from '../ports/phone-forms.ts';

const LANGUAGES = ['en', 'de', 'es', 'fr', 'it', 'nl', 'pt'] as const;
/** Of both packages: another one may read a number differently, so every form is made anew. */
const VERSION = 'libphonenumber-js 1.13.16, i18n-iso-countries 7.14.0';

/** „Côte d’Ivoire", "cote d'ivoire" and "Cote d Ivoire" are one. */
const plain = (name: string): string =>
  name
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .replace(/^the /, '')
    .trim();

/** First come, first kept: English before the others, the packages' lists before what Node calls the countries. */
const readNames = (): ReadonlyMap<string, CountryCode> => {
  const codes = new Map<string, CountryCode>();
  const add = (name: string | undefined, code: string): void => {
    if (name !== undefined && isSupportedCountry(code) && !codes.has(plain(name))) codes.set(plain(name), code);
  };
  for (const [alpha2, alpha3] of Object.entries(countries.getAlpha2Codes())) for (const code of [alpha2, alpha3]) add(code, alpha2);
  for (const language of LANGUAGES) {
    for (const [code, names] of Object.entries(countries.getNames(language, { select: 'all' }))) for (const name of names) add(name, code);
    for (const style of ['long', 'short'] as const) {
      const shown = new Intl.DisplayNames(language, { type: 'region', style });
      for (const code of Object.keys(countries.getAlpha2Codes())) add(shown.of(code), code);
    }
  }
  return codes;
};

/** The whole text is a number, or it is none: "call 079… or 031…" is not one of them. */
const read = (number: string, defaultCountry?: CountryCode): PhoneNumber | undefined =>
  parsePhoneNumberFromString(number, { ...(defaultCountry === undefined ? {} : { defaultCountry }), extract: false });

/**
 * What says its country itself has its form already: a possible length is enough, since the ranges in use are assigned anew every month, and an old copy
 * of them would refuse real numbers. What is read by a guess has to fit the country's pattern.
 */
const isReadable = (phone: PhoneNumber): boolean => phone.isValid() || (phone.isPossible() && !phone.nationalNumber.startsWith('0'));

export const createPhoneReader = (): PhoneReader => {
  const codes = readNames();
  return {
    version: VERSION,
    regionOf: (countryName) => codes.get(plain(countryName)) ?? null,
    e164: (number, region) => {
      const international = read(number);
      if (international !== undefined) return isReadable(international) ? international.number : null;
      const national = region !== null && isSupportedCountry(region) ? read(number, region) : undefined;
      return national?.isValid() === true ? national.number : null;
    },
  };
};

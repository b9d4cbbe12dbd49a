import { describe, expect, it } from 'vitest';
import type { PhoneType } from '../../src/domain/contact.ts';
import { isStoredAs } from '../../src/domain/phones.ts';

const phone = (number: string, type: PhoneType = 'mobile') => ({ number, type });

describe('a phone that was sent', () => {
  it.each([
    ['+41 79 000 00 00', '+41 79 000 00 00'],
    ['+41 79 000 00 00', '+41790000000'],
    ['079 000 00 00', '0790000000'],
    ['079 000 00 00', '+41079 000 00 00'],
    ['079 000 00 00', '+41 79 000 00 00'],
    ['79 000 00 00', '0041 79 000 00 00'],
    ['ext', 'ext'],
  ])('%s is what the CRM stored as %s', (sent, stored) => {
    expect(isStoredAs(phone(sent), phone(stored))).toBe(true);
  });

  it.each([
    ['+1 2', '+1 21'],
    ['+1 2', '+1 12'],
    ['+41 79 000 00 00', '+49 79 000 00 00'],
    ['079 000 00 00', '079 000 00 01'],
    ['00 00', '+41 79 000 00 00'],
    ['5', '+41 79 000 00 05'],
    ['ext', 'other'],
    ['ext', ''],
  ])('%s is not what the CRM stored as %s', (sent, stored) => {
    expect(isStoredAs(phone(sent), phone(stored))).toBe(false);
  });

  it('with another type has been edited', () => {
    expect(isStoredAs(phone('+1 2', 'work'), phone('+1 2', 'mobile'))).toBe(false);
  });
});

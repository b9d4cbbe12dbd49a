/** When two spellings of a phone are the same phone. Everywhere else a phone is its exact number, as it is to the CRM. */
import type { Phone } from './contact.ts';

/**
 * Whether `stored` is what the CRM made of `sent`: the same number with other punctuation, or with the calling prefix put before one that had
 * none. A number that only resembles it is somebody else's.
 */
export const isStoredAs = (sent: Phone, stored: Phone): boolean => {
  if (sent.type !== stored.type) return false;
  if (sent.number === stored.number) return true;
  const [ours, theirs] = [sent.number.trim(), stored.number.trim()];
  const national = digits(ours).replace(/^0/, '');
  if (national === '') return false;
  if (isInternational(ours) || !isInternational(theirs)) return digits(ours) === digits(theirs);
  return new RegExp(`^(00)?[1-9]\\d{0,3}0?${national}$`).test(digits(theirs));
};

const isInternational = (number: string): boolean => /^(\+|00)/.test(number);
const digits = (number: string): string => number.replace(/\D/g, '');

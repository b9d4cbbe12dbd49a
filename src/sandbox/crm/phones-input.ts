import type { AccountCountry, NumberAndType, PhoneType } from './records.ts';
import { PHONE_TYPES } from './records.ts';
import { TEXT_LENGTH_MAX } from './custom-values.ts';
import type { Store } from './store.ts';

/** Phones as they will be stored, or the 422's messages by key (`phones.0.number`). */
export interface PhonesReading {
  readonly phones: readonly NumberAndType[];
  readonly errors: { readonly [field: string]: readonly string[] };
}

/** An unrecognised type silently becomes mobile. */
const toType = (sent: unknown): PhoneType => PHONE_TYPES.find((type) => type === sent) ?? 'mobile';

/** Each entry may be an object or a string `number|type`; the whole list may be one comma-separated string. */
const toEntries = (sent: unknown): readonly { readonly number: unknown; readonly type: unknown }[] | null => {
  const list: readonly unknown[] | null = typeof sent === 'string' ? sent.split(',') : Array.isArray(sent) ? sent : null;
  return (
    list?.map((entry) => {
      if (typeof entry === 'string') {
        const [number, type] = entry.split('|');
        return { number: number?.trim(), type: type?.trim() };
      }
      if (typeof entry !== 'object' || entry === null) return { number: entry, type: undefined };
      return { number: 'number' in entry ? entry.number : undefined, type: 'type' in entry ? entry.type : undefined };
    }) ?? null
  );
};

const withCallingPrefix = (number: string, country: AccountCountry | undefined): string | null => {
  if (number.startsWith('+')) return number;
  return country === undefined ? null : `+${country.callingCode}${number}`;
};

const readNumber = (store: Store, sent: unknown, owner: { readonly id: number | null; readonly countryId: number | null }) => {
  if (typeof sent !== 'string' && typeof sent !== 'number') return { number: null, message: 'The phone number must be a string.' };
  const plain = String(sent);
  const country = owner.countryId === null ? undefined : store.countries.get(owner.countryId);
  const number = store.settings.requireCallingPrefix ? withCallingPrefix(plain, country) : plain;
  if (number === null) return { number, message: 'The phone number must include the country calling prefix.' };
  if (number.length > TEXT_LENGTH_MAX)
    return { number, message: `The phone number must not be greater than ${TEXT_LENGTH_MAX} characters.` };
  const taken = store.settings.phonesUnique && store.contactsWithPhone(number).some((id) => id !== owner.id);
  return { number, message: taken ? 'A contact with this phone number already exists.' : null };
};

/** `null` and `[]` both mean none; entries without a number are dropped; equal numbers collapse, the last type stands. */
export const readPhones = (
  store: Store,
  sent: unknown,
  owner: { readonly id: number | null; readonly countryId: number | null },
): PhonesReading => {
  if (sent === null) return { phones: [], errors: {} };
  const entries = toEntries(sent);
  if (entries === null) return { phones: [], errors: { phones: ['The phones field must be an array.'] } };
  const errors: Record<string, readonly string[]> = {};
  const byNumber = new Map<string, PhoneType>();
  entries.forEach((entry, index) => {
    if (entry.number === null || entry.number === undefined || entry.number === '') return;
    const { number, message } = readNumber(store, entry.number, owner);
    if (message !== null) errors[`phones.${index}.number`] = [message];
    else if (number !== null) byNumber.set(number, toType(entry.type));
  });
  return { phones: [...byNumber].map(([number, type]) => ({ number, type })), errors };
};

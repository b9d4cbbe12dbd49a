/** Custom fields: what may be sent, how it is stored, and what comes back (the two forms differ for dates and multi-options). */
import { Abort, serverError } from './answer.ts';
import { isMultiOption, isSingleOption, toTimestamp } from './records.ts';
import type { CustomField, StoredCustomValue } from './records.ts';

/** The default varchar length of the product's tables. */
export const TEXT_LENGTH_MAX = 191;

export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

const value = <T>(read: T): Reading<T> => ({ ok: true, value: read });
const refuse = (message: string): Reading<never> => ({ ok: false, message });

const DATE_TIME = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?$/;

/** A date or date-time, read as UTC where it has no offset; null if it is none. */
export const parseMoment = (text: string, utcOffsetMinutes = 0): number | null => {
  const match = DATE_TIME.exec(text);
  if (match === null) return null;
  const zone = match[4]?.replace(/^([+-]\d{2})(\d{2})$/, '$1:$2');
  const ms = Date.parse(`${match[1]}T${match[2] ?? '00:00'}:${match[3] ?? '00'}${zone ?? 'Z'}`);
  if (Number.isNaN(ms)) return null;
  return zone === undefined ? ms - utcOffsetMinutes * 60_000 : ms;
};

const isTimeZone = (name: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) instanceof Intl.DateTimeFormat;
  } catch {
    return false;
  }
};

const readText = (field: CustomField, sent: unknown): Reading<StoredCustomValue> => {
  if (typeof sent !== 'string') return refuse(`The ${field.label} field must be a string.`);
  if (field.type !== 'Textarea' && sent.length > TEXT_LENGTH_MAX)
    return refuse(`The ${field.label} field must not be greater than ${TEXT_LENGTH_MAX} characters.`);
  if (field.type === 'Email' && !/^[^\s@]+@[^\s@]+$/.test(sent)) return refuse(`The ${field.label} field must be a valid email address.`);
  if (field.type === 'Url' && !/^https?:\/\/\S+$/.test(sent)) return refuse(`The ${field.label} field must be a valid URL.`);
  if (field.type === 'Timezone' && !isTimeZone(sent)) return refuse(`The ${field.label} field must be a valid timezone.`);
  return value(sent);
};

const readNumber = (field: CustomField, sent: unknown): Reading<StoredCustomValue> => {
  const number = typeof sent === 'number' || typeof sent === 'string' ? Number(sent) : Number.NaN;
  if (!Number.isFinite(number)) return refuse(`The ${field.label} field must be a number.`);
  // The numeric column has three decimals.
  return value(field.type === 'Numeric' ? Math.round(number * 1000) / 1000 : number);
};

const readBoolean = (field: CustomField, sent: unknown): Reading<StoredCustomValue> => {
  if (sent === true || sent === 1 || sent === '1') return value(true);
  if (sent === false || sent === 0 || sent === '0') return value(false);
  return refuse(`The ${field.label} field must be true or false.`);
};

const readMoment = (field: CustomField, sent: unknown): Reading<StoredCustomValue> => {
  const ms = typeof sent === 'string' ? parseMoment(sent) : null;
  if (ms === null) return refuse(`The ${field.label} field must be a valid date.`);
  const iso = new Date(ms).toISOString();
  return value(field.type === 'Date' ? iso.slice(0, 10) : `${iso.slice(0, 19)}Z`);
};

/** The id of the option meant. Labels are tried before ids: an option labelled "3" beats the option with id 3. */
const findOption = (field: CustomField, sent: unknown): number | null => {
  if (typeof sent !== 'string' && typeof sent !== 'number') return null;
  const text = String(sent);
  const options = field.options ?? [];
  return (options.find((option) => option.label === text) ?? options.find((option) => String(option.id) === text))?.id ?? null;
};

const readMultiOption = (field: CustomField, sent: unknown): Reading<StoredCustomValue> => {
  const items: readonly unknown[] = Array.isArray(sent)
    ? sent
    : typeof sent === 'string'
      ? sent.split(',').map((item) => item.trim())
      : [sent];
  const ids = items.map((item) => findOption(field, item));
  // Seen as a bug of the product: a single option that does not exist is a 422, one of several crashes.
  if (ids.includes(null)) throw new Abort(serverError());
  const known = ids.filter((id) => id !== null);
  return value([...new Set(known)].toSorted((a, b) => a - b));
};

/** A value as sent (trimmed, empty = null) to the stored one, or the 422's message. An invalid multi-option aborts with 500. */
export const readCustomValue = (field: CustomField, sent: unknown): Reading<StoredCustomValue> => {
  if (isMultiOption(field.type)) return sent === null ? value([]) : readMultiOption(field, sent);
  if (sent === null) return value(null);
  if (isSingleOption(field.type)) {
    const id = findOption(field, sent);
    return id === null ? refuse(`The selected ${field.label} is invalid.`) : value(id);
  }
  if (field.type === 'Number' || field.type === 'Numeric') return readNumber(field, sent);
  if (field.type === 'Boolean') return readBoolean(field, sent);
  if (field.type === 'Date' || field.type === 'DateTime') return readMoment(field, sent);
  return readText(field, sent);
};

/** A stored value as the API answers it. */
export const toCustomJson = (field: CustomField, stored: StoredCustomValue): unknown => {
  if (isMultiOption(field.type)) {
    const ids = Array.isArray(stored) ? stored : [];
    return (field.options ?? [])
      .filter((option) => ids.includes(option.id))
      .map((option, index) => ({ id: option.id, label: option.label, swatch_color: null, display_order: index + 1 }));
  }
  if (stored !== null && (field.type === 'Date' || field.type === 'DateTime')) return toTimestamp(Date.parse(String(stored)));
  return stored;
};

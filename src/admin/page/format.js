/** Numbers, spans and moments as people read them. */

const NUMBER = new Intl.NumberFormat();
const PERCENT = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 0 });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const MINUTE = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** @param {number} value */
export const number = (value) => NUMBER.format(Math.round(value));

/** @param {number} share 0 to 1 */
export const percent = (share) => PERCENT.format(share);

/** @param {string | number | Date} at */
export const moment = (at) => MOMENT.format(new Date(at));

/** @param {string | number | Date} at */
export const minuteOf = (at) => MINUTE.format(new Date(at));

/**
 * @param {number} howMany
 * @param {string} one
 * @param {string} [many]
 */
export const count = (howMany, one, many = `${one}s`) => `${number(howMany)} ${howMany === 1 ? one : many}`;

/** @type {readonly (readonly [number, string, number, string])[]} */
const UNITS = [
  [86_400, 'd', 3600, 'h'],
  [3600, 'h', 60, 'min'],
  [60, 'min', 1, 's'],
];

/**
 * `4.2 s`, `3 min 20 s`, `2 h 5 min`.
 *
 * @param {number} seconds
 */
export const span = (seconds) => {
  if (seconds < 10) return `${(Math.round(Math.max(0, seconds) * 10) / 10).toLocaleString()} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const [length, name, partLength, partName] = UNITS.find(([length]) => whole >= length) ?? [60, 'min', 1, 's'];
  const big = Math.floor(whole / length);
  const part = Math.floor((whole % length) / partLength);
  return part === 0 || big >= 10 ? `${big} ${name}` : `${big} ${name} ${part} ${partName}`;
};

/**
 * @param {string | Date} at
 * @param {number} nowMs
 */
export const ago = (at, nowMs) => {
  const seconds = (nowMs - new Date(at).getTime()) / 1000;
  if (seconds < 2) return 'just now';
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  const [length, name] = UNITS.find(([length]) => seconds >= length) ?? [60, 'min'];
  return `${Math.floor(seconds / length)} ${name} ago`;
};

/**
 * A contact as the page names it: by its ids, which are no personal data.
 *
 * @param {number | null | undefined} contactId
 * @param {number | null | undefined} crmId
 */
export const contactName = (contactId, crmId) => {
  if (contactId == null) return crmId == null ? 'A contact' : `CRM contact ${crmId}`;
  return `Contact ${contactId}${crmId == null ? '' : ` · CRM ${crmId}`}`;
};

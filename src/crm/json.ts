/**
 * What JSON from outside may become inside: values that Postgres can store as `text` and `jsonb`, and nothing that reaches a prototype.
 */

export type JsonObject = { readonly [key: string]: unknown };

/** Deeper than any record of the CRM; a document beyond it would overflow the stack of whoever walks or prints it. */
const DEPTH_MAX = 32;
const PROTOTYPE_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

export const isPrototypeKey = (key: string): boolean => PROTOTYPE_KEYS.has(key);

/**
 * Text that Postgres accepts: NUL characters are taken out (neither `text` nor `jsonb` can hold one), and a lone surrogate, half of a cut
 * emoji, becomes U+FFFD (`jsonb` refuses its escape).
 */
export const storableText = (text: string): string => {
  const withoutNul = text.includes('\u0000') ? text.replaceAll('\u0000', '') : text;
  return withoutNul.isWellFormed() ? withoutNul : withoutNul.toWellFormed();
};

/** The same for a whole JSON value; prototype keys are dropped at every level. Null where it is nested too deeply to be stored. */
export const storableJson = (value: unknown): { readonly value: unknown } | null => {
  try {
    return { value: clean(value, 0) };
  } catch (error) {
    if (error instanceof TooDeep) return null;
    throw error;
  }
};

class TooDeep extends Error {}

const clean = (value: unknown, depth: number): unknown => {
  if (depth > DEPTH_MAX) throw new TooDeep('nested too deeply');
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return value.map((item) => clean(item, depth + 1));
  if (!isObject(value)) return value;
  const cleaned: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    const name = storableText(key);
    if (!isPrototypeKey(name)) cleaned[name] = clean(inner, depth + 1);
  }
  return cleaned;
};

/** How much text a value of JSON holds: the characters of its strings and keys, which is what makes a record large. Nested no deeper than a record. */
export const textLength = (value: unknown): number => {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + textLength(item), 0);
  return Object.entries(value).reduce((sum, [key, inner]) => sum + key.length + textLength(inner), 0);
};

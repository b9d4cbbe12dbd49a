/** A field's value as people read it. */
import { h } from './dom.js';

/**
 * @param {unknown} value
 * @returns {Node}
 */
export const valueOf = (value) => {
  if (value === null || value === '') return h('em', { class: 'empty' }, 'empty');
  if (typeof value === 'string') return h('span', { class: 'text-value' }, value);
  if (typeof value === 'number') return h('span', {}, String(value));
  if (typeof value === 'boolean') return h('span', {}, value ? 'yes' : 'no');
  if (Array.isArray(value))
    return value.length === 0 ? h('em', { class: 'empty' }, 'empty') : h('ul', { class: 'values' }, ...value.map(entryOf));
  return h('pre', { class: 'json' }, JSON.stringify(value, null, 2));
};

/** @param {unknown} entry A phone, or the id of an option. */
const entryOf = (entry) => {
  if (typeof entry === 'object' && entry !== null && 'number' in entry) {
    const { number, type } = /** @type {{ number: unknown, type?: unknown }} */ (entry);
    return h('li', {}, h('span', {}, String(number)), typeof type === 'string' ? h('span', { class: 'kind' }, type) : null);
  }
  return h('li', {}, typeof entry === 'string' ? entry : JSON.stringify(entry));
};

/**
 * What a person typed, as JSON for the daemon. Texts need no quotes.
 *
 * @param {string} typed
 * @param {boolean} isText Whether the field holds text.
 * @throws {Error} With a sentence for the person.
 */
export const toJson = (typed, isText) => {
  if (isText) return JSON.stringify(typed === '' ? null : typed);
  try {
    return JSON.stringify(JSON.parse(typed));
  } catch (error) {
    throw new Error('This is not JSON: for example 12, true, null, or ["a", "b"].', { cause: error });
  }
};

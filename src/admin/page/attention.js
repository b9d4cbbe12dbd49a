/** The frame of what needs a person: a heading with a number, what can be done with all of it, and the list. */
import { h, removeKeepingPlace, replace, showList } from './dom.js';
import { number } from './format.js';

/** More than these make a page that nobody reads; SQL and the command line have all of them. */
const SHOWN = 50;

/**
 * @template Item
 * @param {Element} parent
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.explain
 * @param {readonly Item[]} options.items
 * @param {number} options.total By the status: the list may be cut off.
 * @param {(item: Item) => string | number} options.keyOf
 * @param {(item: Item) => HTMLElement} options.render
 * @param {import('./access.js').Access} options.access
 * @param {() => HTMLElement} [options.all]
 * @param {string} options.sql
 */
export const showGroup = (parent, { title, explain, items, total, keyOf, render, access, all, sql }) => {
  if (items.length === 0) {
    for (const child of Array.from(parent.children)) removeKeepingPlace(child);
    return;
  }
  if (parent.firstElementChild === null) {
    parent.append(
      h('div', { class: 'group-head' }),
      h('p', { class: 'explain' }, explain),
      h('ul', { class: 'items' }),
      h('p', { class: 'more' }),
    );
  }
  const [head, , list, more] = /** @type {[HTMLElement, HTMLElement, HTMLElement, HTMLElement]} */ ([...parent.children]);
  const context = JSON.stringify(access);
  showList(
    head,
    [{ title, total: Math.max(total, items.length) }],
    () => 'head',
    ({ total }) =>
      h(
        'div',
        { class: 'group-title' },
        h('h3', {}, title, ' ', h('span', { class: 'badge' }, number(total))),
        all === undefined ? null : all(),
      ),
    context,
  );
  showList(list, items.slice(0, SHOWN), keyOf, render, context);
  const hidden = Math.max(total, items.length) - Math.min(SHOWN, items.length);
  replace(more, ...(hidden > 0 ? [`… and ${number(hidden)} more: `, h('code', {}, sql)] : []));
  more.hidden = hidden <= 0;
};

/** Elements made without markup: what comes from a database is always text, never HTML. */

/** @typedef {Node | string | null | false | undefined} Child */
/** @typedef {Readonly<Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>>} Props */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {Element} node
 * @param {Props} props Attributes; `on…` a listener; false, null and undefined leave the attribute out.
 */
const setProps = (node, props) => {
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === 'function') node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
};

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {...Child} children Text is put in as text.
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export const h = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  setProps(node, props);
  fill(node, ...children);
  return node;
};

/**
 * @param {Node} node
 * @param {...Child} children
 */
const fill = (node, ...children) => {
  for (const child of children) {
    if (child === null || child === false || child === undefined) continue;
    node.appendChild(typeof child === 'string' ? document.createTextNode(child) : child);
  }
};

/**
 * @param {string} path The outline on a grid of 24.
 * @returns {SVGElement}
 */
export const icon = (path) => {
  const svg = document.createElementNS(SVG, 'svg');
  setProps(svg, { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' });
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
};

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export const byId = (id) => {
  const node = document.getElementById(id);
  if (node === null) throw new Error(`The page has no #${id}`);
  return node;
};

/**
 * @param {Element} node
 * @param {...Child} children
 */
export const replace = (node, ...children) => {
  node.replaceChildren();
  fill(node, ...children);
};

/**
 * Shows a list without touching what has not changed: the focus, an open detail and a reader's place stay.
 *
 * @template Item
 * @param {Element} parent
 * @param {readonly Item[]} items
 * @param {(item: Item) => string | number} keyOf
 * @param {(item: Item) => HTMLElement} render
 * @param {string} [context] What else the rendering depends on.
 */
export const showList = (parent, items, keyOf, render, context = '') => {
  const known = new Map([...parent.children].map((child) => [child instanceof HTMLElement ? child.dataset['key'] : '', child]));
  /** @type {Element[]} */
  const wanted = items.map((item) => {
    const key = String(keyOf(item));
    const seen = `${context} ${JSON.stringify(item)}`;
    const old = known.get(key);
    if (old instanceof HTMLElement && seenIn.get(old) === seen) return old;
    const fresh = render(item);
    fresh.dataset['key'] = key;
    seenIn.set(fresh, seen);
    if (old !== undefined) {
      const focused = focusIn(old);
      old.replaceWith(fresh);
      restoreFocus(fresh, focused);
    }
    return fresh;
  });
  for (const child of Array.from(parent.children)) if (!wanted.includes(child)) removeKeepingPlace(child);
  wanted.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
};

/** @type {WeakMap<Element, string>} */
const seenIn = new WeakMap();

/**
 * @param {Element} node
 * @returns {string | null} The `data-focus` of the element inside that has the focus.
 */
const focusIn = (node) =>
  document.activeElement instanceof HTMLElement && node.contains(document.activeElement)
    ? (document.activeElement.dataset['focus'] ?? null)
    : null;

/**
 * @param {Element} node
 * @param {string | null} name
 */
const restoreFocus = (node, name) => {
  if (name === null) return;
  for (const candidate of [node, ...node.querySelectorAll('[data-focus]')]) {
    if (candidate instanceof HTMLElement && candidate.dataset['focus'] === name) candidate.focus();
  }
};

/**
 * Who stood in what goes stands at the heading of its section then, and not at the beginning of the page.
 *
 * @param {Element} node
 */
export const removeKeepingPlace = (node) => {
  const stoodIn = node.contains(document.activeElement);
  const heading = node.closest('section')?.querySelector('h2');
  node.remove();
  if (!stoodIn || heading == null) return;
  heading.tabIndex = -1;
  heading.focus();
};

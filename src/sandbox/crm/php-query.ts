/**
 * Query strings as the product's language reads them: `a[b][0]=x` nests, `a[]=x` appends, a repeated plain key keeps its last value.
 */
export type QueryValue = string | QueryTree;
export interface QueryTree {
  [key: string]: QueryValue;
}

/** PHP's max_input_vars: what is beyond is dropped. */
const VARIABLES_MAX = 1000;
/** PHP's max_input_nesting_level. */
const DEPTH_MAX = 64;

// Without a prototype, so that a key like `__proto__` is only a key.
const emptyTree = (): QueryTree => {
  const tree: QueryTree = {};
  Object.setPrototypeOf(tree, null);
  return tree;
};

const decode = (text: string): string => {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
};

/** `a[b][]` → ['a', 'b', '']. A key whose brackets do not fit together is one plain name. */
const toPath = (key: string): readonly string[] => {
  const match = /^([^[]+)((?:\[[^\]]*\])+)$/.exec(key);
  if (match === null) return [key];
  const inner = [...(match[2] ?? '').matchAll(/\[([^\]]*)\]/g)].map((part) => part[1] ?? '');
  return [match[1] ?? '', ...inner].slice(0, DEPTH_MAX);
};

const nextIndex = (tree: QueryTree): string => {
  const numbers = Object.keys(tree)
    .map(Number)
    .filter((key) => Number.isInteger(key) && key >= 0);
  return String(numbers.length === 0 ? 0 : Math.max(...numbers) + 1);
};

const assign = (root: QueryTree, path: readonly string[], value: string): void => {
  let tree = root;
  path.forEach((part, depth) => {
    const key = part === '' && depth > 0 ? nextIndex(tree) : part;
    if (depth === path.length - 1) {
      tree[key] = value;
      return;
    }
    const existing = tree[key];
    const child = typeof existing === 'object' ? existing : emptyTree();
    tree[key] = child;
    tree = child;
  });
};

export const parsePhpQuery = (text: string): QueryTree => {
  const root = emptyTree();
  for (const pair of text.split('&').slice(0, VARIABLES_MAX)) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const key = decode(at === -1 ? pair : pair.slice(0, at));
    if (key !== '') assign(root, toPath(key), at === -1 ? '' : decode(pair.slice(at + 1)));
  }
  return root;
};

/** A parameter's text, trimmed; null where it is absent, empty or nested. */
export const textParam = (query: QueryTree, name: string): string | null => {
  const value = query[name];
  const text = typeof value === 'string' ? value.trim() : '';
  return text === '' ? null : text;
};

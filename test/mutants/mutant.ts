/**
 * A mutant: one guard of the protocol, switched off by a patch, and the tests that go red for it. `npm run mutants` applies each patch in a
 * scratch copy of the tree; a guard whose removal no test notices is a promise that nobody keeps.
 */

/** A promise of docs/SPEC.md. */
export type PromiseNumber = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11;

export interface Patch {
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** What to run: a test file, or those of its tests that have this name (`%s` and `$x` stand for anything, as in the test's own source). */
export interface Catcher {
  readonly file: string;
  readonly name?: string;
}

export interface Mutant {
  /** What is switched off. */
  readonly name: string;
  readonly promise: PromiseNumber;
  readonly patches: readonly [Patch, ...Patch[]];
  /** In this order, cheapest first; the first that goes red ends it. */
  readonly tests: readonly [Catcher, ...Catcher[]];
  /** Without the guard a test may never end; being killed counts as caught. */
  readonly hangs?: boolean;
}

/** A patch of one file. */
export const patch = (file: string, find: string, replace: string): Patch => ({ file, find, replace });

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`);

/** The names that a name of the test's source may become: `%s` and `$name` are filled in when it runs. */
export const patternOf = (name: string): string =>
  name
    .split(/%[sijdfo]|\$[a-z]\w*/)
    .map(escaped)
    .join('.*');

/** Where a patch fits; an error says why it does not. */
export const placeOf = (text: string, { file, find }: Patch): number => {
  const at = text.indexOf(find);
  if (at === -1) throw new Error(`${file} does not contain: ${find}`);
  if (text.includes(find, at + 1)) throw new Error(`${file} contains more than once: ${find}`);
  return at;
};

export const applied = (text: string, patch: Patch): string => {
  const at = placeOf(text, patch);
  return text.slice(0, at) + patch.replace + text.slice(at + patch.find.length);
};

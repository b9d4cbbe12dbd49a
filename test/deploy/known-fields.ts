/** What a compiled schema never looks at is no field that it knows: a misspelt name, which Kubernetes would refuse or ignore. */

/** True where the data fits; `errors` says why it does not. */
export interface Validate {
  (data: unknown): boolean;
  readonly errors?: unknown;
}

export interface Checked {
  readonly errors: readonly string[];
  /** Paths of fields that the schema does not know. */
  readonly unknown: readonly string[];
}

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** Notes which fields are read, by path. */
const watch = (value: unknown, path: string, seen: Set<string>): unknown => {
  if (!isFields(value)) return value;
  return new Proxy(value, {
    get: (target, name) => {
      if (typeof name === 'symbol') return Reflect.get(target, name) as unknown;
      seen.add(`${path}/${name}`);
      return watch(target[name], `${path}/${name}`, seen);
    },
    // Whoever lists the fields takes any name, as labels do.
    ownKeys: (target) => {
      for (const name of Object.keys(target)) seen.add(`${path}/${name}`);
      return Reflect.ownKeys(target);
    },
  });
};

const pathsOf = (value: unknown, path = ''): readonly string[] =>
  isFields(value) ? Object.entries(value).flatMap(([name, inner]) => [`${path}/${name}`, ...pathsOf(inner, `${path}/${name}`)]) : [];

const describe = (error: unknown): string => {
  const { instancePath = '', keyword = '', params = {} } = error as { instancePath?: string; keyword?: string; params?: object };
  return `${instancePath} ${keyword} ${JSON.stringify(params)}`;
};

export const check = (validate: Validate, data: unknown): Checked => {
  const seen = new Set(['']);
  const fits = validate(watch(data, '', seen));
  const errors = fits ? [] : ((validate.errors as readonly unknown[] | null | undefined) ?? ['no reason given']).map(describe);
  // Only the uppermost: below a field that is not known nothing is looked at.
  const unknown = pathsOf(data).filter((path) => !seen.has(path) && seen.has(path.slice(0, path.lastIndexOf('/'))));
  return { errors, unknown: unknown.toSorted() };
};

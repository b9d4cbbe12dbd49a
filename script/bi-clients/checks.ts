/** What is checked of one stack as one role. Each check answers what is not as it should be. */
import { readBaseline, type Baseline, type Family } from './cells.ts';
import { differencesTo } from './compare.ts';
import { askProgram, type Answer, type Ask } from './protocol.ts';
import { REFUSED } from './rights.ts';
import type { Stack } from './stacks.ts';
import type { BiWorld, Role } from './world.ts';

export const CHECKS = ['relations', 'comments', 'views', 'cookbook', 'portions', 'refusals', 'masking'] as const;
export type Check = (typeof CHECKS)[number];
/** By check; null: there is nothing to look at. */
export type Found = { readonly [C in Check]: { readonly looked: number; readonly wrong: readonly string[] } | null };

export interface Catalogue {
  /** Relation and comment. */
  readonly relations: readonly { readonly name: string; readonly comment: string | null }[];
  readonly columns: readonly { readonly relation: string; readonly name: string; readonly comment: string | null }[];
}

const RELATIONS = `
select relname as name, obj_description(oid, 'pg_class') as comment from pg_class
where relnamespace = 'bi'::regnamespace and relkind in ('r', 'v', 'm', 'p') order by 1`;
const COLUMNS = `
select c.relname as relation, a.attname as name, col_description(c.oid, a.attnum) as comment
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'bi'::regnamespace and c.relkind in ('r', 'v', 'm', 'p') order by 1, a.attnum`;

export const readCatalogue = async ({ sql }: Pick<BiWorld, 'sql'>): Promise<Catalogue> => ({
  relations: (await sql(RELATIONS)) as unknown as Catalogue['relations'],
  columns: (await sql(COLUMNS)) as unknown as Catalogue['columns'],
});

const different = (what: string, read: readonly string[], wanted: readonly string[]): readonly string[] => [
  ...wanted.filter((name) => !read.includes(name)).map((name) => `${what} ${name} is missing`),
  ...read.filter((name) => !wanted.includes(name)).map((name) => `${what} ${name} is not there, but told`),
];

const checkRelations = (tables: Answer, columns: Answer, { relations, columns: known }: Catalogue): readonly string[] => {
  if (tables.error !== undefined || columns.error !== undefined) return [tables.error ?? columns.error ?? ''];
  const read = (columns.rows ?? []).map(([relation, name]) => `${relation}.${name}`);
  return [
    ...different(
      'relation',
      (tables.rows ?? []).map(([name]) => String(name)),
      relations.map(({ name }) => name),
    ),
    ...different(
      'column',
      read,
      known.map(({ relation, name }) => `${relation}.${name}`),
    ),
  ];
};

const checkComments = (tables: Answer, columns: Answer, { relations, columns: known }: Catalogue): readonly string[] => {
  const told = new Map([
    ...(tables.rows ?? []).map(([name, , comment]) => [String(name), comment] as const),
    ...(columns.rows ?? []).map(([relation, name, , comment]) => [`${relation}.${name}`, comment] as const),
  ]);
  const wanted = [
    ...relations.map(({ name, comment }) => [name, comment] as const),
    ...known.map((one) => [`${one.relation}.${one.name}`, one.comment] as const),
  ];
  return wanted.flatMap(([name, comment]) => {
    if (comment === null || comment === '') return [`${name} has no comment`];
    return told.get(name) === comment ? [] : [`${name}: the comment is told as ${told.get(name) ?? 'nothing'}`];
  });
};

const checkRefusals = (stack: Stack, role: Role, answers: readonly Answer[]): readonly string[] =>
  REFUSED[role].flatMap(({ text, states, says }, at) => {
    const { error, sqlstate } = answers[at] ?? {};
    if (error === undefined) return [`not refused: ${text}`];
    const isSo = stack.tellsState ? states.includes(sqlstate ?? '') : says.test(error);
    return isSo ? [] : [`${text}: ${sqlstate ?? ''} ${error}`];
  });

/** The whole view, some rows at a time, as a program does that has not the memory for all. */
const PORTIONS: readonly Ask[] = [{ verb: 'portions', name: 'portions', text: 'select * from bi.contacts' }];

const checkPortions = ({ account }: BiWorld, answers: readonly Answer[]): readonly string[] =>
  answers.flatMap(({ count, error }) => (count === account.contacts().length ? [] : [error ?? `${count} rows in portions`]));

/** Each e-mail, street and phone that the account has, as it stands there. */
const plainValues = ({ account }: BiWorld): readonly string[] => [
  ...new Set(
    account.contacts().flatMap(({ email, street, phones, custom }) => {
      const texts = [email, street, custom['cf_second_email']].filter((value) => typeof value === 'string');
      return [...texts, ...phones.map(({ number }) => number)];
    }),
  ),
];
/** And what else a phone's number may be written as. */
const tellTales = (world: BiWorld): readonly string[] =>
  plainValues(world).flatMap((value) => (/^\+?[\d ]+$/.test(value) ? [value, value.replaceAll(/\D/g, '')] : [value]));

const checkMasking = (world: BiWorld, role: Role, answers: readonly Answer[]): readonly string[] => {
  const cells = answers.flatMap(({ rows = [] }) => rows.flat()).join('\n');
  if (role === 'masked') return tellTales(world).flatMap((value) => (cells.includes(value) ? [`sees ${value}`] : []));
  // Whoever may see them does; otherwise nothing was looked for.
  return plainValues(world).flatMap((value) => (cells.includes(value) ? [] : [`does not see ${value}`]));
};

export interface Read {
  readonly name: string;
  readonly sql: string;
}
const viewReads = ({ relations }: Catalogue): readonly Read[] =>
  relations.map(({ name }) => ({ name: `bi.${name}`, sql: `select * from bi.${name}` }));

/** Or what pg itself was answered instead. */
type Expected = Baseline | { readonly error: string };

interface Compared {
  readonly stack: Stack;
  readonly before: readonly Expected[];
  readonly after: readonly Expected[];
}
const compareAll = (reads: readonly Read[], answers: readonly Answer[], { stack, before, after }: Compared): readonly string[] =>
  reads.flatMap(({ name }, at) => {
    const [answer, first, second] = [answers[at], before[at], after[at]];
    if (answer === undefined || first === undefined || second === undefined) return [`${name}: no answer`];
    for (const expected of [first, second]) if ('error' in expected) return [`${name}: ${expected.error}`];
    return differencesTo(stack, answer, first as Baseline, second as Baseline).map((line) => `${name}: ${line}`);
  });

/** No double is in bi. What has no value anywhere was not compared in the language's own type. */
const TYPES: readonly Family[] = ['integer', 'numeric', 'text', 'boolean', 'date', 'moment', 'list', 'json'];

const unseenTypes = (answers: readonly Answer[], before: readonly Expected[]): readonly string[] => {
  const seen = new Set(
    before.flatMap((expected, at) =>
      'error' in expected ? [] : expected.families.filter((_, column) => (answers[at]?.kinds?.[column] ?? []).length > 0),
    ),
  );
  return TYPES.filter((family) => !seen.has(family)).map((family) => `no value of type ${family} was read`);
};

export interface Job {
  readonly world: BiWorld;
  readonly stack: Stack;
  readonly role: Role;
  readonly catalogue: Catalogue;
  readonly cookbook: readonly Read[];
}

const baselines = async ({ world, role }: Job, reads: readonly Read[]): Promise<readonly Expected[]> => {
  const read: Expected[] = [];
  for (const { sql } of reads)
    read.push(await readBaseline(world.client[role], sql).catch((error: unknown) => ({ error: `by pg: ${String(error)}` })));
  return read;
};

export const checkStack = async (job: Job): Promise<Found> => {
  const { world, stack, role, catalogue, cookbook } = job;
  const views = viewReads(catalogue);
  const reads = [...views, ...cookbook];
  const asks: readonly Ask[] = [
    { verb: 'tables', name: 'tables', text: 'bi' },
    { verb: 'columns', name: 'columns', text: 'bi' },
    ...reads.map(({ name, sql }) => ({ verb: 'query', name, text: sql }) as const),
    ...PORTIONS,
    ...REFUSED[role],
  ];
  const before = await baselines(job, reads);
  const answers = await askProgram(stack.command, world.url[role], asks);
  const after = await baselines(job, reads);
  const [tables, columns] = [answers[0], answers[1]];
  if (tables === undefined || columns === undefined) throw new Error('no answers');
  const [firstRead, firstPortion] = [2, 2 + reads.length];
  const read = answers.slice(firstRead, firstPortion);
  const portions = answers.slice(firstPortion, firstPortion + PORTIONS.length);
  const compared = (from: number, some: readonly Read[]) =>
    compareAll(some, read.slice(from), { stack, before: before.slice(from), after: after.slice(from) });
  return {
    relations: { looked: catalogue.relations.length + catalogue.columns.length, wrong: checkRelations(tables, columns, catalogue) },
    comments: { looked: catalogue.relations.length + catalogue.columns.length, wrong: checkComments(tables, columns, catalogue) },
    views: { looked: views.length, wrong: [...compared(0, views), ...unseenTypes(read, before)] },
    cookbook: cookbook.length === 0 ? null : { looked: cookbook.length, wrong: compared(views.length, cookbook) },
    portions: { looked: PORTIONS.length, wrong: checkPortions(world, portions) },
    refusals: { looked: REFUSED[role].length, wrong: checkRefusals(stack, role, answers.slice(firstPortion + PORTIONS.length)) },
    masking: { looked: (role === 'masked' ? tellTales : plainValues)(world).length, wrong: checkMasking(world, role, read) },
  };
};

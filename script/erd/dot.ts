/** The model as a graph in DOT, and Graphviz' picture of it as a file that is readable in the light and in the dark. */
import { createHash } from 'node:crypto';
import { instance } from '@viz-js/viz';
import type { Model, Relation } from './model.ts';

const INK = '#1f2328';
const FAINT = '#59636e';
const PAPER = '#ffffff';
const LINE = '#818b98';
/** Of each schema: what it is for, the colour of its heads, and of its ground. */
const SCHEMAS = {
  crm: { title: '  crm: what people edit', head: '#cfe5ff', ground: '#f3f8ff' },
  sync: { title: '  sync: how it is going', head: '#ffe7b3', ground: '#fffaf0' },
  bi: { title: '  bi: what analysts ask', head: '#c9f0d3', ground: '#f2fbf4' },
} as const;
/** What each colour becomes in the dark. */
const IN_THE_DARK: readonly (readonly [string, string])[] = [
  [INK, '#e6edf3'],
  [FAINT, '#9da7b3'],
  [PAPER, '#0d1117'],
  [LINE, '#6e7681'],
  ['#cfe5ff', '#143d6b'],
  ['#f3f8ff', '#0f1a29'],
  ['#ffe7b3', '#5c4308'],
  ['#fffaf0', '#1f1a0e'],
  ['#c9f0d3', '#12502a'],
  ['#f2fbf4', '#0d1d13'],
];

const SHORT: Readonly<Record<string, string>> = { 'timestamp with time zone': 'timestamptz', 'double precision': 'float8' };
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Graphviz does not know the reader's font: cells are as wide as their longest text may be. */
const CHARACTER_WIDTH = 7.2;
const widthOf = (texts: readonly string[]): number => Math.ceil(Math.max(...texts.map((text) => text.length)) * CHARACTER_WIDTH) + 8;
const shownType = ({ type }: Relation['columns'][number]): string => SHORT[type] ?? type;

const nodeOf = ({ schema, name, kind, columns }: Relation): string => {
  const title = `${name}${kind === 'view' && schema !== 'bi' ? ' (view)' : ''}`;
  const types = widthOf(columns.map(shownType));
  const names = Math.max(widthOf(columns.map((column) => column.name)), widthOf([title]) + 12 - types);
  const head = `<tr><td colspan="2" bgcolor="${SCHEMAS[schema].head}" align="left"><b>${title}</b></td></tr>`;
  const rows = columns.map((column) => {
    const shown = column.isKey ? `<b>${escaped(column.name)}</b>` : escaped(column.name);
    const type = `<font color="${FAINT}">${escaped(shownType(column))}</font>`;
    return `<tr><td width="${names}" align="left">${shown}</td><td port="${escaped(column.name)}" width="${types}" align="left">${type}</td></tr>`;
  });
  return `"${schema}.${name}" [label=<<table border="0" cellborder="1" cellspacing="0" cellpadding="3" color="${LINE}" bgcolor="${PAPER}">${[head, ...rows].join('')}</table>>];`;
};

const LINKS = 0;
const CONTACTS = 1;
const NAMES = 2;
const SYNC_COLUMNS = 5;
/** What refers to contacts on the left, the contacts, and what they refer to on the right; in sync, where nothing does, columns of one height. */
const columnsOf = (schema: Relation['schema'], relations: readonly Relation[]): readonly (readonly Relation[])[] => {
  const columns: Relation[][] = Array.from({ length: schema === 'sync' ? SYNC_COLUMNS : NAMES + 1 }, () => []);
  const heights = columns.map(() => 0);
  for (const relation of relations) {
    const refers = relation.columns.some(({ name }) => name === 'contact_id');
    const place =
      schema === 'sync' ? heights.indexOf(Math.min(...heights)) : relation.name === 'contacts' ? CONTACTS : refers ? LINKS : NAMES;
    columns[place]?.push(relation);
    heights[place] = (heights[place] ?? 0) + relation.columns.length + 3;
  }
  return columns;
};

/** One line a relation and a reference, so that a difference is readable. Places come from columns of our own: nearly nothing refers within sync. */
export const toDot = ({ relations, references }: Model): string => {
  // From below: the last one is drawn on top.
  const clusters = Object.entries(SCHEMAS)
    .toReversed()
    .map(([key, { title, ground }]) => {
      const schema = key as Relation['schema'];
      const columns = columnsOf(
        schema,
        relations.filter((relation) => relation.schema === schema),
      );
      const nameOf = ({ name }: Relation): string => `"${schema}.${name}"`;
      const beside = columns.slice(1).flatMap((right, at) => {
        const [first] = right;
        return first === undefined ? [] : (columns[at] ?? []).map((left) => `${nameOf(left)} -> ${nameOf(first)} [style=invis];`);
      });
      return [
        `subgraph cluster_${schema} {`,
        `label="${title}"; labeljust=l; fontsize=22; style="filled,rounded"; color="${LINE}"; fillcolor="${ground}"; margin=18;`,
        ...columns.flatMap((column) => [...column.map(nodeOf), `{ rank=same; ${column.map(nameOf).join('; ')} }`]),
        ...beside,
        '}',
      ].join('\n');
    });
  const edges = references
    .filter(({ from, to }) => from.split('.')[0] === to.split('.')[0])
    .map(({ from, column, to, isHeld }) => `"${from}":"${column}":e -> "${to}"${isHeld ? '' : ' [style=dashed]'};`);
  return [
    'digraph mirror {',
    `rankdir=LR; bgcolor="${PAPER}"; nodesep=0.2; ranksep=0.9; fontname="Helvetica,Arial,sans-serif"; fontcolor="${INK}";`,
    `node [shape=plain, fontname="Helvetica,Arial,sans-serif", fontsize=12, fontcolor="${INK}"];`,
    `edge [color="${FAINT}", arrowsize=0.7];`,
    ...clusters,
    ...edges,
    '}',
    '',
  ].join('\n');
};

/** Stands in the picture, so that one of another graph is noticed. */
export const digestOf = (dot: string): string => createHash('sha256').update(dot).digest('hex');

/** Colours are attributes, which a style sheet may overrule. */
export const toSvg = async (dot: string): Promise<string> => {
  const svg = (await instance()).renderString(dot, { format: 'svg', engine: 'dot' });
  const dark = IN_THE_DARK.flatMap(([light, colour]) => [`[fill="${light}"]{fill:${colour}}`, `[stroke="${light}"]{stroke:${colour}}`]);
  const style = `<style>text{font-family:Helvetica,Arial,sans-serif}@media (prefers-color-scheme:dark){${dark.join('')}}</style>`;
  return svg.replace(/(<svg[^>]*>)/, `$1\n<!-- graph ${digestOf(dot)} -->\n${style}`);
};

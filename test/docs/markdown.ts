/** As much of Markdown as the documents' test needs: headings with their anchors, links, code and tables. */

export interface Heading {
  readonly level: number;
  readonly text: string;
  /** As GitHub makes it. */
  readonly anchor: string;
}

export interface Fence {
  readonly language: string;
  readonly text: string;
}

export interface Document {
  /** From the project's folder. */
  readonly path: string;
  readonly text: string;
  readonly headings: readonly Heading[];
  /** Targets of `[text](target)`, in order. */
  readonly links: readonly string[];
  /** Inline code, without its backticks. */
  readonly codes: readonly string[];
  readonly fences: readonly Fence[];
}

const FENCE = /^ *(`{3,})(\w*)\n([\s\S]*?)^ *\1$/gm;
const CODE = /`([^`\n]+)`/g;

const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

export const parseDocument = (path: string, text: string): Document => {
  const fences = [...text.matchAll(FENCE)].map(([, , language = '', body = '']) => ({ language, text: body }));
  const prose = text.replaceAll(FENCE, '');
  const headings: Heading[] = [];
  const seen = new Map<string, number>();
  for (const [, marks = '', words = ''] of prose.matchAll(/^(#{1,6}) (.+)$/gm)) {
    const anchor = anchorOf(words);
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    headings.push({ level: marks.length, text: words, anchor: before === 0 ? anchor : `${anchor}-${before}` });
  }
  const withoutCode = prose.replaceAll(CODE, '');
  return {
    path,
    text,
    headings,
    links: [...withoutCode.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)].map(([, target = '']) => target),
    codes: [...prose.matchAll(CODE)].map(([, code = '']) => code),
    fences,
  };
};

/** The text under a heading, up to the next one of its level or above. @throws Error where there is no such heading */
export const sectionOf = ({ path, text, headings }: Document, title: string): string => {
  const heading = headings.find((candidate) => candidate.text === title);
  if (heading === undefined) throw new Error(`${path} has no heading "${title}"`);
  const start = text.indexOf(`${'#'.repeat(heading.level)} ${title}\n`) + heading.level + 1 + title.length;
  const rest = text.slice(start);
  const end = rest.search(new RegExp(`^#{1,${heading.level}} `, 'm'));
  return end < 0 ? rest : rest.slice(0, end);
};

/** The rows below the head of the table whose first column is called `head`. @throws Error where there is none */
export const tableOf = (section: string, head: string): readonly (readonly string[])[] => {
  const lines = section.split('\n');
  const start = lines.findIndex((line) => cellsOf(line)[0] === head);
  if (start < 0) throw new Error(`There is no table with "${head}" as its first column`);
  const rows: (readonly string[])[] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break;
    rows.push(cellsOf(line));
  }
  return rows;
};

/** A table's line as its cells; none where it is no such line. */
export const cellsOf = (line: string): readonly string[] =>
  line.startsWith('|')
    ? line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim())
    : [];

/** Text without the backticks of inline code. */
export const plain = (text: string): string => text.replaceAll('`', '');

/** On one line, so that where a line breaks means nothing. */
export const unwrapped = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** Reads what the rules need from a TypeScript file: what it imports and exports, and where `any` and `process` stand. */
import path from 'node:path';
import { parseSync } from 'oxc-parser';

export interface SourceFile {
  /** From the project's folder, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  /** Null: computed, so that nobody can tell what it loads. */
  readonly specifier: string | null;
  readonly line: number;
}

export interface Module extends SourceFile {
  readonly imports: readonly Import[];
  /** There is at least one statement, and none that does anything but pass on what other files export. */
  readonly onlyReExports: boolean;
  readonly defaultExports: readonly number[];
  readonly anyTypes: readonly number[];
  /** Uses of the global `process`, with the member that is read where it is plain. */
  readonly processUses: readonly { readonly member: string | null; readonly line: number }[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
const childrenOf = (node: Node): readonly Node[] => Object.values(node).flat().filter(isNode);

const nameOf = (value: unknown): string | null => {
  if (!isNode(value)) return null;
  if (value.type === 'Identifier') return String(value['name']);
  return value.type === 'Literal' && typeof value['value'] === 'string' ? value['value'] : null;
};

/** What a node loads; undefined where it loads nothing. */
const loaded = (node: Node): string | null | undefined => {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ImportExpression':
    case 'ExportAllDeclaration':
    case 'TSImportType':
    case 'TSExternalModuleReference': {
      const source = node['source'] ?? node['argument'] ?? node['expression'];
      const literal = isNode(source) && source.type === 'TSLiteralType' ? source['literal'] : source;
      return isNode(literal) && literal.type === 'Literal' ? nameOf(literal) : null;
    }
    case 'ExportNamedDeclaration':
      return isNode(node['source']) ? nameOf(node['source']) : undefined;
    case 'CallExpression': {
      if (nameOf(node['callee']) !== 'require') return undefined;
      const [first] = node['arguments'] as readonly unknown[];
      return isNode(first) && first.type === 'Literal' ? nameOf(first) : null;
    }
    default:
      return undefined;
  }
};

const isDefaultExport = (node: Node): boolean =>
  node.type === 'ExportDefaultDeclaration' ||
  node.type === 'TSExportAssignment' ||
  (node.type === 'ExportSpecifier' && nameOf(node['exported']) === 'default');

const isGlobalThis = (value: unknown): boolean => ['globalThis', 'global'].includes(nameOf(value) ?? '');

/** The keys under which an identifier is only a name, not a use: `x.process`, `{ process: 1 }`. */
const isNameOnly = (node: Node, parent: Node | null): boolean => {
  if (parent === null) return false;
  if (parent.type === 'MemberExpression')
    return parent['property'] === node && parent['computed'] !== true && !isGlobalThis(parent['object']);
  return parent['key'] === node && parent['computed'] !== true && parent['shorthand'] !== true;
};

/** Whether a function has a parameter of that name: inside, it stands for something else. */
const hasOwnProcess = (node: Node): boolean => Array.isArray(node['params']) && node['params'].some((param) => nameOf(param) === 'process');

const onlyReExports = (body: readonly Node[]): boolean => {
  const passesOn = (node: Node): boolean =>
    node.type === 'ExportAllDeclaration' || (node.type === 'ExportNamedDeclaration' && !isNode(node['declaration']));
  return body.some(passesOn) && body.every((node) => node.type === 'ImportDeclaration' || passesOn(node));
};

/** @throws Error where the text is not TypeScript. */
export const parseModule = ({ path: file, text }: SourceFile): Module => {
  const { program, errors } = parseSync(path.basename(file), text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message ?? 'cannot be parsed'}`);
  const lineAt = (offset: number): number => text.slice(0, offset).split('\n').length;
  const imports: Import[] = [];
  const defaultExports: number[] = [];
  const anyTypes: number[] = [];
  const processUses: { member: string | null; line: number }[] = [];

  const visit = (node: Node, parent: Node | null, grandparent: Node | null, shadowed: boolean): void => {
    const specifier = loaded(node);
    if (specifier !== undefined) imports.push({ specifier, line: lineAt(node.start) });
    if (isDefaultExport(node)) defaultExports.push(lineAt(node.start));
    if (node.type === 'TSAnyKeyword') anyTypes.push(lineAt(node.start));
    if (!shadowed && node.type === 'Identifier' && nameOf(node) === 'process' && !isNameOnly(node, parent)) {
      // `process.env`, or one level further out for `globalThis.process.env`.
      const access = parent?.type === 'MemberExpression' && parent['property'] === node ? grandparent : parent;
      const member = access?.type === 'MemberExpression' ? nameOf(access['property']) : null;
      processUses.push({ member, line: lineAt(node.start) });
    }
    const inside = shadowed || hasOwnProcess(node);
    for (const child of childrenOf(node)) visit(child, node, parent, inside);
  };
  const root = program as unknown as Node;
  visit(root, null, null, false);
  return { path: file, text, imports, onlyReExports: onlyReExports(childrenOf(root)), defaultExports, anyTypes, processUses };
};

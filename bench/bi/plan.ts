/** What a question made the server do, in few words: which tables it read whole, which indexes, with how many processes, and how much of it. */
import { z } from 'zod';

interface Node {
  readonly 'Relation Name'?: string | undefined;
  readonly 'Index Name'?: string | undefined;
  readonly 'Node Type': string;
  readonly 'Actual Loops'?: number | undefined;
  readonly 'Workers Launched'?: number | undefined;
  readonly 'Shared Hit Blocks'?: number | undefined;
  readonly 'Shared Read Blocks'?: number | undefined;
  readonly Plans?: readonly Node[] | undefined;
}
const Node: z.ZodType<Node> = z.object({
  'Relation Name': z.string().optional(),
  'Index Name': z.string().optional(),
  'Node Type': z.string(),
  'Actual Loops': z.number().optional(),
  'Workers Launched': z.number().optional(),
  'Shared Hit Blocks': z.number().optional(),
  'Shared Read Blocks': z.number().optional(),
  get Plans() {
    return z.array(Node).optional();
  },
});
const Explained = z.tuple([z.object({ Plan: Node })]);

export interface PlanShape {
  readonly workers: number;
  /** Tables read from beginning to end; the months of the history are one. */
  readonly wholeTables: readonly string[];
  readonly indexes: readonly string[];
  /** From memory and disk, of which what was read twice counts twice. Null where the statement was only planned. */
  readonly megabytes: number | null;
}

const MONTH = /^contact_versions_(\d{4}_\d\d|default)/;
const walk = (node: Node): readonly Node[] => [node, ...(node.Plans ?? []).flatMap(walk)];
const distinct = (names: readonly (string | undefined)[]): readonly string[] =>
  [...new Set(names.flatMap((name) => (name === undefined ? [] : [name.replace(MONTH, 'contact_versions')])))].toSorted();

/** @param answer of EXPLAIN (FORMAT JSON), with ANALYZE or without; what was never executed is left out */
export const planShape = (answer: unknown): PlanShape => {
  const [{ Plan }] = Explained.parse(answer);
  const nodes = walk(Plan).filter((node) => node['Actual Loops'] !== 0);
  const blocks = Plan['Shared Hit Blocks'] === undefined ? null : Plan['Shared Hit Blocks'] + (Plan['Shared Read Blocks'] ?? 0);
  return {
    workers: Math.max(0, ...nodes.map((node) => node['Workers Launched'] ?? 0)),
    wholeTables: distinct(nodes.map((node) => (node['Node Type'] === 'Seq Scan' ? node['Relation Name'] : undefined))),
    indexes: distinct(nodes.map((node) => node['Index Name'])),
    megabytes: blocks === null ? null : (blocks * 8) / 1024,
  };
};

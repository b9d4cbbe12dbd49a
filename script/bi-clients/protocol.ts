/**
 * How verify-bi talks with the four stacks, so that what they read is compared in one place.
 *
 * To the program, on its standard input, one line each, parts separated by tabs and percent-encoded: first host, port, database, role and
 * password; then verb, name and text. Verbs: `tables` and `columns` of a schema by the stack's own calls for that, `query`, `portions` (as `query`, read some rows at a time), `write`. Each
 * statement is a transaction of its own.
 * From the program, on its standard output, one JSON object a line, in the same order. Cells are texts: true and false, dates as YYYY-MM-DD,
 * moments as YYYY-MM-DDTHH:MM:SS.ffffffZ, arrays as JSON or as the server writes them, JSON as JSON. `kinds`: by column, the language's own
 * types that the cells had. Refused, `error` and, where the stack tells it, `sqlstate`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';

export interface Ask {
  readonly verb: 'tables' | 'columns' | 'query' | 'portions' | 'write';
  readonly name: string;
  readonly text: string;
}

const Answer = z.object({
  verb: z.string(),
  name: z.string(),
  columns: z.array(z.string()).optional(),
  kinds: z.array(z.array(z.string())).optional(),
  rows: z.array(z.array(z.string().nullable())).optional(),
  count: z.number().optional(),
  error: z.string().optional(),
  sqlstate: z.string().nullish(),
});
export type Answer = z.infer<typeof Answer>;

const PATIENCE_MS = 120_000;

const toLine = (parts: readonly string[]): string => `${parts.map(encodeURIComponent).join('\t')}\n`;

/** @throws Error with what the program said, where it did not answer everything */
export const askProgram = async (command: readonly string[], url: string, asks: readonly Ask[]): Promise<readonly Answer[]> => {
  const [program = '', ...args] = command;
  const { hostname, port, pathname, username, password } = new URL(url);
  const login = [hostname, port, pathname.slice(1), username, password].map(decodeURIComponent);
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: PATIENCE_MS,
    env: { ...process.env, TZ: 'America/New_York' },
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (chunk: string) => (said[name] += chunk));
  // It ended before it had read everything: its exit tells why.
  child.stdin.on('error', () => undefined);
  child.stdin.end([toLine(login), ...asks.map(({ verb, name, text }) => toLine([verb, name, text]))].join(''));
  const [code] = (await once(child, 'close')) as [number | null];
  const answers = said.stdout.split('\n').flatMap((line) => (line === '' ? [] : [Answer.parse(JSON.parse(line))]));
  if (code !== 0 || answers.length !== asks.length) {
    throw new Error(`${answers.length} of ${asks.length} answers, exit ${code}: ${said.stderr.trim().slice(-2_000)}`);
  }
  return answers;
};

/** The CRM's list read with nothing around it: what HTTP and JSON alone take. */
import { Agent, get } from 'node:http';
import { text } from 'node:stream/consumers';
import { listQuery } from '../src/crm/query.ts';
import type { ListParams } from '../src/ports/crm.ts';
import { timed } from './figures.ts';
import { type BenchSandbox, TOKEN } from './sandbox.ts';

/** A row of the list, as the CRM spells it. */
export interface BareRow {
  readonly id: number;
  readonly updated_at: string;
}
interface BareAnswer {
  readonly data: readonly BareRow[];
  readonly meta: { readonly last_page: number };
}
export interface BarePage {
  readonly rows: readonly BareRow[];
  /** From the request to the last byte of the answer. */
  readonly httpMs: number;
  readonly parseMs: number;
}

const PER_PAGE = 100;

const read = async (url: URL, agent: Agent): Promise<string> => {
  const headers = { accept: 'application/json', authorization: `Bearer ${TOKEN}` };
  return await new Promise<string>((resolve, reject) => {
    get(url, { agent, headers }, (answer) => {
      if (answer.statusCode === 200) resolve(text(answer));
      else reject(new Error(`The sandbox answered ${answer.statusCode}.`));
    }).once('error', reject);
  });
};

/** Page after page on one connection, with the very query of the sweep (or of `params`). */
export async function* barePages(
  { url }: BenchSandbox,
  params: ListParams = { order: { field: 'id', direction: 'asc' } },
): AsyncGenerator<BarePage> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (let page = 1, last = 1; page <= last; page += 1) {
      const address = new URL(`${url}/contacts`);
      for (const [name, value] of listQuery({ ...params, perPage: PER_PAGE, page, with: ['companies', 'deals'] })) {
        address.searchParams.append(name, value);
      }
      const { ms: httpMs, value: body } = await timed(() => read(address, agent));
      const startedMs = performance.now();
      const answer = JSON.parse(body) as BareAnswer;
      yield { rows: answer.data, httpMs, parseMs: performance.now() - startedMs };
      last = answer.meta.last_page;
    }
  } finally {
    agent.destroy();
  }
}

/** All of them, summed up. */
export const readBare = async (pages: AsyncIterable<BarePage>): Promise<{ readonly httpMs: number; readonly parseMs: number }> => {
  const sum = { httpMs: 0, parseMs: 0 };
  for await (const { httpMs, parseMs } of pages) {
    sum.httpMs += httpMs;
    sum.parseMs += parseMs;
  }
  return sum;
};

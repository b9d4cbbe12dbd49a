/** Scripted faults that look like success, or hide one: answers of the right form that are wrong in part. */
import { serverError } from './answer.ts';
import type { Answer } from './answer.ts';
import { json, type FaultSpec, type Outcome, type SandboxRequest } from './faults.ts';
import { isRecord } from './is-record.ts';

type Body = { readonly [key: string]: unknown };

/**
 * | kind | what the client sees | processed |
 * |---|---|---|
 * | dropped-keys | 2xx, and its own keys never arrived | without these keys |
 * | rewritten | 2xx with values that were not sent | as rewritten |
 * | 500-half | 500 with a JSON message | the first keys of the body only |
 * | half-json | the right status, and half of a document as if it were whole | yes |
 * | no-rows | a list without rows; meta as if they were there | yes |
 * | page-before | the rows of the page before, under this page's meta | yes |
 * | first-page | the rows of the first page, under this page's meta | yes |
 * | other-total | a list whose meta tells another total, and the last page that goes with it | yes |
 */
export type PartialFault =
  | { readonly kind: 'dropped-keys'; readonly keys: readonly string[] }
  | { readonly kind: 'rewritten'; readonly rewrite: (body: Body) => Body }
  | { readonly kind: '500-half'; readonly applied: number }
  | { readonly kind: 'half-json' | 'no-rows' | 'page-before' | 'first-page' }
  | { readonly kind: 'other-total'; readonly total: (total: number) => number };
export type PartialFaultSpec = Omit<FaultSpec, 'kind' | 'retryAfterSeconds'> & PartialFault;

export type PartialOutcome = Outcome | { readonly wire: 'half-json'; readonly answer: Answer };

/** Runs the call as it came, or with another body or query. */
export type Process = (changed?: Partial<Pick<SandboxRequest, 'body' | 'query'>>) => Answer;

const PARTIAL = new Set<string>([
  'dropped-keys',
  'rewritten',
  '500-half',
  'half-json',
  'no-rows',
  'page-before',
  'first-page',
  'other-total',
]);
export const isPartial = (spec: FaultSpec | PartialFaultSpec): spec is PartialFaultSpec => PARTIAL.has(spec.kind);

const chosen = (body: unknown, keeps: (key: string, index: number) => boolean): Body =>
  isRecord(body) ? Object.fromEntries(Object.entries(body).filter(([key], index) => keeps(key, index))) : {};

const withEnvelope = (answer: Answer, data: (rows: readonly unknown[]) => readonly unknown[], meta: (meta: Body) => Body): Answer => {
  const { body } = answer;
  if (!isRecord(body) || !Array.isArray(body['data']) || !isRecord(body['meta'])) return answer;
  return { ...answer, body: { ...body, data: data(body['data']), meta: meta(body['meta']) } };
};
const rowsOf = ({ body }: Answer): readonly unknown[] => (isRecord(body) && Array.isArray(body['data']) ? body['data'] : []);
const same = <T>(value: T): T => value;

const withTotal = (meta: Body, total: number): Body => ({
  ...meta,
  total,
  last_page: Math.max(1, Math.ceil(total / Number(meta['per_page']))),
});

/** What becomes of a request; `process` runs once, and once more for another page. */
export const decidePartial = (fault: PartialFault, request: SandboxRequest, process: Process): PartialOutcome => {
  switch (fault.kind) {
    case 'dropped-keys':
      return json(process({ body: chosen(request.body, (key) => !fault.keys.includes(key)) }));
    case 'rewritten':
      return json(process({ body: fault.rewrite(chosen(request.body, () => true)) }));
    case '500-half':
      process({ body: chosen(request.body, (_key, index) => index < fault.applied) });
      return json(serverError());
    case 'half-json':
      return { wire: 'half-json', answer: process() };
    case 'no-rows':
      return json(withEnvelope(process(), () => [], same));
    case 'first-page':
    case 'page-before': {
      const page = fault.kind === 'first-page' ? 1 : Math.max(1, Number(request.query['page'] ?? 1) - 1);
      const rows = rowsOf(process({ query: { ...request.query, page: String(page) } }));
      return json(withEnvelope(process(), () => rows, same));
    }
    case 'other-total':
      return json(withEnvelope(process(), same, (meta) => withTotal(meta, fault.total(Number(meta['total'])))));
  }
};

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CallOptions, ListParams } from '../../src/ports/crm.ts';
import { connect } from './harness.ts';
import { contactRow, envelope, json, type Script, startServer } from './scripted-server.ts';

const SWEEP: CallOptions = { lane: 'sweep' };
const LIST: ListParams = { order: { field: 'id' }, perPage: 100, page: 1 };
const BYTES_MAX = 40_000;

/** A CRM of so many contacts; those named are of so many bytes each. */
const crmOf =
  (total: () => number, sizeOf: (id: number) => number): Script =>
  (request, response) => {
    const { query } = request;
    const [perPage, page] = [Number(query.get('per_page')), Number(query.get('page'))];
    const ids = Array.from({ length: total() }, (_, index) => index + 1).slice((page - 1) * perPage, page * perPage);
    const rows = ids.map((id) => contactRow(id, { job_title: 'x'.repeat(sizeOf(id)) }));
    const meta = { current_page: page, per_page: perPage, total: total(), last_page: Math.max(1, Math.ceil(total() / perPage)) };
    json(200, envelope(rows, meta), { 'x-ratelimit-limit': '10000' })(request, response);
  };

const run = async (script: Script, params: ListParams) => {
  await using server = await startServer(script);
  using crm = connect(server.url, { maxAnswerBytes: BYTES_MAX });
  const result = await crm.list(params, SWEEP);
  return { result, calls: server.received.map(({ query }) => `${query.get('page')} of ${query.get('per_page')}`) };
};
const idsOf = ({ result }: Awaited<ReturnType<typeof run>>): readonly number[] =>
  result.ok ? result.value.records.map(({ crmId }) => crmId) : [];
const from = (first: number, last: number): readonly number[] => Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe('a page that is larger than an answer may be', () => {
  it('is read in halves, and answered as the page that was asked for', async () => {
    const got = await run(
      crmOf(
        () => 250,
        () => 300,
      ),
      { ...LIST, page: 2 },
    );
    expect(got.calls).toEqual(['2 of 100', '3 of 50', '4 of 50']);
    expect(idsOf(got)).toEqual(from(101, 200));
    expect(got.result).toMatchObject({ ok: true, value: { page: 2, perPage: 100, lastPage: 3, total: 250, bad: [] } });
  });

  it('costs more calls only where it is large', async () => {
    const got = await run(
      crmOf(
        () => 100,
        (id) => (id === 60 ? 36_000 : 10),
      ),
      LIST,
    );
    expect(got.calls).toEqual([
      '1 of 100',
      '1 of 50',
      '2 of 50',
      '3 of 25',
      '11 of 5',
      '12 of 5',
      '13 of 5',
      '14 of 5',
      '15 of 5',
      '4 of 25',
    ]);
    expect(idsOf(got)).toEqual(from(1, 100));
  });

  it('fails where one record alone is too large, and says so', async () => {
    const got = await run(
      crmOf(
        () => 100,
        (id) => (id === 1 ? 50_000 : 10),
      ),
      LIST,
    );
    expect(got.calls).toEqual(['1 of 100', '1 of 50', '1 of 25', '1 of 5', '1 of 1']);
    expect(got.result).toMatchObject({ ok: false, failure: { class: 'retry', code: 'answer_too_large' } });
  });

  it('is tried again as a whole where a contact was trashed between two parts: the next one has moved to where nobody looks', async () => {
    let calls = 0;
    const script: Script = (request, response) => {
      calls += 1;
      crmOf(
        () => (calls > 2 ? 99 : 100),
        () => 500,
      )(request, response);
    };
    const { result } = await run(script, LIST);
    expect(result).toMatchObject({ ok: false, failure: { class: 'retry', code: 'answer_too_large' } });
  });

  it('covers exactly its rows, whatever sizes they have', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 130 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(100, 15, 30, 7),
        fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 130, maxLength: 130 }),
        async (total, page, perPage, sizes) => {
          const got = await run(
            crmOf(
              () => total,
              (id) => sizes[id - 1] ?? 0,
            ),
            { ...LIST, page, perPage },
          );
          const [first, last] = [(page - 1) * perPage + 1, Math.min(total, page * perPage)];
          expect(idsOf(got)).toEqual(first > last ? [] : from(first, last));
          expect(got.result).toMatchObject({
            ok: true,
            value: { page, perPage, total, lastPage: Math.max(1, Math.ceil(total / perPage)) },
          });
        },
      ),
      { numRuns: 15 },
    );
  });
});

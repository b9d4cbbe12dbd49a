/**
 * A page that is larger than an answer may be is read again in smaller ones that cover exactly its rows: without this one page of long notes
 * would end every walk at the same place, for ever. Whoever asks sees the page that he asked for.
 *
 * Nothing is remembered: the next page is tried as a whole again. A CRM that answers hugely whatever it is asked for costs five calls.
 */
import type { CrmResult, ContactPage, ListParams } from '../ports/crm.ts';

type Read = (params: ListParams) => Promise<CrmResult<ContactPage>>;
type Answered = Extract<CrmResult<ContactPage>, { readonly ok: true }>;

export const listInParts = async (read: Read, params: ListParams): Promise<CrmResult<ContactPage>> => {
  const whole = await read(params);
  const { perPage = 1, page = 1 } = params;
  if (whole.ok || whole.failure.code !== 'answer_too_large' || perPage === 1) return whole;
  const size = partOf(perPage);
  const parts = perPage / size;
  const readPart = async (part: number) => await listInParts(read, { ...params, perPage: size, page: (page - 1) * parts + part });
  const answers: Answered[] = [];
  for (let part = 1; part <= parts; part++) {
    const answer = await readPart(part);
    if (!answer.ok) return answer;
    // Another size, or a contact trashed since the part before: these parts do not make that page. Whoever walks tries again.
    if (answer.value.perPage !== size || answer.value.total < (answers.at(-1)?.value.total ?? 0)) return whole;
    answers.push(answer);
    // Past the end; a short part alone is no proof of it.
    if (answer.value.records.length + answer.value.bad.length === 0) break;
  }
  return joined(answers, page, perPage) ?? whole;
};

/** 100, 50, 25, 5, 1: each divides the one before, so that no row falls between two pages. */
const partOf = (size: number): number => [2, 3, 5, 7].map((factor) => size / factor).find(Number.isInteger) ?? 1;

const joined = (answers: readonly Answered[], page: number, perPage: number): Answered | null => {
  const [first, last] = [answers[0], answers.at(-1)];
  if (first === undefined || last === undefined) return null;
  const { total } = last.value;
  return {
    ...first,
    value: {
      records: answers.flatMap(({ value }) => value.records),
      bad: answers.flatMap(({ value }) => value.bad),
      page,
      perPage,
      lastPage: Math.max(1, Math.ceil(total / perPage)),
      total,
    },
  };
};

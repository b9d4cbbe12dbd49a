/** The envelope of a page. Its links are absolute and carry nothing of the query but the page: following them loses order and filters. */
interface PageLink {
  readonly url: string | null;
  readonly label: string;
  readonly active: boolean;
}

/** Page numbers around the current one and at both ends; null is a gap. */
const windowOf = (page: number, lastPage: number): readonly (number | null)[] => {
  const near = (other: number): boolean => Math.abs(other - page) <= 3 || other <= 2 || other > lastPage - 2;
  const candidates = new Set([1, 2, lastPage - 1, lastPage, ...Array.from({ length: 7 }, (_, index) => page - 3 + index)]);
  const numbers = [...candidates].filter((other) => other >= 1 && other <= lastPage && near(other)).toSorted((a, b) => a - b);
  return numbers.flatMap((number, index) => (index > 0 && number - (numbers[index - 1] ?? 0) > 1 ? [null, number] : [number]));
};

export interface PageRequest {
  readonly page: number;
  readonly perPage: number;
  /** Absolute address of the list, without query. */
  readonly path: string;
}

/** Past the last page: no data, from and to null, total and last_page still right. */
export const toEnvelope = <T>(rows: readonly T[], { page, perPage, path }: PageRequest, toJson: (row: T) => unknown): unknown => {
  const total = rows.length;
  const lastPage = Math.max(1, Math.ceil(total / perPage));
  const start = (page - 1) * perPage;
  const shown = rows.slice(start, start + perPage);
  const url = (number: number): string => `${path}?page=${number}`;
  const previous = page > 1 ? url(page - 1) : null;
  const next = page < lastPage ? url(page + 1) : null;
  const links: readonly PageLink[] = [
    { url: previous, label: '&laquo; Previous', active: false },
    ...windowOf(page, lastPage).map((number): PageLink =>
      number === null ? { url: null, label: '...', active: false } : { url: url(number), label: String(number), active: number === page },
    ),
    { url: next, label: 'Next &raquo;', active: false },
  ];
  return {
    data: shown.map(toJson),
    links: { first: url(1), last: url(lastPage), prev: previous, next },
    meta: {
      current_page: page,
      from: shown.length === 0 ? null : start + 1,
      last_page: lastPage,
      links,
      path,
      per_page: perPage,
      to: shown.length === 0 ? null : start + shown.length,
      total,
    },
  };
};

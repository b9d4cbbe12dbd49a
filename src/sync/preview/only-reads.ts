/** The CRM of a dry run: its calls are counted, what they tell of contacts that are gone is kept, and nothing goes through that would write. */
import type { Crm } from '../../ports/crm.ts';
import type { Endpoint } from '../../ports/telemetry.ts';

export interface ReadCrm {
  readonly crm: Crm;
  /** Calls made so far. */
  made(): ReadonlyMap<Endpoint, number>;
  /** Whether the CRM lists it in its trash, or answered 404 for it. */
  goneAs(crmId: number): 'trashed' | 'missing' | null;
}

export const onlyReads = (crm: Crm): ReadCrm => {
  const made = new Map<Endpoint, number>();
  const [trashed, missing] = [new Set<number>(), new Set<number>()];
  const count = (endpoint: Endpoint): void => void made.set(endpoint, (made.get(endpoint) ?? 0) + 1);
  const counted =
    <A extends readonly unknown[], R>(endpoint: Endpoint, call: (...args: A) => R) =>
    (...args: A): R => {
      count(endpoint);
      return call(...args);
    };
  const refused = (): never => {
    throw new Error('A dry run writes nothing.');
  };
  return {
    made: () => new Map(made),
    goneAs: (crmId) => (trashed.has(crmId) ? 'trashed' : missing.has(crmId) ? 'missing' : null),
    crm: {
      ...crm,
      list: counted('list', (params, options) => crm.list(params, options)),
      retrieve: async (id, options) => {
        count('get');
        const answer = await crm.retrieve(id, options);
        if (answer.ok) missing.delete(id);
        else if (answer.failure.code === 'not_found' && answer.failure.proven) missing.add(id);
        return answer;
      },
      search: counted('search', (params, options) => crm.search(params, options)),
      listTrashed: async (params, options) => {
        count('trash');
        const answer = await crm.listTrashed(params, options);
        if (answer.ok) for (const { crmId } of answer.value.records) trashed.add(crmId);
        return answer;
      },
      listActivities: counted('activities', (id, page, options) => crm.listActivities(id, page, options)),
      customFields: counted('fields', (options) => crm.customFields(options)),
      create: refused,
      update: refused,
      delete: refused,
      attach: refused,
      detach: refused,
      sync: refused,
      restore: refused,
    },
  };
};

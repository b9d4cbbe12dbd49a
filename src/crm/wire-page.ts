/** The CRM's paginated envelope: `{data, links, meta}`. Its links are never read, let alone followed. */
import { z } from 'zod';
import { canonicalIds } from '../domain/contact.ts';
import type { ActivityPage, ContactPage } from '../ports/crm.ts';
import { namesIn, parseContacts, problemOf, RECORDS_MAX, safeInteger } from './wire.ts';

/** A value, or what is wrong with the answer: keys and shapes, no values. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };

const positive = safeInteger.refine((value) => value > 0, { error: 'is not positive' });

const TOO_MANY = `has more than ${RECORDS_MAX} entries`;

const envelope = z.object(
  {
    data: z.array(z.unknown(), { error: 'is not a list' }).max(RECORDS_MAX, { error: TOO_MANY }),
    meta: z.object({ current_page: positive, last_page: positive, per_page: positive, total: safeInteger }, { error: 'is not an object' }),
  },
  { error: 'is not an object' },
);

const linkedRecord = z.looseObject({ id: positive }, { error: 'is not a record' });

/** `askedPage`: an answer for another page (a cache's, say) would make a walk skip contacts. */
export const parseContactPage = (answer: unknown, askedPage: number): Parsed<ContactPage> => {
  const parsed = envelope.safeParse(answer);
  if (!parsed.success) return { problem: problemOf(parsed.error) };
  const { data, meta } = parsed.data;
  if (meta.current_page !== askedPage) return { problem: `meta.current_page is ${meta.current_page}, asked for ${askedPage}` };
  return {
    value: { ...parseContacts(data), page: meta.current_page, perPage: meta.per_page, lastPage: meta.last_page, total: meta.total },
  };
};

/** Ids of linked activities. Here one entry that is unreadable or missing fails the page: without its id it would look detached. */
export const parseActivityPage = (answer: unknown, askedPage: number): Parsed<ActivityPage> => {
  const parsed = envelope
    .extend({ data: z.array(linkedRecord, { error: 'is not a list' }).max(RECORDS_MAX, { error: TOO_MANY }) })
    .safeParse(answer);
  if (!parsed.success) return { problem: problemOf(parsed.error) };
  const { data, meta } = parsed.data;
  if (meta.current_page !== askedPage) return { problem: `meta.current_page is ${meta.current_page}, asked for ${askedPage}` };
  const promised = Math.min(meta.per_page, meta.total - (askedPage - 1) * meta.per_page);
  if (data.length < promised) return { problem: `data has ${data.length} entries, meta promises ${promised}` };
  return { value: { ids: canonicalIds(data.map(({ id }) => id)), names: namesIn('activities', data), lastPage: meta.last_page } };
};

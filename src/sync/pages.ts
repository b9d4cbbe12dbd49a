/** What a page of the CRM's lists is worth as evidence. */
import type { ContactPage } from '../ports/crm.ts';

/** The page carries as many rows as its own numbers promise. One that does not proves nothing about who is missing. */
export const isWhole = ({ records, bad, page, perPage, total }: ContactPage): boolean =>
  records.length + bad.length >= Math.min(perPage, total - (page - 1) * perPage);

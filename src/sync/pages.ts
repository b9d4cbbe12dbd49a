/** What a page of the CRM's lists is worth as evidence. */
import type { ContactPage } from '../ports/crm.ts';

/** How far a walk through a list has come. */
export interface Walked {
  readonly page: number;
  readonly perPage: number;
  /** Different contacts that it has shown. */
  readonly seen: number;
  /** How many it said that there are, when the walk began. */
  readonly promised: number;
}

/** An honest list needs one page for `perPage` rows. Its count may lag, and pages may be thin where a token does not see everybody. */
const PAGES_FACTOR = 10;
const STALE_PAGES_SPARE = 20;
const NEW_PAGES_SPARE = 200;
/** Beyond this a count is not believed. */
const PROMISED_MAX = 10_000_000;

/** A list that goes round in circles, or makes contacts up for as long as it is asked. It would be read for ever. */
export const isEndless = ({ page, perPage, seen, promised }: Walked): boolean => {
  const pagesFor = (rows: number): number => PAGES_FACTOR * Math.ceil(rows / Math.max(1, perPage));
  return page > pagesFor(seen) + STALE_PAGES_SPARE || page > pagesFor(Math.min(promised, PROMISED_MAX)) + NEW_PAGES_SPARE;
};

/** The page carries as many rows as its own numbers promise. One that does not proves nothing about who is missing. */
export const isWhole = ({ records, bad, page, perPage, total }: ContactPage): boolean =>
  records.length + bad.length >= Math.min(perPage, total - (page - 1) * perPage);

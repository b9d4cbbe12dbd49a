/**
 * A page as it came, and what it leaves to be read again by its id: what it does not carry, and what could not be settled with it.
 *
 * Whether a record can be settled is decided by those who store it; marked contacts are read in marks.ts.
 */
import type { RemoteContact } from '../domain/contact.ts';
import type { BadRecord } from '../ports/crm.ts';
import type { Mark, MarkReason, MirrorTx } from '../ports/mirror.ts';
import type { PageContext } from './context.ts';
import type { CanonicalRecord } from './reconcile.ts';

export interface Page {
  readonly records: readonly RemoteContact[];
  readonly bad: readonly BadRecord[];
  /** The database's time, taken before the request was sent: a record is as old as its request. */
  readonly requestedAt: Date;
  /** Marks that these records answer. */
  readonly answers: readonly MarkReason[];
  /** CRM ids whose destructive change a person approved: past the brake. */
  readonly approved?: ReadonlySet<number>;
}

/** What has to be read by id, because this record does not carry it and it may have changed. */
export const linkMarks = ({ record, links }: CanonicalRecord, page: Page, context: PageContext): readonly Mark[] => {
  const marks: Mark[] = [];
  if (!page.answers.includes('links') && (links.companies === null || links.deals === null))
    marks.push({ crmId: record.crmId, reason: 'links' });
  if (context.readsActivities && !page.answers.includes('activities') && links.activities === null) {
    marks.push({ crmId: record.crmId, reason: 'activities' });
  }
  return marks;
};

/** What a person approved stays approved until it could be applied. */
export const reasonFor = (page: Page, crmId: number): MarkReason => (page.approved?.has(crmId) === true ? 'approved' : 'deferred');

/** To be read by id: at once after a page, after a while where that was what has just been done. */
export const defer = async (tx: MirrorTx, page: Page, marks: readonly Mark[]): Promise<void> =>
  await (page.answers.length === 0 ? tx.mark(marks) : tx.putOff(marks));

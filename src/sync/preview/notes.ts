/**
 * What a rehearsal remembers of its own steps: nothing was written, and yet what follows has to see it as if it were. A record that comes twice
 * is news once, and the push is planned on the rows that the pull would have left.
 */
import {
  canonicalIds,
  NO_LINKS,
  UNKNOWN_LINKS,
  type ContactFields,
  type FieldName,
  type LinkSets,
  type RemoteContact,
} from '../../domain/contact.ts';
import { eachKind, without } from '../../domain/merge.ts';
import type { ContactWrite, Mark, NewContact, Peek, Situation } from '../../ports/mirror.ts';

export interface RehearsalNotes {
  /** Situations and peeks as the rehearsed steps would have left them. */
  seen(situations: ReadonlyMap<number, Situation>): ReadonlyMap<number, Situation>;
  peeked(peeks: ReadonlyMap<number, Peek>, crmIds: readonly number[]): ReadonlyMap<number, Peek>;
  /** As last read; undefined for one that was not. */
  lastRead(contactId: number): Situation | undefined;
  save(write: ContactWrite): void;
  insert(contact: NewContact): number;
  pair(contactId: number, crmId: number): void;
  remove(contactId: number): void;
  /** A field with an open conflict: neither side's value goes anywhere. */
  holdField(contactId: number, field: FieldName): void;
  queue(contactId: number): void;
  readonly queued: ReadonlySet<number>;
  mark(marks: readonly Mark[]): void;
  /** Contacts that would be read by their ids for their links. */
  readonly linkReads: ReadonlySet<number>;
}

interface Row {
  readonly fields: ContactFields;
  readonly links: LinkSets;
}
type Change = Partial<Pick<Situation, 'heldFields' | 'base' | 'baseHash' | 'extraHash' | 'crmUpdatedAt' | 'crmId' | 'sent'>> & {
  readonly row?: Row | null;
};

export const createRehearsalNotes = (): RehearsalNotes => {
  const changes = new Map<number, Change>();
  const reads = new Map<number, Situation>();
  const contactOf = new Map<number, number>();
  const made = new Map<number, Peek>();
  const queued = new Set<number>();
  const linkReads = new Set<number>();
  let lastMade = 0;
  const change = (contactId: number, more: Change): void => void changes.set(contactId, { ...changes.get(contactId), ...more });
  const asLeft = (situation: Situation): Situation => ({ ...situation, ...changes.get(situation.contactId) });
  return {
    seen: (situations) => {
      const left = new Map([...situations].map(([id, situation]) => [id, asLeft(situation)]));
      for (const [id, situation] of left) reads.set(id, situation);
      return left;
    },
    peeked: (peeks, crmIds) => {
      const left = new Map([...peeks].map(([crmId, peek]) => [crmId, peekAsLeft(peek, changes.get(peek.contactId))]));
      for (const crmId of crmIds) {
        const paired = contactOf.get(crmId);
        if (paired !== undefined) left.set(crmId, peekAsLeft(blankPeek(paired, crmId), changes.get(paired)));
        const peek = made.get(crmId);
        if (peek !== undefined) left.set(crmId, peek);
      }
      return left;
    },
    lastRead: (contactId) => reads.get(contactId),
    save: (write) => {
      const before = reads.get(write.contactId);
      const { base, extra, crmTimes } = write;
      change(write.contactId, {
        ...(before?.row == null ? {} : { row: rowAfter(before.row, write) }),
        ...(base === null ? {} : { base: { fields: base.fields, links: base.links }, baseHash: base.hash, sent: null }),
        ...(extra === null ? {} : { extraHash: extra.hash }),
        ...(crmTimes === null ? {} : { crmUpdatedAt: crmTimes.updatedAt }),
      });
      const now = before === undefined ? undefined : asLeft(before);
      if (now !== undefined) reads.set(write.contactId, now);
    },
    insert: (contact) => {
      // No row has such an id: whoever reads it finds nothing, and the record that comes again brings no news.
      const contactId = contact.contactId ?? (lastMade -= 1);
      made.set(contact.record.crmId, peekOf(contactId, contact));
      return contactId;
    },
    pair: (contactId, crmId) => {
      contactOf.set(crmId, contactId);
      change(contactId, { crmId });
    },
    remove: (contactId) => change(contactId, { row: null }),
    holdField: (contactId, field) => {
      const held = changes.get(contactId)?.heldFields ?? reads.get(contactId)?.heldFields ?? [];
      change(contactId, { heldFields: new Set([...held, field]) });
    },
    queue: (contactId) => void queued.add(contactId),
    queued,
    mark: (marks) => {
      for (const { crmId, reason } of marks) if (reason === 'links' || reason === 'activities') linkReads.add(crmId);
    },
    linkReads,
  };
};

const rowAfter = (row: Row, { fields, addLinks, removeLinks }: ContactWrite): Row => ({
  fields: fields ?? row.fields,
  links: eachKind((kind) => canonicalIds([...without(row.links[kind], removeLinks[kind]), ...addLinks[kind]])),
});

const peekAsLeft = (peek: Peek, change: Change | undefined): Peek =>
  change === undefined
    ? peek
    : {
        ...peek,
        baseHash: change.baseHash ?? peek.baseHash,
        extraHash: change.extraHash ?? peek.extraHash,
        links: change.base?.links ?? peek.links,
        crmUpdatedAt: change.crmUpdatedAt ?? peek.crmUpdatedAt,
        hasRow: change.row === null ? false : peek.hasRow,
      };

const blankPeek = (contactId: number, crmId: number): Peek => ({
  contactId,
  crmId,
  baseHash: null,
  extraHash: null,
  links: UNKNOWN_LINKS,
  crmUpdatedAt: null,
  hasRow: true,
  settledAt: null,
  busy: false,
  deletedAt: null,
  goneAt: null,
  hiddenAt: null,
  holdId: null,
});

const peekOf = (contactId: number, { record, base, baseHash, extraHash }: NewContact): Peek => ({
  ...blankPeek(contactId, record.crmId),
  baseHash,
  extraHash,
  links: base.links,
  crmUpdatedAt: record.updatedAt,
});

/** The links of a record as far as it tells them. */
export const linksOf = ({ links }: Pick<RemoteContact, 'links'>): LinkSets => eachKind((kind) => links[kind] ?? NO_LINKS[kind]);

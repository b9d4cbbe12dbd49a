/**
 * What a rehearsal remembers of its own steps: nothing was written, and yet what follows has to see it as if it were. A record that comes twice
 * is news once, and the push is planned on the rows that the pull would have left. Each step leaves behind what its statement would.
 */
import { canonicalIds, type FieldName, type LinkSets } from '../../domain/contact.ts';
import { eachKind, without } from '../../domain/merge.ts';
import type { ContactWrite, FoundEdit, Mark, NewContact, Part, Peek, Situation } from '../../ports/mirror.ts';
import { createOverlay, type Overlay } from './overlay.ts';
import { blankSituation, held, NOTHING_OPEN, released, waitsToDestroy, withFound, withQueued } from './situations.ts';

export interface RehearsalNotes {
  /** Situations and peeks as the rehearsed steps would have left them. */
  seen(situations: ReadonlyMap<number, Situation>, wanted: readonly number[]): ReadonlyMap<number, Situation>;
  peeked(peeks: ReadonlyMap<number, Peek>, crmIds: readonly number[]): ReadonlyMap<number, Peek>;
  /** As last read; undefined for one that was not. */
  lastRead(contactId: number): Situation | undefined;
  save(write: ContactWrite): void;
  insert(contact: NewContact): number;
  pair(contactId: number, crmId: number): void;
  unpair(contactId: number): void;
  remove(contactId: number, at: Date): void;
  markVisibility(contactId: number, visibility: 'visible' | 'hidden' | 'gone', at: Date): void;
  /** A conflict that was told. An open one of a field: neither side's value goes anywhere. */
  conflict(contactId: number, field: FieldName | 'contact', isOpen: boolean): void;
  queue(contactId: number): void;
  /** Logged, as edits that no trigger saw. */
  found(edits: readonly FoundEdit[], at: Date): void;
  holdPull(contactId: number, at: Date | null): void;
  holdPush(contactId: number, reason: string): void;
  releasePull(contactId: number, silent: readonly Part[]): void;
  releasePush(contactId: number): void;
  /** A record that could not be read or stored, or could by now: told, either way. */
  refusal(crmId: number): void;
  mark(marks: readonly Mark[]): void;
  /** Contacts with something to push, though nobody edited them. */
  readonly queued: ReadonlySet<number>;
  /** Why a push is held that was not before. */
  readonly heldBecause: ReadonlyMap<number, string>;
  /** Contacts of the pull that were told as held. */
  readonly heldIncoming: ReadonlySet<number>;
  /** Contacts that left the pull's plan, with the parts of them that their record was silent about. */
  readonly leftPlan: ReadonlyMap<number, readonly Part[]>;
  /** Contacts whose open conflicts are decided: the row went, or came back. */
  readonly decided: ReadonlySet<number>;
  readonly toldConflicts: ReadonlySet<string>;
  readonly toldRefusals: ReadonlySet<number>;
  /** CRM ids whose rows are no longer there to be looked for. */
  readonly gone: ReadonlySet<number>;
  /** By how many more, or fewer, contacts something destructive now waits to be pushed. */
  waitingMore(): number;
  /** What would be read by id: CRM ids by what is asked for. */
  readonly reads: { readonly links: ReadonlySet<number>; readonly activities: ReadonlySet<number> };
}

export const conflictKey = (contactId: number, field: string): string => `${contactId} ${field}`;

const createTold = () => ({
  queued: new Set<number>(),
  heldBecause: new Map<number, string>(),
  heldIncoming: new Set<number>(),
  leftPlan: new Map<number, readonly Part[]>(),
  decided: new Set<number>(),
  toldConflicts: new Set<string>(),
  toldRefusals: new Set<number>(),
  gone: new Set<number>(),
  reads: { links: new Set<number>(), activities: new Set<number>() },
  /** Contacts of which something destructive waits now, or does no longer. */
  waiting: { newly: new Set<number>(), noLonger: new Set<number>() },
});
type Told = ReturnType<typeof createTold>;

export const createRehearsalNotes = (): RehearsalNotes => {
  const [overlay, told] = [createOverlay(), createTold()];
  const { seen, peeked, lastRead } = overlay;
  return {
    seen,
    peeked,
    lastRead,
    ...told,
    ...createRowNotes(overlay, told),
    ...createLogNotes(overlay, told),
    refusal: (crmId) => void told.toldRefusals.add(crmId),
    mark: (marks) => {
      for (const { crmId, reason } of marks) if (reason === 'links' || reason === 'activities') told.reads[reason].add(crmId);
    },
    waitingMore: () => told.waiting.newly.size - told.waiting.noLonger.size,
  };
};

type RowNotes = Pick<RehearsalNotes, 'save' | 'insert' | 'pair' | 'unpair' | 'remove' | 'markVisibility'>;

/** What happens to rows, and to which contact of the CRM they belong. */
const createRowNotes = ({ lastRead, change, make, meet }: Overlay, { decided, gone, waiting }: Told): RowNotes => {
  let lastMade = 0;
  /** What waited of it is settled, or has no contact in the CRM any more. */
  const noLongerWaits = (contactId: number): void => {
    const situation = lastRead(contactId);
    if (situation !== undefined && waitsToDestroy(situation)) waiting.noLonger.add(contactId);
  };
  return {
    save: (write) => {
      const row = lastRead(write.contactId)?.row ?? null;
      const { base, extra, crmTimes } = write;
      change(write.contactId, {
        ...(row === null ? {} : { row: rowAfter(row, write) }),
        ...(base === null ? {} : { base: { fields: base.fields, links: base.links }, baseHash: base.hash, sent: null }),
        ...(extra === null ? {} : { extraHash: extra.hash }),
        ...(crmTimes === null ? {} : { crmUpdatedAt: crmTimes.updatedAt }),
      });
    },
    insert: (contact) => {
      const { crmId } = contact.record;
      // A new row has no id yet: one that no row can have.
      const contactId = contact.contactId ?? (lastMade -= 1);
      const situation = situationOf(contactId, contact);
      meet(crmId, contactId);
      gone.delete(crmId);
      if (contact.contactId === undefined) make(situation);
      else {
        // Its deletion stays in the log and finds nothing to send: row and base are one.
        change(contactId, { ...situation, open: lastRead(contactId)?.open ?? NOTHING_OPEN });
        decided.add(contactId);
      }
      return contactId;
    },
    pair: (contactId, crmId) => {
      meet(crmId, contactId);
      change(contactId, { crmId });
    },
    unpair: (contactId) => {
      noLongerWaits(contactId);
      change(contactId, { crmId: null, intent: null, sent: null, goneAt: null, hiddenAt: null, holdId: null });
    },
    remove: (contactId, at) => {
      const crmId = lastRead(contactId)?.crmId ?? null;
      if (crmId !== null) gone.add(crmId);
      noLongerWaits(contactId);
      decided.add(contactId);
      change(contactId, { row: null, ...NO_BASE, open: NOTHING_OPEN, deletedAt: at, goneAt: null, hiddenAt: null, holdId: null });
    },
    markVisibility: (contactId, visibility, at) => {
      const crmId = lastRead(contactId)?.crmId ?? null;
      if (crmId !== null && visibility !== 'visible') gone.add(crmId);
      const [goneAt, hiddenAt] = [visibility === 'gone' ? at : null, visibility === 'hidden' ? at : null];
      change(contactId, { goneAt, hiddenAt, ...(visibility === 'visible' ? { holdId: null } : {}) });
    },
  };
};

type LogNotes = Pick<RehearsalNotes, 'conflict' | 'queue' | 'found' | 'holdPull' | 'holdPush' | 'releasePull' | 'releasePush'>;

/** What is logged, held and released. */
const createLogNotes = ({ lastRead, change, changeOpen }: Overlay, told: Told): LogNotes => ({
  conflict: (contactId, field, isOpen) => {
    told.toldConflicts.add(conflictKey(contactId, field));
    const before = lastRead(contactId)?.heldFields ?? [];
    if (isOpen && field !== 'contact') change(contactId, { heldFields: new Set([...before, field]) });
  },
  queue: (contactId) => {
    told.queued.add(contactId);
    changeOpen(contactId, withQueued);
  },
  found: (edits, at) => {
    for (const edit of edits) {
      told.queued.add(edit.contactId);
      changeOpen(edit.contactId, (open) => withFound(open, edit, at));
      const situation = lastRead(edit.contactId);
      if (situation !== undefined && waitsToDestroy(situation)) told.waiting.newly.add(edit.contactId);
    }
  },
  holdPull: (contactId, at) => {
    told.heldIncoming.add(contactId);
    change(contactId, { holdId: UNNUMBERED, goneAt: at });
  },
  holdPush: (contactId, reason) => {
    told.heldBecause.set(contactId, reason);
    changeOpen(contactId, held);
  },
  releasePull: (contactId, silent) => {
    told.leftPlan.set(contactId, silent);
    change(contactId, { holdId: null });
  },
  releasePush: (contactId) => changeOpen(contactId, released),
});

/** A hold that is not made. */
const UNNUMBERED = -1;
const NO_BASE = { base: null, baseHash: null, extraHash: null, sent: null } as const;

const rowAfter = (row: NonNullable<Situation['row']>, { fields, addLinks, removeLinks }: ContactWrite): NonNullable<Situation['row']> => ({
  fields: fields ?? row.fields,
  links: eachKind((kind) => canonicalIds([...without(row.links[kind], removeLinks[kind]), ...addLinks[kind]])),
});

const situationOf = (contactId: number, { record, fields, base, baseHash, extraHash }: NewContact): Situation => ({
  ...blankSituation(contactId),
  crmId: record.crmId,
  row: { fields, links: linksOf(record) },
  base,
  baseHash,
  extraHash,
  crmUpdatedAt: record.updatedAt,
});

/** The links of a record as far as it tells them. */
export const linksOf = ({ links }: Pick<NewContact['record'], 'links'>): LinkSets => eachKind((kind) => links[kind] ?? []);

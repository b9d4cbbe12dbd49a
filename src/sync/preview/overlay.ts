/** Situations and peeks as read, with what rehearsed steps would have changed of them laid over. */
import { UNKNOWN_LINKS } from '../../domain/contact.ts';
import type { Peek, Situation } from '../../ports/mirror.ts';
import { NOTHING_OPEN } from './situations.ts';

export type Change = Partial<Omit<Situation, 'contactId'>>;

export interface Overlay {
  readonly seen: (situations: ReadonlyMap<number, Situation>, wanted: readonly number[]) => ReadonlyMap<number, Situation>;
  readonly peeked: (peeks: ReadonlyMap<number, Peek>, crmIds: readonly number[]) => ReadonlyMap<number, Peek>;
  /** As last read, and left since; undefined for one that was not read. */
  readonly lastRead: (contactId: number) => Situation | undefined;
  readonly change: (contactId: number, more: Change) => void;
  readonly changeOpen: (contactId: number, open: (before: Situation['open']) => Situation['open']) => void;
  /** A contact that is not there to be read. */
  readonly make: (situation: Situation) => void;
  /** The contact is known by this id from now on. */
  readonly meet: (crmId: number, contactId: number) => void;
}

export const createOverlay = (): Overlay => {
  const changes = new Map<number, Change>();
  const last = new Map<number, Situation>();
  const contactOf = new Map<number, number>();
  const made = new Map<number, Situation>();
  const asLeft = (situation: Situation): Situation => ({ ...situation, ...changes.get(situation.contactId) });
  const change = (contactId: number, more: Change): void => {
    changes.set(contactId, { ...changes.get(contactId), ...more });
    const before = last.get(contactId);
    if (before !== undefined) last.set(contactId, asLeft(before));
  };
  return {
    seen: (situations, wanted) => {
      const left = new Map([...situations].map(([id, situation]) => [id, asLeft(situation)]));
      for (const id of wanted) {
        const newcomer = made.get(id);
        if (newcomer !== undefined) left.set(id, asLeft(newcomer));
      }
      for (const [id, situation] of left) last.set(id, situation);
      return left;
    },
    peeked: (peeks, crmIds) => {
      const left = new Map<number, Peek>();
      for (const [crmId, peek] of peeks) {
        const now = changes.get(peek.contactId);
        if (now?.crmId !== null) left.set(crmId, peekAsLeft(peek, now));
      }
      for (const crmId of crmIds) {
        const contactId = contactOf.get(crmId);
        if (contactId === undefined || left.has(crmId)) continue;
        const blank = { ...BLANK_PEEK, contactId, crmId };
        left.set(crmId, peekAsLeft(peekAsLeft(blank, made.get(contactId)), changes.get(contactId)));
      }
      return left;
    },
    lastRead: (contactId) => last.get(contactId),
    change,
    changeOpen: (contactId, open) => change(contactId, { open: open(last.get(contactId)?.open ?? NOTHING_OPEN) }),
    make: (situation) => void made.set(situation.contactId, situation),
    meet: (crmId, contactId) => void contactOf.set(crmId, contactId),
  };
};

const BLANK_PEEK = {
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
} as const satisfies Omit<Peek, 'contactId' | 'crmId'>;

const PEEKED = ['baseHash', 'extraHash', 'crmUpdatedAt', 'deletedAt', 'goneAt', 'hiddenAt', 'holdId'] as const;

const peekAsLeft = (peek: Peek, now: Change | undefined): Peek =>
  now === undefined
    ? peek
    : {
        ...peek,
        ...Object.fromEntries(PEEKED.flatMap((key) => (now[key] === undefined ? [] : [[key, now[key]]]))),
        ...(now.base === undefined ? {} : { links: now.base?.links ?? UNKNOWN_LINKS }),
        ...(now.row === undefined ? {} : { hasRow: now.row !== null }),
      };

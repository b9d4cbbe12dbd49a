/**
 * What people did, as only they know it: each contact with the last value that each side gave to each field, and each link and phone as
 * its one owner left it. Values are never used twice, so whoever holds one got it from that very edit.
 */
import type { LinkKind } from '../../src/domain/contact.ts';

export type Side = 'local' | 'remote';

/** Who edits what: fields of one side must end with its last value; the shared one may conflict. */
export const FIELDS = {
  local: ['city', 'street', 'cf_nickname'],
  remote: ['job_title', 'postal_code', 'cf_notes'],
  shared: ['state'],
} as const;
export type Field = (typeof FIELDS)[keyof typeof FIELDS][number];

export type SetKind = LinkKind | 'phones';

export interface Written {
  readonly side: Side;
  readonly value: string | null;
  /** When it was surely there, on this process's monotonic clock. */
  readonly atMs: number;
}
/** One link or phone: there or not, as its owner left it. */
export interface Element {
  readonly kind: SetKind;
  readonly element: number | string;
  readonly side: Side;
  readonly present: boolean;
  readonly atMs: number;
}
export interface Soul {
  /** Its last name where it was made during the run: nobody changes that. Null: it was there from the start. */
  readonly tag: string | null;
  readonly origin: 'seed' | Side;
  /** Only its own side touches it, and may delete it. */
  readonly doomed: boolean;
  readonly bornMs: number;
  crmId: number | null;
  rowId: number | null;
  /** The newest write of each side and field. */
  readonly written: Map<string, Written & { readonly field: Field }>;
  readonly elements: Map<string, Element>;
  /** The side that deleted it and did not bring it back. */
  deletedBy: Side | null;
}

export class Souls {
  readonly all: Soul[] = [];
  #values = 0;

  add(soul: Pick<Soul, 'tag' | 'origin' | 'doomed' | 'crmId' | 'rowId'>): Soul {
    const born = { ...soul, bornMs: performance.now(), written: new Map(), elements: new Map(), deletedBy: null };
    this.all.push(born);
    return born;
  }
  /** Never the same twice; says whose it is. */
  next(side: Side): string {
    this.#values += 1;
    return `${side === 'local' ? 'L' : 'R'}${this.#values}.`;
  }
  write(soul: Soul, side: Side, field: Field, value: string | null): void {
    soul.written.set(`${side} ${field}`, { side, field, value, atMs: performance.now() });
  }
  put(soul: Soul, side: Side, kind: SetKind, element: number | string, present: boolean): void {
    soul.elements.set(`${kind} ${element}`, { side, kind, element, present, atMs: performance.now() });
  }
}

export const lastOf = (soul: Soul, side: Side, field: Field): Written | null => soul.written.get(`${side} ${field}`) ?? null;

/**
 * The brake: how much destruction in an hour is still believable, and what counts as destruction.
 *
 * Destroyed is what is gone afterwards: a contact, a link, the value of a field. A changed value is none: it can be read in the history of
 * either side. The unit is the contact, however much of it is destroyed.
 */
import { fieldNames, fieldValue, LINK_KINDS, NO_LINKS, type ContactFields, type FieldName, type LinkSets } from './contact.ts';

export interface BrakeLimits {
  /** BRAKE_ROWS */
  readonly rows: number;
  /** BRAKE_SHARE: of the mirror's rows, 0 to 1 */
  readonly share: number;
  /** BRAKE_MAX */
  readonly max: number;
}

/** What was destroyed, as `sync.damage` counts it; `audit`: an edit that no trigger saw. */
export type DamageOp = 'delete' | 'detach' | 'empty' | 'audit';

/** What a change destroys of one contact. */
export interface Destruction {
  readonly deletes: boolean;
  /** Names of the fields that lose their value. */
  readonly fields: readonly FieldName[];
  /** The links that go. */
  readonly links: LinkSets;
}
export const NO_DESTRUCTION: Destruction = { deletes: false, fields: [], links: NO_LINKS };

/**
 * How many further destructive changes may go through now: over both `rows` and `share`, or over `max`, the rest is held.
 * @param lastHour those of the last hour in this direction, single edits and batches alike
 * @param mirrorRows the mirror's size before them
 */
export const brakeAllowance = (lastHour: number, mirrorRows: number, limits: BrakeLimits): number => {
  // 0.29 × 100 is 28.999999999999996 in floating point, and 29 rows are no more than that share.
  const share = Math.floor(limits.share * mirrorRows + 1e-6);
  const ceiling = Math.min(limits.max, Math.max(limits.rows, share));
  return Math.max(0, ceiling - lastHour);
};

/** For a person who reads why something is held. */
export const describeLimits = ({ rows, share, max }: BrakeLimits): string =>
  `${rows} or ${Math.round(share * 1000) / 10} % of the mirror, at most ${max}`;

const isBlank = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  (typeof value === 'string' && value.trim() === '') ||
  (Array.isArray(value) && value.length === 0);

/** Fields that hold a value before and none after. A phone list that gets shorter still holds one. */
export const emptiedFields = (before: ContactFields, after: ContactFields): readonly FieldName[] =>
  fieldNames(before).filter((name) => !isBlank(fieldValue(before, name)) && isBlank(fieldValue(after, name)));

export const destroysNothing = ({ deletes, fields, links }: Destruction): boolean =>
  !deletes && fields.length === 0 && LINK_KINDS.every((kind) => links[kind].length === 0);

/** As `sync.damage` counts it: each way once, however many fields or links. */
export const damageOps = ({ deletes, fields, links }: Destruction): readonly DamageOp[] => [
  ...(deletes ? (['delete'] as const) : []),
  ...(fields.length > 0 ? (['empty'] as const) : []),
  ...(LINK_KINDS.some((kind) => links[kind].length > 0) ? (['detach'] as const) : []),
];

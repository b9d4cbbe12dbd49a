/**
 * The three-way merge: what the row and the base become when the CRM's record is known. Pure and total; all inputs are canonical.
 *
 * Per field: changed on one side, it is taken; the same on both, they agree; different, the field's policy decides and the loser is kept in
 * a conflict. Phones (by number) and links merge element by element, and conflict only where one phone got two types. Without a base, the
 * first time two sides meet, a filled side beats an empty one and sets are united: nothing is ever deleted for want of a base.
 */
import {
  canonicalIds,
  canonicalPhones,
  EMPTY_FIELDS,
  fieldNames,
  fieldValue,
  isCustomField,
  LINK_KINDS,
  sameValue,
  withValues,
  type ContactFields,
  type FieldName,
  type KnownLinks,
  type LinkKind,
  type LinkSets,
  type Phone,
  type PhoneType,
} from './contact.ts';

export const POLICIES = ['newest', 'crm', 'mirror', 'manual'] as const;
export type Policy = (typeof POLICIES)[number];
/** Whose value stands; `open`: a person decides, until then each side keeps its own. */
export type ConflictOutcome = 'crm' | 'mirror' | 'open';

export interface FieldConflict {
  /** The field, or `contact` for a delete against an edit. */
  readonly field: FieldName | 'contact';
  readonly base: unknown;
  readonly local: unknown;
  readonly remote: unknown;
  readonly outcome: ConflictOutcome;
  readonly policy: Policy;
  /** What `newest` looked at (ISO times on the database's clock); null under the other policies. */
  readonly compared: { readonly localAt: string | null; readonly remoteAt: string | null } | null;
}

/** What decides where both sides changed the same thing. */
export interface Arbiter {
  readonly policyOf: (field: FieldName | 'contact') => Policy;
  /** `clock_timestamp()` of the field's newest log row; null where none was logged. */
  readonly editedAt: (field: FieldName | 'contact') => Date | null;
  /** The record's updated_at on the database's clock: an upper bound for each of its fields. */
  readonly remoteAt: Date | null;
}

export interface FieldsMerge {
  /** What the row becomes. */
  readonly local: ContactFields;
  /** What the base becomes: the record, but for the fields that are held for a person. */
  readonly base: ContactFields;
  readonly conflicts: readonly FieldConflict[];
}

/** Clocks are compared to the second: closer together, the CRM's value stands. */
const TIE_MS = 1000;

/** Who wins a conflict under a policy. */
export const arbitrate = (field: FieldName | 'contact', arbiter: Arbiter): Pick<FieldConflict, 'outcome' | 'policy' | 'compared'> => {
  const policy = arbiter.policyOf(field);
  if (policy === 'manual') return { policy, outcome: 'open', compared: null };
  if (policy !== 'newest') return { policy, outcome: policy, compared: null };
  const localAt = arbiter.editedAt(field);
  const { remoteAt } = arbiter;
  const localIsNewer = localAt !== null && (remoteAt === null || localAt.getTime() - remoteAt.getTime() > TIE_MS);
  const compared = { localAt: localAt?.toISOString() ?? null, remoteAt: remoteAt?.toISOString() ?? null };
  return { policy, outcome: localIsNewer ? 'mirror' : 'crm', compared };
};

/**
 * Merges a contact's fields.
 * @param base null the first time the two sides meet
 * @param held fields with an open conflict: they keep their old base and the row's value until a person decides
 */
export const mergeFields = (
  base: ContactFields | null,
  local: ContactFields,
  remote: ContactFields,
  held: ReadonlySet<FieldName>,
  arbiter: Arbiter,
): FieldsMerge => {
  // No base is an empty one: whatever a side holds is then its addition, and nothing can look removed.
  const agreed = base ?? EMPTY_FIELDS;
  const localValues = new Map<FieldName, unknown>();
  const heldValues = new Map<FieldName, unknown>();
  const conflicts: FieldConflict[] = [];
  // A held custom field is gone through even when all three have lost it.
  for (const field of new Set([...fieldNames(agreed, local, remote), ...[...held].filter(isCustomField)])) {
    const [before, ours, theirs] = [agreed, local, remote].map((fields) => fieldValue(fields, field));
    const merged = field === 'phones' ? mergePhones(agreed.phones, local.phones, remote.phones) : mergeValue(before, ours, theirs);
    if (merged.agreed && !held.has(field)) {
      localValues.set(field, merged.ours);
      continue;
    }
    const verdict = held.has(field) ? ({ outcome: 'open', policy: 'manual', compared: null } as const) : arbitrate(field, arbiter);
    // A held field is told even where both sides have come to agree, so that the person who decides sees what they hold by now.
    conflicts.push({ field, base: before, local: ours, remote: theirs, ...verdict });
    if (verdict.outcome === 'open') heldValues.set(field, before);
    else localValues.set(field, verdict.outcome === 'crm' ? merged.theirs : merged.ours);
  }
  return { local: withCanonicalValues(local, localValues), base: withCanonicalValues(remote, heldValues), conflicts };
};

/** Canonical again: a custom field that became null is one that is not there. */
const withCanonicalValues = (fields: ContactFields, values: ReadonlyMap<FieldName, unknown>): ContactFields => {
  const merged = withValues(fields, values);
  const filled = Object.entries(merged.custom_fields).filter(([, value]) => value !== null);
  return { ...merged, custom_fields: Object.fromEntries(filled) };
};

/** `agreed` is false where both sides changed the value, differently; then the two differ by who wins what is in conflict. */
type Merged<T> = { readonly agreed: boolean; readonly ours: T; readonly theirs: T };

const mergeValue = <T>(base: T, local: T, remote: T): Merged<T> => {
  if (sameValue(local, remote) || sameValue(remote, base)) return { agreed: true, ours: local, theirs: local };
  if (sameValue(local, base)) return { agreed: true, ours: remote, theirs: remote };
  return { agreed: false, ours: local, theirs: remote };
};

/**
 * Phones as a set keyed by number. A number that one side removed while the other changed its type stays: an edit outlives a removal.
 * Not agreed only if the same number has two new types; whoever wins, wins those types alone.
 */
const mergePhones = (base: readonly Phone[], local: readonly Phone[], remote: readonly Phone[]): Merged<readonly Phone[]> => {
  const [before, mine, other] = [byNumber(base), byNumber(local), byNumber(remote)];
  const ours: Phone[] = [];
  const theirs: Phone[] = [];
  let agreed = true;
  for (const number of new Set([...mine.keys(), ...other.keys()])) {
    const merged = mergeValue(before.get(number) ?? null, mine.get(number) ?? null, other.get(number) ?? null);
    const [kept, alternative] = [merged.ours ?? merged.theirs, merged.theirs ?? merged.ours];
    if (kept === null || alternative === null) continue;
    ours.push({ number, type: kept });
    theirs.push({ number, type: alternative });
    if (kept !== alternative) agreed = false;
  }
  return { agreed, ours: canonicalPhones(ours), theirs: canonicalPhones(theirs) };
};

/**
 * The base where the outcome of a write is not known and the contact was read since: whatever the CRM now holds as it was sent came from us,
 * and is agreed. Otherwise an edit made here meanwhile would look like a conflict with our own write.
 * @param sent the values sent; only `fields` of it count
 */
export const baseAfter = (base: ContactFields, sent: ContactFields, fields: readonly FieldName[], remote: ContactFields): ContactFields => {
  const agreed = new Map<FieldName, unknown>();
  for (const field of fields) {
    if (field === 'phones') agreed.set(field, phonesAfter(base.phones, sent.phones, remote.phones));
    else if (sameValue(fieldValue(sent, field), fieldValue(remote, field))) agreed.set(field, fieldValue(sent, field));
  }
  return withCanonicalValues(base, agreed);
};

const phonesAfter = (base: readonly Phone[], sent: readonly Phone[], remote: readonly Phone[]): readonly Phone[] => {
  const [before, wanted, now] = [byNumber(base), byNumber(sent), byNumber(remote)];
  return canonicalPhones(
    [...new Set([...before.keys(), ...wanted.keys()])].flatMap((number) => {
      const type = wanted.get(number) === now.get(number) ? wanted.get(number) : before.get(number);
      return type === undefined ? [] : [{ number, type }];
    }),
  );
};

const byNumber = (phones: readonly Phone[]): ReadonlyMap<string, PhoneType> => new Map(phones.map((phone) => [phone.number, phone.type]));

export interface LinksMerge {
  readonly local: LinkSets;
  readonly base: KnownLinks;
}

/** Logged link edits that are not settled, of each link the last: the only diff there is while a kind is not known. */
export interface LinkEdits {
  readonly attached: LinkSets;
  readonly detached: LinkSets;
}

/** As `baseAfter`, for the links of a kind that both know: an id that was attached and is there, or detached and is not, is agreed. */
export const linksAfter = (base: KnownLinks, sent: LinksDiff, remote: KnownLinks): KnownLinks =>
  eachKind((kind) => {
    const [before, now] = [base[kind], remote[kind]];
    if (before === null || now === null) return before;
    const arrived = sent.attach[kind].filter((id) => now.includes(id));
    return canonicalIds([...without(before, without(sent.detach[kind], now)), ...arrived]);
  });

/** Merges the link sets, kind by kind. A kind that the record does not carry stays as it is. */
export const mergeLinks = (base: KnownLinks, local: LinkSets, remote: KnownLinks, edits: LinkEdits): LinksMerge => {
  const merged: Record<LinkKind, readonly number[]> = { ...local };
  const known: Record<LinkKind, readonly number[] | null> = { ...base };
  for (const kind of LINK_KINDS) {
    const theirs = remote[kind];
    if (theirs === null) continue;
    const before = base[kind];
    merged[kind] = before === null ? firstMeeting(local[kind], theirs, edits.detached[kind]) : mergeSet(before, local[kind], theirs);
    known[kind] = canonicalIds(theirs);
  }
  return { local: merged, base: known };
};

/** The first reading is a union, less what was removed here before it was known. */
const firstMeeting = (local: readonly number[], remote: readonly number[], detached: readonly number[]): readonly number[] =>
  canonicalIds([...local, ...without(remote, detached)]);

/** Element by element: what one side added or removed since the base is what becomes of it. */
const mergeSet = (base: readonly number[], local: readonly number[], remote: readonly number[]): readonly number[] =>
  canonicalIds([...without(local, without(base, remote)), ...without(remote, base)]);

/** The ids of one set that another lacks. */
export const without = (ids: readonly number[], others: readonly number[]): readonly number[] => {
  const excluded = new Set(others);
  return ids.filter((id) => !excluded.has(id));
};

/** What has to be attached and detached so that the CRM's links equal the row's. */
export interface LinksDiff {
  readonly attach: LinkSets;
  readonly detach: LinkSets;
}

export const diffLinks = (base: KnownLinks, local: LinkSets, edits: LinkEdits): LinksDiff => {
  const attach: Record<LinkKind, readonly number[]> = { companies: [], deals: [], activities: [] };
  const detach: Record<LinkKind, readonly number[]> = { companies: [], deals: [], activities: [] };
  for (const kind of LINK_KINDS) {
    const known = base[kind];
    // An edit that the row no longer bears out (one back that was not captured, say) is none: the log is the queue, not the truth.
    attach[kind] = known === null ? edits.attached[kind].filter((id) => local[kind].includes(id)) : without(local[kind], known);
    detach[kind] = without(known ?? edits.detached[kind], local[kind]);
  }
  return { attach, detach };
};

export const isEmptyLinks = (links: LinkSets): boolean => LINK_KINDS.every((kind) => links[kind].length === 0);

/** Element deltas that turn one link state into another: never "delete all but". */
export const linkDeltas = (from: LinkSets, to: LinkSets): { readonly add: LinkSets; readonly remove: LinkSets } => ({
  add: eachKind((kind) => without(to[kind], from[kind])),
  remove: eachKind((kind) => without(from[kind], to[kind])),
});

export const eachKind = <T>(of: (kind: LinkKind) => T): { readonly [K in LinkKind]: T } => ({
  companies: of('companies'),
  deals: of('deals'),
  activities: of('activities'),
});

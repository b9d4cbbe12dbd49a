/**
 * Contacts for property tests. The alphabets are tiny on purpose: what a merge has to get right happens where values are equal, and values
 * drawn from a large space never are.
 */
import fc from 'fast-check';
import {
  canonicalFields,
  canonicalIds,
  PHONE_TYPES,
  type ContactFields,
  type CustomFieldDef,
  type CustomFieldDefs,
  type CustomFields,
  type CustomType,
  type CustomValue,
  type FieldName,
  type KnownLinks,
  type LinkKind,
  type LinkSets,
  type Phone,
  type RemoteContact,
  UNKNOWN_LINKS,
} from '../../src/domain/contact.ts';
import { POLICIES, type Arbiter, type LinkEdits, type Policy } from '../../src/domain/merge.ts';

export const CUSTOM_TYPES = ['text', 'number', 'boolean', 'date', 'datetime', 'option', 'options'] as const satisfies readonly CustomType[];

export const definition = (name: string, type: CustomType, origin: CustomFieldDef['origin'] = 'crm'): CustomFieldDef => ({
  name,
  type,
  label: null,
  options: [],
  crmType: null,
  listed: true,
  gone: false,
  origin,
});
export const definitions = (...defs: readonly CustomFieldDef[]): CustomFieldDefs => new Map(defs.map((def) => [def.name, def]));

/** One field of each type, `cf_text` and so on; `cf_free` is declared by nobody. */
export const DEFS = definitions(...CUSTOM_TYPES.map((type) => definition(`cf_${type}`, type)));
const CUSTOM_NAMES = [...DEFS.keys(), 'cf_free'];

const textArb = fc.constantFrom(null, '', ' ', 'a', ' a', 'b', 'b\t', 'A');
const idArb = fc.constantFrom(null, 1, 2);

const phoneArb: fc.Arbitrary<Phone> = fc.record({
  number: fc.constantFrom('+1', '+2', ' +2 ', '+3', '', ' '),
  type: fc.constantFrom(...PHONE_TYPES),
});

const optionArb = fc.constantFrom<(string | number)[]>(1, 2, 10, '1', '2', '15', ' Gold ', 'Gold', '');
export const customValueArb: fc.Arbitrary<CustomValue> = fc.oneof(
  fc.constantFrom<CustomValue[]>(null, '', ' ', 'a', ' a ', true, false, 'true', '0', 0, 1, 2.5, '1', '1.00', '-7', '1.50', '007'),
  fc.constantFrom('2026-01-23', '2026-01-23T00:00:00.000000Z', '2026-01-23 10:30:00', '2026-01-23T10:30:00Z', '2026-01-23T12:30:00+02:00'),
  fc.constantFrom('2026-02-30', '2026-02-30T10:30:00Z', '0000-01-01T00:00:00+01:00', '2026-13-01T25:00'),
  fc.array(optionArb, { maxLength: 4 }),
);

const customFieldsArb: fc.Arbitrary<CustomFields> = fc.dictionary(fc.constantFrom(...CUSTOM_NAMES, 'note', '__proto__'), customValueArb, {
  maxKeys: 4,
});

const fieldsOf = (custom: fc.Arbitrary<CustomFields>): fc.Arbitrary<ContactFields> =>
  fc.record({
    first_name: textArb,
    last_name: textArb,
    email: textArb,
    job_title: textArb,
    street: textArb,
    city: textArb,
    state: textArb,
    postal_code: textArb,
    user_id: idArb,
    source_id: idArb,
    country_id: idArb,
    phones: fc.array(phoneArb, { maxLength: 4 }),
    custom_fields: custom,
  });

/** As a person, a client or the CRM may write them. */
export const rawFieldsArb = fieldsOf(customFieldsArb);
/** The same with anything that JSON can say as a custom value: the domain has to survive what the types forbid. */
export const wildFieldsArb = fieldsOf(
  fc.dictionary(
    fc.oneof(fc.constantFrom(...CUSTOM_NAMES), fc.string()),
    fc.jsonValue().map((value) => value as CustomValue),
    { maxKeys: 5 },
  ),
);
export const canonicalArb = rawFieldsArb.map((fields) => canonicalFields(fields, DEFS));

const idsArb = fc.uniqueArray(fc.constantFrom(1, 2, 3, 4), { maxLength: 4 }).map(canonicalIds);
const kinds = <T>(arb: fc.Arbitrary<T>): fc.Arbitrary<{ readonly [K in LinkKind]: T }> =>
  fc.record({ companies: arb, deals: arb, activities: arb });
export const linkSetsArb: fc.Arbitrary<LinkSets> = kinds(idsArb);
export const knownLinksArb: fc.Arbitrary<KnownLinks> = kinds(fc.option(idsArb, { nil: null }));

/** Logged edits as a log can hold them: of one link the last edit counts, so no id is both attached and detached. */
export const linkEditsArb: fc.Arbitrary<LinkEdits> = fc
  .record({ attached: linkSetsArb, detached: linkSetsArb })
  .map(({ attached, detached }) => ({
    attached,
    detached: {
      companies: detached.companies.filter((id) => !attached.companies.includes(id)),
      deals: detached.deals.filter((id) => !attached.deals.includes(id)),
      activities: detached.activities.filter((id) => !attached.activities.includes(id)),
    },
  }));

const policyArb: fc.Arbitrary<Policy> = fc.constantFrom(...POLICIES);
const HOLDABLE: readonly FieldName[] = ['first_name', 'last_name', 'email', 'user_id', 'phones', 'cf_text', 'cf_options', 'cf_free'];
export const heldArb: fc.Arbitrary<ReadonlySet<FieldName>> = fc.subarray([...HOLDABLE]).map((names) => new Set(names));

export const NOON = new Date('2026-01-23T12:00:00.000Z');
export const after = (ms: number): Date => new Date(NOON.getTime() + ms);

/** One policy for all fields, and whose edit is the newer one. */
export const arbiterOf = (policy: Policy, localIsNewer = false): Arbiter => ({
  policyOf: () => policy,
  editedAt: () => (localIsNewer ? after(60_000) : after(-60_000)),
  remoteAt: NOON,
});
/** A policy of its own for each field. */
export const arbiterArb: fc.Arbitrary<Arbiter> = fc
  .record({ policies: fc.array(policyArb, { minLength: 7, maxLength: 7 }), localIsNewer: fc.boolean() })
  .map(({ policies, localIsNewer }) => ({
    ...arbiterOf('newest', localIsNewer),
    policyOf: (field) => policies[field.length % policies.length] ?? 'newest',
  }));

export const remoteContact = (fields: ContactFields): RemoteContact => ({
  crmId: 1,
  fields,
  links: UNKNOWN_LINKS,
  linkCounts: { companies: null, deals: null },
  extra: {},
  createdAt: null,
  updatedAt: null,
  names: [],
});

/** Everything in it frozen: a pure function that sorts its argument in place throws. */
export const frozen = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
};

/** Realistic people from a seed number: the same seed, options and clock give the same account. */
import { isMultiOption } from './records.ts';
import type { AccountContact, CustomField, CustomFieldType, LinkKind, NumberAndType, StoredCustomValue } from './records.ts';
import * as words from './seed-words.ts';
import type { Store } from './store.ts';

export interface SeedOptions {
  readonly contacts: number;
  /** Default 1. */
  readonly seed?: number;
  /** Companies, deals and activities, linked to the contacts. Default true. */
  readonly links?: boolean;
  /** One custom field of each type, with values. Default true. */
  readonly customFields?: boolean;
}

const HOUR_MS = 3_600_000;
const TWO_YEARS_MS = 730 * 24 * HOUR_MS;

/** Mulberry32: small, and the same everywhere. */
const createDice = (seed: number) => {
  let state = seed >>> 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(random() * limit);
  return {
    below,
    chance: (share: number): boolean => random() < share,
    pick: <T>(items: readonly T[]): T => {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
  };
};
type Dice = ReturnType<typeof createDice>;

export const addPeople = (store: Store): void => {
  for (const [name, email] of words.USERS) {
    const id = store.nextId('users');
    store.users.set(id, { id, name, email });
  }
  for (const name of words.SOURCES) {
    const id = store.nextId('sources');
    store.sources.set(id, { id, name });
  }
};

export const addCountries = (store: Store): void => {
  words.COUNTRIES.forEach(([name, code, callingCode], index) => store.countries.set(index + 1, { id: index + 1, name, code, callingCode }));
};

/** Some time in the two years before now, and never in the last hour: a pull that starts now has nothing new to find. */
const pastMs = (dice: Dice, nowMs: number, notBeforeMs = nowMs - TWO_YEARS_MS): number =>
  notBeforeMs + dice.below(Math.floor((nowMs - HOUR_MS - notBeforeMs) / 1000)) * 1000;

const addRecords = (store: Store, dice: Dice, kind: LinkKind, count: number, toName: (index: number) => string): void => {
  for (let index = 0; index < count; index += 1) {
    const id = store.nextId(kind);
    const atMs = pastMs(dice, store.nowMs());
    const domain = kind === 'companies' ? `company-${id}.example` : null;
    store.records[kind].set(id, { id, name: toName(index), domain, createdAtMs: atMs, updatedAtMs: atMs, trashed: false, hidden: false });
  }
};

const addLinkedRecords = (store: Store, dice: Dice, contacts: number): void => {
  const some = (share: number): number => Math.max(3, Math.ceil(contacts * share));
  addRecords(store, dice, 'companies', some(0.2), () => `${dice.pick(words.COMPANY_WORDS)} ${dice.pick(words.COMPANY_KINDS)}`);
  addRecords(store, dice, 'deals', some(0.25), (index) => `${dice.pick(words.DEAL_WORDS)} #${index + 1}`);
  addRecords(store, dice, 'activities', some(0.5), (index) => `${dice.pick(words.ACTIVITY_WORDS)} ${index + 1}`);
};

const pickIds = (dice: Dice, ids: readonly number[], share: number): readonly number[] => {
  if (ids.length === 0 || !dice.chance(share)) return [];
  const picked = new Set(Array.from({ length: 1 + dice.below(3) }, () => dice.pick(ids)));
  return [...picked].toSorted((a, b) => a - b);
};

type Plain = Exclude<CustomFieldType, 'Select' | 'Radio' | 'MultiSelect' | 'Checkbox'>;

const PLAIN_VALUES: { readonly [K in Plain]: (dice: Dice, past: string) => StoredCustomValue } = {
  Text: (dice) => dice.pick(words.FIRST_NAMES),
  Textarea: (dice) => `Met at the ${dice.pick(words.SOURCES)}.\nAsk for the ${dice.pick(words.JOB_TITLES)}.`,
  Email: (dice) => `private.${dice.below(100_000)}@mail.example`,
  Url: (dice) => `https://www.site-${dice.below(1000)}.example/about`,
  Number: (dice) => dice.below(5000),
  Numeric: (dice) => dice.below(1_000_000) / 1000,
  Boolean: (dice) => dice.chance(0.5),
  Date: (_dice, past) => past.slice(0, 10),
  DateTime: (_dice, past) => `${past.slice(0, 19)}Z`,
  Timezone: (dice) => dice.pick(['Europe/Berlin', 'America/New_York', 'Asia/Tokyo']),
  ColorSwatch: (dice) => dice.pick(['#ef4444', '#22c55e', '#3b82f6']),
};

const isPlain = (type: CustomFieldType): type is Plain => type in PLAIN_VALUES;

const customValue = (dice: Dice, { type, options = [] }: CustomField, nowMs: number): StoredCustomValue => {
  const ids = options.map((option) => option.id);
  if (isMultiOption(type)) return pickIds(dice, ids, 0.7);
  if (dice.chance(0.4)) return null;
  return isPlain(type) ? PLAIN_VALUES[type](dice, new Date(pastMs(dice, nowMs)).toISOString()) : dice.pick(ids);
};

const customValues = (store: Store, dice: Dice): { readonly [name: string]: StoredCustomValue } =>
  Object.fromEntries([...store.customFields.values()].map((field) => [field.name, customValue(dice, field, store.nowMs())]));

/** Numbers count upwards, so that no two are equal. */
const phonesOf = (dice: Dice, id: number): readonly NumberAndType[] =>
  Array.from({ length: dice.below(4) }, (_, index) => ({
    number: `+1 555 ${String(id).padStart(6, '0')}${index}`,
    type: dice.pick(['mobile', 'work', 'other'] as const),
  }));

const ascii = (text: string): string =>
  text
    .normalize('NFD')
    .replace(/[^a-z]/gi, '')
    .toLowerCase();

const contactOf = (
  store: Store,
  dice: Dice,
  id: number,
  ids: { readonly [K in LinkKind]: readonly number[] },
  custom: boolean,
): AccountContact => {
  const [firstName, lastName] = [dice.pick(words.FIRST_NAMES), dice.chance(0.95) ? dice.pick(words.LAST_NAMES) : null];
  const [city, state, countryId] = dice.pick(words.PLACES);
  const hasAddress = dice.chance(0.7);
  const createdAtMs = pastMs(dice, store.nowMs());
  const userId = dice.chance(0.85) ? dice.pick([...store.users.keys()]) : null;
  return {
    id,
    first_name: firstName,
    last_name: lastName,
    email: dice.chance(0.9) ? `${ascii(firstName)}.${ascii(lastName ?? 'x')}.${id}@mail.example` : null,
    job_title: dice.chance(0.6) ? dice.pick(words.JOB_TITLES) : null,
    street: hasAddress ? `${dice.pick(words.STREETS)} ${1 + dice.below(200)}` : null,
    city: hasAddress ? city : null,
    state: hasAddress ? state : null,
    postal_code: hasAddress ? String(10_000 + dice.below(89_999)) : null,
    user_id: userId,
    source_id: dice.chance(0.8) ? dice.pick([...store.sources.keys()]) : null,
    country_id: hasAddress ? countryId : null,
    phones: store.replacePhones([], phonesOf(dice, id)),
    tags: store.tags.size > 0 ? pickIds(dice, [...store.tags.keys()], 0.2) : [],
    companies: pickIds(dice, ids.companies, 0.7),
    deals: pickIds(dice, ids.deals, 0.5),
    activities: pickIds(dice, ids.activities, 0.4),
    custom: custom ? customValues(store, dice) : {},
    createdAtMs,
    updatedAtMs: pastMs(dice, store.nowMs(), createdAtMs),
    deletedAtMs: null,
    ownerAssignedAtMs: userId === null ? null : createdAtMs,
    access: 'full',
  };
};

const addTags = (store: Store): void => {
  if (store.tags.size > 0) return;
  for (const name of words.TAGS) {
    const id = store.nextId('tags');
    store.tags.set(id, { id, name });
  }
};

export const seedAccount = (store: Store, { contacts, seed = 1, links = true, customFields = true }: SeedOptions): void => {
  const dice = createDice(seed);
  if (customFields) for (const field of words.SEED_CUSTOM_FIELDS) store.customFields.set(field.name, field);
  addTags(store);
  if (links) addLinkedRecords(store, dice, contacts);
  const idsOf = (kind: LinkKind): readonly number[] => (links ? [...store.records[kind].keys()] : []);
  const ids = { companies: idsOf('companies'), deals: idsOf('deals'), activities: idsOf('activities') };
  for (let index = 0; index < contacts; index += 1) {
    // One id in twenty is skipped: rolled-back inserts leave such gaps in every real table.
    const id = store.nextId('contacts', dice.chance(0.05) ? 2 : 1);
    store.put(contactOf(store, dice, id, ids, customFields));
  }
};

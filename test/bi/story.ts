/**
 * What happens in the analysts' sandbox: half a year of a CRM in which people work, then two weeks of edits on both sides whose traces the
 * cookbook of docs/bi.md shows. Always the same.
 */
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import * as words from '../../src/sandbox/crm/seed-words.ts';
import { createDice, type Dice } from '../sim/dice.ts';

/** The first load, and the moment at which the questions are asked: a Tuesday morning. */
export const LOADED_AT = new Date('2025-09-20T07:00:00Z');
export const ASKED_AT = new Date('2026-03-17T09:00:00Z');
export const SEED = { contacts: 300, seed: 7 } as const;
/** Edits of custom fields with several options do not move updated_at: only the comparison of everything finds them. */
export const SILENT_EDITS = ['multiOptions'] as const;
/** Edited on both sides, this field waits for a person. */
export const DECIDED_BY_PEOPLE = 'job_title';

/** Who edits here: a person, and a program. */
export type Author = 'ann' | 'webshop';
export interface Edit {
  readonly who: Author;
  readonly sql: string;
}
export interface Step {
  readonly at: Date;
  /** People in the CRM. */
  readonly there?: (account: SandboxAccount) => void;
  readonly here?: readonly Edit[];
  /** Read by a sweep of everything instead of by the changes. */
  readonly sweep?: boolean;
}

const DAY_MS = 86_400_000;
const TAKEN_OVER = ['2025-11-20T16:00:00', '2025-12-20T16:00:00', '2026-02-01T16:00:00', '2026-03-15T16:00:00'];

const bodyOf = (dice: Dice, n: number): Record<string, unknown> => {
  const [first, last] = [dice.pick(words.FIRST_NAMES), dice.pick(words.LAST_NAMES)];
  const [city, state, country] = dice.pick(words.PLACES);
  const phones = dice.chance(0.6) ? [{ number: `+49 30 ${String(901_000 + n)}`, type: 'work' }] : [];
  return {
    first_name: first,
    last_name: last,
    ...(dice.chance(0.85) && { email: `new.${n}@mail.example` }),
    ...(dice.chance(0.8) && { user_id: 1 + dice.below(words.USERS.length) }),
    ...(dice.chance(0.8) && { source_id: 1 + dice.below(words.SOURCES.length) }),
    ...(dice.chance(0.7) && { city, state, country_id: country }),
    ...(dice.chance(0.5) && { cf_tier: 1 + dice.below(3) }),
    ...(dice.chance(0.5) && { cf_score: dice.below(100_000) / 1000 }),
    ...(dice.chance(0.6) && { companies: [1 + dice.below(60)] }),
    ...(dice.chance(0.4) && { deals: [1 + dice.below(75)] }),
    phones,
  };
};

/** A day of people in the CRM. */
const day = (dice: Dice, account: SandboxAccount, n: number): void => {
  if (dice.chance(0.45)) account.create(bodyOf(dice, n));
  const known = account.contacts().filter(({ id }) => id > KEPT_FOR_THE_STORY);
  if (dice.chance(0.5)) account.update(dice.pick(known).id, { job_title: dice.pick(words.JOB_TITLES) });
  if (dice.chance(0.3)) account.update(dice.pick(known).id, { user_id: 1 + dice.below(words.USERS.length) });
  if (dice.chance(0.08)) account.delete(dice.pick(known).id);
};
const KEPT_FOR_THE_STORY = 80;

/** People in the CRM, day by day: each call goes on to the given time. */
export const createDays = (): ((account: SandboxAccount, setClock: (at: Date) => void, until: Date) => void) => {
  const dice = createDice(11);
  let now = LOADED_AT.getTime();
  let n = 0;
  return (account, setClock, until) => {
    for (; now + DAY_MS < until.getTime(); now += DAY_MS) {
      setClock(new Date(now + DAY_MS / 2 + dice.below(DAY_MS / 2000) * 1000));
      day(dice, account, (n += 1));
    }
  };
};

const at = (time: string): Date => new Date(`${time}Z`);

/** Contact 7's own story, what was deleted and restored, who is in there twice, and yesterday. */
const told = (): readonly Step[] => [
  {
    at: at('2025-10-27T10:15:00'),
    there: (account) => void account.update(7, { job_title: 'Sales Lead', cf_tier: 1 }),
  },
  {
    at: at('2026-01-12T13:05:00'),
    here: [
      {
        who: 'ann',
        sql: `update crm.contacts set city = 'Basel', state = 'BS', custom_fields = custom_fields || '{"cf_tier": 2}' where crm_id = 7`,
      },
    ],
  },
  { at: at('2026-02-19T09:00:00'), there: (account) => void account.delete(12) },
  { at: at('2026-03-02T08:30:00'), here: [{ who: 'ann', sql: 'delete from crm.contacts where crm_id = 25' }] },
  { at: at('2026-03-05T14:00:00'), there: (account) => void account.delete(33) },
  {
    at: at('2026-03-06T11:20:00'),
    here: [{ who: 'ann', sql: `update crm.contacts set street = 'Via Roma 3' where crm_id = 52` }],
    there: (account) => void account.update(52, { job_title: 'Head of Operations' }),
  },
  {
    at: at('2026-03-09T07:45:00'),
    here: [
      {
        who: 'webshop',
        sql: `insert into crm.contacts (first_name, last_name, email, source_id)
              select first_name, last_name, upper(email), 1 from crm.contacts where crm_id in (14, 17)`,
      },
    ],
  },
  { at: at('2026-03-10T09:10:00'), there: (account) => void account.restore(33) },
  {
    at: at('2026-03-10T12:00:00'),
    here: [{ who: 'ann', sql: `update crm.contacts set postal_code = '4051' where crm_id = 7` }],
    there: (account) => void account.update(7, { job_title: 'CEO' }),
  },
  {
    at: at('2026-03-12T15:30:00'),
    here: [
      {
        who: 'webshop',
        sql: `insert into crm.contacts (first_name, last_name, country_id, phones) values
              ('Kim', 'Ortega', 2, '[{"number": "+41 44 668 18 00"}]'), ('K.', 'Ortega', null, '[{"number": "+41 (0)44 668-1800", "type": "work"}]'),
              ('Lou', 'Abel', 1, '[{"number": "030 901820"}]'), ('Louise', 'Abel', 3, '[{"number": "0049 30 90 18 20"}]')`,
      },
    ],
  },
  // Merged by the mirror but for one field, and then by a person: two merges of one contact.
  {
    at: at('2026-03-12T16:00:00'),
    here: [{ who: 'ann', sql: `update crm.contacts set job_title = 'Buyer', city = 'Lyon' where crm_id = 36` }],
    there: (account) => void account.update(36, { job_title: 'CFO', postal_code: '69001' }),
  },
  {
    at: at('2026-03-13T08:20:00'),
    here: [{ who: 'ann', sql: `select sync.resolve(id, 'crm') from sync.conflicts where state = 'open'` }],
  },
  {
    at: at('2026-03-13T10:00:00'),
    there: (account) => {
      for (const deal of [3, 40, 71])
        for (const { id, deals } of account.contacts()) if (deals.includes(deal)) account.detach(id, { deals: [deal] });
    },
  },
];

const yesterday = (): readonly Step[] => [
  {
    at: at('2026-03-16T07:12:00'),
    here: [{ who: 'ann', sql: `update crm.contacts set job_title = 'Buyer', user_id = 2 where crm_id = 42` }],
  },
  { at: at('2026-03-16T08:30:00'), there: (account) => void account.update(58, { cf_tier: 3, cf_score: 99.5 }) },
  {
    at: at('2026-03-16T09:05:00'),
    here: [
      { who: 'webshop', sql: `insert into crm.contacts (first_name, last_name, email) values ('Nia', 'Costa', 'nia.costa@mail.example')` },
    ],
  },
  {
    at: at('2026-03-16T12:40:00'),
    here: [{ who: 'ann', sql: `update crm.contacts set city = 'Leeds' where crm_id = 64` }],
    there: (account) => void account.update(64, { job_title: 'CTO' }),
  },
  { at: at('2026-03-16T14:00:00'), sweep: true, there: (account) => void account.update(70, { cf_interests: [21, 23] }) },
  {
    at: at('2026-03-16T15:20:00'),
    here: [
      { who: 'ann', sql: 'delete from crm.contacts where crm_id = 77' },
      { who: 'ann', sql: `update crm.contacts set custom_fields = custom_fields || '{"cf_tier": 3}' where crm_id = 7` },
    ],
  },
];

/** In the order of their times; at each the mirror has taken over what happened in the CRM until then. */
export const steps = (): readonly Step[] =>
  [...TAKEN_OVER.map((time) => ({ at: at(time) })), ...told(), ...yesterday()].toSorted((a, b) => a.at.getTime() - b.at.getTime());

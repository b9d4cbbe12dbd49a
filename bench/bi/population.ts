/**
 * A mirror of any size as a year of sync leaves it: people with all that a contact may have, their links, what the sync keeps of each, and every
 * version of the last fourteen months. By statements over whole sets with the triggers off: a million contacts take minutes, not hours.
 *
 * The same `contacts` give the same people (setseed); times count back from now.
 */
import type { BenchDatabase } from '../database.ts';
import { SEED_CUSTOM_FIELDS } from '../../src/sandbox/crm/seed-words.ts';

const MONTHS = 14;

/** A number from 0 up to `limit`, the lower the more often: most people are in a few countries, of a few sources. */
const skewed = (limit: string, power: number): string => `floor(power(random(), ${power}) * ${limit})::int`;
const oneOf = (words: readonly string[], index = `floor(random() * ${words.length})::int`): string =>
  `(array[${words.map((word) => `'${word.replaceAll("'", "''")}'`).join(', ')}])[1 + ${index}]`;

const FIRST = [
  'Ada',
  'Amélie',
  'Bo',
  'Carlos',
  'Chloë',
  'Dmitri',
  'Elif',
  'Emma',
  'Fatima',
  'Giulia',
  'Hannah',
  'Jörg',
  'Kwame',
  'Mei',
  'Søren',
];
const LAST = [
  'Adler',
  "O'Brien",
  'Castillo',
  'Dąbrowska',
  'Eriksen',
  'Ferreira',
  'García',
  'Müller',
  'Nguyen',
  'Okafor',
  'Tanaka',
  'Yılmaz',
];
const JOBS = ['Accountant', 'Buyer', 'CEO', 'CTO', 'Designer', 'Head of Operations', 'Office Manager', 'Sales Lead'];
const CITIES = ['Berlin', 'Zürich', 'Lyon', 'Boston', 'Leeds', 'Málaga', 'Basel', 'Graz', 'Oslo', 'Porto', 'Turin', 'Ghent'];

/** Names first: what the contacts point at. */
const NAMES = [
  `insert into crm.countries select n, 'Country ' || n from generate_series(1, 40) n`,
  `insert into crm.users select n, 'User ' || n from generate_series(1, 60) n`,
  `insert into crm.sources select n, 'Source ' || n from generate_series(1, 12) n`,
  `insert into crm.companies select n, 'Company ' || n from generate_series(1, greatest(3, $1::int / 8)) n`,
  `insert into crm.deals select n, 'Deal #' || n from generate_series(1, greatest(3, $1::int / 6)) n`,
  `insert into crm.activities select n, 'Call back ' || n from generate_series(1, greatest(3, $1::int / 3)) n`,
];

/** The typed kinds of sync.custom_fields. */
const KINDS: { readonly [type: string]: string } = {
  Number: 'number',
  Numeric: 'number',
  Boolean: 'boolean',
  Date: 'date',
  DateTime: 'datetime',
  Select: 'option',
  Radio: 'option',
  MultiSelect: 'options',
  Checkbox: 'options',
};
const FIELDS = `
insert into sync.custom_fields (name, type, label, options, origin)
select f->>'name', coalesce($2::jsonb->>(f->>'type'), 'text'), f->>'label', coalesce(f->'options', '[]'), 'crm'
from jsonb_array_elements($1::jsonb) f
on conflict (name) do nothing`;

/** Three in five are set, as people fill in what they know. */
const maybe = (value: string): string => `case when random() < 0.6 then ${value} end`;
const CUSTOM = `jsonb_build_object(
  'cf_nickname', ${maybe(oneOf(FIRST))},
  'cf_notes', ${maybe(`'Met at the ' || ${oneOf(['fair', 'office', 'station'])} || '. Ask for the ' || ${oneOf(JOBS)} || '.'`)},
  'cf_second_email', ${maybe(`'private.' || n || '@mail.example'`)},
  'cf_website', ${maybe(`'https://www.site-' || n % 1000 || '.example/about'`)},
  'cf_employees', ${maybe(skewed('5000', 3))},
  'cf_score', ${maybe('round((random() * 1000)::numeric, 3)')},
  'cf_newsletter', ${maybe('random() < 0.5')},
  'cf_birthday', ${maybe(`to_char(date '1950-01-01' + floor(random() * 18000)::int, 'YYYY-MM-DD')`)},
  'cf_last_visit', ${maybe(`to_char(now() - random() * interval '400 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`)},
  'cf_tier', ${maybe(`1 + ${skewed('3', 1.6)}`)},
  'cf_language', ${maybe(`11 + ${skewed('3', 1.3)}`)},
  'cf_interests', (select jsonb_agg(o) from generate_series(21, 24) o where random() < 0.4 and n > 0),
  'cf_consents', (select jsonb_agg(o) from generate_series(31, 33) o where random() < 0.5 and n > 0),
  'cf_timezone', ${maybe(oneOf(['Europe/Berlin', 'America/New_York', 'Asia/Tokyo']))},
  'cf_colour', ${maybe(oneOf(['#ef4444', '#22c55e', '#3b82f6']))})`;

/** One phone for most, none for some; now and then a number that somebody else has as well. */
const PHONES = `coalesce((
  select jsonb_agg(jsonb_build_object('number',
    '+49 30 ' || lpad(((case when random() < 0.01 then n % 1000 else n end) * 4 + p)::text, 8, '0'), 'type', ${oneOf(['mobile', 'work', 'other'])}) order by p)
  from generate_series(0, case when n % 20 < 3 then -1 when n % 20 < 14 then 0 when n % 20 < 18 then 1 else 2 end) p), '[]')`;

/** Ids in the order of their creation, as a sweep by id leaves them; more of them lately. A few share an e-mail, some written in capitals. */
const CONTACTS = `
insert into crm.contacts (crm_id, first_name, last_name, email, phones, user_id, source_id, job_title, street, city, state, postal_code, country_id,
  custom_fields, extra, crm_created_at, crm_updated_at)
select n, ${oneOf(FIRST)}, ${oneOf(LAST)},
  case when random() < 0.92 then case when random() < 0.1 then 'Contact' else 'contact' end
    || case when random() < 0.02 then n / 2 else n end || '@mail.example' end,
  ${PHONES}, nullif(${skewed('61', 1.5)}, 0), nullif(${skewed('13', 1.5)}, 0), ${maybe(oneOf(JOBS))},
  ${maybe(`n % 300 || ' Station Road'`)}, ${maybe(oneOf(CITIES, skewed('12', 2)))}, ${maybe(oneOf(['Berlin', 'ZH', 'MA']))}, ${maybe('10000 + n % 80000')},
  nullif(${skewed('41', 2)}, 0), ${CUSTOM}, jsonb_build_object('tags', '[]'::jsonb, 'owner_note', null),
  created, created + (now() - created) * power(random(), 0.5)
from generate_series(1, $1::int) n, lateral (select now() - interval '1 hour' - interval '1095 days' * (1 - power(n::float8 / $1, 0.7)) as created) t`;

/** `each` links for a share of the contacts; what has no contact is left over by chance. */
const links = (table: string, column: string, names: string, share: number, each: number): string => `
insert into crm.${table} (contact_id, ${column})
select distinct c.id, 1 + floor(random() * (select count(*) from crm.${names}))::bigint
from crm.contacts c cross join generate_series(1, ${each}) k
where c.id % 100 < ${share * 100} and (k = 1 or random() < 0.4)`;

const STATE = `
insert into sync.contact_state (contact_id, crm_id, base, base_hash, extra_hash, companies, deals, activities, settled_at)
select c.id, c.crm_id, to_jsonb(c) - '{id,crm_id,extra,crm_created_at,crm_updated_at}'::text[], md5(c.id::text), md5('extra'),
  array(select company_id from crm.contact_companies l where l.contact_id = c.id order by 1),
  array(select deal_id from crm.contact_deals l where l.contact_id = c.id order by 1),
  array(select activity_id from crm.contact_activities l where l.contact_id = c.id order by 1), now()
from crm.contacts c`;

/** As the daemon reads them: what is written with a calling code is that number without its spaces. */
const PHONE_FORMS = `
insert into sync.phone_forms (contact_id, number, country_id, region, e164)
select distinct on (c.id, p.number) c.id, p.number, c.country_id, 'DE', replace(p.number, ' ', '')
from crm.contacts c cross join lateral jsonb_to_recordset(c.phones) p(number text)`;

const VERSION_COLUMNS = `contact_id, valid_from, op, origin, who, crm_id, first_name, last_name, email, phones, user_id, source_id, job_title, street, city,
  state, postal_code, country_id, custom_fields, extra, crm_created_at`;
/** The first version when the history began, or when the contact came; on average one more in two since; one in fifty is gone. */
const VERSIONS = `
insert into sync.contact_versions (${VERSION_COLUMNS})
select c.id, v.at, v.op, v.origin, v.who, c.crm_id, c.first_name, c.last_name, c.email, c.phones, c.user_id, c.source_id,
  case when v.op = 'update' then c.job_title else 'Trainee' end, c.street, c.city, c.state, c.postal_code, c.country_id, c.custom_fields, c.extra,
  c.crm_created_at
from crm.contacts c
cross join lateral (
  select greatest(c.crm_created_at, $1::timestamptz) as at, 'insert' as op, 'resync' as origin, 'CRM' as who
  union all
  select greatest(c.crm_created_at, $1::timestamptz) + (now() - interval '1 hour' - greatest(c.crm_created_at, $1::timestamptz)) * random(), 'update',
    case when c.id % 97 = 0 then 'merge' when c.id % 3 = 0 then 'mirror' else 'crm' end, case when c.id % 3 = 0 then 'user_' || c.id % 5 else 'CRM' end
  from generate_series(1, case when c.id % 10 < 6 then 0 when c.id % 10 < 9 then 1 else 2 end) k
) v
order by v.at`;
const GONE = `
insert into sync.contact_versions (${VERSION_COLUMNS})
select ${VERSION_COLUMNS.replace('contact_id', '1000000000 + v.contact_id').replace('valid_from', 't.at').replace(' op,', ' t.op,').replace(' crm_id', ' 1000000000 + v.crm_id')}
from sync.contact_versions v cross join lateral (values ('insert', v.valid_from), ('delete', v.valid_from + (now() - v.valid_from) * 0.5)) t (op, at)
where v.op = 'insert' and v.contact_id % 50 = 0
order by t.at`;

/** Fills an empty mirror. */
export const populate = async (database: BenchDatabase, contacts: number, say: (line: string) => void): Promise<void> => {
  const step = async (what: string, sql: string, values: readonly unknown[] = []): Promise<void> => {
    say(`bi: ${what}`);
    await database.query(sql, values);
  };
  // As the daemon writes, and with the history still off: what capture and history would have written is written here as it stands a year later.
  await database.query('begin');
  await database.query('select sync.begin_own_write()');
  await database.query(`set local session_replication_role = replica`);
  await database.query(`select setseed(0.5), set_config('max_parallel_workers_per_gather', '0', false), set_config('jit', 'off', false)`);
  for (const sql of NAMES) await database.query(sql, sql.includes('$1') ? [contacts] : []);
  await database.query(FIELDS, [JSON.stringify(SEED_CUSTOM_FIELDS), JSON.stringify(KINDS)]);
  await step(`${contacts} contacts`, CONTACTS, [contacts]);
  await step('links', links('contact_companies', 'company_id', 'companies', 0.7, 2));
  await database.query(links('contact_deals', 'deal_id', 'deals', 0.3, 2));
  await database.query(links('contact_activities', 'activity_id', 'activities', 0.6, 4));
  await step('what the sync keeps', STATE);
  await database.query(PHONE_FORMS);
  const since = `date_trunc('month', now() - interval '${MONTHS - 1} months') + interval '3 days'`;
  await database.query(`select sync.add_history_month(now() - n * interval '1 month') from generate_series(0, ${MONTHS - 1}) n`);
  await database.query('select sync.add_history_months()');
  const [began] = await database.query<{ at: string }>(`select (${since})::text as at`);
  await step('versions', VERSIONS, [began?.at]);
  await step('versions of who is gone', GONE);
  await database.query(`update sync.account set history_since = $1`, [began?.at]);
  await database.query('select sync.switch_history(true)');
  await database.query('commit');
  // The typed columns, as the daemon makes them.
  await database.query('select sync.refresh_bi()');
  say('bi: vacuum');
  await database.disconnect();
  await database.query('vacuum analyze');
};

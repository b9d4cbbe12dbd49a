/** What the seeded people are made of. Names beyond ASCII on purpose: a mirror that only knows ASCII should find out early. */
import type { CustomField } from './records.ts';

const listOf = (text: string): readonly string[] => text.split(',').map((word) => word.trim());

export const FIRST_NAMES = listOf(`
  Ada, Amélie, Bo, Carlos, Chloë, Dmitri, Elif, Emma, Fatima, Giulia, Hannah, Igor, Ines, Jörg, José, Kwame, Lars, Léa, Maja, Mateo, Mei,
  Nils, Noah, Olga, Priya, Quentin, Rania, Søren, Tomás, Ulla, Wei, Yuki, Zoë`);
export const LAST_NAMES = listOf(`
  Adler, O'Brien, Castillo, Dąbrowska, Eriksen, Ferreira, García, Haddad, Ivanova, Jansen, Kowalski, Lindqvist, Müller, Nguyen, Okafor,
  Petrov, Quispe, Rossi, Sørensen, Tanaka, Ünal, van der Berg, Weber, Xu, Yılmaz, Zhang`);
export const JOB_TITLES = ['Accountant', 'Buyer', 'CEO', 'CTO', 'Designer', 'Head of Operations', 'Office Manager', 'Sales Lead'] as const;
export const STREETS = ['Bahnhofstraße', 'Elm Street', 'Garden Row', 'Rue de la Paix', 'Station Road', 'Via Roma'] as const;
/** City, state, country's id. */
export const PLACES = [
  ['Berlin', 'Berlin', 1],
  ['Zürich', 'ZH', 2],
  ['Lyon', 'Auvergne-Rhône-Alpes', 3],
  ['Boston', 'MA', 4],
  ['Leeds', 'West Yorkshire', 5],
  ['Málaga', 'Andalucía', 6],
] as const;
export const COMPANY_WORDS = [
  'Alder',
  'Beacon',
  'Cobalt',
  'Drift',
  'Ember',
  'Fjord',
  'Granite',
  'Harbor',
  'Iris',
  'Juniper',
  'Kestrel',
  'Lumen',
] as const;
export const COMPANY_KINDS = ['Analytics', 'Foods', 'Freight', 'Health', 'Labs', 'Logistics', 'Partners', 'Studios'] as const;
export const DEAL_WORDS = ['Annual licence', 'Consulting', 'Pilot', 'Renewal', 'Roll-out', 'Support contract', 'Upgrade'] as const;
export const ACTIVITY_WORDS = ['Call back', 'Demo', 'Follow up', 'Kick-off', 'Lunch', 'Quarterly review', 'Send offer'] as const;
export const TAGS = ['newsletter', 'partner', 'vip'] as const;

export const USERS = [
  ['Robin Vale', 'robin.vale@crm.example'],
  ['Sam Okoye', 'sam.okoye@crm.example'],
  ['Toni Brandt', 'toni.brandt@crm.example'],
  ['Uma Patel', 'uma.patel@crm.example'],
] as const;
export const SOURCES = ['Website', 'Trade fair', 'Referral', 'Cold call', 'Newsletter'] as const;
/** Name, ISO code, calling code. */
export const COUNTRIES = [
  ['Germany', 'DE', '49'],
  ['Switzerland', 'CH', '41'],
  ['France', 'FR', '33'],
  ['United States', 'US', '1'],
  ['United Kingdom', 'GB', '44'],
  ['Spain', 'ES', '34'],
] as const;

/** One custom field of each type. */
export const SEED_CUSTOM_FIELDS: readonly CustomField[] = [
  { name: 'cf_nickname', label: 'Nickname', type: 'Text' },
  { name: 'cf_notes', label: 'Notes', type: 'Textarea' },
  { name: 'cf_second_email', label: 'Second e-mail', type: 'Email' },
  { name: 'cf_website', label: 'Website', type: 'Url' },
  { name: 'cf_employees', label: 'Employees', type: 'Number' },
  { name: 'cf_score', label: 'Score', type: 'Numeric' },
  { name: 'cf_newsletter', label: 'Newsletter', type: 'Boolean' },
  { name: 'cf_birthday', label: 'Birthday', type: 'Date' },
  { name: 'cf_last_visit', label: 'Last visit', type: 'DateTime' },
  {
    name: 'cf_tier',
    label: 'Tier',
    type: 'Select',
    options: [
      { id: 1, label: 'Bronze' },
      { id: 2, label: 'Silver' },
      { id: 3, label: 'Gold' },
    ],
  },
  {
    name: 'cf_language',
    label: 'Language',
    type: 'Radio',
    options: [
      { id: 11, label: 'English' },
      { id: 12, label: 'German' },
      { id: 13, label: 'French' },
    ],
  },
  {
    name: 'cf_interests',
    label: 'Interests',
    type: 'MultiSelect',
    options: [
      { id: 21, label: 'Hardware' },
      { id: 22, label: 'Software' },
      { id: 23, label: 'Training' },
      { id: 24, label: 'Support' },
    ],
  },
  {
    name: 'cf_consents',
    label: 'Consents',
    type: 'Checkbox',
    options: [
      { id: 31, label: 'Post' },
      { id: 32, label: 'E-mail' },
      { id: 33, label: 'Phone' },
    ],
  },
  { name: 'cf_timezone', label: 'Time zone', type: 'Timezone' },
  { name: 'cf_colour', label: 'Colour', type: 'ColorSwatch' },
];

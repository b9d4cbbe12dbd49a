/** The people on both sides: what a schedule's actions do, to whoever is there at that moment. */
import { canonicalPhones, type ContactFields, type LinkKind, type PhoneType } from '../../src/domain/contact.ts';
import type { UserSession } from '../fakes/fake-user.ts';
import type { AccountContact } from '../../src/sandbox/crm/records.ts';
import type { Edit, EditField, Local, Remote, Twin } from './schedule.ts';
import type { World } from './world.ts';

const PHONE_TYPES: readonly PhoneType[] = ['mobile', 'work', 'other'];
const DAY_MS = 86_400_000;

/** No two edits come to the same value: whoever holds it got it from this one. */
const valueFor = (field: EditField, n: number): string => {
  if (field === 'email') return `e${n}@mail.test`;
  return field === 'cf_day' ? new Date(n * DAY_MS).toISOString().slice(0, 10) : `v${n}`;
};

/** Nobody is without a first name, so clearing it sets another one. */
const valueOf = ({ edit, field, n }: Extract<Edit, { readonly field: EditField }>): string | null =>
  edit === 'set' || field === 'first_name' ? valueFor(field, n) : null;

interface Person {
  readonly phones: ContactFields['phones'];
  readonly custom: { readonly [name: string]: unknown };
}

const phonesAfter = (phones: Person['phones'], edit: Extract<Edit, { readonly edit: `${string}Phone` }>): Person['phones'] => {
  const { n } = edit;
  if (edit.edit === 'addPhone') return canonicalPhones([...phones, { number: `+1 ${n}`, type: PHONE_TYPES[n % 3] ?? 'mobile' }]);
  const chosen = phones[n % Math.max(1, phones.length)]?.number;
  if (edit.edit === 'removePhone') return phones.filter(({ number }) => number !== chosen);
  return phones.map((phone) => (phone.number === chosen ? { number: phone.number, type: PHONE_TYPES[n % 3] ?? 'mobile' } : phone));
};

interface Edited {
  /** Columns and `phones`, as both sides spell them. */
  readonly columns: { readonly [name: string]: unknown };
  readonly custom: { readonly [name: string]: unknown };
  readonly links: readonly { readonly edit: 'link' | 'unlink'; readonly kind: LinkKind; readonly id: number }[];
}

/** What several edits come to, for a person who is like this now. */
const sumUp = (edits: readonly Edit[], person: Person): Edited => {
  const columns: Record<string, unknown> = {};
  const custom: Record<string, unknown> = {};
  const links: Edited['links'][number][] = [];
  let { phones } = person;
  for (const edit of edits) {
    if ('kind' in edit) links.push(edit);
    else if (!('field' in edit)) columns['phones'] = phones = phonesAfter(phones, edit);
    else if (edit.field === 'cf_note' || edit.field === 'cf_day') custom[edit.field] = valueOf(edit);
    else columns[edit.field] = valueOf(edit);
  }
  return { columns, custom, links };
};

const editRow = async (user: UserSession, id: number, edits: readonly Edit[], person: Person, step: () => Promise<void>): Promise<void> => {
  const { columns, custom, links } = sumUp(edits, person);
  const values = { ...columns, ...(Object.keys(custom).length > 0 && { custom_fields: { ...person.custom, ...custom } }) };
  if (Object.keys(values).length > 0) await user.update(id, values as Partial<ContactFields>);
  for (const { edit, kind, id: other } of links) {
    await step();
    if (edit === 'link') await user.attach(id, kind, other);
    else await user.detach(id, kind, other);
  }
};

/** One transaction of a person in the mirror; it may be interrupted between its statements and before its commit. */
export const actLocally = async (world: World, action: Local): Promise<void> => {
  const { database, scheduler } = world;
  const step = (): Promise<void> => scheduler.step(null);
  const user = database.begin(action.act !== 'uncaptured');
  const rows = database.rows().rows.toSorted((a, b) => a.id - b.id);
  if (action.act === 'insert') {
    const fields = { first_name: `v${action.n}`, last_name: `L${action.n}` };
    const id = await user.insert(fields);
    await editRow(user, id, action.edits, { phones: [], custom: {} }, step);
  } else {
    const row = rows[action.who % Math.max(1, rows.length)];
    if (row === undefined) return;
    if (action.act === 'delete') await user.delete(row.id);
    else {
      try {
        await editRow(user, row.id, action.edits, { phones: row.fields.phones, custom: row.fields.custom_fields }, step);
      } catch {
        // The row went away between two statements: a link to nobody is refused, and the transaction with it.
        await user.rollback();
        return;
      }
    }
  }
  await step();
  await user.commit();
};

/** Entered on both sides before the two ever met. */
export const enterTwice = async ({ database, account, history, scheduler }: World, { n, here, there }: Twin): Promise<void> => {
  const person = { first_name: `v${n}`, last_name: `P${n}`, email: `p${n}@mail.test` };
  const user = database.begin();
  const row = await user.insert(person);
  await editRow(user, row, here, { phones: [], custom: {} }, () => scheduler.step(null));
  await user.commit();
  const { columns, custom } = sumUp(there, { phones: [], custom: {} });
  const { id } = account.create({ ...person, ...columns, ...custom });
  linkUp(account, id, there);
  history.observe('person');
};

const chosen = (contacts: readonly AccountContact[], who: number): AccountContact | undefined =>
  contacts[who % Math.max(1, contacts.length)];

/** One click of a person in the CRM. */
export const actRemotely = ({ account, history }: World, action: Remote): void => {
  history.observe('sync');
  try {
    clickOn(account, action);
  } finally {
    history.observe('person');
  }
};

const clickOn = (account: World['account'], action: Remote): void => {
  if (action.act === 'create') {
    const { columns, custom } = sumUp(action.edits, { phones: [], custom: {} });
    const { id } = account.create({ first_name: `v${action.n}`, last_name: `R${action.n}`, ...columns, ...custom });
    linkUp(account, id, action.edits);
    return;
  }
  const contact = chosen(action.act === 'restore' || action.act === 'purge' ? account.trashed() : account.contacts(), action.who);
  if (contact === undefined) return;
  if (action.act !== 'edit') return void account[action.act](contact.id);
  const { columns, custom } = sumUp(action.edits, {
    phones: contact.phones.map(({ number, type }) => ({ number, type })),
    custom: contact.custom,
  });
  account.update(contact.id, { ...columns, ...custom });
  linkUp(account, contact.id, action.edits);
};

const linkUp = (account: World['account'], contactId: number, edits: readonly Edit[]): void => {
  for (const edit of edits) {
    if (!('kind' in edit)) continue;
    const linked = account.contact(contactId)?.[edit.kind].includes(edit.id) === true;
    if (edit.edit === 'link' && !linked) account.attach(contactId, { [edit.kind]: [edit.id] });
    if (edit.edit === 'unlink' && linked) account.detach(contactId, { [edit.kind]: [edit.id] });
  }
};

/** What each role is refused through any stack, and how the server says so. */
import type { Ask } from './protocol.ts';
import type { Role } from './world.ts';

export interface Refusal extends Ask {
  /** By SQLSTATE. */
  readonly states: readonly string[];
  /** What the message has where the stack tells no SQLSTATE. */
  readonly says: RegExp;
}

const noRight = (verb: Ask['verb'], text: string): Refusal => ({
  verb,
  name: text,
  text,
  states: ['42501'],
  says: /permission denied|belongs to relate-mirror/,
});
/** A view of two parts takes no writes from anybody: that is said before the right is looked at. */
const noWrite = (text: string): Refusal => ({
  ...noRight('write', text),
  states: ['42501', '55000'],
  says: /permission denied|cannot (update|insert|delete)/,
});

const NOBODY: readonly Refusal[] = [
  noRight('query', 'select * from sync.contact_state'),
  noRight('query', 'select * from sync.change_log'),
  noRight('query', 'select * from sync.contact_versions'),
  noRight('query', 'select * from relate_mirror.__drizzle_migrations'),
  noRight('query', 'select rolpassword from pg_authid'),
  noWrite('update bi.contacts set city = null'),
  noWrite('delete from bi.contact_history'),
  noWrite(`insert into bi.users (id, name) values (0, 'x')`),
  noRight('write', 'create table bi.mine (a integer)'),
  noRight('write', 'create view bi.mine as select 1 as a'),
];

const NO_READER: readonly Refusal[] = [
  ...NOBODY,
  noRight('query', 'select * from crm.contacts'),
  noRight('query', 'select * from crm.contact_deals'),
  noRight('query', 'select * from sync.conflicts'),
  noRight('query', 'select sync.pause()'),
  noRight('write', `insert into crm.contacts (first_name) values ('x')`),
  noRight('write', 'update crm.contacts set city = null'),
  noRight('write', 'delete from crm.contacts'),
];

const NO_EDITOR: readonly Refusal[] = [
  ...NOBODY,
  noRight('write', 'update crm.contacts set crm_id = 1'),
  noRight('write', `insert into crm.users (id, name) values (1, 'x')`),
  noRight('write', 'truncate crm.contacts'),
  noRight('query', 'select sync.forget_history()'),
];

export const REFUSED: { readonly [R in Role]: readonly Refusal[] } = { reader: NO_READER, masked: NO_READER, editor: NO_EDITOR };

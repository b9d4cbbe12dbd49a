/** What stands beside a contact: users, options, companies, deals, activities. */
import { toTimestamp } from './records.ts';
import type { AccountOption, AccountRecord, AccountUser, LinkKind } from './records.ts';

export const optionJson = ({ id, name }: AccountOption): { readonly [key: string]: unknown } => ({ id, name });

/** A full resource, e-mail included: a mirror wants the id and the name. */
export const userJson = (user: AccountUser): { readonly [key: string]: unknown } => ({
  id: user.id,
  name: user.name,
  email: user.email,
  timezone: 'UTC',
  avatar_url: `/storage/users/${user.id}.png`,
});

export const recordJson = (kind: LinkKind, record: AccountRecord): { readonly [key: string]: unknown } => ({
  id: record.id,
  // An activity has a title where the others have a name.
  ...(kind === 'activities' ? { title: record.name, due_date: toTimestamp(record.createdAtMs) } : { name: record.name }),
  ...(kind === 'companies' && { domain: record.domain }),
  display_name: record.name,
  path: `/${kind}/${record.id}`,
  created_at: toTimestamp(record.createdAtMs),
  updated_at: toTimestamp(record.updatedAtMs),
});

/** Inside a contact: a record that the token may not see is reduced to its id, not removed. */
export const linkedRecordJson = (kind: LinkKind, record: AccountRecord): { readonly [key: string]: unknown } =>
  record.hidden ? { id: record.id } : recordJson(kind, record);

/**
 * The roles of a mirror, as far as the role that migrates may see to them: the group roles are made where that is allowed, and every role that
 * exists gets its rights anew, so that what a migration added is granted with it. A mirror works without any of them.
 */
import type { Log } from '../ports/ambient.ts';
import { errorCode } from './connection.ts';
import type { Session } from './session.ts';
import { createRole, DAEMON_ROLE, daemonGrants, editorGrants, GROUP_ROLES, maskedGrants, quoteRole, readerGrants } from './sql/grants.ts';

type GroupRole = keyof typeof GROUP_ROLES;
const GROUPS = Object.keys(GROUP_ROLES) as readonly GroupRole[];
const MASKED: GroupRole = 'relate_mirror_reader_masked';
/** They read what there is to read, with its values. */
const PLAIN = GROUPS.filter((role) => role !== MASKED);

const MAY_CREATE = `select rolsuper or rolcreaterole as may from pg_roles where rolname = current_user`;
const EXISTING = `select rolname as name from pg_roles where rolname = any($1)`;

const existing = async (session: Session): Promise<ReadonlySet<string>> => {
  const rows = await session.query<{ name: string }>(EXISTING, [[...GROUPS, DAEMON_ROLE]]);
  return new Set(rows.map(({ name }) => name));
};

const grantsOf = (roles: ReadonlySet<string>): readonly string[] => {
  const plain = PLAIN.filter((role) => roles.has(role));
  return [
    ...(plain.length > 0 ? readerGrants(plain) : []),
    ...(roles.has(MASKED) ? maskedGrants([MASKED]) : []),
    ...(roles.has('relate_mirror_editor') ? editorGrants(['relate_mirror_editor']) : []),
    ...(roles.has(DAEMON_ROLE) ? daemonGrants(DAEMON_ROLE) : []),
  ];
};

/**
 * The rights of the roles that exist as one statement, for the end of the transaction that changes what they read: a view that calls a new function
 * would be refused to its readers from the commit on until they are granted it. What fails here is told by applyGrants().
 */
export const grantsInside = async (session: Session): Promise<readonly string[]> => {
  const statements = grantsOf(await existing(session));
  if (statements.length === 0) return [];
  return [`do $relate_mirror_grants$ begin ${statements.join('; ')}; exception when others then null; end $relate_mirror_grants$`];
};

/** Never fails: a mirror without its roles' rights is a mirror, and `relate-mirror grants` prints what is missing. */
export const applyGrants = async (session: Session, log?: Log): Promise<void> => {
  try {
    const [creator] = await session.query<{ may: boolean }>(MAY_CREATE);
    if (creator?.may === true) for (const role of GROUPS) await session.query(createRole(role, 'nologin', GROUP_ROLES[role]));
    const roles = await existing(session);
    const missing = GROUPS.filter((role) => !roles.has(role));
    if (missing.length > 0)
      log?.info({ missing: missing.join(', ') }, 'roles are missing that this one may not create: relate-mirror grants');
    const statements = grantsOf(roles);
    if (statements.length > 0) await session.query(`begin; ${statements.join('; ')}; commit`);
  } catch (error) {
    await session.query('rollback').catch(() => undefined);
    log?.warn({ code: errorCode(error) }, 'the rights of the roles could not be granted: relate-mirror grants prints them');
  }
};

const RESERVED = /^(public|none|pg_.*)$/i;
/** Quoted, a role may be called anything; these are what no shell, URL or log makes something else of. */
const ROLE_NAME = /^[\p{L}\p{N}_@.-]+$/u;
const ROLE_BYTES_MAX = 63;

export const isRoleName = (text: string): boolean =>
  ROLE_NAME.test(text) && !RESERVED.test(text) && Buffer.byteLength(text) <= ROLE_BYTES_MAX;

/** All or nothing, and one error: psql goes on after it, and would tell of each statement of a transaction that is aborted. */
const asOne = (statements: readonly string[]): string =>
  [
    `do $relate_mirror_grants$ begin`,
    `if to_regnamespace('sync') is null then`,
    `  raise exception 'schema sync is not there yet: run relate-mirror migrate, then this again';`,
    `end if;`,
    ...statements.map((text) => `${text};`),
    `end $relate_mirror_grants$`,
  ].join('\n');

const section = (title: string, statements: readonly string[]): string =>
  [`-- ${title}`, ...statements.map((text) => `${text};`)].join('\n');

/** The whole as a script for psql. `daemon`: the role that the daemon logs in as, where another one migrates. */
export const grantsScript = (daemon: string | null): string => {
  const logins = daemon === null ? [] : [createRole(daemon, 'login', 'Runs relate-mirror; the schemas belong to another role.')];
  return [
    section('Roles: whoever may create them (CREATEROLE). They belong to the whole server. What is there stays as it is.', [
      ...GROUPS.map((role) => createRole(role, 'nologin', GROUP_ROLES[role])),
      ...logins,
    ]),
    section('Rights: the role that migrated, in the database of the mirror, after `relate-mirror migrate`.', [
      asOne([
        ...readerGrants(PLAIN),
        ...maskedGrants([MASKED]),
        ...editorGrants(['relate_mirror_editor']),
        ...(daemon === null ? [] : daemonGrants(daemon)),
      ]),
    ]),
    ['-- Then, for each person or program:', `--   grant relate_mirror_editor to …;`].join('\n'),
    ...(daemon === null ? [] : [`-- A password for the daemon, in psql: \\password ${quoteRole(daemon)}`]),
  ].join('\n\n');
};

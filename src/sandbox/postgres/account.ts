/**
 * Who runs the server. PostgreSQL refuses to run as root, so a root caller hands it to an ordinary account, and everything the server
 * touches has to be reachable by that account.
 */
import { lstat, mkdir, readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Tried in this order; where the machine has neither, any ordinary account will do. */
const PREFERRED = ['postgres', 'nobody'];

const isRoot = (): boolean => {
  try {
    return userInfo().uid === 0;
  } catch {
    // A uid without an entry in the password file (some containers) is not root.
    return false;
  }
};

/** The accounts of a password file, root and malformed lines left out. */
export const parsePasswd = (text: string): ReadonlyMap<string, Account> => {
  const accounts = new Map<string, Account>();
  for (const line of text.split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (!name || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '') || Number(uid) === 0) continue;
    accounts.set(name, { uid: Number(uid), gid: Number(gid) });
  }
  return accounts;
};

/**
 * The account that the server has to run as; null: the caller's own. Root gets the owner of `dataDirectory` where that exists already, so
 * that a later start can read what an earlier one wrote. initdb insists on an entry in the password file, so a free uid is no choice.
 *
 * @throws Error where root finds no ordinary account.
 */
export const serverAccount = async (dataDirectory: string): Promise<Account | null> => {
  if (!isRoot()) return null;
  const owner = await stat(dataDirectory).catch(() => null);
  if (owner !== null && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const accounts = parsePasswd(await readFile('/etc/passwd', 'utf8'));
  for (const name of PREFERRED) {
    const account = accounts.get(name);
    if (account !== undefined) return account;
  }
  const [any] = accounts.values();
  if (any === undefined) throw new Error('PostgreSQL does not run as root, and this machine has no other account to run it as.');
  return any;
};

/** Whether the account may pass through every folder down to `target`, and enter or execute `target` itself. */
export const isReachable = async (target: string, account: Account): Promise<boolean> => {
  for (let current = path.resolve(target); ; current = path.dirname(current)) {
    const entry = await stat(current).catch(() => null);
    if (entry === null) return false;
    const bit = entry.uid === account.uid ? 0o100 : entry.gid === account.gid ? 0o010 : 0o001;
    if ((entry.mode & bit) === 0) return false;
    if (current === path.dirname(current)) return true;
  }
};

/**
 * Makes a folder of root's own that others may only pass through. Its name in a shared folder can be guessed, so one that somebody else
 * put there first is refused.
 */
export const makeRootOwned = async (directory: string): Promise<void> => {
  await mkdir(directory, { mode: 0o711 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const entry = await lstat(directory);
  if (!entry.isDirectory() || entry.uid !== 0 || (entry.mode & 0o022) !== 0) {
    throw new Error(`${directory} exists and does not belong to root alone: move it away and start again.`);
  }
};

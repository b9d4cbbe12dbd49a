/** Which process holds a connection's other end, by what the kernel says (Linux); null where it cannot be told. */
import { readdir, readFile, readlink } from 'node:fs/promises';

const ofPort = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;

const inodeOf = async (localPort: number, remotePort: number): Promise<string | null> => {
  const table = await readFile('/proc/net/tcp', 'utf8').catch(() => '');
  const fields = table.split('\n').map((line) => line.trim().split(/\s+/));
  const found = fields.find(([, local, remote]) => local?.endsWith(ofPort(localPort)) && remote?.endsWith(ofPort(remotePort)));
  return found?.[9] ?? null;
};

const holds = async (pid: number, inode: string): Promise<boolean> => {
  const folder = `/proc/${pid}/fd`;
  for (const name of await readdir(folder).catch(() => []))
    if ((await readlink(`${folder}/${name}`).catch(() => '')) === `socket:[${inode}]`) return true;
  return false;
};

export const pidOfPort = async (localPort: number, remotePort: number, candidates: readonly number[]): Promise<number | null> => {
  const inode = await inodeOf(localPort, remotePort);
  if (inode === null) return null;
  for (const pid of candidates) if (await holds(pid, inode)) return pid;
  return null;
};

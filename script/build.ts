/** `npm run build [FOLDER]`: compiles src into dist (or the folder), and puts the page's files, which need no compiler, beside it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, rmSync } from 'node:fs';
import path from 'node:path';

const PROJECT = path.join(import.meta.dirname, '..');
const COMPILER = path.join(PROJECT, 'node_modules', 'typescript', 'bin', 'tsc');
const PAGE = path.join('admin', 'page');

const out = path.resolve(PROJECT, process.argv[2] ?? 'dist');
rmSync(out, { recursive: true, force: true });
try {
  execFileSync(process.execPath, [COMPILER, '-p', 'tsconfig.build.json', '--outDir', out], { cwd: PROJECT, stdio: 'inherit' });
} catch {
  // The compiler has said why.
  process.exit(1);
}
const page = path.join(PROJECT, 'src', PAGE);
const isShipped = (file: string): boolean => !/(\.ts|tsconfig\.json)$/.test(file);
if (existsSync(page)) cpSync(page, path.join(out, PAGE), { recursive: true, filter: isShipped });
chmodSync(path.join(out, 'cli.js'), 0o755);

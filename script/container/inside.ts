/** What `probe.mts` saw. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { docker } from './docker.ts';

const Inside = z.object({
  uid: z.number(),
  gid: z.number(),
  node: z.string(),
  packages: z.array(z.string()),
  files: z.array(z.string()),
  hasPackageManager: z.boolean(),
  writable: z.array(z.string()),
  /** Error code of a write in each folder; `written` where there was none. */
  writes: z.record(z.string(), z.string()),
  processes: z.array(
    z.object({
      pid: z.number(),
      uids: z.array(z.string()),
      capabilities: z.string(),
      noNewPrivileges: z.string(),
      environ: z.string().nullable(),
      cmdline: z.string(),
    }),
  ),
});
export type Inside = z.infer<typeof Inside>;

const SCRIPT = readFileSync(fileURLToPath(new URL('probe.mts', import.meta.url)), 'utf8');
const FROM_INPUT = ['--no-warnings', '--input-type=module-typescript', '-'];

export const lookIntoImage = async (image: string): Promise<Inside> =>
  Inside.parse(JSON.parse(await docker(['run', '--rm', '-i', '--entrypoint', 'node', image, ...FROM_INPUT], { input: SCRIPT })));

export const lookIntoContainer = async (id: string): Promise<Inside> =>
  Inside.parse(JSON.parse(await docker(['exec', '-i', id, 'node', ...FROM_INPUT], { input: SCRIPT })));

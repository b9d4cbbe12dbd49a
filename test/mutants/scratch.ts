/** A copy of the tree to be spoiled: its dependencies are linked, everything else is its own. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { applied, placeOf, type Patch } from './mutant.ts';

/** What the tests read; no history, no results, no build. */
const PARTS = ['src', 'test', 'drizzle', 'script', 'package.json', 'tsconfig.json', 'vitest.config.ts'];

export interface Scratch {
  readonly root: string;
  /** Runs work on the spoiled tree, and mends it whatever comes. @throws Error where a patch does not apply. */
  spoiled<T>(patches: readonly Patch[], work: () => Promise<T>): Promise<T>;
  remove(): void;
}

export const createScratch = (project: string): Scratch => {
  const root = mkdtempSync(path.join(tmpdir(), 'relate-mirror-mutants-'));
  for (const part of PARTS) cpSync(path.join(project, part), path.join(root, part), { recursive: true });
  symlinkSync(path.join(project, 'node_modules'), path.join(root, 'node_modules'), 'dir');
  return {
    root,
    spoiled: async (patches, work) => {
      const before = new Map<string, string>();
      try {
        for (const patch of patches) {
          const file = path.join(root, patch.file);
          const text = readFileSync(file, 'utf8');
          if (!before.has(file)) before.set(file, text);
          writeFileSync(file, applied(text, patch));
        }
        return await work();
      } finally {
        for (const [file, text] of before) writeFileSync(file, text);
      }
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
};

/** `file:line` of a patch. */
export const whereOf = (project: string, patch: Patch): string => {
  const text = readFileSync(path.join(project, patch.file), 'utf8');
  return `${patch.file}:${text.slice(0, placeOf(text, patch)).split('\n').length}`;
};

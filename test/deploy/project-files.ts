/** The files by which the program is deployed, read and parsed as the engine or the cluster would. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments, parse } from 'yaml';
import { SETTINGS } from '../../src/settings.ts';

export const ROOT = path.join(import.meta.dirname, '../..');
export const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

/** With `<<` resolved. */
export const readYaml = (file: string): unknown => parse(read(file), { merge: true });

export const readYamlDocuments = (file: string): readonly unknown[] =>
  parseAllDocuments(read(file)).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS() as unknown;
  });

export const VERSION = (JSON.parse(read('package.json')) as { version: string }).version;

export const SETTING_NAMES: ReadonlySet<string> = new Set(SETTINGS.map(({ name }) => name));
export const SECRET_SETTINGS: ReadonlySet<string> = new Set(SETTINGS.flatMap(({ name, secret }) => (secret ? [name] : [])));

/** What is wrong with a container's environment: names that are no setting, and secrets that stand in it as they are. */
export const environmentProblems = (names: readonly string[]): readonly string[] =>
  names.flatMap((name) => {
    const setting = name.replace(/_FILE$/, '');
    if (!SETTING_NAMES.has(setting)) return [`${name} is no setting`];
    return SECRET_SETTINGS.has(setting) && setting === name ? [`${name} is a secret: it has to come from a file`] : [];
  });

/** Whether the daemon answers under this path. */
export const isRoute = (route: string): boolean => read('src/admin/server.ts').includes(`app.get('${route}'`);

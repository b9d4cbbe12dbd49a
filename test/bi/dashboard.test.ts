/**
 * The dashboard of contacts for Grafana: each of its queries, with Grafana's macros filled in, runs as a reader on the sandbox's data and brings the
 * columns that its panel draws.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CONTACTS_DASHBOARD, macrosFilledIn, MONITORING, readPanels } from '../monitoring/files.ts';
import type { Answer } from './cookbook.ts';
import { ASKED_AT, LOADED_AT } from './story.ts';
import { type BiWorld, openBiWorld } from './world.ts';

const PANELS = readPanels(CONTACTS_DASHBOARD);
const QUERIES = PANELS.flatMap(({ title, type, options, targets }) =>
  targets.flatMap(({ rawSql = '', format = '' }) => [{ title, type, format, xField: options.xField ?? '', sql: rawSql }]),
);

/** Kinds of columns as Grafana tells them apart. */
const KINDS: Readonly<Record<number, string>> = {
  16: 'boolean',
  20: 'number',
  23: 'number',
  25: 'text',
  701: 'number',
  1184: 'time',
  1700: 'number',
};

let world: BiWorld;
beforeAll(async () => (world = await openBiWorld()));
afterAll(async () => await world.close());

const filled = (sql: string): string => macrosFilledIn(sql, { from: LOADED_AT, to: ASKED_AT, timeZone: 'Europe/Berlin' });

interface Drawn extends Answer {
  readonly kinds: readonly string[];
}
/** What a panel of that type would not find in an answer. */
const LACKS: Readonly<Record<string, (answer: Drawn, query: (typeof QUERIES)[number]) => readonly unknown[]>> = {
  timeseries: ({ columns, kinds, rows }, { format }) => {
    const times = rows.map(([time]) => String(time));
    const marks = new Set(rows.map(([time, metric]) => `${time} ${metric}`));
    return [
      format === 'time_series' || format,
      (columns[0] === 'time' && columns[1] === 'metric') || columns,
      kinds.join() === 'time,text,number' || kinds,
      times.join() === times.toSorted().join() || 'not in order of time',
      marks.size === rows.length || 'two values for one mark',
    ];
  },
  barchart: ({ columns, kinds }, { xField }) => [columns[0] === xField || columns, kinds.join() === 'text,number' || kinds],
  bargauge: ({ kinds }) => [kinds.join() === 'text,number' || kinds],
  stat: ({ kinds, rows }) => [(kinds.join() === 'number' && rows.length === 1) || kinds],
  table: ({ kinds }) => kinds.filter((kind) => /^\d+$/.test(kind)),
};

describe('each query', () => {
  it.each(QUERIES)('of "$title" ($type) brings what the panel draws', async (query) => {
    const sql = filled(query.sql);
    expect(sql).not.toContain('$');
    const answer = await world.ask('relate_mirror_reader', sql);
    expect(answer.rows.length).toBeGreaterThan(0);
    expect(answer.rows.flat().some((cell) => cell !== null)).toBe(true);
    expect(new Set(answer.columns).size).toBe(answer.columns.length);
    const kinds = (await world.typesOf('relate_mirror_reader', sql)).map((oid) => KINDS[oid] ?? String(oid));
    expect(LACKS[query.type]?.({ ...answer, kinds }, query).filter((lack) => lack !== true)).toEqual([]);
  });

  it.each(QUERIES)('of "$title" runs as a masked reader', async ({ sql }) => {
    expect((await world.ask('relate_mirror_reader_masked', filled(sql))).rows.length).toBeGreaterThan(0);
  });

  it.each(QUERIES)('of "$title" reads nothing but the schema bi', ({ sql }) => {
    expect([...sql.matchAll(/(?<!epoch )\b(?:from|join) (?!bi\.|\(|lateral)(\S+)/g)].map(([found]) => found)).toEqual([]);
  });
});

describe('the stat of a direction', () => {
  const shown = async (direction: string): Promise<unknown> => {
    const stat = PANELS.find(({ title }) => title === direction);
    const [row] = (await world.ask('relate_mirror_reader', stat?.targets[0]?.rawSql ?? '')).rows;
    return stat?.fieldConfig.defaults.mappings?.flatMap(({ options }) => options[String(row?.[0])] ?? [])[0];
  };

  it('from the CRM is green while all is there, and red and loud when the first load is not', async () => {
    expect(await shown('From the CRM')).toMatchObject({ text: 'complete', color: 'green' });
    await world.sql('update sync.account set first_sweep_at = null');
    expect(await shown('From the CRM')).toMatchObject({ text: 'INCOMPLETE', color: 'red' });
  });

  it('to the CRM is orange while an edit needs a person or is on its way, and green when none is left', async () => {
    await world.sql(`update sync.change_log set state = 'pending' where state = 'parked'`);
    expect(await shown('To the CRM')).toMatchObject({ text: 'INCOMPLETE', color: 'orange' });
    await world.sql(`update sync.change_log set state = 'parked' where settled_at is null`);
    expect(await shown('To the CRM')).toMatchObject({ text: 'INCOMPLETE', color: 'orange' });
    await world.sql(`update sync.change_log set state = 'done', settled_at = clock_timestamp() where settled_at is null`);
    expect(await shown('To the CRM')).toMatchObject({ text: 'complete', color: 'green' });
  });
});

describe('what is provisioned', () => {
  const source = (
    parse(readFileSync(path.join(MONITORING, 'grafana/provisioning/datasources/postgres.yml'), 'utf8')) as {
      datasources: { uid: string; user: string; secureJsonData: { password: string } }[];
    }
  ).datasources[0];
  const compose = parse(readFileSync(path.join(MONITORING, '..', '..', 'docker-compose.yml'), 'utf8')) as {
    services: { grafana: { environment: Record<string, string>; volumes: string[] } };
  };
  const { environment, volumes } = compose.services.grafana;

  it('is the source that every panel asks, with a login that is a reader and nothing more', () => {
    const sources = new Set(PANELS.flatMap(({ targets }) => targets.map(({ datasource }) => datasource?.uid)));
    expect([...sources]).toEqual([source?.uid]);
    expect(source?.user).toBe('$MIRROR_USER');
    expect(environment['MIRROR_USER']).toBe('mirror_reader');
    const roles = readFileSync(path.join(MONITORING, '..', 'compose', 'roles.sql'), 'utf8');
    expect([...roles.matchAll(/^grant (\w+) to mirror_reader;$/gm)].map(([, role]) => role)).toEqual(['relate_mirror_reader']);
  });

  it('reads the password from a file of a volume that Grafana has', () => {
    expect(source?.secureJsonData.password).toBe('$__file{/run/secrets/reader_password}');
    expect(volumes).toContain('monitoring-secrets:/run/secrets:ro');
    expect(volumes).toContain('./deploy/monitoring/grafana/dashboards:/var/lib/grafana/dashboards:ro');
  });
});

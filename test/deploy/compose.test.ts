/** docker-compose.yml, as far as it can be known without an engine: `npm run verify:container` runs it. */
import { existsSync, globSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDocument, plain, sectionOf, tableOf } from '../docs/markdown.ts';
import { environmentProblems, isRoute, read, readYaml, ROOT, SECRET_SETTINGS, SETTING_NAMES, VERSION } from './project-files.ts';

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string };
  readonly user?: string;
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string; readonly required?: boolean }>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly network_mode?: string;
  readonly security_opt?: readonly string[];
  readonly logging?: { readonly options: object };
  readonly restart?: string;
  readonly mem_limit?: string;
  readonly init?: boolean;
  readonly stop_grace_period?: string;
}
const FILE = 'docker-compose.yml';
const { services, volumes } = readYaml(FILE) as { services: Record<string, Service>; volumes: Record<string, unknown> };
const ALL = Object.entries(services);
const named = (name: string): Service => {
  const service = services[name];
  if (service === undefined) throw new Error(`There is no service ${name}`);
  return service;
};
const ONE_SHOT = ALL.filter(([, { restart }]) => restart === 'no');
const LASTING = ALL.filter(([, { restart }]) => restart !== 'no');
const OURS = ALL.filter(([, { build }]) => build !== undefined);

interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}
/** Where a variable names the source, its default. */
const mountsOf = ({ volumes: list = [] }: Service): readonly Mount[] =>
  list.map((line) => {
    const [source = '', target = '', mode] = line.replace(/\$\{\w+:-([^}]*)\}/, '$1').split(':');
    return { source, target, readOnly: mode === 'ro' };
  });

describe('every service', () => {
  it.each(ALL)('%s has no rights to spare, and a bounded log', (_name, service) => {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    expect(service.logging?.options).toEqual({ 'max-size': '10m', 'max-file': '5' });
  });

  it.each(ALL)('%s stands on a pinned image', (_name, { image }) => {
    expect(image).toMatch(
      /^(\$\{RELATE_MIRROR_IMAGE:-relate-mirror:[\d.]+\}|postgres:18|prom\/prometheus:v[\d.]+|grafana\/grafana:[\d.]+)$/,
    );
  });

  it.each(ALL)('%s mounts files that are there, read-only, and volumes that are declared', (_name, service) => {
    const problems = mountsOf(service).flatMap(({ source, readOnly }) => {
      if (!source.startsWith('./')) return Object.hasOwn(volumes, source) ? [] : [`no volume ${source}`];
      return [...(existsSync(path.join(ROOT, source)) ? [] : [`no file ${source}`]), ...(readOnly ? [] : [`${source} could be written`])];
    });
    expect(problems).toEqual([]);
  });

  it.each(LASTING)('%s is watched, started again, and bounded in memory', (_name, service) => {
    expect(service.healthcheck?.test?.[0]).toBe('CMD');
    expect(service.restart).toBe('unless-stopped');
    expect(service.mem_limit).toBeDefined();
  });

  it('is open to this machine only', () => {
    const ports = ALL.flatMap(([, { ports: list = [] }]) => list);
    expect(ports.length).toBeGreaterThan(3);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+$/);
  });

  it('is no root, but for the one that reads secrets/, which has no network and ends', () => {
    const roots = ALL.filter(([, { user }]) => user?.startsWith('0') === true);
    expect(roots.map(([name]) => name).toSorted()).toEqual(['choose-sandbox', 'prepare']);
    for (const [, service] of roots) expect(service).toMatchObject({ network_mode: 'none', restart: 'no', cap_add: ['DAC_READ_SEARCH'] });
    expect(ALL.filter(([, { cap_add: added }]) => added !== undefined).map(([name]) => name)).toEqual(roots.map(([name]) => name));
  });
});

describe('settings', () => {
  it.each(['relate-mirror', 'migrate', 'sandbox-crm'])('of %s are settings of the program; secrets come from files', (name) => {
    expect(environmentProblems(Object.keys(named(name).environment ?? {}))).toEqual([]);
  });

  it('reach the daemon, each of them', () => {
    const passed = new Set(Object.keys(named('relate-mirror').environment ?? {}).map((name) => name.replace(/_FILE$/, '')));
    const left = [...SETTING_NAMES].filter((name) => !passed.has(name));
    // The image sets these, and there is no pooler here.
    expect(left.toSorted()).toEqual(['DATABASE_LISTEN_URL', 'HTTP_HOST', 'HTTP_PORT', 'LOG_FORMAT']);
    for (const [name, value] of Object.entries(named('relate-mirror').environment ?? {})) {
      expect(value).toBe(name.endsWith('_FILE') ? `/run/secrets/${name.replace(/_FILE$/, '').toLowerCase()}` : `\${${name}:-}`);
    }
  });

  it('take no secret from the shell', () => {
    const variables = [...read(FILE).matchAll(/\$\{([A-Z_]+)/g)].map(([, name = '']) => name);
    expect(variables.filter((name) => SECRET_SETTINGS.has(name) || /TOKEN|PASSWORD|_SECRET/.test(name))).toEqual([]);
  });

  it('and ports, limits and folders that can be chosen are in the README, and no others', () => {
    const variables = new Set([...read(FILE).matchAll(/\$\{([A-Z_]+)/g)].map(([, name = '']) => name));
    const section = sectionOf(parseDocument('README.md', read('README.md')), 'Run it in a container');
    const documented = tableOf(section, 'variable').flatMap(([names = '']) => plain(names).split(', '));
    expect(documented.toSorted()).toEqual([...variables].filter((name) => !SETTING_NAMES.has(name)).toSorted());
  });

  it('make versions agree', () => {
    for (const [, { image }] of OURS) expect(image).toContain(`relate-mirror:${VERSION}}`);
  });
});

describe('secrets', () => {
  const holdersOf = (volume: string): readonly string[] =>
    ALL.filter(([, service]) => mountsOf(service).some(({ source }) => source === volume)).map(([name]) => name);

  it.each([
    ['postgres-secrets', ['postgres', 'prepare', 'roles']],
    ['owner-secrets', ['migrate', 'prepare']],
    ['daemon-secrets', ['migrate', 'prepare', 'relate-mirror']],
    ['sandbox-secrets', ['choose-sandbox', 'prepare', 'sandbox-crm']],
    ['monitoring-secrets', ['grafana', 'prepare']],
  ])('%s are seen by those who need them, and written by prepare', (volume, holders) => {
    expect(holdersOf(volume).toSorted()).toEqual(holders);
    const writers = holders.filter((name) => mountsOf(named(name)).find(({ source }) => source === volume)?.readOnly === false);
    expect(writers).toEqual(holders.filter((name) => name === 'prepare' || name === 'choose-sandbox'));
  });

  it('are documented, each file that the operator may put there', () => {
    const invented = [...read('deploy/compose/prepare.mts').matchAll(/^ {2}(\w+_(?:password|token)): '\w+',$/gm)].map(
      ([, name = '']) => name,
    );
    const documented = [...read('secrets/README.md').matchAll(/^\| `(\w+)\.txt`/gm)].map(([, name = '']) => name);
    expect(documented.toSorted()).toEqual([...invented, 'crm_token'].toSorted());
  });
});

describe('the order', () => {
  it('is secrets, Postgres, roles, migration, daemon; what belongs to a profile is not waited for without it', () => {
    expect(named('postgres').depends_on).toEqual({ prepare: { condition: 'service_completed_successfully' } });
    expect(named('roles').depends_on).toEqual({ postgres: { condition: 'service_healthy' } });
    expect(named('migrate').depends_on).toEqual({ roles: { condition: 'service_completed_successfully' } });
    expect(named('relate-mirror').depends_on).toMatchObject({ migrate: { condition: 'service_completed_successfully' } });
    const wrong = ALL.flatMap(([name, { depends_on: needs = {}, profiles }]) =>
      Object.entries(needs).flatMap(([needed, { required = true }]) => {
        const belongsToProfile = named(needed).profiles !== undefined && profiles === undefined;
        return required === belongsToProfile ? [`${name} → ${needed}`] : [];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('starts nothing of a profile by itself, and everything else', () => {
    const plain = ALL.filter(([, { profiles }]) => profiles === undefined).map(([name]) => name);
    expect(plain.toSorted()).toEqual(['migrate', 'postgres', 'prepare', 'relate-mirror', 'roles']);
    expect(new Set(ALL.flatMap(([, { profiles = [] }]) => profiles))).toEqual(new Set(['sandbox', 'monitoring']));
    expect(ONE_SHOT.map(([name]) => name).toSorted()).toEqual(['choose-sandbox', 'migrate', 'prepare', 'roles']);
  });
});

describe('the daemon', () => {
  const daemon = named('relate-mirror');

  it('is asked whether it is ready, under a path that is there', () => {
    const [, , script, route = ''] = daemon.healthcheck?.test ?? [];
    expect(script).toBe('/app/container/healthcheck.mjs');
    expect(isRoute(route)).toBe(true);
  });

  it('gets signals at once, and longer than the ten seconds in which it ends', () => {
    expect(daemon.init).toBe(true);
    expect(Number.parseInt(daemon.stop_grace_period ?? '', 10)).toBeGreaterThan(10);
  });
});

describe('Postgres', () => {
  it('18 keeps its data where the volume is', () => {
    const { image } = named('postgres');
    expect(image).toBe('postgres:18');
    expect(mountsOf(named('postgres'))).toContainEqual({ source: 'postgres-data', target: '/var/lib/postgresql', readOnly: false });
  });
});

describe('monitoring', () => {
  const files = globSync('deploy/monitoring/grafana/provisioning/**/*.yml', { cwd: ROOT }).map(read).join('\n');

  it('gives Grafana every variable and every secret that its files name, and no other', () => {
    const wanted = new Set([...files.matchAll(/\$(MIRROR_\w+)/g)].map(([, name = '']) => name));
    const given = Object.keys(services['grafana']?.environment ?? {}).filter((name) => name.startsWith('MIRROR_'));
    expect(given.toSorted()).toEqual([...wanted].toSorted());
    const secrets = [...files.matchAll(/\$__file\{\/run\/secrets\/(\w+)\}/g)].map(([, name = '']) => name);
    const written = [...read('deploy/compose/prepare.mts').matchAll(/store\('monitoring', '(\w+)'/g)].map(([, name = '']) => name);
    expect(secrets).toEqual(written);
  });

  it('finds the dashboards where they are mounted, and the daemon under its service name', () => {
    const [, folder = ''] = /path: (\S+)/.exec(files) ?? [];
    expect(mountsOf(named('grafana')).map(({ target }) => target)).toContain(folder);
    const { scrape_configs: jobs } = readYaml('deploy/monitoring/prometheus.yml') as {
      scrape_configs: readonly { dns_sd_configs: readonly { names: readonly string[]; port: number }[] }[];
    };
    for (const { dns_sd_configs: found } of jobs) {
      for (const { names, port } of found) {
        expect(Object.keys(services)).toEqual(expect.arrayContaining([...names]));
        expect(read('Dockerfile')).toContain(`EXPOSE ${port}\n`);
      }
    }
  });
});

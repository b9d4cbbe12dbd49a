/** The composed stack as it runs: health, rights, secrets, signals. */
import { z } from 'zod';
import { connectAs } from './both-ways.ts';
import { docker, tryDocker } from './docker.ts';
import { lookIntoContainer } from './inside.ts';
import { until, type Report } from './report.ts';
import type { Stack } from './stack.ts';

/** The program ends within this, whatever is in flight. */
const STOP_MS_MAX = 10_000;
const NO_CAPABILITIES = /^0+$/;

const State = z.object({ ExitCode: z.number(), Running: z.boolean(), Health: z.object({ Status: z.string() }).optional() });
const Container = z.object({
  State,
  HostConfig: z.object({ ReadonlyRootfs: z.boolean(), NetworkMode: z.string() }),
});

const checkServices = async (stack: Stack): Promise<string> => {
  const seen: string[] = [];
  for (const service of ['prepare', 'roles', 'migrate']) {
    const { State: state } = await stack.inspect(service, Container);
    if (state.Running || state.ExitCode !== 0) throw new Error(`${service} ended with ${state.ExitCode}`);
  }
  for (const service of ['postgres', 'sandbox-crm', 'relate-mirror']) {
    const { State: state } = await stack.inspect(service, Container);
    if (state.Health?.Status !== 'healthy') throw new Error(`${service} is ${state.Health?.Status}`);
    seen.push(`${service} healthy`);
  }
  return seen.join(', ');
};

const checkRights = async (stack: Stack): Promise<string> => {
  const { HostConfig: config } = await stack.inspect('relate-mirror', Container);
  if (!config.ReadonlyRootfs) throw new Error('its file system is not read-only');
  const { writes, processes } = await lookIntoContainer(await stack.id('relate-mirror'));
  const written = Object.entries(writes).filter(([folder, outcome]) => outcome === 'written' && folder !== '/tmp');
  if (written.length > 0 || writes['/'] === undefined) throw new Error(`written: ${JSON.stringify(writes)}`);
  if (!processes.some(({ cmdline }) => cmdline.includes('/app/dist/cli.js'))) throw new Error('the daemon was not seen');
  for (const { pid, uids, capabilities, noNewPrivileges } of processes) {
    if (uids.some((uid) => uid !== '1000')) throw new Error(`process ${pid} runs as ${uids.join(' ')}`);
    if (!NO_CAPABILITIES.test(capabilities) || noNewPrivileges !== '1') throw new Error(`process ${pid} has ${capabilities}`);
  }
  return `${processes.length} processes, all of user 1000 without capabilities; a write to /app ends with ${writes['/app']}`;
};

const checkSecrets = async (stack: Stack): Promise<string> => {
  const secrets = [
    await stack.secret('relate-mirror', 'crm_token'),
    await stack.secret('relate-mirror', 'admin_token'),
    new URL(await stack.secret('relate-mirror', 'database_url')).password,
    ...(await Promise.all(['owner', 'reader', 'editor', 'postgres'].map((role) => stack.secret('postgres', `${role}_password`)))),
  ];
  const { processes } = await lookIntoContainer(await stack.id('relate-mirror'));
  const daemon = processes.find(({ cmdline }) => cmdline.includes('cli.js') && !cmdline.includes('init'));
  if (daemon?.environ?.includes('CRM_TOKEN_FILE=') !== true) throw new Error("the daemon's environment was not seen");
  const places: Record<string, string> = {
    'environment and arguments': JSON.stringify(processes),
    logs: await stack.compose('logs', '--no-color'),
    'docker inspect': await docker(['inspect', ...(await stack.compose('ps', '--all', '--quiet')).split('\n')]),
  };
  for (const [place, text] of Object.entries(places)) {
    if (secrets.some((secret) => secret.length < 16 || text.includes(secret))) throw new Error(`a secret stands in the ${place}`);
  }
  const own = await tryDocker(['exec', await stack.id('relate-mirror'), 'ls', '/run/secrets']);
  if (own.stdout.includes('owner') || own.stdout.includes('postgres')) throw new Error(`the daemon sees ${own.stdout}`);
  return `${secrets.length} secrets, none in ${Object.keys(places).join(', ')}`;
};

const refused = async (what: string, work: Promise<unknown>): Promise<void> => {
  const code = await work.then(
    () => 'nothing',
    (error: unknown) => String((error as { code?: unknown }).code),
  );
  if (code !== '42501') throw new Error(`${what}: refused with ${code}`);
};

const checkRoles = async (stack: Stack): Promise<string> => {
  const reader = await connectAs(stack, 'mirror_reader', await stack.secret('postgres', 'reader_password'));
  const daemon = await connectAs(
    stack,
    'relate_mirror_daemon',
    decodeURIComponent(new URL(await stack.secret('relate-mirror', 'database_url')).password),
  );
  try {
    const { rows } = await reader.query<{ n: number }>('select count(*)::int as n from sync.status');
    if (rows[0]?.n !== 1) throw new Error('the reader sees no status');
    await refused('a reader edits', reader.query(`update crm.contacts set city = 'x'`));
    await refused('a reader reads the edits', reader.query('select * from sync.change_log'));
    await refused('the daemon makes a table', daemon.query('create table crm.x (a int)'));
    await refused('the daemon makes a role', daemon.query('create role x'));
    const { rows: owners } = await daemon.query<{ owner: string; super: boolean }>(
      `select pg_get_userbyid(nspowner) as owner, (select bool_or(rolsuper) from pg_roles where rolname ~ 'mirror') as super
       from pg_namespace where nspname in ('crm', 'sync') group by 1, 2`,
    );
    if (owners.length !== 1 || owners[0]?.owner !== 'relate_mirror_owner' || owners[0].super) throw new Error(JSON.stringify(owners));
    return 'reader reads, daemon owns nothing, schemas of relate_mirror_owner, no superuser among them';
  } finally {
    await Promise.all([reader.end(), daemon.end()]);
  }
};

const checkHttp = async (stack: Stack): Promise<string> => {
  const get = async (path: string, token?: string): Promise<{ status: number; text: string }> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(`http://127.0.0.1:${stack.ports.dashboard}${path}`, { headers });
    return { status: answer.status, text: await answer.text() };
  };
  const statuses: string[] = [];
  for (const path of ['/healthz', '/readyz', '/metrics', '/']) {
    const { status } = await get(path);
    if (status !== 200) throw new Error(`GET ${path}: ${status}`);
    statuses.push(`${path} ${status}`);
  }
  const files = [...(await get('/')).text.matchAll(/(?:src|href)="([^":#]+)"/g)].map(
    ([, file = '']) => new URL(file, 'http://page/').pathname,
  );
  for (const file of files) if ((await get(file)).status !== 200) throw new Error(`the page wants ${file}, which is not there`);
  statuses.push(`${files.length} files of the page`);
  if (files.length === 0) throw new Error('the page has neither script nor style');
  if (!/^relate_mirror_leader 1$/m.test((await get('/metrics')).text)) throw new Error('the metrics do not tell of a leader');
  const token = await stack.secret('relate-mirror', 'admin_token');
  const [without, withToken] = [await get('/api/parked'), await get('/api/parked', token)];
  if (without.status !== 401 || withToken.status !== 200) throw new Error(`/api/parked: ${without.status} and ${withToken.status}`);
  return `${statuses.join(', ')}; /api/parked ${without.status} without the token and ${withToken.status} with it`;
};

/** Stops a container and says how it ended. @throws Error unless with 0 and in time */
const stop = async (id: string): Promise<string> => {
  const started = performance.now();
  await docker(['stop', '--time', '20', id]);
  const ms = performance.now() - started;
  const code = await docker(['inspect', '--format', '{{.State.ExitCode}}', id]);
  if (code !== '0' || ms > STOP_MS_MAX) throw new Error(`exit code ${code} after ${Math.round(ms)} ms`);
  return `exit code 0 after ${Math.round(ms)} ms`;
};

/** A second daemon as plain `docker run` starts it: no init, so that the program itself is process 1 and gets the signal. */
const checkPlainRun = async (stack: Stack, image: string): Promise<string> => {
  const { HostConfig: config } = await stack.inspect('relate-mirror', Container);
  const name = `${stack.project}-standby`;
  const files = ['crm_url', 'crm_token', 'crm_allow_http', 'database_url', 'admin_token'];
  const settings = files.flatMap((file) => ['-e', `${file.toUpperCase()}_FILE=/run/secrets/${file}`]);
  const mounts = ['--network', config.NetworkMode, '-v', `${stack.project}_daemon-secrets:/run/secrets:ro`];
  await docker(['run', '-d', '--name', name, '--read-only', '--cap-drop', 'ALL', '--health-interval', '1s', ...mounts, ...settings, image]);
  try {
    const status = ['inspect', '--format', '{{.State.Health.Status}}', name];
    await until("the image's own health check", async () => (await docker(status)) === 'healthy', 60_000);
    const { processes } = await lookIntoContainer(name);
    const first = processes.find(({ pid }) => pid === 1);
    if (first?.cmdline !== 'node /app/dist/cli.js start') throw new Error(`process 1 is ${first?.cmdline}`);
    return `healthy by the image's own check; process 1; SIGTERM: ${await stop(name)}`;
  } finally {
    await tryDocker(['rm', '--force', '--volumes', name]);
  }
};

export const verifyRunning = async (report: Report, stack: Stack, image: string): Promise<void> => {
  await report.step('every service is as it should be', () => checkServices(stack));
  await report.step('the daemon is no root and writes nowhere', () => checkRights(stack));
  await report.step('secrets are in files and nowhere else', () => checkSecrets(stack));
  await report.step('each role may do what it is for', () => checkRoles(stack));
  await report.step('the daemon answers over HTTP', () => checkHttp(stack));
  await report.step('a standby by plain docker run ends on SIGTERM', () => checkPlainRun(stack, image));
};

export const verifyStop = async (report: Report, stack: Stack): Promise<void> => {
  await report.step('the daemon ends on SIGTERM', async () => await stop(await stack.id('relate-mirror')));
};

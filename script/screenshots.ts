/**
 * `npm run screenshots`: docs/screenshots/*.png, of a daemon that is brought into each state. Needs a Chromium (CHROMIUM, or /usr/bin/chromium) and
 * nothing else: the embedded PostgreSQL and the sandbox CRM are the two sides.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { createApp } from '../src/app.ts';
import { parseConfig } from '../src/config.ts';
import type { Log } from '../src/ports/ambient.ts';
import { migrateDatabase } from '../src/postgres/migrate.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { createSandboxAccount } from '../src/sandbox/crm/account.ts';
import { startSandbox } from '../src/sandbox/crm/server.ts';
import { startEmbeddedPostgres } from '../src/sandbox/postgres/launch.ts';

const OUT = path.join(import.meta.dirname, '..', 'docs', 'screenshots');
const ADMIN_TOKEN = 'admin-token-of-the-screenshots';
const CRM_TOKEN = 'crm-token-of-the-screenshots';
const CONTACTS = 2400;
const RATE_PER_MINUTE = 1500;
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const openWorld = async () => {
  const postgres = await startEmbeddedPostgres({ log: quiet });
  const account = createSandboxAccount();
  account.seed({ contacts: CONTACTS, links: false });
  const sandbox = await startSandbox({ account, token: CRM_TOKEN, ratePerMinute: RATE_PER_MINUTE });
  const databaseUrl = postgres.url();
  await migrateDatabase({ connectionString: databaseUrl, log: quiet });
  const parsed = parseConfig({
    CRM_URL: sandbox.url,
    CRM_TOKEN,
    DATABASE_URL: databaseUrl,
    PULL_CRON: '*/5 * * * * *',
    HTTP_PORT: '0',
    ADMIN_TOKEN,
    CONFLICT_POLICY: 'manual',
    BRAKE_SHARE: '0.01',
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const http = { version: 'screenshots', nodeVersion: process.versions.node };
  const app = createApp({
    config: parsed.config,
    databaseUrl,
    holder: 'crm-sync-1 4711',
    clock: systemClock,
    random: Math.random,
    log: quiet,
    http,
  });
  await app.admin?.start();
  await app.daemon.start();
  const sql = async (text: string): Promise<readonly Record<string, unknown>[]> =>
    (await app.pool.query<Record<string, unknown>>(text)).rows;
  const close = async (): Promise<void> => {
    await app.close();
    await sandbox.close();
    await postgres.stop();
  };
  return { account, sandbox, sql, close, url: `${app.admin?.url()}/` };
};
type World = Awaited<ReturnType<typeof openWorld>>;

const until = async (what: string, look: () => Promise<boolean>): Promise<void> => {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await systemClock.sleep(100)) if (await look()) return;
  throw new Error(`${what}: it did not come to that`);
};

/** An hour as it is in an office: the daemon has just been started, and its charts would be empty. */
const inventTheHour = async ({ sql }: World): Promise<void> => {
  await sql(
    `insert into sync.calls (minute, endpoint, outcome, calls, seconds)
     select date_trunc('minute', clock_timestamp()) - n * interval '1 minute', e.endpoint, e.outcome, e.calls, e.calls * 0.12
     from generate_series(1, 59) n cross join lateral (values
       ('list', 'ok', 2 + (n * 7) % 5), ('update', 'ok', ((n * 13) % 17) + greatest(0, 40 - abs(n - 22) * 4)),
       ('create', 'ok', (n * 5) % 4), ('update', 'invalid', case when n % 19 = 4 then 2 else 0 end),
       ('list', 'timeout', case when n = 31 then 3 else 0 end)) e(endpoint, outcome, calls)
     where e.calls > 0 on conflict do nothing`,
  );
};

/** As above: the daemon counts rows from its start on. */
const inventedRows = (): readonly object[] =>
  Array.from({ length: 59 }, (_, n) => {
    const minute = new Date(Math.floor(Date.now() / 60_000 - n - 1) * 60_000);
    return [
      { minute, direction: 'pull', outcome: 'updated', rows: (n * 11) % 7 },
      { minute, direction: 'push', outcome: 'done', rows: ((n * 13) % 17) + Math.max(0, 40 - Math.abs(n - 22) * 4) },
    ];
  }).flat();

const needPeople = async ({ sql, account }: World): Promise<void> => {
  const [taken] = await sql('select email from crm.contacts where email is not null order by id limit 1');
  await sql(`update crm.contacts set email = '${String(taken?.['email'])}' where id = 40`);
  const fights = [
    [12, 'Bern', 'Geneva'],
    [18, 'Zürich', 'Winterthur'],
  ] as const;
  for (const [id, local, remote] of fights) {
    await sql(
      `update crm.contacts set city = '${local}' where id = ${id};
       update sync.change_log set next_attempt_at = clock_timestamp() + interval '60 s' where contact_id = ${id} and state = 'pending'`,
    );
    account.update(Number((await sql(`select crm_id from crm.contacts where id = ${id}`))[0]?.['crm_id']), { city: remote });
  }
  await until('the conflicts', async () => (await sql(`select from sync.conflicts where state = 'open'`)).length === 2);
  await sql(`update sync.change_log set next_attempt_at = clock_timestamp() where state = 'pending'`);
  await sql('update crm.contacts set job_title = null, city = null where id between 100 and 120');
  await sql('delete from crm.contacts where id between 121 and 140');
  await until('the hold', async () => (await sql(`select from sync.holds where state = 'open' and rows >= 30`)).length === 1);
  await until('the parked edit', async () => (await sql('select from sync.parked')).length === 1);
};

interface Shot {
  readonly name: string;
  readonly headline: string;
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly signedIn?: boolean;
  readonly wait?: (page: Page) => Promise<unknown>;
}

const take = async (browser: Browser, { url }: World, shot: Shot): Promise<void> => {
  const { name, headline, width = 1280, height = 860, dark = false, signedIn = true, wait } = shot;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    locale: 'en-GB',
    timezoneId: 'UTC',
  });
  const page = await context.newPage();
  if (signedIn) await page.addInitScript((token) => sessionStorage.setItem('relate-mirror admin token', token), ADMIN_TOKEN);
  await page.route('**/api/rows*', async (route) => await route.fulfill({ json: { items: inventedRows() } }));
  await page.goto(url);
  const verdict = page.getByRole('heading', { level: 1 });
  await verdict
    .filter({ hasText: headline })
    .waitFor()
    .catch(async () => {
      throw new Error(
        `${name}: "${await verdict.textContent()}" (${await page.locator('#verdict-why').textContent()}) instead of "${headline}"`,
      );
    });
  await page.locator('#rows-chart canvas').waitFor();
  await wait?.(page);
  await page.screenshot({ path: path.join(OUT, `${name}.png`) });
  await context.close();
  process.stdout.write(`docs/screenshots/${name}.png\n`);
};

const run = async (): Promise<void> => {
  mkdirSync(OUT, { recursive: true });
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  const args = [
    '--no-sandbox',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ];
  const world = await openWorld();
  const browser = await chromium.launch({ executablePath, args });
  try {
    await until(
      'in step',
      async () => (await world.sql('select from sync.status where first_sweep_done and queue_depth = 0')).length === 1,
    );
    await inventTheHour(world);
    await take(browser, world, {
      name: 'in-step',
      headline: 'In step',
      height: 1000,
      wait: async (page) => await page.getByText('Nothing needs you').waitFor(),
    });

    world.sandbox.setLatency(700);
    await world.sql('select sync.request_resync()');
    await until(
      'a resync',
      async () => (await world.sql(`select from sync.runs where state = 'running' and rows_seen > 300`)).length === 1,
    );
    await world.sql(`update crm.contacts set state = 'ZH' where id > 1200`);
    const progress = async (page: Page): Promise<void> => await page.getByText(/ left/).first().waitFor();
    await take(browser, world, { name: 'under-load', headline: 'Edits on their way', height: 1000, wait: progress });
    await take(browser, world, { name: 'dark', headline: 'Edits on their way', height: 1000, dark: true, wait: progress });
    world.sandbox.setLatency(0);
    world.sandbox.setRate(6_000);
    await until('in step again', async () => (await world.sql('select from sync.status where queue_depth = 0')).length === 1);

    await needPeople(world);
    const shown = async (page: Page): Promise<void> => {
      for (const group of ['#holds', '#conflicts', '#parked']) await page.locator(`${group} .item`).first().waitFor();
    };
    await take(browser, world, { name: 'needs-you', headline: '4 things need you', height: 1500, wait: shown });
    await take(browser, world, { name: 'phone', headline: '4 things need you', width: 360, height: 780, wait: shown });
    await take(browser, world, {
      name: 'decide',
      headline: '4 things need you',
      wait: async (page) => {
        await shown(page);
        await page.getByRole('button', { name: 'Approve…' }).click();
      },
    });
    await take(browser, world, { name: 'read-only', headline: '4 things need you', signedIn: false, height: 1100, wait: shown });
  } finally {
    await browser.close();
    await world.close();
  }
};

await run();

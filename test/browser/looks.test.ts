/** What the page shows: live, to whom, as text only, on any width, in the dark, and while the daemon is away. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TIMEOUT, until } from '../e2e/world.ts';
import { CHROMIUM, launch, openPage } from './chromium.ts';
import {
  addressOf,
  brake,
  contactsOf,
  fight,
  openDashboard,
  park,
  signIn,
  tile,
  verdict,
  visit,
  ADMIN_TOKEN,
  type Dashboard,
} from './dashboard.ts';

/** In every field that a contact of these tests has: whoever sees it has seen personal data. */
const MARK = 'Personal-7f3a';
const HOSTILE = `${MARK}<img src=x onerror="document.title='hacked'">`;

const contentOf = async (page: Page): Promise<string> => await page.content();
const isWide = async (page: Page): Promise<boolean> =>
  (await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')) !== 0;

describe.skipIf(CHROMIUM === null)('the dashboard', TIMEOUT, () => {
  let browser: Browser;
  let world: Dashboard;

  beforeAll(async () => {
    [browser, world] = await Promise.all([launch(), openDashboard()]);
    // One thing of each kind that needs a person.
    for (const { crmId } of await contactsOf(world))
      world.account.update(crmId, { job_title: MARK, email: `${MARK}.${crmId}@example.com` });
    await world.inStep();
    await park(world, 4);
    await fight(world, HOSTILE, `${MARK} remote`);
    await brake(world);
  }, TIMEOUT.timeout);
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it('shows no personal data without the admin token, and does nothing', async () => {
    const { page } = await visit(browser, world.url);
    const bodies: string[] = [];
    page.on(
      'response',
      (response) =>
        void response.text().then(
          (text) => bodies.push(text),
          () => undefined,
        ),
    );
    await page.reload();
    await verdict(page, '3 things need you');
    for (const group of ['#holds', '#conflicts', '#parked']) await page.locator(`${group} .item`).first().waitFor();
    expect(await contentOf(page)).not.toContain(MARK);
    expect(bodies.length).toBeGreaterThan(5);
    expect(bodies.filter((body) => body.includes(MARK))).toEqual([]);
    expect(await page.locator('#conflicts').getByText('hidden').count()).toBe(3);

    const buttons = page.locator('main button');
    expect(await buttons.count()).toBeGreaterThan(7);
    for (const button of await buttons.all()) {
      expect(await button.getAttribute('aria-disabled')).toBe('true');
      expect(await button.getAttribute('aria-describedby')).toBe('readonly');
    }
    expect(await page.locator('#readonly').textContent()).toContain('Sign in with the admin token');
    const posts: string[] = [];
    page.on('request', (request) => request.method() === 'POST' && posts.push(request.url()));
    for (const button of await buttons.all()) await button.click({ force: true });
    expect(posts).toEqual([]);
    expect(await page.getByRole('dialog').count()).toBe(0);
    await page.context().close();
  });

  it('shows it to who signs in, as text whatever it says, and takes it away with the sign-out', async () => {
    const { page, complaints } = await visit(browser, world.url);
    await signIn(page, ADMIN_TOKEN);
    await page.locator('#conflicts').getByText(HOSTILE).waitFor();
    await page.locator('#parked').getByText('The email has already been taken.').waitFor();
    expect(await page.title()).toBe('3 things need you · relate-mirror');
    expect(await page.locator('main img').count()).toBe(0);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.locator('#conflicts').getByText('hidden').first().waitFor();
    expect(await contentOf(page)).not.toContain(MARK);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('forgets a token that is not the daemon’s any more', async () => {
    const { page } = await visit(browser, world.url);
    await page.evaluate(`sessionStorage.setItem('relate-mirror admin token', 'an-old-one')`);
    await page.reload();
    await page.locator('.notice').filter({ hasText: 'not accepted any more' }).waitFor();
    await page.locator('#holds .item').waitFor();
    expect(await page.evaluate(`sessionStorage.length`)).toBe(0);
    await page.context().close();
  });

  it('asks nobody but the daemon', async () => {
    const { page, requests } = await visit(browser, world.url, { signedIn: true });
    await page.locator('#holds .item').waitFor();
    await page.locator('#calls-chart canvas').waitFor();
    expect(requests.length).toBeGreaterThan(20);
    expect(requests.filter((url) => !url.startsWith(world.url))).toEqual([]);
    await page.context().close();
  });

  it.each([360, 414, 768, 1024])('has no sideways scroll at a width of %d', async (width) => {
    const { page } = await visit(browser, world.url, { signedIn: true, width });
    await page.locator('#conflicts .item').waitFor();
    for (const details of await page.locator('details').all()) await details.evaluate('(node) => { node.open = true; }');
    expect(await isWide(page)).toBe(false);
    await page.getByRole('button', { name: 'Approve…' }).click();
    expect(await isWide(page)).toBe(false);
    await page.context().close();
  });

  it('is dark where the system is, and as it was chosen over a reload', async () => {
    const { page } = await visit(browser, world.url, { dark: true });
    const ground = async (): Promise<string> => String(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
    const dark = await ground();
    const theme = page.getByRole('button', { name: /^Theme/ });
    await theme.click();
    expect(await theme.getAttribute('aria-label')).toBe('Theme: light');
    const light = await ground();
    expect(light).not.toBe(dark);
    await page.reload();
    await theme.waitFor();
    expect(await ground()).toBe(light);
    await theme.click();
    expect(await ground()).toBe(dark);
    await page.context().close();
  });

  it('tells calls and rows of the last hour as charts, and as tables', async () => {
    await world.sql(
      `insert into sync.calls (minute, endpoint, outcome, calls, seconds)
       select date_trunc('minute', clock_timestamp()) - interval '5 minutes', 'update', outcome, 7, 1 from unnest('{ok,timeout,rate_limited}'::text[]) outcome`,
    );
    const { page } = await visit(browser, world.url);
    await page
      .getByRole('img', { name: /^Calls of the CRM: \d+ answered, \d+ refused, 7 rate limited, 7 failed calls in the last hour/ })
      .waitFor();
    const chart = page.locator('#rows-chart');
    await chart.locator('canvas').waitFor();
    await chart.getByRole('img', { name: /^Rows carried over: [1-9]/ }).waitFor();
    await chart.getByText('As a table').click();
    const cells = await chart.locator('tbody td').allTextContents();
    expect(cells.map(Number).reduce((sum, each) => sum + each, 0)).toBeGreaterThanOrEqual(20);
    await page.context().close();
  });
});

describe.skipIf(CHROMIUM === null)('the dashboard, live', TIMEOUT, () => {
  let browser: Browser;
  let world: Dashboard;

  beforeAll(async () => {
    [browser, world] = await Promise.all([launch(), openDashboard({ env: { HTTP_PORT: '0' } })]);
  }, TIMEOUT.timeout);
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it('follows an edit in SQL by itself, and its way into the CRM', async () => {
    const { page, requests } = await visit(browser, world.url);
    await verdict(page, 'In step');
    world.sandbox.setLatency(3000);
    await world.sql(`update crm.contacts set city = 'Lugano' where id <= 3`);
    await tile(page, 'Queue').locator('.value').filter({ hasText: '3' }).waitFor();
    await verdict(page, 'Edits on their way');
    world.sandbox.setLatency(0);
    await verdict(page, 'In step');
    expect(requests.filter((url) => url === world.url)).toHaveLength(1);
    await world.inStep();
    await page.context().close();
  });

  it('says so while the CRM refuses the token, and while the database was restored', async () => {
    const { page } = await visit(browser, world.url);
    world.sandbox.setToken('another');
    await verdict(page, 'The CRM refuses the token');
    world.sandbox.setToken(world.env['CRM_TOKEN'] ?? '');
    await verdict(page, 'In step');
    const [{ hold } = {}] = await world.sql('select sync.mark_restored()::int as hold');
    await verdict(page, 'Restored database: waiting for you');
    await page
      .locator('#holds')
      .getByText(`Hold ${String(hold)}: this may not be the same database`)
      .waitFor();
    await until('a sweep', async () => (await world.sql('select sync.identity_swept() as swept'))[0]?.['swept'] === true);
    await signIn(page, ADMIN_TOKEN);
    await page.getByRole('button', { name: 'Approve…' }).click();
    await page.getByRole('dialog').getByText('lets the push go').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click();
    await verdict(page, 'In step');
    expect(await world.sql('select identity_hold from sync.status')).toEqual([{ identity_hold: null }]);
    await page.context().close();
  });

  it('goes by the daemon’s clock, whatever the browser’s says', async () => {
    for (const hours of [2, -2]) {
      const { page } = await openPage(browser);
      await page.clock.setSystemTime(Date.now() + hours * 3_600_000);
      await page.goto(world.url);
      await verdict(page, 'In step');
      await page
        .locator('#rows-chart')
        .getByRole('img', { name: /^Rows carried over: [1-9]/ })
        .waitFor();
      const age = tile(page, 'All compared').locator('time');
      await expect.poll(async () => await age.textContent()).toMatch(/^(\d+ s ago|\d+ min ago)$/);
      await page.context().close();
    }
  });

  it('says so at a standby too, and whose the chart of the rows is', async () => {
    const standby = world.start(['start']);
    const { page } = await visit(browser, await addressOf(standby));
    await verdict(page, 'In step');
    await page.locator('#rows-chart').getByText('This process stands by').first().waitFor();
    const fault = world.sandbox.fault({ call: 'any', kind: '503-before', times: Number.POSITIVE_INFINITY });
    await verdict(page, 'The CRM does not answer as it should');
    expect((await fetch(new URL('readyz', page.url()))).status).toBe(200);
    fault.cancel();
    await verdict(page, 'In step');
    await page.context().close();
    standby.kill('SIGTERM');
    await standby.ended;
  });

  it('says so while the daemon is away, keeps what it showed, and connects again by itself', async () => {
    const { page } = await visit(browser, world.url);
    await verdict(page, 'In step');
    const { port } = new URL(world.url);
    world.daemon.kill('SIGTERM');
    await world.daemon.ended;
    await page.getByRole('alert').filter({ hasText: 'The daemon does not answer' }).waitFor();
    await page.getByText('Not connected').waitFor();
    await verdict(page, 'In step');
    const again = world.start(['start'], { HTTP_PORT: port });
    await addressOf(again);
    await page
      .getByRole('button', { name: 'Try now' })
      .click({ timeout: 2000 })
      .catch(() => undefined);
    await page.getByText('Live', { exact: true }).waitFor();
    expect(await page.locator('#banner').isVisible()).toBe(false);
    await page.context().close();
  });
});

/** A page that anybody on the network can load: it tells nothing before the token, and then everything. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TIMEOUT, until } from '../e2e/world.ts';
import { CHROMIUM, launch, openPage } from './chromium.ts';
import { ADMIN_TOKEN, openDashboard, verdict, type Dashboard } from './dashboard.ts';

describe.skipIf(CHROMIUM === null)('the dashboard beyond loopback', TIMEOUT, () => {
  let browser: Browser;
  let world: Dashboard;
  let url: string;
  beforeAll(async () => {
    [browser, world] = await Promise.all([launch(), openDashboard({ env: { HTTP_HOST: '0.0.0.0' } })]);
    url = world.url.replace('0.0.0.0', '127.0.0.1');
  }, TIMEOUT.timeout);
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it('asks for the token first, shows everything then, and nothing after signing out', async () => {
    const { page, requests } = await openPage(browser);
    await page.goto(url);
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Admin token').waitFor();
    await verdict(page, 'Sign in to look');
    expect(await page.locator('#tiles .tile').count()).toBe(0);
    expect(requests.filter((each) => /api\/(status|runs|parked|holds|conflicts|calls|rows)/.test(each))).toEqual([]);
    await dialog.getByLabel('Admin token').fill('wrong');
    await page.keyboard.press('Enter');
    await dialog.getByRole('alert').filter({ hasText: 'This is not the admin token' }).waitFor();
    await dialog.getByLabel('Admin token').fill(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    await verdict(page, 'In step');
    await page.getByText('Live', { exact: true }).waitFor();
    await page.locator('#tiles .tile').first().waitFor();
    await page.locator('#runs .run').first().waitFor();
    await page.reload();
    await verdict(page, 'In step');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await verdict(page, 'Sign in to look');
    expect(await page.locator('#tiles .tile').count()).toBe(0);
    expect(await dialog.count()).toBe(0);
    await page.context().close();
  });

  it('asks every few seconds where no more pages may watch, and is live when there is room', async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const leave = new AbortController();
    const watch = async () => await fetch(`${url}api/events`, { headers, signal: leave.signal });
    await until('no room', async () => (await watch()).status === 503);
    const { page } = await openPage(browser);
    await page.addInitScript((token) => sessionStorage.setItem('relate-mirror admin token', token), ADMIN_TOKEN);
    await page.goto(url);
    await page.getByText('Too many watch this daemon').waitFor();
    await verdict(page, 'In step');
    await world.sql('select sync.pause()');
    await verdict(page, 'Paused');
    await world.sql('select sync.resume()');
    leave.abort();
    await page.getByText('Live', { exact: true }).waitFor();
    await verdict(page, 'In step');
    expect(await page.locator('#banner').isVisible()).toBe(false);
    await page.context().close();
  });
});

/** Every button does its thing, against a running daemon. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TIMEOUT, until } from '../e2e/world.ts';
import { CHROMIUM, launch } from './chromium.ts';
import { ADMIN_TOKEN, brake, contactsOf, fight, openDashboard, park, signIn, verdict, visit, type Dashboard } from './dashboard.ts';

describe.skipIf(CHROMIUM === null)('the dashboard', TIMEOUT, () => {
  let browser: Browser;
  let world: Dashboard;
  let page: Page;
  let complaints: readonly string[];
  const one = async (text: string): Promise<Record<string, unknown>> => (await world.sql(text))[0] ?? {};
  const press = async (name: string | RegExp): Promise<void> => await page.getByRole('button', { name }).click();
  const answer = async (name: string): Promise<void> => await page.getByRole('dialog').getByRole('button', { name, exact: true }).click();
  const cityOf = (crmId: number) => world.account.contact(crmId)?.city;

  beforeAll(async () => {
    [browser, world] = await Promise.all([launch(), openDashboard({ seed: { contacts: 320, links: false } })]);
    ({ page, complaints } = await visit(browser, world.url, { signedIn: true }));
  }, TIMEOUT.timeout);
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  it('tells a wrong admin token, takes the right one, and keeps it over a reload and out of a new tab', async () => {
    const { page: mine } = await visit(browser, world.url);
    await verdict(mine, 'In step');
    await signIn(mine, 'not-the-token');
    const dialog = mine.getByRole('dialog');
    await dialog.getByRole('alert').filter({ hasText: 'This is not the admin token' }).waitFor();
    expect(await mine.locator(':focus').getAttribute('id')).toBe('admin-token');
    await dialog.getByLabel('Admin token').fill(ADMIN_TOKEN);
    await mine.keyboard.press('Enter');
    await mine.getByRole('button', { name: 'Sign out' }).waitFor();
    expect(await mine.getByRole('dialog').count()).toBe(0);
    await mine.reload();
    await mine.getByRole('button', { name: 'Sign out' }).waitFor();
    const other = await mine.context().newPage();
    await other.goto(world.url);
    await other.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    await mine.context().close();
  });

  it('pauses, and resumes', async () => {
    await press('Pause');
    await verdict(page, 'Paused');
    expect(await one('select paused from sync.status')).toEqual({ paused: true });
    const [contact] = await contactsOf(world);
    await world.sql(`update crm.contacts set city = 'Chur' where id = $1`, [contact?.id]);
    await page.getByText('1 edit will go out after a resume').waitFor();
    expect(cityOf(contact?.crmId ?? 0)).not.toBe('Chur');
    await press('Resume');
    await verdict(page, 'In step');
    expect(cityOf(contact?.crmId ?? 0)).toBe('Chur');
    await press('Pause');
    await verdict(page, 'Paused');
    await press('Resume');
    await world.inStep();
  });

  it('resyncs, with progress on the way and the outcome in the end', async () => {
    const before = Number((await one(`select coalesce(max(id), 0)::int as id from sync.runs`))['id']);
    world.sandbox.setLatency(400);
    await press('Resync now…');
    await answer('Resync');
    const row = page.locator('#runs .run').filter({ hasText: 'Resync' }).first();
    const bar = row.getByRole('progressbar');
    await until('progress', async () => {
      const value = Number(await bar.getAttribute('value', { timeout: 1000 }).catch(() => 0));
      return value >= 100 && value < 320;
    });
    world.sandbox.setLatency(0);
    await row.locator('.state').filter({ hasText: 'done' }).waitFor();
    await row.getByText('320 seen').waitFor();
    expect(await one(`select kind, state, with_links from sync.runs where id > ${before} and kind = 'resync'`)).toEqual({
      kind: 'resync',
      state: 'done',
      with_links: false,
    });
    await press('Resync now…');
    await page.getByRole('dialog').getByLabel('Every contact’s links too').check();
    await answer('Resync');
    await until('a resync with links', async () => (await one(`select with_links from sync.runs order by id desc limit 1`))['with_links']);
    await page.locator('#runs .run').filter({ hasText: 'Resync with links' }).first().waitFor();
    await world.inStep();
  });

  it('does nothing where a dialog is cancelled', async () => {
    // The schedule begins sweeps of its own meanwhile.
    const asked = "select count(*)::int as n from sync.runs where kind = 'resync'";
    const before = await one(asked);
    await press('Resync now…');
    await page.keyboard.press('Escape');
    await press('Resync now…');
    await answer('Cancel');
    expect(await page.getByRole('dialog').count()).toBe(0);
    expect(await one(asked)).toEqual(before);
  });

  it('shows what the CRM said of a parked edit, and retries it', async () => {
    const id = await park(world);
    const row = page.locator('#parked .item').filter({ hasText: `Contact ${id}` });
    await row.getByText('The email has already been taken.').waitFor();
    await verdict(page, '1 thing needs you');
    // As it is it is refused again.
    const asked = world.account.calls.count('update');
    await row.getByRole('button', { name: 'Retry' }).click();
    await until('asked again', () => world.account.calls.count('update') > asked);
    await until('refused again', async () => (await one('select count(*)::int as n from sync.parked'))['n'] === 1);
    const [, other] = await contactsOf(world);
    world.account.update(other?.crmId ?? 0, { email: 'moved@example.com' });
    await row.getByRole('button', { name: 'Retry' }).click();
    await row.waitFor({ state: 'detached' });
    await verdict(page, 'In step');
    await world.inStep();
    expect(await one(`select state from sync.change_log where contact_id = ${id} order by id desc limit 1`)).toEqual({ state: 'done' });
  });

  it('retries all that is parked', async () => {
    for (const at of [3, 5]) await park(world, at);
    await page.locator('#parked .item').nth(1).waitFor();
    // Only those whose e-mail was taken: one of our own edited there as well is a conflict.
    const contacts = await contactsOf(world);
    for (const { crmId } of [contacts[4], contacts[6]].flatMap((contact) => contact ?? []))
      world.account.update(crmId, { email: `moved-${crmId}@example.com` });
    await press('Retry all');
    await page.getByText('Nothing needs you.').waitFor();
    await world.inStep();
    expect(await one('select count(*)::int as n from sync.parked')).toEqual({ n: 0 });
  });

  it.each([
    ['crm', 'Keep the CRM’s', 'Remote <b>crm</b>'],
    ['mirror', 'Keep the mirror’s', 'Local mirror'],
    ['a value', 'Another value…', 'Zürich "Enge"'],
  ])('decides a conflict for %s', async (who, button, city) => {
    const id = await fight(world, `Local ${who}`, `Remote <b>${who}</b>`);
    const row = page.locator('#conflicts .item');
    await row.getByText(`Remote <b>${who}</b>`).waitFor();
    await row.getByText(`Local ${who}`).waitFor();
    await row.getByRole('button', { name: button }).click();
    if (button.endsWith('…')) {
      await page.getByRole('dialog').getByRole('textbox').fill(city);
      await answer('Use this value');
    }
    await row.waitFor({ state: 'detached' });
    expect(await one(`select state from sync.conflicts where id = ${id}`)).toEqual({ state: 'decided' });
    const [contact] = await contactsOf(world);
    await until('both sides', () => cityOf(contact?.crmId ?? 0) === city);
    await world.inStep();
  });

  it('rejects a hold, which undoes it, and approves one, which does it', async () => {
    const before = world.account.contacts().length;
    const rejected = await brake(world);
    const row = page.locator('#holds .item');
    await row.getByText(`Hold ${rejected}: 5 contacts, from the mirror into the CRM`).waitFor();
    expect(await row.locator('.plan tbody tr').count()).toBe(5);
    await row.getByRole('button', { name: 'Reject…' }).click();
    await page.getByRole('dialog').getByText('It is undone in the mirror').waitFor();
    await answer('Reject');
    await row.waitFor({ state: 'detached' });
    await world.inStep();
    expect(world.account.contacts()).toHaveLength(before);

    const approved = await brake(world);
    await row.getByText(`Hold ${approved}:`).waitFor();
    await row.getByRole('button', { name: 'Approve…' }).click();
    // The harmless answer has the focus: Enter deletes nobody.
    expect(await page.locator(':focus').textContent()).toBe('Cancel');
    await answer('Approve');
    await until('deleted', () => world.account.contacts().length === before - 5);
    await row.waitFor({ state: 'detached' });
    expect(await one(`select state from sync.holds where id = ${approved}`)).toEqual({ state: 'approved' });
    await world.inStep();
  });

  it('says how much a large plan takes away, though it has its first lines only', async () => {
    const [hold] = await world.sql(
      `insert into sync.holds (direction, reason, rows, plan)
       select 'pull', 'large', 1150, jsonb_agg(jsonb_build_object('crm_id', n, 'op', 'delete')) from generate_series(1, 1150) n returning id::int`,
    );
    await page.reload();
    const row = page.locator('#holds .item');
    await row.getByText(`Hold ${String(hold?.['id'])}: 1,150 contacts, from the CRM into the mirror`).waitFor();
    expect(await row.locator('.chip').allTextContents()).toEqual(['1,150 delete']);
    expect(await row.locator('summary').textContent()).toBe('The plan, contact by contact (1,150)');
    expect(await row.locator('.more').textContent()).toContain('… and 1,050 more');
    await row.getByRole('button', { name: 'Approve…' }).click();
    await page.getByRole('dialog').getByText('1,150 contacts from the CRM into the mirror: 1,150 delete.').waitFor();
    await answer('Cancel');
    await world.sql(`update sync.holds set state = 'rejected' where id = $1`, [hold?.['id']]);
    await page.reload();
    await world.inStep();
  });

  it('says the daemon’s own words where a decision comes too late', async () => {
    const id = await fight(world, 'Local 2', 'Remote 2');
    const row = page.locator('#conflicts .item');
    await row.getByText('Remote 2').waitFor();
    await page.route('**/api/conflicts?*', async (route) => await route.abort());
    await world.sql(`select sync.resolve(${id}, 'crm')`);
    await row.getByRole('button', { name: 'Keep the mirror’s' }).click();
    await page
      .locator('.notice')
      .filter({ hasText: `conflict ${id} was decided already` })
      .waitFor();
    await page.unroute('**/api/conflicts?*');
    await world.inStep();
    expect(await one(`select outcome from sync.conflicts where id = ${id}`)).toEqual({ outcome: 'crm' });
  });

  it('complained about nothing', () => {
    // What the browser says of each answer that is an error, and of the request that the test broke.
    expect(complaints.filter((text) => !/status of (401|409)|net::ERR_FAILED/.test(text))).toEqual([]);
  });
});

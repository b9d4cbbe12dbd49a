/** For who does not use a mouse, or does not see: no serious fault that axe finds, in any state; and the whole way by keyboard. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TIMEOUT, until } from '../e2e/world.ts';
import { CHROMIUM, launch } from './chromium.ts';
import { ADMIN_TOKEN, brake, fight, openDashboard, park, verdict, visit, type Dashboard, type VisitOptions } from './dashboard.ts';

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');

interface Finding {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** What axe calls serious or critical; best practices included. */
const faultsOf = async (page: Page): Promise<readonly string[]> => {
  // As the page's own script would be: its policy lets nothing else in.
  await page.evaluate(AXE);
  const found = (await page.evaluate('axe.run(document).then(({ violations }) => violations)')) as readonly Finding[];
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary ?? ''}`).join(' | ')}`);
};

/** Presses Tab until the element has the focus; fails where it cannot be reached. */
const tabTo = async (page: Page, name: string | RegExp): Promise<void> => {
  const wanted = typeof name === 'string' ? (text: string) => text.startsWith(name) : (text: string) => name.test(text);
  const seen: string[] = [];
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    const focused = page.locator(':focus');
    if ((await focused.count()) === 0) continue;
    const text = (await focused.getAttribute('aria-label')) ?? (await focused.textContent()) ?? '';
    seen.push(text);
    if (wanted(text.trim())) return;
  }
  throw new Error(`Tab never came to ${String(name)}: ${seen.join(', ')}`);
};

describe.skipIf(CHROMIUM === null)('the dashboard', TIMEOUT, () => {
  let browser: Browser;
  let world: Dashboard;

  beforeAll(async () => {
    [browser, world] = await Promise.all([launch(), openDashboard()]);
  }, TIMEOUT.timeout);
  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  const look = async (options: VisitOptions, prepare: (page: Page) => Promise<void>): Promise<readonly string[]> => {
    const { page } = await visit(browser, world.url, options);
    await page.locator('#calls-chart canvas').waitFor();
    await prepare(page);
    const faults = await faultsOf(page);
    await page.context().close();
    return faults;
  };
  const both = [
    ['in the light', false],
    ['in the dark', true],
  ] as const;

  it.each(both)('has no serious fault when in step, %s', async (_when, dark) => {
    expect(await look({ dark }, async (page) => await verdict(page, 'In step'))).toEqual([]);
  });

  it.each(both)('has none when paused, %s', async (_when, dark) => {
    await world.sql('select sync.pause()');
    expect(await look({ dark, signedIn: true }, async (page) => await verdict(page, 'Paused'))).toEqual([]);
    await world.sql('select sync.resume()');
  });

  it('is used by keyboard alone: skip, sign in, pause and resume', async () => {
    const { page } = await visit(browser, world.url);
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').textContent()).toBe('Skip to the state of the mirror');
    await page.keyboard.press('Enter');
    expect(await page.locator(':focus').getAttribute('id')).toBe('main');
    await page.reload();
    await verdict(page, 'In step');
    await tabTo(page, 'Sign in');
    await page.keyboard.press('Enter');
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'This is not the admin token' }).waitFor();
    await page.keyboard.press('Escape');
    expect((await page.locator(':focus').textContent())?.trim()).toBe('Sign in');
    await page.keyboard.press('Enter');
    await page.keyboard.type(ADMIN_TOKEN);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    await tabTo(page, 'Pause');
    await page.keyboard.press('Space');
    await verdict(page, 'Paused');
    // The button became another one, and kept the focus.
    expect(await page.locator(':focus').textContent()).toBe('Resume');
    await page.keyboard.press('Space');
    await verdict(page, 'In step');
    await page.context().close();
  });

  describe('with parked, held and conflicting items', () => {
    beforeAll(async () => {
      await park(world, 4);
      await fight(world, 'Here', 'There');
      await brake(world);
    }, TIMEOUT.timeout);

    const shown = async (page: Page): Promise<void> => {
      for (const group of ['#holds', '#conflicts', '#parked']) await page.locator(`${group} .item`).first().waitFor();
      for (const details of await page.locator('details').all()) await details.evaluate('(node) => { node.open = true; }');
    };
    it.each(both)('has no serious fault, signed in, %s', async (_when, dark) => {
      expect(await look({ dark, signedIn: true }, shown)).toEqual([]);
    });
    it.each(both)('has none for those who may only read, %s', async (_when, dark) => {
      expect(await look({ dark }, shown)).toEqual([]);
    });
    it('has none on a phone', async () => {
      expect(await look({ signedIn: true, width: 360 }, shown)).toEqual([]);
    });
    it.each(['Approve…', 'Another value…', 'Resync now…'])('has none in the dialog of %s', async (name) => {
      const open = async (page: Page): Promise<void> => {
        await page.getByRole('button', { name }).click();
        await page.getByRole('dialog').waitFor();
      };
      expect(await look({ signedIn: true }, open)).toEqual([]);
      expect(await look({ signedIn: true, dark: true }, open)).toEqual([]);
    });
    it('has none in the sign-in that was told a wrong token, nor in the notice of a button that is not available', async () => {
      const wrong = async (page: Page): Promise<void> => {
        await page.getByRole('button', { name: 'Pause' }).click({ force: true });
        await page.getByRole('button', { name: 'Sign in', exact: true }).click();
        await page.getByRole('dialog').getByLabel('Admin token').fill('wrong');
        await page.keyboard.press('Enter');
        await page.getByRole('alert').filter({ hasText: 'not the admin token' }).waitFor();
      };
      expect(await look({}, wrong)).toEqual([]);
    });

    it('decides a conflict and a hold by keyboard alone', async () => {
      const { page } = await visit(browser, world.url, { signedIn: true });
      await shown(page);
      await tabTo(page, /^Keep the mirror’s/);
      await page.keyboard.press('Enter');
      await until('decided', async () => (await world.sql(`select from sync.conflicts where state = 'open'`)).length === 0);
      await page.locator('#conflicts .item').waitFor({ state: 'detached' });
      expect(await page.locator(':focus').textContent()).toBe('Needs a person');
      await tabTo(page, /^Reject…/);
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      expect(await page.locator(':focus').textContent()).toBe('Reject');
      await page.keyboard.press('Enter');
      await until('rejected', async () => (await world.sql(`select from sync.holds where state = 'rejected'`)).length === 1);
      await page.locator('#holds .item').waitFor({ state: 'detached' });
      await until('undone', async () => (await world.sql('select from crm.contacts')).length === 20);
      await page.context().close();
    });
  });
});

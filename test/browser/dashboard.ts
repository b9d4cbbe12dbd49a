/** The page of a running daemon: the built program with its own database and CRM, and a browser that looks at it. */
import type { Browser, Locator, Page } from 'playwright-core';
import { openWorld, until, type World, type WorldOptions } from '../e2e/world.ts';
import type { Child } from '../e2e/child.ts';
import { openPage, type Watched } from './chromium.ts';

export const ADMIN_TOKEN = 'admin-token-of-the-test';
const BRAKE_ROWS = 3;

export interface Dashboard extends World {
  readonly daemon: Child;
  /** The page's address. */
  readonly url: string;
}

/** A daemon that leads, with both sides in step. */
export const openDashboard = async (options: WorldOptions = {}): Promise<Dashboard> => {
  const env = {
    HTTP_PORT: '0',
    ADMIN_TOKEN,
    BRAKE_ROWS: String(BRAKE_ROWS),
    BRAKE_SHARE: '0.01',
    CONFLICT_POLICY: 'manual',
    ...options.env,
  };
  const world = await openWorld({ seed: { contacts: 20 }, ...options, env });
  try {
    const daemon = world.start(['start']);
    const url = await addressOf(daemon);
    await world.inStep();
    return { ...world, daemon, url };
  } catch (error) {
    await world.close();
    throw error;
  }
};

export const addressOf = async (daemon: Child): Promise<string> => {
  const line = await daemon.logged('the address', ({ url }) => typeof url === 'string' && url.startsWith('http://'));
  return `${String(line['url'])}/`;
};

export interface VisitOptions {
  readonly signedIn?: boolean;
  readonly width?: number;
  readonly dark?: boolean;
}

/** Opens the page, and waits until it shows what the daemon says. */
export const visit = async (
  browser: Browser,
  url: string,
  { signedIn = false, width = 1280, dark = false }: VisitOptions = {},
): Promise<Watched> => {
  const watched = await openPage(browser, { viewport: { width, height: 900 }, colorScheme: dark ? 'dark' : 'light' });
  if (signedIn) await watched.page.addInitScript((token) => sessionStorage.setItem('relate-mirror admin token', token), ADMIN_TOKEN);
  await watched.page.goto(url);
  await ready(watched.page, signedIn).catch(async (error: unknown) => {
    const said = `${await watched.page.locator('body').innerText()}\n${watched.complaints.join('\n')}\n${watched.requests.join('\n')}`;
    throw new Error(`The page did not come to life. It showed, complained and asked:\n${said}`, { cause: error });
  });
  return watched;
};

const ready = async (page: Page, signedIn: boolean): Promise<void> => {
  await page.getByText('Live', { exact: true }).waitFor();
  await page.locator('#tiles .tile').first().waitFor();
  await page.getByRole('button', { name: signedIn ? 'Sign out' : 'Sign in', exact: true }).waitFor();
};

const headline = (page: Page): Locator => page.getByRole('heading', { level: 1 });

/** Waits for the verdict. */
export const verdict = async (page: Page, text: string | RegExp): Promise<void> => await headline(page).filter({ hasText: text }).waitFor();

export const tile = (page: Page, name: string): Locator => page.locator('#tiles .tile').filter({ hasText: name });

export const signIn = async (page: Page, token: string): Promise<void> => {
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Admin token').fill(token);
  await dialog.getByRole('button', { name: 'Sign in' }).click();
};

/** The mirror's contacts that have an e-mail, by id. */
export const contactsOf = async (
  world: World,
): Promise<readonly { readonly id: number; readonly crmId: number; readonly email: string }[]> =>
  (await world.sql('select id::int, crm_id::int, email from crm.contacts where email is not null order by id')).map((row) => ({
    id: Number(row['id']),
    crmId: Number(row['crm_id']),
    email: String(row['email']),
  }));

/** Somebody else's e-mail: the CRM refuses it. Answers the contact's id. */
export const park = async (world: World, at = 0): Promise<number> => {
  const [mine, other] = (await contactsOf(world)).slice(at, at + 2);
  if (mine === undefined || other === undefined) throw new Error('too few contacts');
  await world.sql('update crm.contacts set email = $2 where id = $1', [mine.id, other.email]);
  await until('parked', async () => (await world.sql('select from sync.parked where contact_id = $1', [mine.id])).length > 0);
  return mine.id;
};

/** The same field on both sides. Answers the conflict's id. */
export const fight = async (world: World, local: string, remote: string, at = 0): Promise<number> => {
  const contact = (await contactsOf(world))[at];
  if (contact === undefined) throw new Error('too few contacts');
  const quoted = `'${local.replaceAll("'", "''")}'`;
  // In one transaction, so that the pull is first: a push within a second of the last one does not look again (docs/SPEC.md, known limits).
  await world.sql(
    `update crm.contacts set city = ${quoted} where id = ${contact.id};
     update sync.change_log set next_attempt_at = clock_timestamp() + interval '30 s' where contact_id = ${contact.id} and state = 'pending'`,
  );
  world.account.update(contact.crmId, { city: remote });
  const look = async () =>
    (await world.sql(`select id::int from sync.conflicts where state = 'open' and contact_id = $1`, [contact.id]))[0];
  const { id } = await until('the conflict', look);
  await world.sql(`update sync.change_log set next_attempt_at = clock_timestamp() where contact_id = $1 and state = 'pending'`, [
    contact.id,
  ]);
  return Number(id);
};

/** More deletions than the brake lets through. Answers the hold's id. */
export const brake = async (world: World, rows = BRAKE_ROWS + 2): Promise<number> => {
  await world.sql('delete from crm.contacts where id in (select id from crm.contacts order by id desc limit $1)', [rows]);
  const look = async () => (await world.sql(`select id::int from sync.holds where state = 'open' and rows = $1`, [rows]))[0];
  return Number((await until('the hold', look))['id']);
};

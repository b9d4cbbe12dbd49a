/**
 * A real Chromium, one for each test file. Found by CHROMIUM, or at the usual places; where there is none the tests are skipped and say so in
 * one line. A CHROMIUM that names nothing fails them: whoever sets it (CI) counts on them.
 */
import { existsSync } from 'node:fs';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];
/** It shows the daemon's own page and nothing of the world: the sandbox, which a container often cannot have, is not needed; nor any call home. */
const ARGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const named = process.env['CHROMIUM'] ?? '';

/** Null: there is none, and nobody asked for one. */
export const CHROMIUM = named === '' ? (PLACES.find((place) => existsSync(place)) ?? null) : named;

if (CHROMIUM === null) process.stderr.write('No Chromium found: the tests in test/browser are skipped. CHROMIUM=/path/to/it runs them.\n');

const LOCALE = { locale: 'en-GB', timezoneId: 'UTC' } as const;

export const launch = async (): Promise<Browser> => {
  if (CHROMIUM === null || !existsSync(CHROMIUM))
    throw new Error(`CHROMIUM=${named}: there is no such file. Install a Chromium, or unset it.`);
  return await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
};

export interface Watched {
  readonly page: Page;
  /** What the page complained about: exceptions, refused content, failed requests. */
  readonly complaints: readonly string[];
  /** Everything that was asked for. */
  readonly requests: readonly string[];
}

/** A page in a context of its own, watched from its first request on. */
export const openPage = async (browser: Browser, options: BrowserContextOptions = {}): Promise<Watched> => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...LOCALE, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && complaints.push(`console: ${message.text()}`));
  page.on('request', (request) => requests.push(request.url()));
  return { page, complaints, requests };
};

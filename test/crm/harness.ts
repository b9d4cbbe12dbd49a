/** A client on a scripted server, with a clock that stands still. */
import type { Crm } from '../../src/ports/crm.ts';
import { createCrm, type CrmOptions } from '../../src/crm/contacts.ts';
import { createPacing } from '../../src/crm/pacing.ts';
import { FakeClock } from './fake-clock.ts';

export const TOKEN = 'secret-token-0123456789';

export const connect = (url: string, more: Partial<CrmOptions> = {}): Crm & { close(): void } & Disposable => {
  const pacing = createPacing({ clock: new FakeClock(), share: 1 });
  const crm = createCrm({ url, token: TOKEN, timeoutMs: 5000, pacing, ...more });
  return { ...crm, [Symbol.dispose]: crm.close };
};

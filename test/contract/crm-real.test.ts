import { createCrm } from '../../src/crm/contacts.ts';
import { createPacing } from '../../src/crm/pacing.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import { startSandbox } from '../../src/sandbox/crm/server.ts';
import { FakeClock } from '../crm/fake-clock.ts';
import type { OpenCrm } from './crm-harness.ts';
import { crmContract } from './crm.contract.ts';

const TOKEN = 'contract-token';

const openReal: OpenCrm = async ({ mode = 'upstream', contacts = 0, account: options = {}, timeoutMs = 15_000 } = {}) => {
  const clock = new FakeClock();
  const account = createSandboxAccount({ ...options, clock });
  if (contacts > 0) account.seed({ contacts });
  // More than any test makes, in a minute that never ends: the account's clock stands still.
  const sandbox = await startSandbox({ account, token: TOKEN, mode, ratePerMinute: 100_000 });
  const crm = createCrm({ url: sandbox.url, token: TOKEN, timeoutMs, pacing: createPacing({ clock: systemClock, share: 1 }) });
  return {
    crm,
    account,
    clock,
    fault: (spec) => sandbox.fault(spec),
    close: async () => {
      crm.close();
      await sandbox.close();
    },
  };
};

crmContract('client on a real server', openReal);

import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import { FakeClock } from '../crm/fake-clock.ts';
import { createFakeCrm } from '../fakes/fake-crm.ts';
import type { OpenCrm } from './crm-harness.ts';
import { crmContract } from './crm.contract.ts';

const openFake: OpenCrm = async ({ mode = 'upstream', contacts = 0, account: options = {} } = {}) => {
  const clock = new FakeClock();
  const account = createSandboxAccount({ ...options, clock });
  if (contacts > 0) account.seed({ contacts });
  const crm = createFakeCrm({ account, mode });
  return { crm, account, clock, fault: (spec) => crm.fault(spec), close: async () => undefined };
};

crmContract('fake', openFake);

/** What every implementation of the CRM port has to keep. Each test runs on an account of its own. */
import { describe } from 'vitest';
import type { OpenCrm } from './crm-harness.ts';
import { describeFailures } from './crm-failure.contract.ts';
import { describeLinks } from './crm-links.contract.ts';
import { describeOptions } from './crm-options.contract.ts';
import { describeReads } from './crm-read.contract.ts';
import { describeUndocumented } from './crm-undocumented.contract.ts';
import { describeWrites } from './crm-write.contract.ts';

export const crmContract = (name: string, open: OpenCrm): void => {
  describe(`CRM contract: ${name}`, () => {
    describeReads(open);
    describeWrites(open);
    describeLinks(open);
    describeUndocumented(open);
    describeFailures(open);
    describeOptions(open);
  });
};

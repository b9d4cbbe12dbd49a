/**
 * What every implementation of the mirror port has to keep. One statement of the protocol a test; each runs on a mirror of its own, empty at
 * the start.
 */
import { describe } from 'vitest';
import type { MakeMirror } from './mirror-harness.ts';
import { describeAudit } from './mirror-audit.contract.ts';
import { describeBrake } from './mirror-brake.contract.ts';
import { describeClaims } from './mirror-claim.contract.ts';
import { describeIdentity } from './mirror-identity.contract.ts';
import { describeSteps } from './mirror-ordered.contract.ts';
import { describePairing } from './mirror-pairing.contract.ts';
import { describeReads } from './mirror-read.contract.ts';
import { describeRecords } from './mirror-records.contract.ts';
import { describeTransactions } from './mirror-transaction.contract.ts';
import { describeWrites } from './mirror-write.contract.ts';

export const mirrorContract = (name: string, makeMirror: MakeMirror): void => {
  describe(`mirror contract: ${name}`, () => {
    describeTransactions(makeMirror);
    describeReads(makeMirror);
    describeWrites(makeMirror);
    describePairing(makeMirror);
    describeClaims(makeMirror);
    describeBrake(makeMirror);
    describeSteps(makeMirror);
    describeAudit(makeMirror);
    describeIdentity(makeMirror);
    describeRecords(makeMirror);
  });
};

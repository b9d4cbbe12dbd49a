import { createFakeMirror } from '../fakes/fake-mirror.ts';
import { RefusedByRule } from '../fakes/fake-database.ts';
import { mirrorContract } from './mirror.contract.ts';
import type { MirrorHarness } from './mirror-harness.ts';

const makeFake = async (): Promise<MirrorHarness> => {
  let epoch: number | null = 1;
  const mirror = createFakeMirror({ lease: { epoch: () => epoch } });
  const { tables } = mirror;
  const byId = <T extends { readonly id: number }>(rows: Iterable<T>): readonly T[] => [...rows].sort((a, b) => a.id - b.id);
  return {
    mirror,
    setLeaseEpoch: (next) => {
      epoch = next;
    },
    setLeaderEpoch: async (next) => mirror.setLeaderEpoch(next),
    begin: async () => mirror.begin(),
    log: async () =>
      byId(tables.log.committed.values()).map(({ settledAt, nextAttemptAt, ...row }) => ({
        ...row,
        isSettled: settledAt !== null,
        hasNextAttempt: nextAttemptAt !== null,
      })),
    versions: async () => String(mirror.version()),
    setPolicy: async (field, policy) => mirror.setPolicy(field, policy),
    openConflicts: async () =>
      [...tables.conflicts.committed.values()].filter((row) => row.state === 'open').map(({ field, remote }) => ({ field, remote })),
    decidedConflicts: async () => [...tables.conflicts.committed.values()].filter((row) => row.state === 'decided').length,
    openHolds: async () =>
      [...tables.holds.committed.values()]
        .filter(({ state }) => state === 'open')
        .map(({ id, reason, plan }) => ({ id, reason, plan: plan.map((line) => ({ ...line })) })),
    approve: async (holdId) => mirror.approve(holdId),
    requestRun: async (kind, withLinks) => mirror.requestRun(kind, withLinks),
    runCounts: async (runId) => {
      const run = tables.runs.committed.get(runId);
      if (run === undefined) throw new Error('no such run');
      return run;
    },
    names: async () => [...tables.names.committed.values()].map(({ kind, id, name }) => `${kind} ${id} ${name}`).sort(),
    refused: async () => [...tables.refused.committed.values()].map(({ crmId, code }) => ({ crmId, code })),
    loseSeen: async () => mirror.loseSeen(),
    moveDatabase: async () => mirror.moveTo('another'),
    loseLog: async () => tables.log.committed.clear(),
    forbidFirstName: async (name) =>
      mirror.setCheck((fields) => {
        if (fields.first_name === name) throw new RefusedByRule('23514', 'violates check constraint "users_own"');
      }),
    rewriteJobTitle: async (from, to) => mirror.setBefore((fields) => (fields.job_title === from ? { ...fields, job_title: to } : fields)),
    close: async () => undefined,
  };
};

mirrorContract('fake', makeFake);

/** Runs as a child process: see sandbox.ts. */
import { createSandboxAccount } from '../src/sandbox/crm/account.ts';
import { startSandbox } from '../src/sandbox/crm/server.ts';
import { serve } from './child.ts';
import { type SandboxCalls, TOKEN } from './sandbox.ts';

/** Told in the headers, and never in the way. */
const RATE_PER_MINUTE = 100_000_000;

let aheadMs = 0;
const account = createSandboxAccount({ clock: { now: () => new Date(Date.now() + aheadMs) } });
let edits = 0;

const arrived = new Map<number, bigint>();
const awaited = new Map<number, (at: bigint) => void>();

const onUpdate = (crmId: number): void => {
  const at = process.hrtime.bigint();
  const tell = awaited.get(crmId);
  if (tell === undefined) arrived.set(crmId, at);
  else tell(at);
  awaited.delete(crmId);
};

serve<SandboxCalls>({
  start: async ({ contacts }) => {
    account.seed({ contacts });
    const sandbox = await startSandbox({ account, token: TOKEN, ratePerMinute: RATE_PER_MINUTE });
    sandbox.onRequest(({ call, id }) => {
      if (call === 'update') onUpdate(Number(id));
    });
    return { url: sandbox.url };
  },
  edit: ({ contacts }) => {
    edits += 1;
    for (const { id } of account.contacts().slice(0, contacts)) account.update(id, { job_title: `Edit ${edits}` });
    return null;
  },
  advance: ({ seconds }) => {
    aheadMs += seconds * 1000;
    return null;
  },
  takeCalls: () => {
    const counts: Record<string, number> = {};
    for (const { call } of account.calls.calls) counts[call] = (counts[call] ?? 0) + 1;
    account.calls.clear();
    return counts;
  },
  arrival: async ({ crmId }) => {
    const at = arrived.get(crmId);
    arrived.delete(crmId);
    return at ?? (await new Promise<bigint>((resolve) => awaited.set(crmId, resolve)));
  },
});

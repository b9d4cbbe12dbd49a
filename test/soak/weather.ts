/** The CRM's bad days: lost replies, errors after the commit, refusals, lists that lie, slow hours. From a seed, all the time. */
import { setTimeout as pause } from 'node:timers/promises';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { FaultKind } from '../../src/sandbox/crm/faults.ts';
import type { SandboxServer } from '../../src/sandbox/crm/server.ts';
import { createDice } from '../sim/dice.ts';
import type { Tally } from './verdict.ts';

/** Not among them: what refuses one record for good (422, 403 of a record) is parked, as it should be, and would hide what should not. */
const KINDS: readonly FaultKind[] = [
  'reset-before',
  'reset-after',
  'reset-after',
  '500-before',
  '500-after',
  '500-after',
  '503-before',
  '503-before',
  '429',
  'hang-before',
  'hang-after',
  'truncated',
  'html-200',
  'empty-list',
  'short-list',
  'redirect',
  '404-html',
];
const CALLS: readonly (CallName | 'any')[] = [
  'any',
  'any',
  'any',
  'create',
  'update',
  'update',
  'list',
  'attach',
  'detach',
  'delete',
  'retrieve',
];
const SLOW_MS = [100, 300, 800, 2_500] as const;

export interface Weather {
  /** From now on the CRM is well. */
  clear(): Promise<void>;
}

export const startWeather = (sandbox: SandboxServer, seed: number, tally: Tally): Weather => {
  const dice = createDice(seed);
  const stopping = new AbortController();
  const rest = async (ms: number): Promise<void> => await pause(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
  const storm = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await rest(200 + dice.below(1_200));
      if (dice.chance(0.1)) {
        tally.add('slow spells of the CRM');
        sandbox.setLatency(dice.pick(SLOW_MS));
        await rest(500 + dice.below(1_500));
        sandbox.setLatency(0);
      } else {
        const fault = sandbox.fault({ call: dice.pick(CALLS), kind: dice.pick(KINDS), times: 1 + dice.below(2) });
        faults.push(fault);
      }
    }
  };
  const faults: { readonly fired: number }[] = [];
  const done = storm();
  return {
    clear: async () => {
      stopping.abort();
      await done;
      sandbox.clearFaults();
      sandbox.setLatency(0);
      tally.add(
        'faults of the CRM',
        faults.reduce((sum, { fired }) => sum + fired, 0),
      );
    },
  };
};

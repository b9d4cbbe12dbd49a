/** `/readyz`: can this process do its part? The leader needs both sides; a standby needs the database, to notice when its time comes. */
import type { CrmHealth } from '../runtime/crm-health.ts';
import type { Sight } from './watch.ts';

/** What the lease says of this process. */
export type Role = 'starting' | 'connecting' | 'standby' | 'leading';

export interface Reason {
  readonly part: 'database' | 'lease' | 'crm';
  readonly code: string;
  readonly detail: string;
}

export const unreadyReasons = ({ isDatabaseUp }: Sight, role: Role, last: ReturnType<CrmHealth['last']>): readonly Reason[] => {
  const reasons: Reason[] = [];
  if (!isDatabaseUp) reasons.push({ part: 'database', code: 'database_unreachable', detail: 'Postgres does not answer.' });
  if (role === 'starting') reasons.push({ part: 'lease', code: 'starting', detail: 'The daemon has not started yet, or stops.' });
  if (role === 'connecting')
    reasons.push({
      part: 'lease',
      code: 'lease_unreachable',
      detail: 'The lease cannot be seen to: this process neither leads nor stands by.',
    });
  if (role === 'leading' && last !== null && !last.up) {
    const detail = last.needsPerson
      ? 'The CRM refuses the token or its user; nothing works until a person acts.'
      : 'The last call of the CRM was not answered as it should be.';
    reasons.push({ part: 'crm', code: last.code ?? 'crm_unreachable', detail });
  }
  return reasons;
};

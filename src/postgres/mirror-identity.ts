/** Which database this is, and of which CRM account. */
import type { Identity } from '../ports/mirror.ts';
import type { Session } from './mirror-session.ts';
import { CHECK_IDENTITY, PLAN_IDENTITY } from './sql/identity.ts';

interface IdentityRow {
  readonly verdict: Identity['verdict'];
  readonly hold_id: number | null;
  readonly reason: string | null;
  readonly is_new: boolean;
}

export const checkIdentity = async (session: Session, crmUrl: string): Promise<Identity> => {
  const { rows } = await session.query<IdentityRow>(CHECK_IDENTITY, [crmUrl]);
  if (rows[0] === undefined) throw new Error('sync.check_identity() answered no row.');
  const { verdict, hold_id: holdId, reason, is_new: isNew } = rows[0];
  return { verdict, holdId, reason, isNew };
};

export const planIdentity = async (session: Session): Promise<void> => {
  await session.query(PLAN_IDENTITY);
};

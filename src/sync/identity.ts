/**
 * Is this the database, and the account, that the mirror was filled from? Asked at the start of each term, before anything is pushed.
 *
 * - Another system identifier, timeline or database oid: restored, cloned or failed over. Its base may be older than what was pushed, and its
 *   queue may hold what was pushed long ago. It is pulled and swept; nothing is pushed until a person has approved what would be.
 * - Another CRM_URL: another account's contacts must not be written over this mirror's. Neither pulled nor pushed.
 */
import type { Identity } from '../ports/mirror.ts';
import type { SyncDeps } from './deps.ts';

/** @param again only news are logged */
export const checkIdentity = async ({ mirror, log }: SyncDeps, crmUrl: string, again = false): Promise<Identity> => {
  const identity = await mirror.checkIdentity(crmUrl);
  const { verdict, holdId, reason, isNew } = identity;
  if (verdict !== 'own' && (isNew || !again))
    log.error({ hold: holdId, identity: verdict }, reason ?? 'the identity of the database changed');
  return identity;
};

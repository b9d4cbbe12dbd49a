/** Who leads: of all daemons of one database the one that holds the lease. */
import type { Service } from './service.ts';

export type LeaseStatus =
  | { readonly state: 'stopped' | 'connecting' }
  /** Somebody else leads, or did until just now. */
  | { readonly state: 'standby'; readonly leader: string | null }
  | { readonly state: 'leading'; readonly epoch: number };

export interface Lease extends Service {
  /** The epoch of our term; null while we do not lead. */
  epoch(): number | null;
  /** Whether we lead for certain, right now. */
  holds(): boolean;
  status(): LeaseStatus;
  /** Adds a handler; the answer removes it. */
  onChange(handler: (status: LeaseStatus) => void): () => void;
}

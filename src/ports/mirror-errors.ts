/** What a transaction of the mirror throws that its callers tell apart; everything else is unexpected. */

/** Another daemon leads (or nobody knows): nothing was done, and nothing more may be sent or settled under this epoch. */
export class LostLeadership extends Error {
  readonly code = 'lost_leadership';

  constructor() {
    super('This daemon is not the leader any more; the transaction was rolled back.');
    this.name = 'LostLeadership';
  }
}

/** Locks did not come free in the time and number of attempts that a transaction has. Nothing was done; the work is still due. */
export class MirrorBusy extends Error {
  readonly code = 'mirror_busy';
  readonly attempts: number;

  constructor(attempts: number, cause: unknown) {
    super(`The mirror's rows stayed locked through ${attempts} attempts.`, { cause });
    this.name = 'MirrorBusy';
    this.attempts = attempts;
  }
}

/** Whether this is the database, and the account, that the mirror was filled from. The rules stand in drizzle/0011_identity.sql. */

export const CHECK_IDENTITY = `select verdict, hold_id, reason, is_new from sync.check_identity($1)`;
export const PLAN_IDENTITY = `select sync.plan_identity()`;

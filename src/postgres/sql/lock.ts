/**
 * Rows before states, each in id order, so that two transactions of ours never wait for each other in a ring. "No key update" leaves users
 * free to insert links, whose foreign key only asks for a key share. These statements read nothing: what a sub-query of a locking statement
 * sees is older than the row that it waited for.
 */
export const LOCK_CONTACTS_WAIT = `select id from crm.contacts where id = any($1::bigint[]) order by id for no key update`;
export const LOCK_CONTACTS_SKIP = `${LOCK_CONTACTS_WAIT} skip locked`;
export const LOCK_STATES_WAIT = `select contact_id as id from sync.contact_state where contact_id = any($1::bigint[]) order by contact_id for update`;
export const LOCK_STATES_SKIP = `${LOCK_STATES_WAIT} skip locked`;
/**
 * Page inserts and create settles, so that one id never gets two rows. A row of sync.locks, which is never changed: an advisory lock may be taken
 * by whoever may log in. It is ours alone and taken before any row lock of theirs, so nobody of the users waits behind it: the queue of our own
 * workers is waited for longer than anything of theirs. Left at 100 ms, a busy machine gave up answers that had arrived.
 */
export const LOCK_PAIRING = `
select set_config('lock_timeout', '5s', true), sync.take_lock('pairing'), set_config('lock_timeout', '100ms', true)`;

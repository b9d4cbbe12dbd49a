/** WRITE_MODE=ordered: the first open edit of each contact. The plain queue is `claim.ts`. */

/** A row of our own making has no values: it stands for whatever is left of the difference between row and base. */
const isOwn = (alias: string): string => `(${alias}.old_values is null and ${alias}.new_values is null)`;

/**
 * The order of a contact's edits. Ids of edits of one row are the order of their commits, because each waits for the row. What is in doubt is
 * cleared up first: a link edit with a lower id may have been committed since.
 */
const rank = (alias: string): string => `${alias}.state <> 'unknown', ${isOwn(alias)}, ${alias}.id`;

/**
 * Whether a log row is its contact's first. Asked of each row that the index change_log_due offers, and not of a window of them: 10,000 edits that
 * wait behind one contact's back-off must not hide another contact. One probe of change_log_open each, which the ORDER BY asks for: as a plain
 * NOT EXISTS it was a sequential scan where the planner thought that any row would do, 5 s for those 10,000.
 */
export const isFirst = (alias: string): string => `(
    select earlier.id from sync.change_log earlier
    where earlier.contact_id = ${alias}.contact_id and earlier.settled_at is null and earlier.state <> 'parked' and earlier.id <> ${alias}.id
      and (${rank('earlier')}) < (${rank(alias)})
    order by earlier.contact_id, earlier.id limit 1) is null`;

export const CLAIM_STEPS = `
with number as materialized (
  select nextval('sync.attempt_seq') as attempt
), open as materialized (
  select l.id, l.contact_id, l.op, l.txid, l.state, l.attempt, ${isOwn('l')} as own
  from sync.change_log l where l.contact_id = any($1::bigint[]) and l.settled_at is null
), first as (
  select distinct on (o.contact_id) o.* from open o where o.state <> 'parked'
  order by o.contact_id, o.state <> 'unknown', o.own, o.id
), head as materialized (
  select f.*, f.own or (
      coalesce(s.crm_id, c.crm_id) is null
      and not exists (select from open i where i.contact_id = f.contact_id and i.op = 'insert' and not i.own and i.state <> 'held')
    ) as whole,
    (select min(b.id) from open b where b.contact_id = f.contact_id and b.id > f.id and b.state <> 'parked'
      and (b.op, b.txid) is distinct from (f.op, f.txid)) as run_ends
  from first f
  left join sync.contact_state s on s.contact_id = f.contact_id
  left join crm.contacts c on c.id = f.contact_id
  where f.state in ('pending', 'retry', 'unknown')
), taken as (
  select o.id from head h join open o on o.contact_id = h.contact_id
  where o.state in ('pending', 'retry', 'parked', 'unknown') and (
    o.id = h.id or h.whole
    or (h.state = 'unknown' and o.state = 'unknown')
    or (h.state <> 'unknown' and (
      (o.state = 'parked' and o.id < h.id)
      or (o.state = 'retry' and h.state = 'retry' and o.attempt = h.attempt)
      or (h.op in ('attach', 'detach') and o.op = h.op and o.txid = h.txid and o.state = h.state and o.id > h.id
        and o.id < coalesce(h.run_ends, o.id + 1)))))
), log as (
  update sync.change_log l set state = 'sending', attempt = n.attempt, attempts = l.attempts + 1, next_attempt_at = null
  from number n, taken t
  where l.id = t.id
), states as (
  update sync.contact_state s
  set attempt = n.attempt, attempt_state = 'sending', attempt_epoch = $2, attempt_at = clock_timestamp()
  from number n
  where s.contact_id = any($1::bigint[])
)
select attempt from number`;

/** One statement, hence one snapshot: an edit that is committed between two would make a row look as if somebody else had changed it. */
export const READ_STEPS = `
with edits as (
  select contact_id, jsonb_agg(jsonb_build_array(op, old_values, new_values) order by id) as edits
  from sync.change_log where contact_id = any($2::bigint[]) and attempt = $1 and settled_at is null
  group by contact_id
), newest as (
  select distinct on (l.contact_id, k.field) l.contact_id, k.field, l.new_values -> k.field as set
  from sync.change_log l cross join lateral jsonb_object_keys(l.new_values) k(field)
  where l.contact_id = any($2::bigint[]) and l.settled_at is null and l.op in ('insert', 'update')
  order by l.contact_id, k.field, l.id desc
), rows as materialized (
  select c.id, to_jsonb(c) || c.custom_fields as flat from crm.contacts c where c.id = any($2::bigint[])
), compared as (
  select n.contact_id, jsonb_object_agg(n.field, jsonb_build_object('set', n.set, 'holds', r.flat -> n.field)) as newest
  from newest n join rows r on r.id = n.contact_id group by n.contact_id
)
select e.contact_id, e.edits, c.newest from edits e left join compared c on c.contact_id = e.contact_id`;

/** What is known of the account and of the CRM as a whole. */
import { TWIN_TRIES_MAX } from '../../ports/mirror.ts';

/** Cut to the millisecond, downwards: a time that is compared with later ones must not lie in their future. */
export const NOW = `select date_trunc('milliseconds', clock_timestamp()) as now`;
export const CONTACT_COUNT = `select count(*) as contacts from crm.contacts`;
export const ACCOUNT = `
select changes_watermark, trash_watermark, first_sweep_at, last_complete_sweep_at, paused_at is not null as paused,
  identity_hold_id, case when identity_hold_id is not null then sync.identity_swept() end as identity_swept,
  exists (select from sync.marks where reason = 'twin' and attempts < ${TWIN_TRIES_MAX}) as twins
from sync.account`;
export const CAPABILITIES = `select jsonb_object_agg(name, value) as found, min(checked_at) as checked_at from sync.capabilities`;
/** The time moves even where nothing differs: it says when to look again. */
export const SAVE_CAPABILITIES = `
insert into sync.capabilities as c (name, value)
select i.key, i.value from jsonb_each($1::jsonb) i
order by i.key
on conflict (name) do update set value = excluded.value, checked_at = clock_timestamp()`;
export const FIELD_POLICIES = `select field, policy from sync.field_policy`;

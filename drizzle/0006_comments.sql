-- What every schema, table, column, view and function is, said where people look for it: \d+ and \df+ in psql, any client's tooltips.
-- test/postgres/migrate.test.ts fails for one that says nothing.

comment on schema crm is 'What people read and edit: the mirror of a RelateCRM account. Edit it with plain SQL; every committed edit is pushed to the CRM.';

comment on schema sync is 'How the mirroring is going: what is queued, held, parked or in conflict, and why. Written by the daemon; people use its views and functions.';

comment on table crm.contacts is 'One row per contact of the CRM. INSERT creates, UPDATE changes and DELETE deletes the contact in the CRM as well.';
comment on column crm.contacts.id is 'The mirror''s own number of the contact, given by Postgres. Never changes, also when a contact comes back from the CRM''s trash.';
comment on column crm.contacts.crm_id is 'The contact''s id in the CRM. Written by the daemon; null until the CRM has the contact.';
comment on column crm.contacts.first_name is 'First name. Required.';
comment on column crm.contacts.last_name is 'Last name.';
comment on column crm.contacts.email is 'E-mail address. The CRM checks that it is valid and that no other contact has it.';
comment on column crm.contacts.phones is 'Array of {"number": "…", "type": "mobile" | "work" | "other"}; type left out means mobile. A number counts once.';
comment on column crm.contacts.user_id is 'The contact''s owner: id in crm.users.';
comment on column crm.contacts.source_id is 'Where the contact came from: id in crm.sources.';
comment on column crm.contacts.job_title is 'Job title.';
comment on column crm.contacts.street is 'Street and number.';
comment on column crm.contacts.city is 'City.';
comment on column crm.contacts.state is 'State or region.';
comment on column crm.contacts.postal_code is 'Postal code.';
comment on column crm.contacts.country_id is 'Country: id in crm.countries.';
comment on column crm.contacts.custom_fields is 'The account''s custom fields as {"cf_…": value}: option ids, dates as YYYY-MM-DD, date-times as YYYY-MM-DDTHH:MM:SSZ. null clears a field.';
comment on column crm.contacts.extra is 'Whatever else the CRM sends of the contact (tags, dates). Written by the daemon.';
comment on column crm.contacts.crm_created_at is 'When the contact was created in the CRM. Written by the daemon.';
comment on column crm.contacts.crm_updated_at is 'When the CRM last changed the contact, to the second. Written by the daemon.';

comment on table crm.contact_companies is 'Which companies a contact belongs to. INSERT attaches and DELETE detaches in the CRM; an UPDATE is both.';
comment on column crm.contact_companies.contact_id is 'The contact: id in crm.contacts.';
comment on column crm.contact_companies.company_id is 'The company''s id in the CRM; it need not be in crm.companies yet.';

comment on table crm.contact_deals is 'Which deals a contact takes part in. INSERT attaches and DELETE detaches in the CRM; an UPDATE is both.';
comment on column crm.contact_deals.contact_id is 'The contact: id in crm.contacts.';
comment on column crm.contact_deals.deal_id is 'The deal''s id in the CRM; it need not be in crm.deals yet.';

comment on table crm.contact_activities is 'Which activities a contact takes part in. INSERT attaches and DELETE detaches in the CRM; an UPDATE is both.';
comment on column crm.contact_activities.contact_id is 'The contact: id in crm.contacts.';
comment on column crm.contact_activities.activity_id is 'The activity''s id in the CRM; it need not be in crm.activities yet.';

comment on table crm.companies is 'Names of companies that the CRM''s answers carried. Read only.';
comment on column crm.companies.id is 'Id in the CRM.';
comment on column crm.companies.name is 'The company''s name.';

comment on table crm.deals is 'Names of deals that the CRM''s answers carried. Read only.';
comment on column crm.deals.id is 'Id in the CRM.';
comment on column crm.deals.name is 'The deal''s name.';

comment on table crm.activities is 'Titles of activities that the CRM''s answers carried. Read only.';
comment on column crm.activities.id is 'Id in the CRM.';
comment on column crm.activities.name is 'The activity''s title.';

comment on table crm.users is 'Names of the CRM''s users that its answers carried. Read only.';
comment on column crm.users.id is 'Id in the CRM.';
comment on column crm.users.name is 'The user''s name.';

comment on table crm.sources is 'Names of contact sources that the CRM''s answers carried. Read only.';
comment on column crm.sources.id is 'Id in the CRM.';
comment on column crm.sources.name is 'The source''s name.';

comment on table crm.countries is 'Names of countries that the CRM''s answers carried. Read only.';
comment on column crm.countries.id is 'Id in the CRM.';
comment on column crm.countries.name is 'The country''s name.';

comment on table sync.change_log is 'Every committed edit of a contact or a link, one row each: the queue of what has to be pushed, and its history.';
comment on column sync.change_log.id is 'Number of the change; sync.wait() and sync.retry() take it.';
comment on column sync.change_log.contact_id is 'The contact: id in crm.contacts, also after the row was deleted.';
comment on column sync.change_log.crm_id is 'The contact''s id in the CRM when the edit was made; null if it had none yet.';
comment on column sync.change_log.op is 'insert, update or delete of the contact; attach or detach of a link.';
comment on column sync.change_log.old_values is 'Values before: all of a deleted contact, the changed fields of an update, the id of a removed link. Custom fields stand under their own names.';
comment on column sync.change_log.new_values is 'Values after: all of a new contact, the changed fields of an update, the id of a new link. Custom fields stand under their own names.';
comment on column sync.change_log.changed_at is 'When the edit was made.';
comment on column sync.change_log.changed_by is 'The role that made it; relate-mirror for what the daemon queued itself.';
comment on column sync.change_log.txid is 'The transaction it was made in.';
comment on column sync.change_log.state is 'pending, sending, retry (will be tried again), unknown (sent, outcome not known), parked (needs a person), held (needs an approval), done, or merged (nothing had to be sent).';
comment on column sync.change_log.attempts is 'How often it was tried.';
comment on column sync.change_log.next_attempt_at is 'When it is tried next; null while it is sending, parked or held, and once it is settled.';
comment on column sync.change_log.error_code is 'Why the last attempt failed.';
comment on column sync.change_log.error is 'What the CRM or Postgres said about it. May quote the contact''s values.';
comment on column sync.change_log.settled_at is 'When it came to its end.';
comment on column sync.change_log.attempt is 'Number of the claim that last took it.';
comment on column sync.change_log.hold_id is 'The hold it waits or waited for: id in sync.holds.';

comment on table sync.contact_state is 'What the mirror and the CRM last agreed on for each contact. Outlives the contact''s row, so that a deletion is not forgotten.';
comment on column sync.contact_state.contact_id is 'The contact: id in crm.contacts, also after the row was deleted.';
comment on column sync.contact_state.crm_id is 'The contact''s id in the CRM.';
comment on column sync.contact_state.base is 'The contact''s fields as both sides last agreed on them; null = never.';
comment on column sync.contact_state.base_hash is 'Hash of base; null makes the daemon compare the contact again.';
comment on column sync.contact_state.extra_hash is 'Hash of crm.contacts.extra.';
comment on column sync.contact_state.companies is 'Ids of its companies as last agreed on; null = not known.';
comment on column sync.contact_state.deals is 'Ids of its deals as last agreed on; null = not known.';
comment on column sync.contact_state.activities is 'Ids of its activities as last agreed on; null = not known.';
comment on column sync.contact_state.attempt is 'Number of the push that is under way; null when none is.';
comment on column sync.contact_state.attempt_state is 'sending, or unknown (sent, outcome not known).';
comment on column sync.contact_state.attempt_epoch is 'Which leader''s term the push was started in.';
comment on column sync.contact_state.attempt_at is 'When the push was started.';
comment on column sync.contact_state.intent_at is 'When its creation in the CRM was about to be sent; null once it is settled.';
comment on column sync.contact_state.intent is 'What that creation sends: {"fields": …, "links": …}.';
comment on column sync.contact_state.settled_at is 'When a push of it was last settled.';
comment on column sync.contact_state.deleted_at is 'When its deletion was settled: the row is a tombstone.';
comment on column sync.contact_state.deleted_by is 'Where it was deleted: mirror or crm.';
comment on column sync.contact_state.gone_at is 'When the CRM said that it is gone while the row is kept (the removal is held or was rejected).';
comment on column sync.contact_state.hidden_at is 'When the CRM said that it is no longer visible to the token''s user; the row is kept.';
comment on column sync.contact_state.hold_id is 'The hold its removal waits for: id in sync.holds.';

comment on table sync.marks is 'Contacts that have to be read from the CRM by their id.';
comment on column sync.marks.crm_id is 'The contact''s id in the CRM.';
comment on column sync.marks.reason is 'deferred (its record came at a bad moment), links, activities (not known yet), approved (a person approved its removal).';
comment on column sync.marks.marked_at is 'When it was marked last.';

comment on table sync.refused is 'Records of the CRM that could not be read or stored.';
comment on column sync.refused.crm_id is 'The contact''s id in the CRM.';
comment on column sync.refused.error_code is 'What kind of problem it is.';
comment on column sync.refused.error is 'What exactly is wrong. May quote values.';
comment on column sync.refused.refused_at is 'When that was first seen.';

comment on table sync.runs is 'Pulls, sweeps and resyncs, asked for, running and finished.';
comment on column sync.runs.id is 'Number of the run.';
comment on column sync.runs.kind is 'changes, sweep, resync, links or sync.';
comment on column sync.runs.state is 'requested, running, done, partial (not everything was proven) or failed.';
comment on column sync.runs.with_links is 'Whether the links of every contact are read again.';
comment on column sync.runs.requested_at is 'When somebody asked for it; null if it was scheduled.';
comment on column sync.runs.requested_by is 'The role that asked for it.';
comment on column sync.runs.started_at is 'When it started.';
comment on column sync.runs.finished_at is 'When it ended.';
comment on column sync.runs.complete is 'Whether every contact of the CRM was seen or proven gone.';
comment on column sync.runs.pages is 'How many pages were read.';
comment on column sync.runs.rows_seen is 'How many records were read.';
comment on column sync.runs.rows_written is 'How many contacts were changed in the mirror.';
comment on column sync.runs.calls is 'How many calls of the CRM it took.';
comment on column sync.runs.error is 'Why it failed.';
comment on column sync.runs.cursor is 'Where it stands; a restarted daemon goes on from here.';
comment on column sync.runs.epoch is 'Which leader''s term it belongs to.';

comment on table sync.sweep_seen is 'Ids that the running sweep has seen. Unlogged: empty after a crash of Postgres, which the sweep notices.';
comment on column sync.sweep_seen.crm_id is 'The contact''s id in the CRM.';

comment on table sync.conflicts is 'Fields that both sides changed: what each of them had, and what was decided.';
comment on column sync.conflicts.id is 'Number of the conflict; sync.resolve() takes it.';
comment on column sync.conflicts.contact_id is 'The contact: id in crm.contacts.';
comment on column sync.conflicts.field is 'The field, or contact for a deletion against an edit.';
comment on column sync.conflicts.base is 'The value both sides last agreed on.';
comment on column sync.conflicts.local is 'The mirror''s value.';
comment on column sync.conflicts.remote is 'The CRM''s value.';
comment on column sync.conflicts.outcome is 'Whose value stands: crm, mirror, open, or the value that a person chose.';
comment on column sync.conflicts.compared is 'The two times that the policy newest compared.';
comment on column sync.conflicts.policy is 'The policy that decided.';
comment on column sync.conflicts.state is 'open (a person decides) or decided.';
comment on column sync.conflicts.at is 'When it was found.';
comment on column sync.conflicts.decided_at is 'When it was decided.';
comment on column sync.conflicts.decided_by is 'Who decided it: a role, or policy.';

comment on table sync.holds is 'Damage too big to be meant, held until a person approves or rejects it.';
comment on column sync.holds.id is 'Number of the hold; sync.approve() and sync.reject() take it.';
comment on column sync.holds.direction is 'push (local deletions and the like wait to reach the CRM) or pull (the CRM''s deletions wait to reach the mirror).';
comment on column sync.holds.reason is 'Why it was held.';
comment on column sync.holds.rows is 'How many contacts it is about.';
comment on column sync.holds.plan is 'What would happen: one line a contact.';
comment on column sync.holds.state is 'open, approved, rejected, or released (nothing was left of it).';
comment on column sync.holds.created_at is 'When it was made.';
comment on column sync.holds.decided_at is 'When it was decided.';
comment on column sync.holds.decided_by is 'The role that decided it.';

comment on table sync.field_policy is 'Who wins when both sides changed a field, where that differs from CONFLICT_POLICY. Edit it freely.';
comment on column sync.field_policy.field is 'A column of crm.contacts, phones, or a custom field''s name.';
comment on column sync.field_policy.policy is 'newest, crm, mirror, or manual (a person decides).';

comment on table sync.custom_fields is 'The account''s custom fields as far as they are known.';
comment on column sync.custom_fields.name is 'Name of the field, as it stands in crm.contacts.custom_fields.';
comment on column sync.custom_fields.type is 'text, number, boolean, date, datetime, option (one of its options) or options (several).';
comment on column sync.custom_fields.label is 'What the CRM calls it on screen.';
comment on column sync.custom_fields.options is 'Its options as [{"id": …, "label": …}]; [] where there are none or they are not known.';
comment on column sync.custom_fields.origin is 'crm (declared by the CRM) or inferred (read off the values seen).';
comment on column sync.custom_fields.seen_at is 'When the CRM last said so.';

comment on table sync.capabilities is 'What this account''s CRM can do, as the daemon found by trying.';
comment on column sync.capabilities.name is 'Name of the capability.';
comment on column sync.capabilities.value is 'What was found.';
comment on column sync.capabilities.checked_at is 'When that last changed.';

comment on table sync.account is 'One row: which database and CRM belong together, and how far pulling has come.';
comment on column sync.account.only is 'Always true: there is one row.';
comment on column sync.account.crm_url is 'The CRM this database mirrors.';
comment on column sync.account.system_identifier is 'The database server that the mirror was made on.';
comment on column sync.account.database_oid is 'The database that the mirror was made in.';
comment on column sync.account.changes_watermark is 'Every change of the CRM up to here was seen; on the CRM''s clock.';
comment on column sync.account.trash_watermark is 'The CRM''s trash was seen up to here; on the CRM''s clock.';
comment on column sync.account.first_sweep_at is 'When the CRM was first seen as a whole.';
comment on column sync.account.last_complete_sweep_at is 'When the CRM was last seen as a whole.';
comment on column sync.account.paused_at is 'Since when syncing is paused; null while it runs.';
comment on column sync.account.notify is 'Whether edits wake the daemon at once (setting CAPTURE_NOTIFY).';

comment on table sync.leader is 'One row: which daemon leads, and until when. The others stand by.';
comment on column sync.leader.only is 'Always true: there is one row.';
comment on column sync.leader.holder is 'The daemon that leads.';
comment on column sync.leader.epoch is 'Number of its term; raised by each change of leader.';
comment on column sync.leader.backend_pid is 'Its database session.';
comment on column sync.leader.renewed_at is 'When it last showed that it lives.';
comment on column sync.leader.expires_at is 'When another daemon may take over.';
comment on column sync.leader.last_pull_at is 'When the CRM''s changes were last pulled successfully.';
comment on column sync.leader.budget_limit is 'Calls per minute that the CRM allows.';
comment on column sync.leader.budget_used is 'Calls made in the last minute.';

comment on view sync.status is 'One row: how the mirroring is going as a whole.';
comment on column sync.status.leader is 'The daemon that leads; null when none does.';
comment on column sync.status.paused is 'Whether syncing is paused.';
comment on column sync.status.pull_lag_seconds is 'Seconds since the CRM''s changes were last pulled successfully; null = never.';
comment on column sync.status.push_lag_seconds is 'Age in seconds of the oldest edit that is on its way to the CRM; 0 when none is.';
comment on column sync.status.queue_depth is 'Edits on their way to the CRM.';
comment on column sync.status.last_complete_sweep_at is 'When the CRM was last seen as a whole.';
comment on column sync.status.budget_limit is 'Calls per minute that the CRM allows.';
comment on column sync.status.budget_used is 'Calls made in the last minute.';
comment on column sync.status.parked is 'Edits and records that need a person: sync.parked.';
comment on column sync.status.held is 'Edits and removals that need an approval: sync.holds.';
comment on column sync.status.unknown is 'Edits that were sent and whose outcome is not known yet.';
comment on column sync.status.open_conflicts is 'Conflicts that need a person: sync.conflicts.';
comment on column sync.status.retry is 'Edits that failed and will be tried again by themselves.';
comment on column sync.status.contacts is 'Contacts in the mirror.';
comment on column sync.status.first_sweep_done is 'Whether the CRM was ever seen as a whole.';

comment on view sync.contact_status is 'One row per contact: whether it is in step with the CRM, and if not, why.';
comment on column sync.contact_status.contact_id is 'The contact: id in crm.contacts.';
comment on column sync.contact_status.crm_id is 'The contact''s id in the CRM.';
comment on column sync.contact_status.state is 'in_sync, pending, sending, retry, unknown, parked, held, conflict, gone (deleted in the CRM, kept here) or hidden (no longer visible in the CRM).';
comment on column sync.contact_status.error_code is 'Why its last push or pull failed.';
comment on column sync.contact_status.error is 'What the CRM or Postgres said about it. May quote values.';
comment on column sync.contact_status.since is 'Since when it is in that state; for in_sync the last push, null if there was none.';

comment on view sync.queue is 'Edits that have not come to their end, without those that are parked.';
comment on column sync.queue.change_id is 'Number of the change.';
comment on column sync.queue.contact_id is 'The contact: id in crm.contacts.';
comment on column sync.queue.crm_id is 'The contact''s id in the CRM when the edit was made.';
comment on column sync.queue.op is 'insert, update, delete, attach or detach.';
comment on column sync.queue.fields is 'Which fields it is about.';
comment on column sync.queue.state is 'pending, sending, retry, unknown or held.';
comment on column sync.queue.changed_at is 'When the edit was made.';
comment on column sync.queue.changed_by is 'The role that made it.';
comment on column sync.queue.attempts is 'How often it was tried.';
comment on column sync.queue.next_attempt_at is 'When it is tried next.';
comment on column sync.queue.error_code is 'Why the last attempt failed.';
comment on column sync.queue.error is 'What the CRM said about it. May quote values.';
comment on column sync.queue.hold_id is 'The hold it waits for: id in sync.holds.';
comment on column sync.queue.waiting_seconds is 'Its age in seconds.';

comment on view sync.parked is 'What needs a person: edits that the CRM refuses, and records of the CRM that could not be stored.';
comment on column sync.parked.direction is 'push (a local edit) or pull (a record of the CRM).';
comment on column sync.parked.change_id is 'Number of the change, for sync.retry(); null for a record of the CRM.';
comment on column sync.parked.contact_id is 'The contact: id in crm.contacts; null if it has no row.';
comment on column sync.parked.crm_id is 'The contact''s id in the CRM.';
comment on column sync.parked.op is 'insert, update, delete, attach or detach; null for a record of the CRM.';
comment on column sync.parked.fields is 'Which fields the edit is about; null for a record of the CRM.';
comment on column sync.parked.error_code is 'What kind of problem it is.';
comment on column sync.parked.error is 'What the CRM or Postgres said. May quote values.';
comment on column sync.parked.attempts is 'How often it was tried; null for a record of the CRM.';
comment on column sync.parked.since is 'When the edit was made, or the record first refused.';

comment on function sync.request_resync(boolean) is 'Asks the daemon for a full resync, with fresh links of every contact if true; returns the run''s id in sync.runs. A second request gets the run of the first.';
comment on function sync.request_sync() is 'Asks the daemon to pull the CRM''s changes now; returns the run''s id in sync.runs.';
comment on function sync.request_run(text, boolean) is 'Asks the daemon for a run of a kind; what request_resync() and request_sync() share.';
comment on function sync.pause() is 'Pauses syncing in both directions. Edits go on being captured.';
comment on function sync.resume() is 'Ends a pause.';
comment on function sync.retry(bigint) is 'Has a parked or failed change tried again now; returns its state.';
comment on function sync.retry_all() is 'Has everything that is parked or failed tried again now; returns how many.';
comment on function sync.approve(bigint) is 'Approves a hold. Each row is proved again before anything is deleted.';
comment on function sync.reject(bigint) is 'Rejects a hold: local deletions and emptied fields are taken back, rows deleted in the CRM are kept here.';
comment on function sync.resolve(bigint, text) is 'Decides an open conflict: crm, mirror, or the value itself as JSON.';
comment on function sync.wait(bigint, integer) is 'Waits until a change (by default the newest of this session) is settled, held or parked, at most so many milliseconds; returns its state.';
comment on function sync.lock_open_hold(bigint) is 'Locks a hold that is to be decided; raises where there is none to decide.';
comment on function sync.begin_own_write() is 'From here on this transaction''s own statements are not captured.';
comment on function sync.end_own_write() is 'Ends what begin_own_write() began.';
comment on function sync.put_fields(bigint, jsonb) is 'Writes some fields of a contact, named as in the change log.';
comment on function sync.is_own_write() is 'Whether the firing statement is the daemon''s own, so that it is neither guarded nor captured.';
comment on function sync.effective_role() is 'The role that people act as: SET ROLE''s, otherwise the one that logged in.';
comment on function sync.is_blank(text) is 'Whether a text is nothing but white space.';
comment on function sync.drawn_contact_id() is 'The contact id that this session drew last, or null.';
comment on function sync.phones_problem(jsonb) is 'What is wrong with a contact''s phones, or null.';
comment on function sync.is_date(text) is 'Whether a text is a real date, YYYY-MM-DD.';
comment on function sync.is_datetime(text) is 'Whether a text is a date and time that the CRM can hold.';
comment on function sync.is_safe_number(numeric) is 'Whether the daemon reads the very number that is stored.';
comment on function sync.custom_value_problem(text, jsonb, text, text, jsonb, boolean) is 'Why the CRM cannot hold a value in a custom field, or null.';
comment on function sync.raise_custom_field(text, text, jsonb) is 'Refuses a custom field''s value.';
comment on function sync.captured() is 'Wakes the daemon and remembers the newest change for sync.wait().';
comment on function sync.capture_contacts() is 'Trigger: logs edits of contacts.';
comment on function sync.capture_links() is 'Trigger: logs edits of links.';
comment on function sync.guard_contact() is 'Trigger: refuses writes to the daemon''s columns, and input that the CRM cannot hold.';
comment on function sync.guard_names() is 'Trigger: refuses edits of the name tables.';
comment on function sync.guard_truncate() is 'Trigger: refuses TRUNCATE.';

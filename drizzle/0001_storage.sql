-- What drizzle's schema cannot say about tables.

-- Ids seen by a sweep: cheap to write, empty after a crash of Postgres (a resumed sweep compares its count with a logged one).
alter table sync.sweep_seen set unlogged;
--> statement-breakpoint
-- Rewritten each second: room on the page keeps every renewal a HOT update.
alter table sync.leader set (fillfactor = 50);
--> statement-breakpoint
insert into sync.account default values;
--> statement-breakpoint
insert into sync.leader default values;

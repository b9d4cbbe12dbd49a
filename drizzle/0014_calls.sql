CREATE TABLE "sync"."calls" (
	"minute" timestamp with time zone NOT NULL,
	"endpoint" text NOT NULL,
	"outcome" text NOT NULL,
	"calls" bigint NOT NULL,
	"seconds" double precision NOT NULL,
	CONSTRAINT "calls_minute_endpoint_outcome_pk" PRIMARY KEY("minute","endpoint","outcome")
);

--> statement-breakpoint
comment on table sync.calls is 'Calls of the CRM by minute, endpoint and outcome: what went through the budget, and what came back. Written by the leader at most once a minute and only where calls were made; kept for CHANGE_LOG_DAYS.';
--> statement-breakpoint
comment on column sync.calls.minute is 'The minute in which the calls ended.';
--> statement-breakpoint
comment on column sync.calls.endpoint is 'Which call: list, get, create, update, delete, search, attach, detach, sync, trash, restore, activities or fields.';
--> statement-breakpoint
comment on column sync.calls.outcome is 'ok, or the error code that the calls ended with.';
--> statement-breakpoint
comment on column sync.calls.calls is 'How many.';
--> statement-breakpoint
comment on column sync.calls.seconds is 'How long they took, added up, from their turn to their end.';

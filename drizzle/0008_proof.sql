CREATE TABLE "sync"."damage" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sync"."damage_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"direction" text NOT NULL,
	"contact_id" bigint NOT NULL,
	"op" text NOT NULL,
	"at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "damage_direction_known" CHECK (direction in ('push', 'pull')),
	CONSTRAINT "damage_op_known" CHECK (op in ('delete', 'detach', 'empty', 'audit'))
);
--> statement-breakpoint
ALTER TABLE "sync"."marks" DROP CONSTRAINT "marks_reason_known";--> statement-breakpoint
ALTER TABLE "sync"."runs" DROP CONSTRAINT "runs_kind_known";--> statement-breakpoint
ALTER TABLE "sync"."account" ADD COLUMN "timeline" integer;--> statement-breakpoint
ALTER TABLE "sync"."account" ADD COLUMN "identity_hold_id" bigint;--> statement-breakpoint
ALTER TABLE "sync"."contact_state" ADD COLUMN "sent" jsonb;--> statement-breakpoint
ALTER TABLE "sync"."contact_state" ADD COLUMN "former_crm_id" bigint;--> statement-breakpoint
ALTER TABLE "sync"."holds" ADD COLUMN "cause" text DEFAULT 'brake' NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."marks" ADD COLUMN "attempts" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."marks" ADD COLUMN "next_attempt_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL;--> statement-breakpoint
CREATE INDEX "damage_lately" ON "sync"."damage" USING btree ("direction","at");--> statement-breakpoint
ALTER TABLE "sync"."account" ADD CONSTRAINT "account_identity_hold_id_holds_id_fk" FOREIGN KEY ("identity_hold_id") REFERENCES "sync"."holds"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "conflicts_of_field" ON "sync"."conflicts" USING btree ("contact_id","field","id");--> statement-breakpoint
CREATE INDEX "contact_state_former" ON "sync"."contact_state" USING btree ("former_crm_id") WHERE former_crm_id is not null;--> statement-breakpoint
CREATE INDEX "marks_due" ON "sync"."marks" USING btree ("reason","next_attempt_at","crm_id");--> statement-breakpoint
ALTER TABLE "sync"."holds" ADD CONSTRAINT "holds_cause_known" CHECK (cause in ('brake', 'identity'));--> statement-breakpoint
ALTER TABLE "sync"."marks" ADD CONSTRAINT "marks_reason_known" CHECK (reason in ('deferred', 'twin', 'links', 'activities', 'approved'));--> statement-breakpoint
ALTER TABLE "sync"."runs" ADD CONSTRAINT "runs_kind_known" CHECK (kind in ('changes', 'sweep', 'resync', 'links', 'sync', 'audit'));--> statement-breakpoint
comment on table sync.damage is 'Destructive changes that went through, one row each, as the brake counts them: the last hour''s. Pruned by the sweep.';
comment on column sync.damage.id is 'Number of the row.';
comment on column sync.damage.direction is 'push: done to the CRM. pull: done to the mirror.';
comment on column sync.damage.contact_id is 'The contact: id in crm.contacts, also after the row was deleted.';
comment on column sync.damage.op is 'delete of the contact, detach of a link, empty of a field, or audit: an edit that no trigger saw, queued by the audit.';
comment on column sync.damage.at is 'When it was done.';
comment on column sync.holds.cause is 'brake: more destructive changes than are believable. identity: the database or the CRM account is not the one that the mirror was filled from.';
comment on column sync.account.timeline is 'Timeline of the Postgres cluster when the mirror was last known to be itself.';
comment on column sync.account.identity_hold_id is 'The hold that waits for a person because the database''s identity changed; nothing is pushed before it is approved.';
comment on column sync.marks.attempts is 'How often the contact could not be read or stored.';
comment on column sync.marks.next_attempt_at is 'When it is read next.';
comment on column sync.contact_state.sent is 'What the call in flight, or of unknown outcome, carried: {"fields", "attach", "detach"}. Whatever of it the CRM shows later came from here.';
comment on column sync.contact_state.former_crm_id is 'The id of the CRM contact that this one had before it was deleted there: should it be restored, the row is its own again.';

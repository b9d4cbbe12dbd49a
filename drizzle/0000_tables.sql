CREATE SCHEMA "crm";
--> statement-breakpoint
CREATE SCHEMA "sync";
--> statement-breakpoint
CREATE SEQUENCE "sync"."attempt_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
CREATE TABLE "sync"."account" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"crm_url" text,
	"system_identifier" text,
	"database_oid" bigint,
	"changes_watermark" timestamp with time zone,
	"trash_watermark" timestamp with time zone,
	"first_sweep_at" timestamp with time zone,
	"last_complete_sweep_at" timestamp with time zone,
	"paused_at" timestamp with time zone,
	"notify" boolean DEFAULT true NOT NULL,
	CONSTRAINT "account_only_row" CHECK ("only")
);
--> statement-breakpoint
CREATE TABLE "crm"."activities" (
	"id" bigint PRIMARY KEY NOT NULL,
	"name" text
);
--> statement-breakpoint
CREATE TABLE "sync"."capabilities" (
	"name" text PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL,
	"checked_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."change_log" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sync"."change_log_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"contact_id" bigint NOT NULL,
	"crm_id" bigint,
	"op" text NOT NULL,
	"old_values" jsonb,
	"new_values" jsonb,
	"changed_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"changed_by" text NOT NULL,
	"txid" bigint NOT NULL,
	"state" text DEFAULT 'pending' NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp with time zone DEFAULT clock_timestamp(),
	"error_code" text,
	"error" text,
	"settled_at" timestamp with time zone,
	"attempt" bigint,
	"hold_id" bigint,
	CONSTRAINT "change_log_op_known" CHECK (op in ('insert', 'update', 'delete', 'attach', 'detach')),
	CONSTRAINT "change_log_state_known" CHECK (state in ('pending', 'sending', 'done', 'merged', 'retry', 'parked', 'held', 'unknown'))
);
--> statement-breakpoint
CREATE TABLE "crm"."companies" (
	"id" bigint PRIMARY KEY NOT NULL,
	"name" text
);
--> statement-breakpoint
CREATE TABLE "sync"."conflicts" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sync"."conflicts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"contact_id" bigint NOT NULL,
	"field" text NOT NULL,
	"base" jsonb,
	"local" jsonb,
	"remote" jsonb,
	"outcome" text NOT NULL,
	"compared" jsonb,
	"policy" text,
	"state" text NOT NULL,
	"at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"decided_at" timestamp with time zone,
	"decided_by" text,
	CONSTRAINT "conflicts_state_known" CHECK (state in ('open', 'decided'))
);
--> statement-breakpoint
CREATE TABLE "crm"."contact_activities" (
	"contact_id" bigint NOT NULL,
	"activity_id" bigint NOT NULL,
	CONSTRAINT "contact_activities_contact_id_activity_id_pk" PRIMARY KEY("contact_id","activity_id"),
	CONSTRAINT "contact_activities_activity_id_safe" CHECK (activity_id between -9007199254740991 and 9007199254740991)
);
--> statement-breakpoint
CREATE TABLE "crm"."contact_companies" (
	"contact_id" bigint NOT NULL,
	"company_id" bigint NOT NULL,
	CONSTRAINT "contact_companies_contact_id_company_id_pk" PRIMARY KEY("contact_id","company_id"),
	CONSTRAINT "contact_companies_company_id_safe" CHECK (company_id between -9007199254740991 and 9007199254740991)
);
--> statement-breakpoint
CREATE TABLE "crm"."contact_deals" (
	"contact_id" bigint NOT NULL,
	"deal_id" bigint NOT NULL,
	CONSTRAINT "contact_deals_contact_id_deal_id_pk" PRIMARY KEY("contact_id","deal_id"),
	CONSTRAINT "contact_deals_deal_id_safe" CHECK (deal_id between -9007199254740991 and 9007199254740991)
);
--> statement-breakpoint
CREATE TABLE "sync"."contact_state" (
	"contact_id" bigint PRIMARY KEY NOT NULL,
	"crm_id" bigint,
	"base" jsonb,
	"base_hash" text,
	"extra_hash" text,
	"companies" bigint[],
	"deals" bigint[],
	"activities" bigint[],
	"attempt" bigint,
	"attempt_state" text,
	"attempt_epoch" bigint,
	"attempt_at" timestamp with time zone,
	"intent_at" timestamp with time zone,
	"intent" jsonb,
	"settled_at" timestamp with time zone,
	"deleted_at" timestamp with time zone,
	"deleted_by" text,
	"gone_at" timestamp with time zone,
	"hidden_at" timestamp with time zone,
	"hold_id" bigint,
	CONSTRAINT "contact_state_crm_id_unique" UNIQUE("crm_id"),
	CONSTRAINT "contact_state_attempt_state_known" CHECK (attempt_state in ('sending', 'unknown')),
	CONSTRAINT "contact_state_deleted_by_known" CHECK (deleted_by in ('mirror', 'crm'))
);
--> statement-breakpoint
CREATE TABLE "crm"."contacts" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "crm"."contacts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"crm_id" bigint,
	"first_name" text,
	"last_name" text,
	"email" text,
	"phones" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"user_id" bigint,
	"source_id" bigint,
	"job_title" text,
	"street" text,
	"city" text,
	"state" text,
	"postal_code" text,
	"country_id" bigint,
	"custom_fields" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"extra" jsonb,
	"crm_created_at" timestamp with time zone,
	"crm_updated_at" timestamp with time zone,
	CONSTRAINT "contacts_crm_id_unique" UNIQUE("crm_id"),
	CONSTRAINT "contacts_user_id_safe" CHECK (user_id between -9007199254740991 and 9007199254740991),
	CONSTRAINT "contacts_source_id_safe" CHECK (source_id between -9007199254740991 and 9007199254740991),
	CONSTRAINT "contacts_country_id_safe" CHECK (country_id between -9007199254740991 and 9007199254740991),
	CONSTRAINT "contacts_phones_array" CHECK (jsonb_typeof(phones) = 'array'),
	CONSTRAINT "contacts_custom_fields_object" CHECK (jsonb_typeof(custom_fields) = 'object')
);
--> statement-breakpoint
CREATE TABLE "crm"."countries" (
	"id" bigint PRIMARY KEY NOT NULL,
	"name" text
);
--> statement-breakpoint
CREATE TABLE "sync"."custom_fields" (
	"name" text PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"label" text,
	"options" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"origin" text NOT NULL,
	"seen_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "custom_fields_type_known" CHECK (type in ('text', 'number', 'boolean', 'date', 'datetime', 'option', 'options')),
	CONSTRAINT "custom_fields_origin_known" CHECK (origin in ('crm', 'inferred')),
	CONSTRAINT "custom_fields_options_array" CHECK (jsonb_typeof(options) = 'array')
);
--> statement-breakpoint
CREATE TABLE "crm"."deals" (
	"id" bigint PRIMARY KEY NOT NULL,
	"name" text
);
--> statement-breakpoint
CREATE TABLE "sync"."field_policy" (
	"field" text PRIMARY KEY NOT NULL,
	"policy" text NOT NULL,
	CONSTRAINT "field_policy_known" CHECK (policy in ('newest', 'crm', 'mirror', 'manual'))
);
--> statement-breakpoint
CREATE TABLE "sync"."holds" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sync"."holds_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"direction" text NOT NULL,
	"reason" text NOT NULL,
	"rows" integer NOT NULL,
	"plan" jsonb NOT NULL,
	"state" text DEFAULT 'open' NOT NULL,
	"created_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"decided_at" timestamp with time zone,
	"decided_by" text,
	CONSTRAINT "holds_direction_known" CHECK (direction in ('push', 'pull')),
	CONSTRAINT "holds_state_known" CHECK (state in ('open', 'approved', 'rejected', 'released'))
);
--> statement-breakpoint
CREATE TABLE "sync"."leader" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"holder" text,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"backend_pid" integer,
	"renewed_at" timestamp with time zone,
	"expires_at" timestamp with time zone,
	"last_pull_at" timestamp with time zone,
	"budget_limit" integer,
	"budget_used" integer,
	CONSTRAINT "leader_only_row" CHECK ("only")
);
--> statement-breakpoint
CREATE TABLE "sync"."marks" (
	"crm_id" bigint NOT NULL,
	"reason" text NOT NULL,
	"marked_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "marks_crm_id_reason_pk" PRIMARY KEY("crm_id","reason"),
	CONSTRAINT "marks_reason_known" CHECK (reason in ('deferred', 'links', 'activities', 'approved'))
);
--> statement-breakpoint
CREATE TABLE "sync"."refused" (
	"crm_id" bigint PRIMARY KEY NOT NULL,
	"error_code" text NOT NULL,
	"error" text NOT NULL,
	"refused_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."runs" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sync"."runs_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"kind" text NOT NULL,
	"state" text NOT NULL,
	"with_links" boolean DEFAULT false NOT NULL,
	"requested_at" timestamp with time zone,
	"requested_by" text,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	"complete" boolean,
	"pages" integer DEFAULT 0 NOT NULL,
	"rows_seen" bigint DEFAULT 0 NOT NULL,
	"rows_written" bigint DEFAULT 0 NOT NULL,
	"calls" bigint DEFAULT 0 NOT NULL,
	"error" text,
	"cursor" jsonb,
	"epoch" bigint,
	CONSTRAINT "runs_kind_known" CHECK (kind in ('changes', 'sweep', 'resync', 'links', 'sync')),
	CONSTRAINT "runs_state_known" CHECK (state in ('requested', 'running', 'done', 'partial', 'failed'))
);
--> statement-breakpoint
CREATE TABLE "crm"."sources" (
	"id" bigint PRIMARY KEY NOT NULL,
	"name" text
);
--> statement-breakpoint
CREATE TABLE "sync"."sweep_seen" (
	"crm_id" bigint PRIMARY KEY NOT NULL
);
--> statement-breakpoint
CREATE TABLE "crm"."users" (
	"id" bigint PRIMARY KEY NOT NULL,
	"name" text
);
--> statement-breakpoint
ALTER TABLE "sync"."change_log" ADD CONSTRAINT "change_log_hold_id_holds_id_fk" FOREIGN KEY ("hold_id") REFERENCES "sync"."holds"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "crm"."contact_activities" ADD CONSTRAINT "contact_activities_contact_id_contacts_id_fk" FOREIGN KEY ("contact_id") REFERENCES "crm"."contacts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "crm"."contact_companies" ADD CONSTRAINT "contact_companies_contact_id_contacts_id_fk" FOREIGN KEY ("contact_id") REFERENCES "crm"."contacts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "crm"."contact_deals" ADD CONSTRAINT "contact_deals_contact_id_contacts_id_fk" FOREIGN KEY ("contact_id") REFERENCES "crm"."contacts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sync"."contact_state" ADD CONSTRAINT "contact_state_hold_id_holds_id_fk" FOREIGN KEY ("hold_id") REFERENCES "sync"."holds"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "change_log_open" ON "sync"."change_log" USING btree ("contact_id","id") WHERE settled_at is null;--> statement-breakpoint
CREATE INDEX "change_log_due" ON "sync"."change_log" USING btree ("next_attempt_at","id") WHERE state in ('pending', 'retry', 'unknown');--> statement-breakpoint
CREATE INDEX "change_log_hold" ON "sync"."change_log" USING btree ("hold_id") WHERE hold_id is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "conflicts_one_open" ON "sync"."conflicts" USING btree ("contact_id","field") WHERE state = 'open';--> statement-breakpoint
CREATE INDEX "contact_activities_activity_id" ON "crm"."contact_activities" USING btree ("activity_id");--> statement-breakpoint
CREATE INDEX "contact_companies_company_id" ON "crm"."contact_companies" USING btree ("company_id");--> statement-breakpoint
CREATE INDEX "contact_deals_deal_id" ON "crm"."contact_deals" USING btree ("deal_id");--> statement-breakpoint
CREATE INDEX "contact_state_open_intent" ON "sync"."contact_state" USING btree ("intent_at") WHERE intent_at is not null;--> statement-breakpoint
CREATE INDEX "contact_state_in_flight" ON "sync"."contact_state" USING btree ("attempt_epoch") WHERE attempt is not null;--> statement-breakpoint
CREATE INDEX "contact_state_gone_in_crm" ON "sync"."contact_state" USING btree ("deleted_at") WHERE deleted_at is not null and deleted_by = 'crm';--> statement-breakpoint
CREATE INDEX "contact_state_hold" ON "sync"."contact_state" USING btree ("hold_id") WHERE hold_id is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "runs_one_request" ON "sync"."runs" USING btree ("kind") WHERE state = 'requested';--> statement-breakpoint
CREATE INDEX "runs_running" ON "sync"."runs" USING btree ("id") WHERE state = 'running';
CREATE TABLE "event" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "event_id_seq" INCREMENT BY 1 MINVALUE 1),
	"project_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"tags" text[] DEFAULT '{}' NOT NULL
);
--> statement-breakpoint
ALTER TABLE "event" ADD CONSTRAINT "event_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."project"("id") ON DELETE cascade;
--> statement-breakpoint
CREATE INDEX "event_project_kind_idx" ON "event" USING btree ("project_id","kind" DESC NULLS LAST);
--> statement-breakpoint
CREATE INDEX "event_tags_idx" ON "event" USING gin ("tags");

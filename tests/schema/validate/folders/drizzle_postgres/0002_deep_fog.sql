SET LOCAL lock_timeout = '2s';
--> statement-breakpoint
ALTER TABLE "project" ADD COLUMN "archived_at" timestamp with time zone;

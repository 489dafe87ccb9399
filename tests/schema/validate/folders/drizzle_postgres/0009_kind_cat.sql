SET LOCAL lock_timeout = '2s';
--> statement-breakpoint
ALTER TABLE "project" RENAME COLUMN "slug" TO "handle";
--> statement-breakpoint
CREATE VIEW "live_project" AS (select "id", "handle" from "project" where "archived_at" is null);

INSERT INTO "org" ("name") VALUES ('first') ON CONFLICT DO NOTHING;
--> statement-breakpoint
UPDATE "project" SET "settings" = jsonb_set("settings", '{v}', '2'::jsonb) WHERE "archived_at" IS NULL;

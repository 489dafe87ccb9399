SET LOCAL lock_timeout = '2s';
--> statement-breakpoint
ALTER TABLE "org" ALTER COLUMN "name" SET DATA TYPE text;
--> statement-breakpoint
ALTER TABLE "project" ALTER COLUMN "budget" SET DATA TYPE numeric(14, 2);

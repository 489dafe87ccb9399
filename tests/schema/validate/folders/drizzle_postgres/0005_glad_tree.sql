SET LOCAL lock_timeout = '2s';
--> statement-breakpoint
ALTER TABLE "member" ADD COLUMN "invited_by" integer;
--> statement-breakpoint
ALTER TABLE "member" ALTER COLUMN "email" DROP NOT NULL;

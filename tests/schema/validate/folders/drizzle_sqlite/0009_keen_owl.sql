CREATE INDEX `post_title_idx` ON `post` (lower("title"));
--> statement-breakpoint
CREATE VIEW `published_post` AS select "id", "title" from "post" where "published" = 1;

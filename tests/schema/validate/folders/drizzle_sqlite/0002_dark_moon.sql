ALTER TABLE `user` ADD `image` text;
--> statement-breakpoint
ALTER TABLE `post` ADD `published` integer DEFAULT false NOT NULL;

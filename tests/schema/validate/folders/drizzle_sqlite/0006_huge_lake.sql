ALTER TABLE `post` RENAME COLUMN "body" TO "content";

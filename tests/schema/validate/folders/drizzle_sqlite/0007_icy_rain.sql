ALTER TABLE `user` DROP COLUMN `image`;

INSERT INTO `tag` (`label`) VALUES ('news'), ('notes');

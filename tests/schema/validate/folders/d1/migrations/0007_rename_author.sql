ALTER TABLE comments RENAME COLUMN author TO author_name;

"""Rules over a folder of migrations, told with file, line and a way to mend them."""

"""Reading damaged SQLite files page by page, without SQLite, and writing what is found into a sound one.

The file format: https://sqlite.org/fileformat2.html. Knows no engine, no model and no domain; nothing here
writes to the file that is read.
"""

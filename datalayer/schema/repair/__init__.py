"""Putting a database right: the least invasive cure first, every original byte kept, never half done.

SQLite files by path, for a damaged one may not open; PostgreSQL through an engine. Knows no model and no
domain.
"""

"""Databases that others migrated: what is applied there, by their journal or by the shape of the schema."""

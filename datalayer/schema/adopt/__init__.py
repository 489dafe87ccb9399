"""Databases that other tools or older programs migrated: what is applied there, by their journal or by shape."""

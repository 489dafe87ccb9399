"""Numbered migrations: a folder's files, the journal of what was applied, the run that applies the rest."""
